"""The tables about where people are, `[adapters.NAME]`. Knows no other table."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from botdaemon.config.base import Table, TokenConfig
from botdaemon.config.values import (
    Credential,
    File,
    Host,
    Url,
    Variable,
    Words,
)


class WebConfig(TokenConfig):
    """The built-in web page and its JSON API."""

    kind: Literal["web"]
    """which platform it is"""
    host: Host = "127.0.0.1"
    """the address to listen on; any but this machine's own needs a token"""
    port: int = Field(default=8642, ge=0, le=65535)
    """the port to listen on; 0 takes a free one"""
    host_names: Words = ()
    """further names the page is reached by, without port"""

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    @model_validator(mode="after")
    def _open_needs_a_token(self) -> Self:
        if not self.loopback and not self.has_token:
            raise ValueError(
                f'host "{self.host}" can be reached from other machines, so a token is needed: '
                "name it with token_file, token_env or token_credential"
            )
        return self


class TerminalConfig(Table):
    """A conversation in the terminal the daemon was started from."""

    kind: Literal["terminal"]
    """which platform it is"""
    bot: str = Field(description="the name of the bot to talk to")


class AccessConfig(Table):
    """Who may talk to the bots of an adapter. Ids are the platform's; an empty list allows all."""

    servers: Words = ()
    """only in these servers (guilds, workspaces)"""
    deny_servers: Words = ()
    """not in these servers"""
    channels: Words = ()
    """only in these channels"""
    deny_channels: Words = ()
    """not in these channels"""
    people: Words = ()
    """only these people, or those with one of the roles"""
    deny_people: Words = ()
    """not these people"""
    roles: Words = ()
    """only people with one of these roles, or those in people"""
    deny_roles: Words = ()
    """not people with one of these roles"""
    direct: Literal["pairing", "open", "closed"] = "pairing"
    """who may write directly: people that an admin lets in with a code, everybody, or nobody"""
    admins: Words = ()
    """people who may let others in; whoever is named here may always write"""
    bots: Words = ()
    """other bots that are listened to"""


class ChatConfig(TokenConfig):
    """What all chat platforms have in common."""

    kind: str
    """which platform it is"""
    bots: Words = ()
    """the bots this account speaks for, the default first; by default all"""
    own_faces: bool = True
    """whether a bot that is not the first speaks under its own name, where the platform allows"""
    free_channels: Words = ()
    """channels in which the first bot answers everything"""
    live_drafts: bool = True
    """whether answers are shown as they grow"""
    catch_up_hours: float = Field(default=24.0, ge=0, le=24 * 14)
    """how far back is read what was said while the daemon was away"""
    access: AccessConfig = AccessConfig()
    """who may talk to the bots here"""

    @model_validator(mode="after")
    def _needs_a_token(self) -> Self:
        if not self.has_token:
            raise ValueError(
                "its token is missing: name it with token_file, token_env or token_credential"
            )
        return self


class DiscordConfig(ChatConfig):
    """An account on Discord."""

    kind: Literal["discord"]
    """which platform it is"""
    auto_threads: bool = False
    """whether a mention in a text channel is answered in a thread of its own"""
    message_content: bool = True
    """whether it asks for the Message Content intent; without it, it reads direct messages and
    mentions only"""


class SlackConfig(ChatConfig):
    """An app in a Slack workspace, over Socket Mode."""

    kind: Literal["slack"]
    """which platform it is"""
    app_token_file: File | None = None
    """a file that holds the app-level token (xapp-)"""
    app_token_env: Variable | None = None
    """an environment variable that holds the app-level token"""
    app_token_credential: Credential | None = None
    """a systemd credential that holds the app-level token"""
    streaming: bool = True
    """whether answers are streamed natively where the app may; else by edits"""
    base_url: Url = "https://slack.com/api/"
    """where Slack's Web API is"""

    @model_validator(mode="after")
    def _one_app_token(self) -> Self:
        named = (self.app_token_file, self.app_token_env, self.app_token_credential)
        if sum(map(bool, named)) != 1:
            raise ValueError(
                "the app-level token (xapp-) is needed for Socket Mode: name it with one of "
                "app_token_file, app_token_env and app_token_credential"
            )
        return self


class TelegramConfig(ChatConfig):
    """A bot on Telegram, by long polling."""

    kind: Literal["telegram"]
    """which platform it is"""
    base_url: Url = "https://api.telegram.org/bot"
    """where the Bot API is, to which the token is appended"""
    base_file_url: Url = "https://api.telegram.org/file/bot"
    """where its files are"""


AdapterConfig = Annotated[
    WebConfig | TerminalConfig | DiscordConfig | SlackConfig | TelegramConfig,
    Field(discriminator="kind"),
]
