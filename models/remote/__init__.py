"""Engines whose models run on servers that speak OpenAI's protocol. Lives in the daemon; knows no
model library, and imports the openai client only once a server is to be asked.

    text        a text model: chat or completions, streamed
    images      an image model
    fall_back   one engine that answers when the other cannot
    servers     which server is asked, and which is left out for a while
    troubles    what went wrong with a server, in words
    messages    a conversation in the protocol's terms
    tokens      how long a prompt is
"""

from models.remote.fall_back import FallBack
from models.remote.images import RemoteImageEngine
from models.remote.text import RemoteTextEngine

__all__ = ["FallBack", "RemoteImageEngine", "RemoteTextEngine"]
