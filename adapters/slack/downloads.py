"""Files that people attach in Slack, as something that can be fetched. Knows no messages.

The bot token goes along, so only to hosts of Slack; and where the app may not read files, Slack
shows its login page instead of the file.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from adapters.files import Offer
from adapters.slack.scopes import PLACE
from adapters.slack.web import JSON, Once, Web

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

log = logging.getLogger(__name__)

_CHUNK = 2**16


class NotTheFile(Exception):
    """What is at the address is not the file."""


class Downloads:
    """Makes offers of Slack's file objects."""

    def __init__(self, name: str, web: Web, base_url: str) -> None:
        self._web = web
        self._once = Once(log, name)
        self._base = urlsplit(base_url)

    def offer(self, file: JSON) -> Offer:
        """The file as it can be fetched; fetching tells whether it really can."""

        def word(name: str) -> str:
            value = file.get(name)
            return value if isinstance(value, str) else ""

        size = file.get("size")
        url = word("url_private_download") or word("url_private")
        return Offer(
            name=word("name") or word("title") or "file",
            chunks=lambda: self._chunks(url, word("mimetype")),
            size=size if isinstance(size, int) and size > 0 else 0,
            claimed=word("mimetype"),
        )

    async def _chunks(self, url: str, claimed: str) -> AsyncGenerator[bytes]:
        if not self._is_slack(url):
            raise NotTheFile
        headers = {"Authorization": f"Bearer {self._web.token}"}
        # A redirect leads to the login page, or to a host that the token is not for.
        async with self._web.session.get(url, headers=headers, allow_redirects=False) as answer:
            html = answer.content_type == "text/html" and not claimed.startswith("text/html")
            if html or answer.status in (301, 302, 303, 307, 308, 401, 403):
                self._once.say(
                    "capability_missing",
                    "Slack shows its login page instead of a file: the scope files:read is"
                    f" missing; add it {PLACE}",
                )
                raise NotTheFile
            if answer.status != 200:
                raise NotTheFile
            async for chunk in answer.content.iter_chunked(_CHUNK):
                yield chunk

    def _is_slack(self, url: str) -> bool:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if "@" in parts.netloc:
            return False
        if parts.scheme == "https" and (host == "slack.com" or host.endswith(".slack.com")):
            return True
        return (parts.scheme, parts.netloc) == (self._base.scheme, self._base.netloc)
