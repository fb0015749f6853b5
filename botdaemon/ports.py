"""The doors between the rooms: what each side may ask of the other. Knows no implementation.

`Adapter` is how the house sees a platform, `Archive` and `Shelf` how an adapter sees the store,
`Bot`, `HearingEngine` and `SpeechEngine` are what the dispatcher calls, `TextEngine` and
`ImageEngine` what a bot calls, an `Embedder` finds what it knows, and a `Classifier` looks through
what is said. All of them are structural: nothing inherits from them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from botdaemon.types import (
    Address,
    ClassifierCard,
    CommandSpec,
    Draft,
    EmbedderCard,
    Event,
    File,
    HearingRequest,
    ImageCard,
    ImageRequest,
    Letter,
    Message,
    ModelCard,
    Note,
    Picture,
    Piece,
    Progress,
    Room,
    Speech,
    SpeechRequest,
    TextRequest,
    Thread,
    Transcript,
    Turn,
)

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

Deliver = Callable[[Event], Awaitable[int]]
"""Hand an event to the dispatcher. Returns when it is safe on disk: only then may an adapter
confirm to its platform. The result is the id of the message it is about, 0 where there is none; for
a `Command` that of the daemon's words, 0 when it has nothing to say.
Raises `StoreFull` (do not confirm) and, to a mirror only, `Refused` (say why to the person)."""

PromptOf = Callable[[Address, str], Awaitable[str]]
"""The prompt of the picture in a message of ours (address, platform id), "" if nobody knows."""

Briefing = Callable[[Turn], Awaitable[Sequence[Note]]]
"""What a bot is told for a turn besides what was said; nothing, when there is nothing to say. May
raise any `BotdaemonError`: the bot then answers without it."""

Dialect = Literal["commonmark", "plain", "discord", "mrkdwn", "telegram"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a platform can show."""

    dialect: Dialect
    #: longest text of one message after rendering, in `text_unit`s
    text_limit: int
    text_unit: Literal["characters", "utf-16"] = "characters"
    #: messages of one reply before the rest becomes a file
    parts_limit: int = 8
    #: throttle of live drafts for each message; 0: this platform shows no drafts
    edits_per_second: float = 0.0
    #: pacing of all letters of the adapter together; 0: as fast as it takes them
    letters_per_second: float = 0.0
    #: seconds between two letters or edits in one channel
    channel_pause: float = 0.0
    #: longest file, in bytes; 0: it takes none
    file_limit: int = 0
    #: longest text that can stand with a file in one message, in `text_unit`s; 0: it cannot
    captions: int = 0
    #: a live draft can show a picture that grows
    previews: bool = False
    buttons: bool = False
    #: nothing can be looked up there: a text is sent as an empty message first, and edited into
    #: it once its id is on disk, so that it can appear twice only as "..."
    placeholders: bool = False
    #: seconds after which an attempt without an answer has arrived or never will
    settles_after: float = 0.0


class Adapter(Protocol):
    """A platform. One without `Courier`'s methods is a *mirror*: it shows threads straight from
    the store (`Archive`), so no letters are written for it."""

    @property
    def name(self) -> str:
        """The instance's name in the configuration, not the platform's."""

    @property
    def traits(self) -> Traits: ...

    async def run(self, deliver: Deliver) -> None:
        """Be connected until cancelled. `AdapterDown`: start again after a pause;
        `AdapterRefused`: leave it alone and say so."""

    def typing(self, address: Address, bot: str) -> AbstractAsyncContextManager[None]:
        """Show that `bot` is at work here, from acceptance to the last part."""

    async def edit(self, letter: Letter) -> None:
        """Make the message `letter.remote` say `letter.part`; doing so twice changes nothing.
        On a mirror this shows a live draft, and `remote` names the draft.
        Raises like `Courier.send`, and `Gone` when that message is not there any more."""


@runtime_checkable
class Courier(Adapter, Protocol):
    """An adapter that has to be handed every letter."""

    async def send(self, letter: Letter) -> str:
        """Send and return the platform's message id. `TryLater` means it certainly was not sent,
        `Undeliverable` that it never can be, `AdapterDown` that nobody knows: then `find` is
        asked before it is sent again. So it is after any other error, but not for ever."""

    async def find(self, letter: Letter) -> str | None:
        """The platform's id of this letter if an earlier attempt arrived, else None."""

    async def remove(self, letter: Letter) -> None:
        """Take the message `letter.remote` away; it may be gone already. Raises like `send`."""


@runtime_checkable
class Connectable(Protocol):
    """An adapter that knows whether it is connected at this moment."""

    @property
    def connected(self) -> bool:
        """Whether what is said there arrives here."""


class Archive(Protocol):
    """The store as a mirror sees it: rooms, their threads, and a tail of what changes."""

    async def rooms(self) -> list[Room]: ...

    async def create_room(self, name: str, bots: Sequence[str], host: str | None = None) -> Room:
        """Raises `Refused` for a bad or taken name and for an unknown bot. `host` None: the only
        bot, if there is just one, else nobody."""

    async def threads(self, room: str) -> list[Thread]:
        """Newest activity first; `Refused` when there is no such room."""

    async def open_thread(self, room: str, title: str) -> Thread: ...

    async def find_thread(self, room: str, thread: int | None = None) -> tuple[str, int]:
        """The room's name as it is written, and the thread, by default the room's main one.
        Raises `Refused` when there is no such room, or it has no such thread."""

    async def messages(
        self, room: str, *, thread: int | None = None, after: int = 0, limit: int = 100
    ) -> list[Message]:
        """At most `limit` messages with an id above `after`, oldest first, without deleted ones."""

    async def recent(
        self, thread: int, *, before: int | None = None, limit: int = 50
    ) -> list[Message]:
        """The last `limit` messages of a thread (older than id `before`), oldest first."""

    async def changes(self, after: int, limit: int = 500) -> list[tuple[str, Message]]:
        """(room, message) for every message of a room with `seq` above `after`, by growing seq;
        deleted messages come with `deleted_at` set and no text."""

    async def latest(self) -> int:
        """The highest seq on disk."""

    async def changed(self, after: int) -> None:
        """Wait until there is a seq above `after`."""

    def file(self, sha256: str) -> Path:
        """Where a kept file lies."""

    async def describe(self, sha256: str) -> File | None:
        """What is known of a kept file."""


class Shelf(Protocol):
    """What the store keeps for a courier besides what is said."""

    async def keep(self, content: bytes, name: str, media_type: str) -> File:
        """Keep a file; it is noted with the message that carries it."""

    def file(self, sha256: str) -> Path:
        """Where a kept file lies."""

    async def known(self, address: Address) -> bool:
        """Whether anything said at this address is recorded."""

    async def active(self, adapter: str, since: float) -> list[Address]:
        """Addresses with a topic, of which something was said after that time."""

    async def cursors(self, adapter: str) -> dict[tuple[str, str], str]:
        """How far the adapter has read: (channel, topic) -> platform id."""

    async def move_cursor(self, address: Address, last: str) -> None:
        """Everything at the address up to the platform id `last` is recorded."""

    async def quarantine(self, adapter: str, raw: str, error: str) -> None:
        """Put away an event that cannot be read, for a person to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a courier of a chat platform is told of the house. `bots`, `pictures` and `shared` are
    kept up to date while it runs; the default bot stays the same."""

    shelf: Shelf
    #: the bots its account speaks for, the default first, each with a line about it
    bots: Mapping[str, str]
    #: addresses of the bots' pictures, where they have one
    pictures: Mapping[str, str]
    commands: tuple[CommandSpec, ...]
    #: channels of it that are part of a room: their conversation goes on in the channel itself
    shared: Collection[str] = frozenset()
    #: longest file that is taken in, in bytes
    file_limit: int = 20_000_000
    #: for the form in which a prompt is edited
    prompt_of: PromptOf | None = None
    #: to be called at least once in a minute while it runs and is in order, connected or trying to
    #: be; an adapter that does not is ended, and begun anew
    beat: Callable[[], None] = lambda: None


class Bot(Protocol):
    """Answers turns. It keeps nothing between them."""

    def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        """Growing drafts, the last one final; none at all is silence. Close it to stop it."""


@runtime_checkable
class Painter(Bot, Protocol):
    """A bot that draws, and can say how."""

    async def settings(self, message: Message) -> str:
        """What the pictures of a message were drawn with, in Markdown; `Refused` when the message
        has no picture of ours."""

    async def prompt(self, message: Message) -> str:
        """The prompt of the first of them; `Refused` likewise."""

    def options(self, text: str) -> str:
        """Options ("--steps 20 --size 512x512") as they are kept for a place; `Refused` for what
        is no option or cannot be."""


class TextEngine(Protocol):
    """Continues conversations with one model."""

    @property
    def card(self) -> ModelCard: ...

    def generate(self, request: TextRequest) -> AsyncGenerator[Piece]:
        """Closing the iterator frees the device at the next token. Raises `EngineFailed`,
        `EngineDied` or `ModelUnusable`."""

    async def count(self, request: TextRequest) -> int:
        """Tokens of the request's prompt in this model's own format."""


class Classifier(Protocol):
    """Tells of what kind a text or a picture is."""

    @property
    def card(self) -> ClassifierCard: ...

    async def classify(self, what: str | bytes) -> Mapping[str, float]:
        """The probability of each label (in lower case) for a text of any length, or for an encoded
        picture. Raises `EngineFailed`, `EngineDied` or `ModelUnusable`."""


class ImageEngine(Protocol):
    """Draws pictures with one model."""

    @property
    def card(self) -> ImageCard: ...

    def draw(self, request: ImageRequest) -> AsyncGenerator[Progress | Picture]:
        """Progress as it goes, and each picture when it is there; ends after the last. Closing the
        iterator frees the device at the next step. Raises `EngineFailed`, `EngineDied` or
        `ModelUnusable`."""

    def read(self, picture: bytes) -> ImageRequest | None:
        """What a picture was drawn with, from its metadata; None for one that is not ours."""


class HearingEngine(Protocol):
    """Writes down what is said in recordings, with one model."""

    async def hear(self, request: HearingRequest) -> Transcript:
        """Raises `EngineFailed` for a recording that it cannot hear, with a sentence for whoever
        sent it, `EngineDied` or `ModelUnusable`."""


class SpeechEngine(Protocol):
    """Speaks, with one model."""

    async def speak(self, request: SpeechRequest) -> Speech:
        """Raises `EngineFailed`, `EngineDied` or `ModelUnusable`."""


class Embedder(Protocol):
    """Puts the meaning of texts into vectors: the closer two point, the more alike the texts."""

    @property
    def card(self) -> EmbedderCard: ...

    async def embed(self, texts: Sequence[str], *, question: bool = False) -> list[bytes]:
        """A vector for each text: `card.dimension` floats of 32 bits, little-endian, of length 1.
        `question`: they are what people ask, rather than what is looked through. Raises
        `EngineFailed`, `EngineDied` or `ModelUnusable`."""
