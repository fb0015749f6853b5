"""Replaces what must not be learned: addresses, numbers, keys, links. Knows no dataset.

Each kind is found by a library that is maintained for it: links and e-mail addresses by linkify-it,
phone numbers by phonenumbers, IBANs and the checksum of cards by python-stdnum, keys and passwords
by the detectors of detect-secrets (none of which is allowed to verify a key over the network).

All links are replaced, not only those with a password in them: a link to a shared document, a call
or an invitation is itself the key to it, and no model can say a true one anyway.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins import keyword
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.high_entropy_strings import Base64HighEntropyString
from detect_secrets.plugins.ip_public import IPPublicDetector
from linkify_it import LinkifyIt  # type: ignore[import-untyped]  # it has no types
from phonenumbers import Leniency, PhoneNumberMatcher
from stdnum import iban, luhn

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

KINDS = ("email", "phone", "card", "iban", "ip", "secret", "link", "blocked")
"""What is replaced, each by its name in brackets. "blocked" are words that an operator lists."""
REGIONS = ("US", "GB", "DE", "FR")
"""Countries whose numbers are found without a country code, when an operator names none."""

Span = tuple[int, int, str]
"""From, to, kind."""

_LONGEST_LINE = 2_000
"""Characters that are searched at once: some of the detectors take quadratic time."""


def scrub(
    text: str,
    *,
    private: Collection[str] = (),
    blocked: Collection[str] = (),
    regions: Collection[str] = REGIONS,
) -> tuple[str, Counter[str]]:
    """The text with what is private replaced, and how often each of `KINDS` was.

    `private`: parts of it that its source marks as an address or a number. `blocked`: words that
    are replaced wherever they stand alone, in any case. `regions`: countries (ISO 3166) whose phone
    numbers are found without a country code.
    """
    spans = [*_marked(text, private), *_blocked(text, tuple(blocked)), *_keys(text)]
    for begin, part in _parts(text):
        found = [*_links(part), *_secrets(part)]
        if any(character.isdecimal() for character in part):
            found += [*_cards(part), *_ibans(part), *_addresses(part)]
            found += _phones(part, tuple(regions))
        spans += [(begin + first, begin + last, kind) for first, last, kind in found]
    pieces, counts, end = [], Counter[str](), 0
    for first, last, kind in _merged(spans):
        pieces += [text[end:first], f"[{kind}]"]
        counts[kind] += 1
        end = last
    return "".join([*pieces, text[end:]]), counts


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """Its lines and where they begin; very long ones in pieces that end between words."""
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin) + 1 or len(text)
        if end - begin > _LONGEST_LINE:
            end = begin + _LONGEST_LINE
            end = text.rfind(" ", begin + _LONGEST_LINE // 2, end) + 1 or end
        yield begin, text[begin:end]
        begin = end


def _merged(spans: list[Span]) -> Iterator[Span]:
    """Overlapping ones are one, named after the longest of them: nothing is left of either."""
    merged: list[tuple[int, int, str, int]] = []
    for first, last, kind in sorted(spans):
        if merged and first < merged[-1][1]:
            begin, end, named, longest = merged[-1]
            if last - first > longest:
                named, longest = kind, last - first
            merged[-1] = (begin, max(end, last), named, longest)
        else:
            merged.append((first, last, kind, last - first))
    return ((first, last, kind) for first, last, kind, _ in merged)


# --- what others know of the text ------------------------------------------------------------


def _marked(text: str, private: Collection[str]) -> Iterator[Span]:
    for part in filter(None, map(str.strip, private)):
        digits = re.sub(r"\D", "", part)
        if "@" in part:
            kind = "email"
        else:  # of the three that sources mark, only cards have a checksum and so many digits
            kind = "card" if len(digits) >= 13 and luhn.is_valid(digits) else "phone"
        for found in re.finditer(re.escape(part), text):
            yield *found.span(), kind


def _blocked(text: str, words: tuple[str, ...]) -> Iterator[Span]:
    if words:
        for found in _any_of(words).finditer(text):
            yield *found.span(), "blocked"


@cache
def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(filter(None, map(str.strip, words)), key=len, reverse=True)
    return re.compile(
        rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first)) or '(?!)'})(?!\w)", re.IGNORECASE
    )


# --- links and addresses ---------------------------------------------------------------------

_URL = re.compile(r"(?<![\w+.-])[a-z][a-z0-9+.-]{1,30}://[^\s<>\"]+", re.IGNORECASE)
"""With any scheme (RFC 3986), as `postgres://` or `zoommtg://`; linkify-it knows those of the web,
and where those end."""


@cache
def _linkify() -> LinkifyIt:
    return LinkifyIt(options={"fuzzy_email": True, "fuzzy_link": True, "fuzzy_ip": False})


def _links(text: str) -> Iterator[Span]:
    if "." not in text and "://" not in text and "@" not in text:
        return
    for link in _linkify().match(text) or ():
        if link.schema == "mailto:":
            yield link.index, link.last_index, "email"
        # A bare name is as likely a missing blank ("that's it.so what"), and tells nothing.
        elif link.schema or "/" in link.text or link.text.lower().startswith("www."):
            yield link.index, link.last_index, "link"
    for found in _URL.finditer(text):
        if not found[0].lower().startswith(("http:", "https:", "ftp:")):
            yield *found.span(), "link"


_IP = re.compile(r"(?<![\w.:/])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,8})"
                 r"(?::\d{1,5})?(?![\w:]|\.\d)", re.IGNORECASE)  # fmt: skip


def _addresses(text: str) -> Iterator[Span]:
    for found in _IP.finditer(text):
        address = found[0].rpartition(":")[0] if found[0].count(":") == 1 else found[0]
        try:
            named = ip_address(address)
        except ValueError:  # a clock time, a date
            continue
        if not named.is_unspecified and not named.is_loopback:
            yield *found.span(), "ip"


# --- numbers ---------------------------------------------------------------------------------

_NUMBER = re.compile(r"(?<![\w.,+-])\d(?:[ -]?\d){12,40}")
_IBAN = re.compile(r"(?<!\w)[a-z]{2}\d{2}(?:[ -]?[a-z0-9]){11,45}", re.IGNORECASE)


def _cards(text: str) -> Iterator[Span]:
    """13 to 19 digits with Luhn's checksum that begin as cards do (ISO/IEC 7812), which keeps the
    ids of messages out."""
    for found in _NUMBER.finditer(text):
        if found[0][0] not in "23456":
            continue
        for last in _group_ends(text, found):
            digits = re.sub(r"\D", "", text[found.start() : last])
            if 13 <= len(digits) <= 19 and luhn.is_valid(digits):
                yield found.start(), last, "card"
                break


def _ibans(text: str) -> Iterator[Span]:
    for found in _IBAN.finditer(text):
        for last in _group_ends(text, found):
            if iban.is_valid(text[found.start() : last], check_country=False):
                yield found.start(), last, "iban"
                break


def _group_ends(text: str, found: re.Match[str]) -> Iterator[int]:
    """Where a number written in groups may end, the longest first: words may follow it."""
    for last in range(found.end(), found.start(), -1):
        if not text[last : last + 1].isalnum() and text[last - 1].isalnum():
            yield last


_FEWEST_DIGITS = 9
"""Of a number with a country code that may not exist; "+1 000 000 points" is none."""
_FRACTION = re.compile(r"\D*(?:\d{1,2}:)?\d{1,2}\.\d{5,}")


def _phones(text: str, regions: tuple[str, ...]) -> Iterator[Span]:
    """Numbers that exist in one of the regions, or have their country code."""
    if sum(character.isdecimal() for character in text) < 7:
        return
    # The matcher wants a region even for numbers that need none.
    for region in regions or (None,):
        for found in PhoneNumberMatcher(text, region, leniency=Leniency.VALID):
            # Without a + or 0 in front, a number is one only if it is grouped as one.
            number, before = found.raw_string, text[max(0, found.start - 2) : found.start]
            # Logs and coordinates have fractions as long as numbers are.
            if _FRACTION.match(before + number):
                continue
            if number.startswith(("+", "0", "(")) or _is_grouped(number, region):
                yield found.start, found.end, "phone"
    if "+" in text:  # of numbers with a country code also those that nobody can have
        for found in PhoneNumberMatcher(text, None, leniency=Leniency.POSSIBLE):
            if sum(map(str.isdecimal, found.raw_string)) >= _FEWEST_DIGITS:
                yield found.start, found.end, "phone"


def _is_grouped(number: str, region: str | None) -> bool:
    return PhoneNumberMatcher(number, region, leniency=Leniency.STRICT_GROUPING).has_next()


# --- keys and passwords ----------------------------------------------------------------------

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [^-\n]*-----|\Z)", re.DOTALL
)
_UNBROKEN = re.compile(r"[\w+=-]{20,}", re.ASCII)
_ASSIGNMENTS = {
    pattern: group
    for pattern, group in keyword.CONFIG_DENYLIST_REGEX_TO_GROUP.items()
    if pattern in (keyword.FOLLOWED_BY_COLON_REGEX, keyword.FOLLOWED_BY_EQUAL_SIGNS_REGEX)
}
_SHORTEST_PASSWORD = 6


@cache
def _detectors() -> tuple[re.Pattern[str], ...]:
    """The patterns of detect-secrets' detectors. Its own search yields parts of a key only."""
    detectors: Mapping[str, type] = get_mapping_from_secret_type_to_class()
    return tuple(
        pattern
        for detector in detectors.values()
        if issubclass(detector, RegexBasedDetector) and detector is not IPPublicDetector
        for pattern in detector().denylist
    )


def _keys(text: str) -> Iterator[Span]:
    if "PRIVATE KEY" in text:
        for found in _PRIVATE_KEY.finditer(text):
            yield *found.span(), "secret"


def _secrets(text: str) -> Iterator[Span]:
    for pattern in _detectors():
        for found in pattern.finditer(text):
            yield *found.span(), "secret"
    for pattern, group in _ASSIGNMENTS.items():
        for found in pattern.finditer(text):
            # In prose the rest of the line follows, of which the first word is the password.
            word = (found[group].split() or [""])[0]
            if len(word) >= _SHORTEST_PASSWORD:
                yield found.start(group), found.start(group) + len(word), "secret"
    for found in _UNBROKEN.finditer(text):
        if _is_random(found[0]):
            yield *found.span(), "secret"


def _is_random(word: str) -> bool:
    """Letters and digits without any order, as no word has them."""
    kinds = (str.isdecimal, str.islower, str.isupper)
    if not word.isascii() or sum(any(map(kind, word)) for kind in kinds) < 2:
        return False
    if not any(map(str.isdecimal, word)):
        return False
    return _entropy().calculate_shannon_entropy(word) >= 3.5


@cache
def _entropy() -> Base64HighEntropyString:
    return Base64HighEntropyString()
