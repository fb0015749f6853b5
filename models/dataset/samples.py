"""Sessions as the tokens that a model learns: what it would be shown when it has to answer, and the
answer. Knows no model and no torch.

Prompts are written by the very `Format` that serves the model, so that training and serving cannot
disagree. An answer ends as the server expects it: with the token of the chat template or the end of
the text, or with the line break that is a stop string of speaker tags. Those are real tokens; a
delimiter spelled out as text would never end anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from botdaemon.errors import ModelUnusable, Refused
from botdaemon.types import ChatLine, TextRequest
from models.prompts import BREAK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from botdaemon.types import Role
    from models.dataset.sessions import Session
    from models.formats import Format

IGNORED = -100
"""The label of a token that is not to be learned (torch's `ignore_index`)."""

_CHARACTERS_PER_TOKEN = 8
"""More than any conversation has: what lies further back is not even counted."""
_PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Sample:
    """A part of a session that fits the model. `labels` is `tokens`, with IGNORED for everything
    but the learned turns and the token that ends each of them."""

    tokens: list[int]
    labels: list[int]


@dataclass(frozen=True, slots=True)
class _Said:
    """A turn, or a line of one where each line is a reply of its own."""

    name: str
    text: str
    learned: bool = False


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the model is shown, and what it is to say then."""

    prompt: list[int]
    answer: list[int]


def samples(
    session: Session, format: Format, *, context: int, speaker: str = "", style_only: bool = False
) -> Iterator[Sample]:
    """Every turn of a voice is learned once, in samples of at most `context` tokens.

    `speaker`: only this voice's turns are learned; empty: those of all voices. `style_only`: every
    token is learned, and nothing stands before a sample that another one has; for datasets that
    hold one side of conversations. Raises `Refused` when the context is too short for any answer,
    and `ModelUnusable` when nothing ends one.
    """
    writer = _Writer(format, context, session.system)
    said = writer.lines(session)
    voices = dict.fromkeys(one.name for one in said if one.learned)
    if speaker:
        voices = {name: None for name in voices if name == speaker}
    if format.kind == "chat":
        # Whose turn it is to answer decides what everybody's lines look like.
        for voice in voices:
            targets = [i for i, one in enumerate(said) if one.learned and one.name == voice]
            yield from writer.windows(said, targets, style_only)
    else:
        targets = [i for i, one in enumerate(said) if one.learned and one.name in voices]
        yield from writer.windows(said, targets, style_only)


def prompt_of(
    session: Session, index: int, format: Format, *, context: int, reserve: int
) -> list[int]:
    """What the engine would be given when the turn at `index` is to be said: as many of the newest
    turns before it as fit `context` beside an answer of `reserve` tokens."""
    return format.encode(request_of(session, index, format, context=context, reserve=reserve))


def request_of(
    session: Session, index: int, format: Format, *, context: int, reserve: int
) -> TextRequest:
    """The request that `prompt_of` is the prompt of."""
    name = session.turns[index].name
    said = [_Said(turn.name, turn.text) for turn in session.turns[:index]]
    writer = _Writer(format, context, session.system)
    return writer.request(writer.packed(said, name, context - reserve), name)


def closing(format: Format) -> list[int]:
    """The tokens that end an answer at the end of a sample: nearly always one. Raises
    `ModelUnusable` when the model has none."""
    if format.kind == "reddit":
        return format.tokenizer.encode("<|eor|>", add_special_tokens=False).ids
    if format.kind == "chat" and (token := _template_end(format)) is not None:
        return [token]
    if not format.end_ids:
        raise ModelUnusable(
            "the model has no token that ends a text, so it could never learn to stop; name one as"
            ' "eos_token" in its tokenizer_config.json'
        )
    return [min(format.end_ids)]


def _template_end(format: Format) -> int | None:
    """The control token that the chat template writes after what an assistant said."""
    lines = (ChatLine(role="user", text="?"), ChatLine(role="assistant", text=_PROBE))
    written = format.write(TextRequest(model="", speaker="", lines=lines))
    rest = written.rpartition(_PROBE)[2].lstrip()
    added = format.tokenizer.get_added_tokens_decoder()
    found = [(len(t.content), i) for i, t in added.items() if rest.startswith(t.content)]
    return max(found)[1] if found else None


@dataclass(frozen=True)
class _Writer:
    """Lays one session's turns into samples of one format."""

    format: Format
    context: int
    system: str

    @cached_property
    def closing(self) -> list[int]:
        return closing(self.format)

    @property
    def _replies_are_lines(self) -> bool:
        """Whether a line break ends a reply, so that each line of a turn is one."""
        return self.format.kind == "speakers" and "\n" in self.format.stop

    def lines(self, session: Session) -> list[_Said]:
        if not self._replies_are_lines:
            return [_Said(turn.name, turn.text, turn.voice) for turn in session.turns]
        return [
            _Said(turn.name, line, turn.voice)
            for turn in session.turns
            for line in turn.text.splitlines()
            if line.strip()
        ]

    def request(self, said: Sequence[_Said], speaker: str) -> TextRequest:
        """As the bot writes it: one line for what somebody said in a row."""
        opening = (ChatLine(role="system", text=self.system),) if self.system else ()
        lines: list[ChatLine] = []
        for one in said:
            if lines and lines[-1].name == one.name:
                lines[-1] = replace(lines[-1], text=f"{lines[-1].text}\n{one.text}")
            else:
                role: Role = "assistant" if one.name == speaker else "user"
                lines.append(ChatLine(role=role, text=one.text, name=one.name))
        return TextRequest(model="", speaker=speaker, lines=(*opening, *lines))

    def windows(
        self, said: Sequence[_Said], targets: Sequence[int], style_only: bool
    ) -> Iterator[Sample]:
        """Samples that hold as many targets as fit. A target is learned in place where the prompt
        that the server would write for it is how the sample begins, and has one of its own where it
        is not (in a chat template, the second person to speak puts names before all lines)."""
        done = 0
        while done < len(targets):
            first = targets[done]
            before = [] if style_only else self._before(said[:first], said[first])
            answers: list[_Answer] = []
            for target in targets[done:]:
                answer = self._answer([*before, *said[first:target]], said[target])
                if answers and self._length(answer) > self.context:
                    break
                if len(answer.prompt) + 1 >= self.context:
                    raise Refused(
                        f"a context of {self.context} tokens has no room for an answer behind a"
                        f" prompt of {len(answer.prompt)}; take a longer one"
                    )
                answers.append(answer)
            done += len(answers)
            *earlier, last = answers
            window = self._own(last)
            if style_only:
                window = Sample(window.tokens, list(window.tokens))
            for answer in earlier:
                if not self._learn(answer, window):
                    yield self._own(answer)
            yield window

    def _before(self, said: Sequence[_Said], target: _Said) -> Sequence[_Said]:
        """What a window begins with: what fits half of it, which leaves room for further targets.
        The bot itself moves the beginning of long prompts in leaps, so both lengths occur."""
        answer = len(self.format.tokens(self._spoken(target))) + len(self.closing)
        room = max(min(self.context // 2, self.context - answer), self.context // 4)
        return self.packed(said, target.name, room)

    def packed(self, said: Sequence[_Said], speaker: str, budget: int) -> Sequence[_Said]:
        """The newest turns whose prompt has at most `budget` tokens; of a newest turn that is too
        long alone, its end. As `botdaemon.bots.text` does it."""

        def fits(lines: Sequence[_Said]) -> bool:
            return len(self.format.encode(self.request(lines, speaker))) <= budget

        characters, most = budget * _CHARACTERS_PER_TOKEN, 0
        while most < len(said) and characters > 0:
            most += 1
            characters -= len(said[-most].text)
        few = _largest(most, lambda number: fits(said[len(said) - number :]))
        if few or not said:
            return said[len(said) - few :]
        newest = said[-1]
        length = min(len(newest.text), budget * _CHARACTERS_PER_TOKEN)
        rest = _largest(length, lambda number: fits([_end_of(newest, number)]))
        return [_end_of(newest, rest)] if rest else []

    def _spoken(self, said: _Said) -> str:
        """An answer as it is written into a conversation, right behind the prompt."""
        match self.format.kind:
            case "speakers":
                lines = [line for line in self.format.quote(said.text).splitlines() if line.strip()]
                return " " + f"\n{self.format.quote.name(said.name)}: ".join(lines)
            case "reddit":
                return self.format.quote(said.text.strip().replace("<|", "< |"))
            case "chat":
                return self.format.quote(said.text).strip()

    def _answer(self, before: Sequence[_Said], target: _Said) -> _Answer:
        text = self.format.write(self.request(before, target.name))
        spoken = self._spoken(target)
        prompt, whole = self.format.tokens(text), self.format.tokens(text + spoken)
        if whole[: len(prompt)] == prompt:
            answer = whole[len(prompt) :]
        else:  # across the seam the tokenizer sees other tokens than the server will have
            encode = self.format.tokenizer.encode
            pieces = [encode(p, add_special_tokens=False).ids for p in spoken.split(BREAK)]
            answer = [token for piece in pieces for token in piece]
        return _Answer(prompt, answer)

    def _length(self, answer: _Answer) -> int:
        return len(answer.prompt) + len(answer.answer) + len(self.closing)

    def _own(self, answer: _Answer) -> Sample:
        """A sample that ends with this answer. One that is too long loses its end."""
        said = [*answer.answer, *self.closing]
        tokens = [*answer.prompt, *said][: self.context]
        return Sample(tokens, [*[IGNORED] * len(answer.prompt), *said][: self.context])

    def _learn(self, answer: _Answer, window: Sample) -> bool:
        """Learn an answer where it stands in a window, with what ends it there, if the window has
        it as the server would."""
        begin = len(answer.prompt)
        end = begin + len(answer.answer)
        if window.tokens[:end] != answer.prompt + answer.answer:
            return False
        end += self._closed(window.tokens[end:])
        if end == begin + len(answer.answer):
            return False
        window.labels[begin:end] = window.tokens[begin:end]
        return True

    def _closed(self, rest: list[int]) -> int:
        """How many of the tokens after an answer end it."""
        if self._replies_are_lines:
            return int(self.format.tokenizer.decode(rest[:1]).startswith("\n"))
        return len(self.closing) if rest[: len(self.closing)] == self.closing else 0


def _end_of(said: _Said, characters: int) -> _Said:
    return _Said(said.name, f"… {said.text[-characters:]}")


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `most` that fits, when all smaller ones do; 0 when none does."""
    few = 0
    while few < most:
        middle = (few + most + 1) // 2
        if fits(middle):
            few = middle
        else:
            most = middle - 1
    return few
