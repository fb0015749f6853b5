"""The built-in web platform: a chat page and a JSON API. Knows no server and no database."""

from adapters.web.adapter import WebAdapter

__all__ = ["WebAdapter"]
