"""Whose voices a model may learn, and what everybody else is called. Knows no messages.

Consent is given on the command line, by names or as "SOURCE:ID", or in a file:

    [voices]
    Ada = ["slack:U1", "telegram:user2"]   # one person's accounts, and what prompts call her

    [context]
    names = "pseudonyms"                   # or "names"

    [leave_out]
    speakers = ["slack:U9"]                # not even context
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from botdaemon.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from models.exports.collection import Speaker

Names = Literal["names", "pseudonyms"]

_CANDIDATES = 8
"""Named when somebody is not found."""
_CONSONANTS, _VOWELS = "bdfghjklmnprstvz", "aeiou"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What was agreed to. Accounts are written "SOURCE:ID"."""

    #: account -> the voice that it belongs to
    voices: Mapping[str, str]
    #: what prompts call everybody who is context
    context: Names = "names"
    #: accounts whose messages are not used at all
    left_out: frozenset[str] = frozenset()
    #: how it was given, in words
    how: str


class _Context(BaseModel):
    model_config = ConfigDict(extra="forbid")

    names: Names = "names"


class _LeaveOut(BaseModel):
    model_config = ConfigDict(extra="forbid")

    speakers: list[str] = []


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    voices: dict[str, list[str]]
    context: _Context = _Context()
    leave_out: _LeaveOut = _LeaveOut()


def account(speaker: Speaker) -> str:
    """A speaker as consent names them: "slack:U1"."""
    return f"{speaker.source}:{speaker.id}"


def named(names: Sequence[str], speakers: Sequence[Speaker], context: Names = "names") -> Consent:
    """Consent by `--speaker`: each by a name, or as "SOURCE:ID". Raises `Refused`, with candidates,
    for a name that nobody or more than one account has."""
    found = {name: _find(name, speakers) for name in names}
    voices: dict[str, str] = {}
    for name, speaker in found.items():
        voice = _in_line(speaker.name)
        if any(v == voice and key != account(speaker) for key, v in voices.items()):
            raise Refused(
                f"two of the speakers are called {voice}; give each a name of its own, or join"
                f' them, in a consent file: [voices] {voice} = ["{account(speaker)}", ...]'
            )
        if not voice:
            raise Refused(f"{name} has no name; give one in a consent file")
        voices[account(speaker)] = voice
    if not voices:
        raise Refused(f"nobody is to become a voice; name a speaker. {_candidates(speakers)}")
    return Consent(
        voices=voices,
        context=context,
        how="named by the operator",
    )


def from_file(path: Path, speakers: Sequence[Speaker]) -> Consent:
    """Consent by a file. Raises `Refused` for one that cannot be read or names nobody."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        file = _File.model_validate(data)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"]))
        raise Refused(f"{path}: {key}: {problem['msg']}") from error
    except ValueError as error:  # neither TOML nor UTF-8
        raise Refused(f"{path} is no TOML: {error}") from error
    voices: dict[str, str] = {}
    for name, accounts in file.voices.items():
        if not (voice := _in_line(name)) or not accounts:
            raise Refused(f"{path}: [voices] {name!r} needs a name and at least one account")
        for key in accounts:
            speaker = account(_find(key, speakers, f"{path}: "))
            if voices.setdefault(speaker, voice) != voice:
                raise Refused(f"{path}: {speaker} is both {voices[speaker]} and {voice}")
    if not voices:
        raise Refused(f"{path}: [voices] names nobody. {_candidates(speakers)}")
    left_out = frozenset(
        account(_find(key, speakers, f"{path}: ")) for key in file.leave_out.speakers
    )
    if both := sorted(left_out & voices.keys()):
        raise Refused(f"{path}: {both[0]} is both a voice and left out")
    return Consent(
        voices=voices,
        context=file.context.names,
        left_out=left_out,
        how=f"the consent file {path.name}",
    )


def _find(name: str, speakers: Sequence[Speaker], where: str = "") -> Speaker:
    by_account = [speaker for speaker in speakers if account(speaker) == name]
    wanted = name.strip().casefold()
    found = by_account or [
        speaker
        for speaker in speakers
        if any(wanted == _in_line(called).casefold() for called in speaker.names)
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise Refused(f"{where}no speaker is called {name}. {_candidates(speakers)}")
    several = ", ".join(f"{account(s)} ({s.messages:,} messages)" for s in found[:_CANDIDATES])
    raise Refused(
        f"{where}{name} may be any of {several}; say which, or join them under one name in a"
        " consent file"
    )


def _candidates(speakers: Sequence[Speaker]) -> str:
    if not speakers:
        return "Nothing is imported yet."
    first = ", ".join(f"{s.name} ({account(s)})" for s in speakers[:_CANDIDATES])
    more = len(speakers) - _CANDIDATES
    return f"There are {first}" + (f" and {more:,} more." if more > 0 else ".")


def names_of(speakers: Iterable[Speaker], consent: Consent) -> dict[str, str]:
    """What prompts call everybody, by account: no two people the same.

    `speakers`: whoever comes first keeps a name that several have. A pseudonym follows from the
    account alone, so it stays when more is imported, unless two collide.
    """
    names: dict[str, str] = dict(consent.voices)
    taken = {name.casefold() for name in names.values()}
    for speaker in speakers:
        key = account(speaker)
        if key in names:
            continue
        if consent.context == "names":
            plain = _in_line(speaker.name) or "Somebody"
        else:
            plain = pseudonym(key)
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain} {number}"
        taken.add(name.casefold())
        names[key] = name
    return names


def pseudonym(key: str) -> str:
    """A name of three syllables, always the same for an account."""
    digest = hashlib.sha256(key.encode()).digest()
    syllables = (
        _CONSONANTS[digest[i] % len(_CONSONANTS)] + _VOWELS[digest[i + 1] % len(_VOWELS)]
        for i in (0, 2, 4)
    )
    return "".join(syllables).capitalize()


def _in_line(name: str) -> str:
    """As it can stand in one line of a prompt: without a line break or a colon."""
    return " ".join(name.replace(":", " ").split())
