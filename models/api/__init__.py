"""The engines of the house as a service that speaks OpenAI's protocol. Knows engines, and no model
library.

    application   an ASGI application from engines by name
    serve         the application on a socket, until cancelled
    bodies        what clients send, read
    asked         what clients send, checked
    answers       what they get
    refusals      what they get when it cannot be done
"""

from models.api.application import application
from models.api.serving import serve

__all__ = ["application", "serve"]
