"""Which files of a hub repository the engines need. Knows the names of files, and no network.

Only weights in safetensors are ever fetched: a pickle can run any code when it is loaded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from botdaemon.errors import ModelUnusable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Kind = Literal["text", "image", "adapter"]

#: forms in which weights are published besides the plain one, as part of the files' names
VARIANTS = ("fp16", "bf16")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5")
#: configurations, tokenizers and templates; never code
_SMALL = re.compile(r"[^/]+\.(json|jinja|txt|model|spm|tiktoken)")
_LICENCE = re.compile(r"(LICEN[CS]E|NOTICE|README)[^/]*", re.IGNORECASE)
#: model.safetensors, model.fp16.safetensors, model-00001-of-00003.safetensors,
#: model.fp16-00001-of-00002.safetensors, model.safetensors.index.fp16.json, and with the names that
#: diffusers gives
_WEIGHTS = re.compile(
    r"(model|diffusion_pytorch_model)(\.(?P<a>fp16|bf16))?(-\d+-of-\d+)?"
    r"\.safetensors(\.index(\.(?P<b>fp16|bf16))?\.json)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is fetched of a repository."""

    kind: Kind
    names: tuple[str, ...]
    #: the form of the weights; empty for the plain one
    variant: str = ""
    #: other forms that are there
    others: tuple[str, ...] = ()


def choose(
    repo: str, names: Iterable[str], parts: Mapping[str, Any] | None, variant: str = ""
) -> Choice:
    """What an engine needs of these files. `parts`: what model_index.json says, if there is one;
    `variant`: the form of the weights to take, by default the plain one where it is there. Raises
    `ModelUnusable` for what no engine can use."""
    there = set(names)
    if parts is not None:
        named = (name for name, what in parts.items() if isinstance(what, list) and what[0])
        folders = [f"{name}/" for name in named if name.isidentifier()]
        chosen = _take(repo, there, folders, variant)
        return Choice(kind="image", names=("model_index.json", *chosen[0]), **chosen[1])
    if "adapter_config.json" in there:
        found = {"adapter_config.json", "adapter_model.safetensors"}
        if not found <= there:
            raise _unusable(repo, there)
        return Choice(kind="adapter", names=(*sorted(found), *_licences(there)))
    if "config.json" in there:
        chosen = _take(repo, there, [""], variant)
        return Choice(kind="text", names=chosen[0], **chosen[1])
    lora = sorted(name for name in there if "/" not in name and name.endswith(".safetensors"))
    if len(lora) == 1:  # an adapter for image models is one file
        return Choice(kind="adapter", names=(*lora, *_licences(there)))
    raise _unusable(repo, there)


def _take(
    repo: str, there: set[str], folders: list[str], variant: str
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """From each folder the small files and one form of the weights."""
    small: list[str] = []
    forms: dict[str, dict[str, list[str]]] = {}
    pickled: set[str] = set()
    for name in sorted(there):
        folder, _, last = name.rpartition("/")
        folder = f"{folder}/" if folder else ""
        if folder not in folders:
            continue
        if match := _WEIGHTS.fullmatch(last):
            form = match["a"] or match["b"] or ""
            forms.setdefault(folder, {}).setdefault(form, []).append(name)
        elif last.endswith(_PICKLES):
            pickled.add(folder)
        elif _SMALL.fullmatch(last):
            small.append(name)
    if not forms or pickled - forms.keys():
        raise _unusable(repo, there)
    complete = [form for form in ("", *VARIANTS) if all(form in of for of in forms.values())]
    # Some parts may be there in one form only; that one is taken then.
    wanted = variant or next(iter(complete), "")
    if variant and not any(variant in of for of in forms.values()):
        offered = " or ".join(form for form in complete if form) or "the plain one only"
        raise ModelUnusable(f'"{repo}" has no weights in the form "{variant}" (it has {offered})')
    weights = [
        name
        for of in forms.values()
        for name in of.get(wanted) or of.get("") or next(iter(of.values()))
    ]
    others = tuple(form for form in complete if form != wanted)
    names = (*small, *weights, *_licences(there))
    return names, {"variant": wanted, "others": others}


def _licences(there: set[str]) -> list[str]:
    return sorted(name for name in there if _LICENCE.fullmatch(name))


def _unusable(repo: str, there: set[str]) -> ModelUnusable:
    pickles = sorted(name for name in there if name.endswith(_PICKLES))
    if any(name.endswith(".gguf") for name in there):
        what = "holds GGUF files; take the model in transformers' form, or run it in llama.cpp and"
        what += ' name that server in a [models.NAME] table with kind = "openai"'
    elif pickles:
        what = f"has weights only as a pickle ({pickles[0]}), which can run any code when it is"
        what += " loaded; look for a copy of the model in safetensors"
    elif not there:
        what = "is empty"
    else:
        what = f"holds nothing that an engine can load (it has {', '.join(sorted(there)[:5])})"
    return ModelUnusable(f'"{repo}" {what}')
