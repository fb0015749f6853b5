"""Who is there: what the dispatcher is told once, when it starts. Knows no part's inside."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botdaemon.access import Access
from botdaemon.dispatcher.agenda import Arranging
from botdaemon.dispatcher.turns import Limits
from botdaemon.filters import NOTHING, Filter
from botdaemon.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from botdaemon.dispatcher.hearing import Listening
    from botdaemon.dispatcher.judges import Judge
    from botdaemon.dispatcher.manners import Manners
    from botdaemon.dispatcher.remembering import Remembers
    from botdaemon.dispatcher.speaking import Aloud
    from botdaemon.feelings import Character
    from botdaemon.ports import Bot, Painter, Traits
    from botdaemon.types import Call, Here, Posted


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The bots, the platforms and the rules."""

    bots: Mapping[str, Bot]
    #: those of them that draw
    painters: Mapping[str, Painter] = field(default_factory=dict)
    #: one line about each bot, for people
    about: Mapping[str, str]
    #: the name of the line in which each bot waits for its model, such as `turns.TEXT`; a bot
    #: without one waits for nobody
    lines: Mapping[str, str]
    #: messages of a thread that each bot reads
    history: Mapping[str, int]
    #: adapters that need letters
    couriers: Mapping[str, Traits]
    #: bots that each adapter speaks for outside rooms, the default first
    serving: Mapping[str, tuple[str, ...]]
    route: Callable[[Posted, Here], Sequence[Call]]
    limits: Limits = field(default_factory=Limits)
    access: Access = field(default_factory=lambda: Access({}))
    #: channels of each adapter in which everything is for a bot, so that `!help` is, too
    ours: Mapping[str, Collection[str]] = field(default_factory=dict)
    #: characters
    longest_message: int = 16_000
    #: what nobody hears, and how each bot hears and speaks
    heard: Filter = NOTHING
    heard_judges: tuple[Judge, ...] = ()
    manners: Mapping[str, Manners] = field(default_factory=dict)
    #: how recordings are listened to; None: nobody listens
    listening: Listening | None = None
    #: the bots that speak
    aloud: Mapping[str, Aloud] = field(default_factory=dict)
    #: how each bot may feel about people
    characters: Mapping[str, Character] = field(default_factory=dict)
    #: seconds; what was said longer ago while the daemon was away is not answered
    stale: float = 3600.0
    arranging: Arranging = field(default_factory=Arranging)
    #: the bots that have a memory
    remembers: Mapping[str, Remembers] = field(default_factory=dict)
    #: seconds since the epoch
    clock: Callable[[], float] = time.time
    metrics: Metrics = field(default_factory=Metrics)
    #: lines for /status
    status: Callable[[], list[str]] = list
