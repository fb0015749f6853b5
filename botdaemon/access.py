"""Who may talk to the bots. Knows the rules of the configuration, but no store and no platform."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdaemon.config import AccessConfig
    from botdaemon.types import Identity


class Admission(Enum):
    """What becomes of what somebody says."""

    WELCOME = auto()
    STRANGER = auto()
    """Writes directly, and needs an admin to let them in."""
    IGNORED = auto()


class Access:
    """The rules of every adapter that has some. One without (the page, the terminal) is the
    operator's own door: whoever comes through it is welcome, and an admin."""

    def __init__(self, rules: Mapping[str, AccessConfig]) -> None:
        self._rules = rules

    def is_admin(self, who: Identity) -> bool:
        """Whether the person may let others in. Decided by account, never by name."""
        rules = self._rules.get(who.adapter)
        return rules is None or who.account in rules.admins

    def judge(
        self, who: Identity, *, channel: str, server: str, roles: tuple[str, ...], direct: bool
    ) -> Admission:
        """What becomes of what `who` says there. A denial outweighs every permission but that of
        being an admin."""
        rules = self._rules.get(who.adapter)
        if rules is None:
            return Admission.IGNORED if who.is_bot else Admission.WELCOME
        if who.account in rules.admins:
            return Admission.WELCOME
        held = frozenset(roles)
        if (
            who.account in rules.deny_people
            or not held.isdisjoint(rules.deny_roles)
            or server in rules.deny_servers
            or channel in rules.deny_channels
        ):
            return Admission.IGNORED
        if who.is_bot and who.account not in rules.bots:
            return Admission.IGNORED
        if direct:
            return self._judge_direct(rules, who)
        if (rules.servers and server not in rules.servers) or (
            rules.channels and channel not in rules.channels
        ):
            return Admission.IGNORED
        chosen = who.account in rules.people or not held.isdisjoint(rules.roles)
        if (rules.people or rules.roles) and not (chosen or who.is_bot):
            return Admission.IGNORED
        return Admission.WELCOME

    def _judge_direct(self, rules: AccessConfig, who: Identity) -> Admission:
        if who.account in rules.people:
            return Admission.WELCOME
        if rules.direct == "pairing" and not who.is_bot:
            return Admission.STRANGER
        is_open = rules.direct == "open" and not rules.people
        return Admission.WELCOME if is_open else Admission.IGNORED
