"""Tells what looks like a secret, and reads the ones the file refers to. Knows no table."""

from __future__ import annotations

import re

ADVICE = (
    "a secret is never written into this file: put it into a file of its own and name that with "
    "token_file, or name an environment variable with token_env "
    "or a systemd credential with token_credential"
)

_SECRET_KEY = re.compile(r"(\w*[_-])?(token|password|passwd|secret|credentials?|api[_-]?key)", re.I)

# The shapes of the tokens that people have at hand when they write this file.
_SECRET_VALUE = re.compile(
    r"\b[\w-]{23,28}\.[\w-]{6,7}\.[\w-]{27,}"  # Discord
    r"|\bxox[a-z]-[\w-]{10,}|\bxapp-[\w-]{10,}"  # Slack
    r"|\b\d{8,10}:[\w-]{35}\b"  # Telegram
    r"|\bhf_[A-Za-z0-9]{30,}"  # Hugging Face
    r"|\bsk-[\w-]{20,}"  # OpenAI and others
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_\w{30,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)


def names_a_secret(key: str) -> bool:
    """Whether a key of this name would hold a secret itself, not a reference to one."""
    return _SECRET_KEY.fullmatch(key) is not None


def holds_a_secret(key: str) -> bool:
    """Whether the value of this key may be a secret, be it by mistake, and is never shown."""
    return _SECRET_KEY.match(key) is not None


def looks_secret(value: str) -> bool:
    """Whether there is something in the value that is shaped like a token."""
    return _SECRET_VALUE.search(value) is not None


def concealed(text: str) -> str:
    """The text without anything that is shaped like a token."""
    return _SECRET_VALUE.sub("…", text)
