"""The nouns of the house as frozen data. Knows no platform, no database and no model.

Times are seconds since the epoch (UTC) as ``float``. Text is neutral Markdown (CommonMark). An id
is the store's integer key; 0 means "not recorded yet".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where something is said. Only the adapter that minted it reads meaning into its parts."""

    adapter: str
    channel: str
    topic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A person's account on one adapter. Unlinked identities are separate people."""

    adapter: str
    account: str
    name: str
    is_bot: bool = False
    person: int = 0


@dataclass(frozen=True, slots=True)
class Transcript:
    """What is said in a recording."""

    #: plain words; empty when nobody speaks
    text: str = ""
    #: why it could not be heard, a sentence for whoever sent it; empty when it could
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file kept beside the database under its SHA-256 (hex)."""

    sha256: str
    name: str
    media_type: str
    #: bytes
    size: int
    #: shown covered, until somebody wants to see it
    spoiler: bool = False
    #: of a voice note that a bot speaks: how long it is, and how loud from its beginning to its
    #: end, a byte for each of at most 256 moments
    seconds: float = 0.0
    waveform: bytes = b""
    #: what is said in it; None while nobody has listened
    transcript: Transcript | None = None

    @property
    def is_sound(self) -> bool:
        """Whether it can be listened to."""
        return self.media_type.startswith("audio/") or self.media_type == "application/ogg"

    @property
    def is_spoken(self) -> bool:
        """Whether it is a voice note of ours."""
        return bool(self.waveform)


@dataclass(frozen=True, slots=True)
class Bubble:
    """One of the messages that an answer consists of."""

    text: str
    #: of the crowd that a bot speaks as; empty for the bot's own
    name: str = ""


class Kind(StrEnum):
    """What a message is to the conversation."""

    SAID = "said"
    """Part of the conversation, read by bots."""
    COMMAND = "command"
    """A person's command; shown, never read by bots."""
    NOTICE = "notice"
    """The daemon speaking for itself; shown, never read by bots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What somebody said. Exactly one of ``author`` (a person) and ``bot`` (a name) is set, or
    neither for a notice of the daemon."""

    address: Address
    text: str
    sent_at: float
    author: Identity | None = None
    bot: str = ""
    kind: Kind = Kind.SAID
    #: the platform's id of the message; empty for what the daemon said on a mirror
    platform_id: str = ""
    #: the platform's id of the message this one answers
    reply_to: str = ""
    files: tuple[File, ...] = ()
    #: an answer of several messages, or of a crowd, message by message; `text` has all of it
    bubbles: tuple[Bubble, ...] = ()
    id: int = 0
    thread: int = 0
    #: the turn that produced it
    turn: int = 0
    edited_at: float | None = None
    deleted_at: float | None = None
    #: grows with every change of any message; what a tail remembers
    seq: int = 0

    @property
    def speaker(self) -> str:
        """The name to show: the bot's, the person's, or empty for the daemon itself."""
        return self.bot or (self.author.name if self.author else "")


# --- events: what an adapter reports ---------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """Somebody said something."""

    #: the platform's id of the event: with the adapter's name it refuses duplicates
    key: str
    message: Message
    #: said to the account alone (a direct message)
    direct: bool = False
    #: the adapter's own account was mentioned
    mentioned: bool = False
    #: the text opens by mentioning somebody who is no bot of ours
    to_others: bool = False
    #: the server (guild, workspace) it was said in, and the author's roles there
    server: str = ""
    roles: tuple[str, ...] = ()
    #: said while the daemon was away: not answered when it is too old
    missed: bool = False
    #: said before anybody listened here: part of the conversation, never answered
    past: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """Somebody changed the text of what they had said."""

    key: str
    address: Address
    platform_id: str
    text: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """Somebody took back what they had said."""

    key: str
    address: Address
    platform_id: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reacted:
    """Somebody put a reaction on a message, or took it away."""

    key: str
    address: Address
    who: Identity
    platform_id: str
    emoji: str
    added: bool
    at: float
    server: str = ""
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A platform's native slash command; typed ones come as `Posted` and are recognised later."""

    key: str
    address: Address
    who: Identity
    name: str
    argument: str
    at: float
    direct: bool = False
    server: str = ""
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A command as platforms announce it."""

    name: str
    help: str
    #: what its argument is called, in capitals; empty for none
    argument: str = ""
    #: for admins only; to everybody else it does not exist
    admin: bool = False


class Control(StrEnum):
    """A button under an answer; the second group stands under pictures."""

    STOP = "stop"
    RETRY = "retry"
    GOOD = "good"
    BAD = "bad"

    REROLL = "reroll"
    """The same again with another seed."""
    VARY = "vary"
    """Something like this picture."""
    UPSCALE = "upscale"
    EDIT = "edit"
    """Another prompt, the same settings; the platform asks for the prompt."""
    SETTINGS = "settings"
    """Show the prompt, the seed and everything else the picture was drawn with."""
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    """Somebody pressed a button of ours."""

    key: str
    address: Address
    who: Identity
    control: Control
    at: float
    #: the message that carries the button; empty for one that belongs to the thread
    platform_id: str = ""
    #: what was typed into the form that the button opened
    text: str = ""
    direct: bool = False
    server: str = ""
    roles: tuple[str, ...] = ()


Event = Posted | Edited | Deleted | Reacted | Command | Pressed


# --- routing ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """The place a message was said in, as routing sees it."""

    #: the room's bots; None outside rooms
    bots: tuple[str, ...] | None = None
    #: the room's host, if any
    host: str = ""
    #: the bot that people chose to answer in this thread, if any
    chosen: str = ""
    #: the bot whose message is being replied to
    replied_to: str = ""
    #: bots that have spoken in this side thread; empty in a main thread
    joined: tuple[str, ...] = ()
    #: how many messages of bots, this one included, no person has spoken between
    bots_in_a_row: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """A bot that should answer, and why."""

    bot: str
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Obligation:
    """A turn as the dispatcher keeps it while it waits."""

    turn: int
    thread: int
    bot: str
    #: the identity that asked, as the store numbers it; 0 for nobody
    asked_by: int
    created_at: float
    addresses: tuple[Address, ...] = ()
    #: the platform id of the message to answer, and where it was said
    reply_to: tuple[Address, str] | None = None
    #: the message joined a turn that was already waiting
    joined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of an event."""

    message: int
    thread: int
    #: it had been recorded before; nothing changed
    duplicate: bool = False
    obligations: tuple[Obligation, ...] = ()
    #: addresses that letters were written for
    relayed: tuple[Address, ...] = ()


# --- turns, drafts, letters ------------------------------------------------------------------


class Why(StrEnum):
    """What called a bot."""

    DIRECT = "direct"
    MENTION = "mention"
    REPLY = "reply"
    NAME = "name"
    ROOM = "room"
    """The room's host answers everything said there."""
    FOLLOW_UP = "follow-up"
    CHANCE = "chance"
    RETRY = "retry"
    WISH = "wish"
    """A button under a picture, or a command about pictures."""
    SCHEDULE = "schedule"
    """Nobody: it is time for the bot to write first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants of an image bot by a button or a command, rather than by talking."""

    what: Literal["draw", "reroll", "vary", "upscale", "edit"]
    #: the prompt with its options, as it was typed
    text: str = ""
    #: the message with the picture it is about; 0 for a new picture
    message: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """What a bot writes first; exactly one of the two."""

    #: said as it stands, without a model; Markdown
    say: str = ""
    #: what the bot is told to write about
    prompt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A bot's obligation to answer, with the thread as it stood when the turn began."""

    id: int
    thread: int
    bot: str
    why: Why
    asked_by: Identity | None
    #: oldest first, ending with the messages to answer; no commands, notices or deleted messages
    history: tuple[Message, ...]
    #: how many messages at the end of `history` this turn answers
    fresh: int
    room: str = ""
    title: str = ""
    direct: bool = False
    wish: Wish | None = None
    #: the message that the wish is about, or else the one that the newest message replies to
    about: Message | None = None
    #: options that hold for pictures in this place, as they were typed ("--steps 20")
    defaults: str = ""
    #: the bot writes first; nobody said anything that it answers
    cue: Cue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something a bot is told for a turn besides what was said: of the person it talks to, of what
    it remembers or has read."""

    #: what it is about, in a word: "relationship", "mood", "memory", "summary", "knowledge" ...
    topic: str
    text: str
    #: tokens that it may take; what is longer is cut
    most: int
    #: the same for many turns, so it stands with the persona, before everything that was said;
    #: otherwise right before the newest message, so that a model can go on from what it has read
    lasting: bool = False
    #: when not everything fits, notes of the smallest weight go first
    weight: int = 1


Scope = Literal["room", "person", "person-in-room", "private"]
"""Where a bot uses what it remembers of a person: in the room where it was learned, with everybody;
with that person everywhere; with that person in that room; only what it was told alone, alone. What
it is told alone reaches no room with any of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Where the tokens of a prompt went. Parts are counted apart; their sum may be a little off."""

    #: who the bot is, and the format around everything
    persona: int = 0
    examples: int = 0
    notes: int = 0
    #: what was said, or is to be written about
    history: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of a file that a bot knows, as headings, pages and paragraphs divide it."""

    #: where the file lies in its folder, such as "policies/returns.md"
    file: str
    text: str
    #: the headings that it stands under, as "Returns > Refunds"
    heading: str = ""
    #: of a PDF: where it begins and ends, from 1
    page: int = 0
    last_page: int = 0
    #: of other files: the line on which it begins, from 1
    line: int = 0
    #: its place among the passages of its file, from 0
    number: int = 0
    id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What an answer cost."""

    prompt_tokens: int = 0
    #: where those went
    spent: Spent = Spent()
    tokens: int = 0
    #: from the start of generation to the first token, seconds
    first_token: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """How an answer came about."""

    model: str
    #: the topics of the notes that the bot was told
    notes: tuple[str, ...] = ()
    #: the question as it was asked, and as another model (`rewriter`) put it; empty if none did
    question: str = ""
    meant: str = ""
    rewriter: str = ""
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An answer as it grows: each draft holds the whole text so far, and the last one is final."""

    text: str
    files: tuple[File, ...] = ()
    final: bool = False
    usage: Usage = Usage()
    #: of a final draft: how it came about, if that is known
    origin: Origin | None = None
    #: what each of a crowd says, in place of `text`
    bubbles: tuple[Bubble, ...] = ()
    #: a small JPEG of a picture that is being drawn; shown where a platform can, never kept
    preview: bytes = b""
    #: buttons under the finished answer; None: those of every answer
    controls: tuple[Control, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One message's worth of a reply, fit for one platform: text in its dialect, or one file, or
    where the platform has captions (`Traits.captions`) a file with its text."""

    text: str = ""
    #: the same without any markup, for the retry after a platform refused the markup
    plain: str = ""
    file: File | None = None
    #: of a live draft only: a JPEG to show beside the text
    preview: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A part on its way to one address. `key` is the idempotency key, the same on every attempt."""

    id: int
    key: str
    address: Address
    #: the bot that speaks; empty when the daemon speaks for itself
    speaker: str
    part: Part
    #: position among the letters of one message to one address, from 0
    number: int = 0
    #: the platform id of the message to answer, on the first part only
    reply_to: str = ""
    #: the platform's id once sent; `Adapter.edit` changes that message
    remote: str = ""
    attempts: int = 0
    created_at: float = 0.0
    #: when it was last tried, 0 for never
    tried_at: float = 0.0
    controls: tuple[Control, ...] = ()
    #: the account on the address's adapter that alone should see it; empty for everybody
    only_for: str = ""
    #: it is not sent earlier, nor is what comes after it
    not_before: float = 0.0


# --- rooms and threads -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A named set of channels that share their threads, with the bots that live there."""

    id: int
    name: str
    bots: tuple[str, ...]
    #: the bot that answers whatever nobody else was asked; empty for none
    host: str = ""
    #: written in the configuration, as opposed to made by a person
    configured: bool = False
    created_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """One persistent conversation."""

    id: int
    room: str
    title: str
    created_at: float
    #: when something was last said, or `created_at`
    last_at: float
    #: messages in it
    count: int = 0
    #: the one that a message without a thread goes to
    main: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A message as it is given away with its whole thread, to learn from."""

    message: Message
    #: the message of the thread that it answers, by the store's id; 0 for none
    answers: int = 0
    room: str = ""
    title: str = ""
    #: its thread is between a person and a bot
    direct: bool = False


# --- writing first ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cron:
    """Whenever the clock on the wall says so."""

    #: minute, hour, day of the month, month, day of the week (mon to sun)
    expression: str
    #: as in the IANA database, "Europe/Berlin"
    timezone: str


@dataclass(frozen=True, slots=True)
class Every:
    """Again and again, so many seconds apart."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Once:
    """At one time."""

    at: float


@dataclass(frozen=True, slots=True)
class Silence:
    """Once for every break in which no person has said anything for so many seconds."""

    seconds: float


When = Cron | Every | Once | Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a bot writes first, where, and what. Exactly one of `room`, `address` and `account`
    says where. A *slot* is a time at which it is meant to."""

    bot: str
    when: When
    cue: Cue
    #: in the main thread of this room
    room: str = ""
    #: in the thread that goes on here
    address: Address | None = None
    #: to the person with this account, "ADAPTER:ACCOUNT", where they last wrote directly
    account: str = ""
    #: in the configuration; empty for one that a person made
    name: str = ""
    #: what becomes of a slot that could not be used in time: nothing, or it is made up for once
    missed: Literal["skip", "once"] = "skip"
    #: seconds by which a slot may be late, so that it does not look like clockwork
    jitter: float = 0.0
    #: a person asked for this very message: no rule but those about people's quiet concerns it
    asked: bool = False
    #: `address` is a direct channel
    direct: bool = False
    id: int = 0
    #: the identity that made it; 0 for the configuration
    made_by: int = 0
    made_at: float = 0.0
    #: the next one; None where it depends on what is said, and after the last one
    slot: float | None = None
    #: when it is looked at next; None: it has ended
    due_at: float | None = None


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A time of every day in which no bot writes first, in minutes after midnight. It may go on
    after midnight: then the end is before the beginning."""

    begins: int
    ends: int


class Reason(StrEnum):
    """What was decided about a slot, and why."""

    SPEAKS = "speaks"
    MISSED = "missed"
    """The daemon was away at that time."""
    GONE = "gone"
    """There is no such bot any more."""
    NOWHERE = "nowhere"
    """There is no thread to write in: no channel, or the person never wrote directly."""
    QUIET = "quiet"
    """Somebody asked for quiet (`/quiet`)."""
    QUIET_HOURS = "quiet hours"
    ANSWERING = "answering"
    """An answer is under way in the thread."""
    CONVERSATION = "conversation"
    """People are talking with each other or with a bot."""
    UNANSWERED = "unanswered"
    """So many were left unanswered that a person has to say something first."""
    PAUSE = "pause"
    """The last one is unanswered, and not long enough ago."""
    BUDGET = "budget"
    """As many as a room gets in a day."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """Of the governor, about a slot."""

    reason: Reason
    #: when another answer may be given; 0: never for this slot
    until: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the governor is told of the place that a bot wants to write in."""

    now: float
    #: the room's name; empty outside of rooms
    room: str = ""
    #: of the person, in a direct channel; empty where it is not known
    timezone: str = ""
    asked: bool = False
    #: until when somebody asked for quiet
    quiet_until: float = 0.0
    #: the quiet hours that people chose here, and the time zone they are in
    hours: QuietHours | None = None
    hours_timezone: str = ""
    answering: bool = False
    #: when a person last said something in the thread; 0 for never
    last_said: float = 0.0
    #: when bots wrote first in the thread since then, oldest first; without what was asked for
    unanswered: tuple[float, ...] = ()
    #: when bots wrote first in the room within the last two days, likewise
    recent: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of a slot. `ruling.until` is 0 once that is final."""

    schedule: int
    slot: float
    at: float
    ruling: Ruling
    #: the turn it became; 0 for none
    turn: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a filter held back, or masked."""

    way: Literal["heard", "said"]
    #: all of it, as opposed to masked
    blocked: bool
    #: the words that were found, or the pattern that took too long
    found: tuple[str, ...]
    #: as it would have been
    text: str
    address: Address
    #: the bot that said it, or did not hear it; empty when nobody did
    bot: str = ""
    #: who said it, if a person did and it is known
    author: Identity | None = None
    #: the platform's id of it, if it is a message
    platform_id: str = ""
    at: float = 0.0


# --- people and bots -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """What there is between a person and a bot in a place."""

    #: 0 for nobody: the bot writes first, and to all
    person: int
    bot: str
    #: "room 3", "channel chat:general", or "direct" for whatever is said to the bot alone
    place: str
    #: 0 as long as they have not met there, here and below
    met_at: float = 0.0
    #: when the bot last answered them
    last_at: float = 0.0
    #: messages of the person that the bot has answered
    messages: int = 0
    #: good ratings less bad ones, of what the bot said since they met
    ratings: int = 0
    #: the last of them, 1 or -1
    rated: int = 0
    rated_at: float = 0.0
    #: the stage that was noted last, and since when it lasts
    stage: str = ""
    stage_at: float = 0.0
    #: the mood that a rule brought last, and how long it lasts
    mood: str = ""
    mood_at: float = 0.0
    mood_until: float = 0.0


# --- looking at a set-up ---------------------------------------------------------------------


class Verdict(StrEnum):
    """What a finding means for the start of the daemon."""

    OK = "ok"
    NOTE = "note"
    """It starts, but somebody should look at this."""
    PROBLEM = "problem"
    """It would not start, or not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    verdict: Verdict
    text: str

    def __str__(self) -> str:
        return f"{self.verdict:<8} {self.text}"


# --- engines ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedRequest:
    """Texts whose meaning is wanted as vectors."""

    #: the name of the embedder; filled in by its engine
    model: str = ""
    texts: tuple[str, ...]
    #: what people ask, rather than what is looked through: many models are told which it is
    question: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderCard:
    """What is known of an embedder without loading it."""

    #: numbers in a vector
    dimension: int
    #: tokens of a text that it reads; the rest is cut off
    context: int
    #: another one where the same text may get another vector
    identity: str


Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatLine:
    """One line of a prompt. `name` is who says it; empty for a system line."""

    role: Role
    text: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen. ``None`` leaves the choice to the model's own defaults
    (its format file, then its generation config)."""

    #: 0 is greedy
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    no_repeat_ngram: int | None = None
    max_tokens: int | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRequest:
    """What a text engine is asked to continue: the lines, then the speaker's next line."""

    model: str
    #: the bot whose line is to be written
    speaker: str
    lines: tuple[ChatLine, ...]
    sampling: Sampling = Sampling()
    #: strings that end the reply and are never part of it, besides the format's own
    stop: tuple[str, ...] = ()
    #: room and title, for formats that have a place for them
    room: str = ""
    title: str = ""
    #: the model's LoRA adapter to speak with, by its name in the configuration; empty for none
    adapter: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Newly generated text. The last piece has `finish` set and may have no text."""

    text: str
    #: tokens generated so far
    tokens: int = 0
    prompt_tokens: int = 0
    #: "" while more follows; "stop" (end or stop string) or "length" on the last one
    finish: Literal["", "stop", "length"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a bot must know of a model to write a prompt for it."""

    #: tokens, prompt and reply together
    context: int
    #: when people's names are put before their text: never, only among several people, or always
    names: Literal["never", "rooms", "always"] = "rooms"
    #: tokens kept free for the reply when the bot asks for nothing else
    max_tokens: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """What an image engine is asked to draw. ``None`` leaves the choice to the model's own defaults
    (`drawing.json`, then the pipeline)."""

    model: str
    prompt: str
    #: what should not be seen
    negative: str | None = None
    #: None: the engine picks one, and says which in `Picture.request`
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    #: pixels
    width: int | None = None
    height: int | None = None
    #: pictures; the seed of each next one is one higher
    count: int = 1
    #: an encoded picture (PNG, JPEG, WebP) to begin with instead of noise; empty for none
    source: bytes = b""
    #: how far to go away from the source, 0 to 1
    strength: float | None = None
    #: the source is enlarged so many times before it is drawn over
    enlarge: int = 1
    #: LoRA adapters by their names in the configuration, each with its weight
    adapters: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a picture is."""

    #: of `steps`, over all pictures of the request
    step: int
    steps: int
    #: a small JPEG of it, empty when there is none to show
    preview: bytes = b""
    #: seconds until the last picture is there, as measured so far; 0 while nobody knows
    left: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A finished picture."""

    #: a PNG with `request` in its metadata; empty when the model's safety checker hid it
    content: bytes
    #: as it was really drawn: nothing is None any more but what the pipeline does not know
    request: ImageRequest
    #: what was not done as asked, a sentence each, such as options that the model does not know
    notes: tuple[str, ...] = ()
    #: what the model's safety checker says; None: it has none
    unsafe: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCard:
    """What a bot must know of an image model."""

    #: pixels, steps and guidance when nobody asks for others
    width: int
    height: int
    steps: int
    guidance: float
    #: the only words it understands, in lower case; empty: any
    words: frozenset[str] = frozenset()
    #: what it can draw, in a few words, and requests that it draws well
    draws: str = ""
    examples: tuple[str, ...] = ()
    #: it has a safety checker
    checked: bool = False
    #: it cannot draw what would have to be hidden
    harmless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierCard:
    """What must be known of a classifier to use it."""

    #: what it classifies
    of: Literal["texts", "pictures"]
    #: in lower case, as the model's config.json has them
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HearingRequest:
    """A recording that a hearing model is asked to write down."""

    model: str
    #: an encoded recording: OGG, MP4, WebM, MP3, WAV ...
    sound: bytes
    #: its name, by whose ending some servers know what it is
    name: str
    #: longest that is listened to
    most_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechRequest:
    """What a speech model is asked to say."""

    model: str
    #: plain words
    text: str
    #: longest that it may take; sentences that would make it longer are left out
    most_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """A voice note."""

    #: OGG with Opus, as chat platforms want it
    content: bytes
    seconds: float
    #: see `File.waveform`
    waveform: bytes
    #: nothing was left out
    whole: bool = True
