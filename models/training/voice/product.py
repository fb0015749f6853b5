"""Writes the directory that comes out: a model that can be served, or an adapter. Knows no Trainer.

It is made of a checkpoint on disk, so that it can be made again when it was cut short.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
import transformers

from botdaemon.errors import Refused
from models import json_files
from models.text import loading

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from models.formats import Format
    from models.training.voice.base import Base
    from models.training.voice.material import Material
    from models.training.voice.plan import Plan

_TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "chat_template.jinja", "vocab.json", "merges.txt",
)  # fmt: skip
_SAMPLING = {"temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.1}
"""Small models wander when they are freer, and repeat themselves when they are not."""


def write(
    out: Path, checkpoint: Path, base: Base, plan: Plan, material: Material, context: int
) -> list[str]:
    """`context`: tokens of a sample. Returns what whoever uses it should know. Raises `Refused` for
    weights that are no numbers, and `OSError`."""
    ends = _special(base.format, material.ends)
    if plan.adapter:
        _write_adapter(out, checkpoint, base, plan)
        missing = ends - base.format.ends()
        notes = _notes_on_ends(base, missing)
    else:
        _write_model(out, checkpoint, base, ends | base.format.end_ids)
        settings = _format(base, material, context)
        (out / "format.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        notes = []
    for path in out.iterdir():
        if path.is_file():
            path.chmod(0o644)  # safetensors writes 0600, and the daemon may run as another user
    return notes


def _special(format: Format, ends: Iterable[int]) -> frozenset[int]:
    """Those that are control tokens; others, such as a line break, are stop strings."""
    return frozenset(ends) & format.tokenizer.get_added_tokens_decoder().keys()


def _write_model(out: Path, checkpoint: Path, base: Base, ends: frozenset[int]) -> None:
    model = loading.load("trained", checkpoint, torch.float32)
    _must_be_numbers((name, weight) for name, weight in model.named_parameters())
    # Half the size of 32 bits. Of the two halves this one keeps eight times more of the small
    # steps that training took; only its range is shorter, which the weights seldom need.
    largest = max(float(weight.detach().abs().max()) for weight in model.parameters())
    narrow = torch.float16 if largest < torch.finfo(torch.float16).max else torch.bfloat16
    model.generation_config = transformers.GenerationConfig(  # type: ignore[no-untyped-call]  # so it is
        bos_token_id=model.config.get_text_config().bos_token_id,
        eos_token_id=sorted(ends),
        pad_token_id=min(ends, default=None),
    )
    model.to(narrow).save_pretrained(out)
    for name in _TOKENIZER:
        if (base.directory / name).exists():
            shutil.copyfile(base.directory / name, out / name)


def _format(base: Base, material: Material, context: int) -> dict[str, Any]:
    """What the serving engine cannot read from the weights: the base's own, the context that was
    trained, and sampling for a voice where the base says nothing of it."""
    longest = min(max(16, math.ceil(material.longest * 1.25)), context // 2)
    own = json_files.read(base.directory / "format.json")
    return {
        **own,
        "kind": base.format.kind,
        "context": context,
        "names": base.format.card.names,
        "stop": list(base.format.stop),
        "sampling": {**_SAMPLING, **own.get("sampling", {}), "max_tokens": longest},
    }


def _write_adapter(out: Path, checkpoint: Path, base: Base, plan: Plan) -> None:
    weights = checkpoint / "adapter_model.safetensors"
    _must_be_numbers(safetensors.torch.load_file(weights).items())
    settings = json_files.read(checkpoint / "adapter_config.json")
    # peft writes an absolute path, which holds on no other machine.
    beside = os.path.relpath(base.directory.resolve(), out.resolve())
    settings["base_model_name_or_path"] = plan.base_name or beside
    text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
    (out / "adapter_config.json").write_text(text, encoding="utf-8")
    shutil.copyfile(weights, out / weights.name)


def _notes_on_ends(base: Base, missing: frozenset[int]) -> list[str]:
    """An adapter is served with its base's format, which may not know how its answers end."""
    tokens = [str(base.format.tokenizer.id_to_token(token)) for token in sorted(missing)]
    if not tokens:
        return []
    where, what = base.directory / "format.json", json.dumps({"stop": tokens})
    note = f"its answers end with {', '.join(tokens)}, which the base does not take for an end: "
    return [f"{note}add {what} to {where}"]


def _must_be_numbers(weights: Iterable[tuple[str, torch.Tensor]]) -> None:
    for name, weight in weights:
        if not bool(weight.isfinite().all()):
            raise Refused(
                f"the training broke {name}, which holds something that is no number; take a lower"
                " rate"
            )
