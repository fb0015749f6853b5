"""What a turn asks an image bot for, as a request to its model. Knows the model by its card alone,
and draws nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botdaemon.bots import captions
from botdaemon.bots.calls import without_call
from botdaemon.bots.gallery import first_of, pictures_in, size_of
from botdaemon.bots.options import Limits, Options, read, read_options
from botdaemon.errors import Refused
from botdaemon.types import ImageRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdaemon.bots.gallery import Gallery
    from botdaemon.config import StyleConfig
    from botdaemon.types import ImageCard, Turn, Wish

#: How far a variation goes away from its picture, and an enlarged picture from the small one.
_VARIATION = 0.5
_UPSCALED = 0.3
_ENLARGED = 2


class SmallTalk(Refused):
    """Nothing was asked for that could be drawn; what to say to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commission:
    """What is to be drawn."""

    #: in the words of the person; `style` is not in it yet
    request: ImageRequest
    #: the name of a style, or ""
    style: str = ""
    #: a new prompt, which another model may improve
    new: bool = False
    #: what is said about it under the picture, in Markdown
    notes: tuple[str, ...] = ()


class Commissions:
    """Reads turns for the bot `name`. `options` hold when nobody says otherwise."""

    def __init__(
        self,
        *,
        name: str,
        model: str,
        card: ImageCard,
        gallery: Gallery,
        limits: Limits,
        options: Options,
        styles: Mapping[str, StyleConfig],
    ) -> None:
        self._name = name
        self._model = model
        self._card = card
        self._gallery = gallery
        self._limits = limits
        self._options = options.over(limits.over(card))
        self._styles = styles

    async def of(self, turn: Turn) -> Commission:
        """What a turn asks for. Raises `Refused` (and `SmallTalk`) with what to say instead."""
        if turn.wish is None or turn.wish.what == "draw":
            return await self._new(turn)
        return await self._again(turn, turn.wish)

    def finish(self, commission: Commission, prompt: str) -> ImageRequest:
        """The request with this prompt, in its style."""
        request = replace(commission.request, prompt=prompt)
        style = self._styles.get(commission.style)
        if style is None:
            return request
        if "{}" in style.prompt:
            prompt = style.prompt.replace("{}", prompt)
        else:
            prompt = ", ".join(filter(None, (prompt, style.prompt)))
        negative = ", ".join(filter(None, (request.negative, style.negative)))
        adapters = style.adapters | dict(request.adapters)
        return replace(
            request, prompt=prompt, negative=negative or None, adapters=tuple(adapters.items())
        )

    # --- a new picture ----------------------------------------------------------------------

    async def _new(self, turn: Turn) -> Commission:
        """A picture of what the newest messages say, or of the wish to draw."""
        fresh = turn.history[len(turn.history) - turn.fresh :]
        if turn.wish is not None:
            prompt, typed = read(turn.wish.text, self._limits)
        else:
            said = "\n".join(without_call(message.text, self._name) for message in fresh)
            prompt, typed = read(said, self._limits)
            prompt = captions.asked_for(prompt)
        if not prompt:
            raise SmallTalk(captions.what_i_draw(self._card))
        self._refuse_unknown_words(prompt)
        usual, notes = self._usual(turn)
        attached = [file for message in fresh for file in pictures_in(message)]
        sources = attached or pictures_in(turn.about)
        source = b""
        if sources:
            source = await self._gallery.content(sources[0])
            usual = replace(usual, width=None, height=None)  # they would distort it
            notes += first_of(sources)
        options = typed.over(usual)
        request = ImageRequest(model=self._model, prompt=prompt, source=source, **options.changes())
        return Commission(request=request, style=options.style or "", new=not source, notes=notes)

    def _usual(self, turn: Turn) -> tuple[Options, tuple[str, ...]]:
        """The options of the place over those of the bot. The bot's limits may have changed since
        the place's were kept."""
        try:
            return read_options(turn.defaults, self._limits).over(self._options), ()
        except Refused as refused:
            note = f"The options kept for this place do not hold any more: {refused}"
            return self._options, (note,)

    def _refuse_unknown_words(self, prompt: str) -> None:
        if unknown := captions.unknown_words(prompt, self._card):
            raise SmallTalk(captions.not_in_my_world(unknown, prompt, self._card))

    # --- a picture that is there already ----------------------------------------------------

    async def _again(self, turn: Turn, wish: Wish) -> Commission:
        content, drawn = await self._gallery.first(turn.about)
        notes = first_of(pictures_in(turn.about))
        old = self._allowed(drawn)
        match wish.what:
            case "vary":
                request = replace(old, source=content, strength=_VARIATION, enlarge=1, seed=None)
            case "upscale":
                self._refuse_larger(content)
                request = replace(
                    old,
                    source=content,
                    strength=_UPSCALED,
                    enlarge=_ENLARGED,
                    width=None,
                    height=None,
                )
            case "edit":
                prompt, typed = read(wish.text, self._limits)
                self._refuse_unknown_words(prompt)
                request = await self._whole(content, old)
                request = replace(request, prompt=prompt or old.prompt, **typed.changes())
                return Commission(request=request, style=typed.style or "", notes=notes)
            case _:  # reroll
                request = replace(await self._whole(content, old), seed=None)
        return Commission(request=request, notes=notes)

    async def _whole(self, content: bytes, old: ImageRequest) -> ImageRequest:
        """The request of a picture with what it was begun with. An enlarged picture stands for the
        one that was enlarged."""
        source = await self._gallery.begun_with(content)
        while old.enlarge > 1 and source and (smaller := await self._gallery.request(source)):
            old = self._allowed(smaller)
            source = await self._gallery.begun_with(source)
        return replace(old, source=source, enlarge=1)

    def _allowed(self, old: ImageRequest) -> ImageRequest:
        """The request of a picture, as far as it is within the limits: it may be forged, and the
        limits may have changed. Raises `Refused`."""
        if max(old.width or 0, old.height or 0) > self._limits.side:
            # It may have the shape of a long picture that it was begun with.
            old = replace(old, width=None, height=None)
        read_options(str(Options.of(replace(old, seed=None))), self._limits)
        return replace(old, model=self._model)

    def _refuse_larger(self, content: bytes) -> None:
        """Raises `Refused` when a picture of ours cannot be enlarged within the limits."""
        width, height = size_of(content)
        if max(width, height) * _ENLARGED > self._limits.side:
            raise Refused(
                f"That picture has {width}x{height} pixels. Twice as large would be more than the"
                f" {self._limits.side} pixels that a side may have."
            )
