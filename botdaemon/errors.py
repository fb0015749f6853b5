"""What can go wrong, named after what the caller should do next. Knows no module of the house.

BotdaemonError
├── ConfigError          the operator must mend the configuration; nothing was started
├── StoreError
│   ├── StoreLocked      another process has the data directory; use that one or another directory
│   ├── StoreUnusable    a person must look at the database; it was left as it is
│   └── StoreFull        not recorded: do not confirm, try again when there is space
├── AdapterDown          connect again after a pause; for a letter: nobody knows whether it arrived
├── AdapterRefused       leave the adapter alone and tell the operator
├── TryLater             the letter was not sent; send it again after a pause
│   └── RateLimited      the platform asked for that pause
├── Undeliverable        the letter can never be sent; keep it as dead
│   └── Gone             the message to edit is not there any more; send it as a new one
├── EngineFailed         this request failed; the engine lives, do not repeat it unchanged
├── EngineDied           the engine's process ended; the request may be repeated
├── ModelUnusable        the model cannot be loaded until the operator mends what the message says
├── ExportUnusable       what was exported or collected cannot be read on from there; give another
└── Refused              a person asked for something that cannot be done; say why

The message of each is one sentence (or more) for the person who must act.
"""

from __future__ import annotations


class BotdaemonError(Exception):
    """Something went wrong that has an explanation."""

    #: the exit status of the command line when this ends it (sysexits.h where one fits)
    exit_code = 1


class ConfigError(BotdaemonError):
    """The configuration must be mended; `problems` has one line for each mistake."""

    exit_code = 78  # EX_CONFIG

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StoreError(BotdaemonError):
    """The store could not do it."""

    exit_code = 74  # EX_IOERR


class StoreLocked(StoreError):
    """Another process has the data directory."""

    exit_code = 75  # EX_TEMPFAIL


class StoreUnusable(StoreError):
    """The database cannot be used as it is, and was left as it is."""

    exit_code = 78


class StoreFull(StoreError):
    """There is no space to record it; nothing was recorded."""


class AdapterDown(BotdaemonError):
    """The platform cannot be reached at the moment."""


class AdapterRefused(BotdaemonError):
    """The platform (or this machine) refuses the adapter; trying again will not help."""

    exit_code = 69  # EX_UNAVAILABLE


class TryLater(BotdaemonError):
    """Not sent: try again, after `after` seconds if the platform said so."""

    def __init__(self, message: str = "", *, after: float | None = None) -> None:
        super().__init__(message or "the platform asked to try again later")
        self.after = after


class RateLimited(TryLater):
    """Not sent: the platform asked to send less."""


class Undeliverable(BotdaemonError):
    """It can never be sent."""


class Gone(Undeliverable):
    """The message that was to be edited is not there any more."""


class EngineFailed(BotdaemonError):
    """The request failed; the engine lives."""


class EngineDied(BotdaemonError):
    """The engine's process ended while it worked on the request."""


class ModelUnusable(BotdaemonError):
    """The model cannot be loaded until the operator mends what the message says."""

    exit_code = 78


class ExportUnusable(BotdaemonError):
    """An export or a dataset is damaged, unfinished or something else than was said."""

    exit_code = 65  # EX_DATAERR


class Refused(BotdaemonError):
    """A person asked for something that cannot be done; the message says why."""
