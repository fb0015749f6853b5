"""A bot that draws: what people ask becomes a request to an image model, its pictures an answer.

Knows neither the model nor where the answer goes, and of the store only how a file is kept and
found again.
"""

from __future__ import annotations

import logging
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from botdaemon.bots import captions
from botdaemon.bots.commissions import Commissions, SmallTalk
from botdaemon.bots.gallery import Gallery
from botdaemon.bots.options import Limits, read_options
from botdaemon.errors import ConfigError, EngineFailed, Refused
from botdaemon.types import (
    Control,
    Draft,
    File,
    Message,
    Picture,
    Progress,
    Turn,
    Why,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
    from pathlib import Path

    from botdaemon.bots.improver import Improver
    from botdaemon.config import StyleConfig
    from botdaemon.ports import ImageEngine

log = logging.getLogger(__name__)

UNDER_PICTURES = (
    Control.REROLL,
    Control.VARY,
    Control.UPSCALE,
    Control.EDIT,
    Control.SETTINGS,
    Control.DELETE,
)
#: Where small talk gets no answer: nobody asked this bot for anything.
_MAY_BE_SILENT = frozenset({Why.FOLLOW_UP, Why.CHANCE})


class ImageBot:
    """An image model with its styles, defaults and limits.

    `keep` puts a file into the store (content, name, media type), `path` says where a kept one lies
    by its SHA-256, and `source_of` reads from a picture the SHA-256 of the one it was begun with
    ("" for none). `options` are those that hold when nobody says otherwise; `ConfigError` when
    they cannot be. With an `improver`, a text model writes a better prompt before a new picture is
    drawn.

    `unsafe` is what becomes of pictures that not everybody wants to see:

    - "hide": what the model's checker objects to is not shown; what no checker has looked at is
      covered, unless the model says that it is harmless;
    - "cover": every picture is covered;
    - "show": none is.

    `checker` says whether a picture is unsafe, besides the model's own; None: it cannot tell. With
    one, nothing is shown of pictures that are not finished.

    A checker that leaves nothing of a picture hides it whatever is said here.
    """

    def __init__(
        self,
        *,
        name: str,
        model: str,
        engine: ImageEngine,
        keep: Callable[[bytes, str, str], Awaitable[File]],
        path: Callable[[str], Path],
        source_of: Callable[[bytes], str],
        options: str,
        styles: Mapping[str, StyleConfig],
        improver: Improver | None,
        adapters: Collection[str],
        unsafe: Literal["hide", "cover", "show"],
        checker: Callable[[bytes], Awaitable[bool | None]] | None = None,
        most_pictures: int,
        most_steps: int,
        largest_side: int,
    ) -> None:
        self.name = name
        self._engine = engine
        self._keep = keep
        self._gallery = Gallery(path, engine.read, source_of)
        self._improver = improver
        self._unsafe = unsafe
        self._checker = checker
        self._limits = Limits(
            pictures=most_pictures,
            steps=most_steps,
            side=largest_side,
            styles=styles,
            adapters=adapters,
            width=engine.card.width,
            height=engine.card.height,
        )
        try:
            usual = read_options(options, self._limits)
        except Refused as refused:
            raise ConfigError(f"bots.{name}.options: {refused}") from None
        self._commissions = Commissions(
            name=name,
            model=model,
            card=engine.card,
            gallery=self._gallery,
            limits=self._limits,
            options=usual,
            styles=styles,
        )

    # --- a turn -----------------------------------------------------------------------------

    async def reply(self, turn: Turn) -> AsyncGenerator[Draft]:
        """How far the pictures are, then the pictures. What cannot be drawn is answered in words,
        and so is small talk, except where nobody asked the bot."""
        try:
            commission = await self._commissions.of(turn)
        except SmallTalk as talk:
            if turn.why not in _MAY_BE_SILENT:
                yield _said(str(talk))
            return
        except Refused as refused:
            yield _said(str(refused))
            return
        words, improved, notes = commission.request.prompt, "", list(commission.notes)
        if commission.new and self._improver is not None:
            yield Draft(text="*thinking of a better prompt…*")
            improved = await self._improver.improve(words)
            if captions.unknown_words(improved, self._engine.card):
                improved = ""  # the model would draw what nobody asked for
            if not improved:
                notes.append("I could not improve the prompt; it was drawn as you wrote it.")
        yield Draft(text="*drawing…*")
        request = self._commissions.finish(commission, improved or words)

        pictures: list[Picture] = []
        files: list[File] = []
        try:
            async with aclosing(self._engine.draw(request)) as drawn:
                async for step in drawn:
                    if isinstance(step, Progress):
                        # Who stops it keeps the pictures that are finished.
                        yield Draft(
                            text=captions.drawing(step),
                            files=tuple(files),
                            # Nobody has looked at it.
                            preview=b"" if self._checker else step.preview,
                            controls=UNDER_PICTURES if files else None,
                        )
                        continue
                    step = await self._checked(step)
                    pictures.append(step)
                    if not self._hides(step):
                        files.append(await self._file(step, words))
            if not pictures:
                raise EngineFailed("The model drew nothing, and did not say why.")
        except EngineFailed as failed:
            # Its sentence is for whoever asked: a source that is no picture, a size too large.
            log.warning("turn %d: %s", turn.id, failed, extra={"event": "drawing_failed"})
            notes.append(captions.sentence(str(failed)))
        if not pictures:
            yield _said("\n".join(notes), Control.RETRY)
            return
        yield Draft(
            text=captions.caption(words, pictures, len(pictures) - len(files), improved, notes),
            files=tuple(files),
            final=True,
            controls=UNDER_PICTURES if files else (Control.RETRY,),
        )

    async def _checked(self, picture: Picture) -> Picture:
        """With the verdict of the checker, unless the model's own has given a bad one."""
        if self._checker is None or not picture.content or picture.unsafe:
            return picture
        verdict = await self._checker(picture.content)
        return picture if verdict is None else replace(picture, unsafe=verdict)

    def _hides(self, picture: Picture) -> bool:
        return not picture.content or (self._unsafe == "hide" and picture.unsafe is True)

    async def _file(self, picture: Picture, words: str) -> File:
        name = captions.file_name(words, picture.request.seed)
        file = await self._keep(picture.content, name, "image/png")
        unchecked = picture.unsafe is None and not self._engine.card.harmless
        covered = self._unsafe == "cover" or (self._unsafe == "hide" and unchecked)
        return replace(file, spoiler=covered)

    # --- what can be asked about them -------------------------------------------------------

    async def settings(self, message: Message) -> str:
        """What each picture of a message was drawn with, in Markdown; `Refused` when none of them
        can be told."""
        found = await self._gallery.all(message)
        if not found:
            raise Refused("I cannot tell how that was drawn.")
        return "\n\n".join(captions.settings(request, source) for request, source in found)

    async def prompt(self, message: Message) -> str:
        """The prompt of the first picture of a message; `Refused` when it cannot be told."""
        _, request = await self._gallery.first(message)
        return request.prompt

    def options(self, text: str) -> str:
        """Options as they are kept for a place; `Refused` for what is none or cannot be."""
        return str(read_options(text, self._limits))


def _said(text: str, *controls: Control) -> Draft:
    """An answer without a picture."""
    return Draft(text=text, final=True, controls=controls)
