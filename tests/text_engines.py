"""Drives a text engine in tests, and says what `generate` of transformers would have said."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from botdaemon.types import ChatLine, Piece, Sampling, TextRequest

if TYPE_CHECKING:
    from pathlib import Path

    from botdaemon.errors import EngineFailed
    from models.text import Slot, TransformersEngine


def engine(directory: Path, **options: Any) -> TransformersEngine:
    from models.text import TransformersEngine

    return TransformersEngine(name="tiny", directory=directory, device="cpu", **options)


def ask(
    text: str = "hello", *, stop: tuple[str, ...] = (), adapter: str = "", **sampling: Any
) -> TextRequest:
    """A greedy request for 40 tokens, unless `sampling` says otherwise."""
    options = {"temperature": 0.0, "max_tokens": 40, **sampling}
    return TextRequest(
        model="tiny",
        speaker="Bot",
        lines=(ChatLine(role="user", text=text, name="Ada"),),
        sampling=Sampling(**options),
        stop=stop,
        adapter=adapter,
    )


def outcomes(
    tiny: TransformersEngine, *, steps: int | None = None
) -> dict[Slot, list[Piece | EngineFailed]]:
    """What comes of all its slots, to their ends or in so many steps."""
    found: dict[Slot, list[Piece | EngineFailed]] = {}
    while tiny.busy and steps != 0:
        for slot, outcome in tiny.step():
            found.setdefault(slot, []).append(outcome)
        steps = None if steps is None else steps - 1
    return found


def answer(tiny: TransformersEngine, request: TextRequest) -> list[Piece]:
    """The pieces of one reply, with nobody else there."""
    slot = tiny.start(request)
    pieces = outcomes(tiny)[slot]
    assert all(isinstance(piece, Piece) for piece in pieces)
    return pieces  # type: ignore[return-value]  # as asserted


def text(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def assert_as_generated(directory: Path, *slots: Slot, adapter: Path | None = None) -> None:
    """Each slot has said, token for token, what `generate` says to the same prompt alone."""
    import torch

    model = _reference(directory, adapter)
    for slot in slots:
        prompt = torch.tensor([slot.ids[: slot.prompt_tokens]])
        expected = model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=slot.tokens,
            pad_token_id=0,
        )[0]
        assert slot.tokens
        # A stop string may end the reply before the model's own end.
        assert slot.ids == expected[: len(slot.ids)].tolist()


@functools.cache
def _reference(directory: Path, adapter: Path | None) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    if adapter:
        import peft

        model = peft.PeftModel.from_pretrained(model, adapter)
    return model.eval()
