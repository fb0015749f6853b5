"""What the engine is measured against, in a process of its own: transformers' `generate`, one
request after the other, as most bots do it; and its continuous batching. Knows nothing of ours.

`Child` lives in the benchmark; the functions below it run in the child, which holds one model.
"""

from __future__ import annotations

import asyncio
import importlib
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks.text.talk import Answer, Run
from models.lasting import Lasting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AsyncExitStack
    from pathlib import Path

    from benchmarks.text.talk import Prompt

Result = TypeVar("Result")

PAGE = 256
"""Tokens in a page of transformers' paged cache; its own default."""
PATIENCE = 300.0
"""Seconds after which a result of the continuous batching is not waited for any more."""


class Child(Lasting):
    """A process that may import torch, and transformers with one model in it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_quieten)

    async def _begin(self, stack: AsyncExitStack) -> None:
        stack.push_async_callback(asyncio.to_thread, self._pool.shutdown)

    async def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call it over there; what it raises is raised here."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, function, *arguments)

    async def load(self, directory: Path, device: str, dtype: str) -> None:
        """The model that is asked from now on."""
        await self.call(_load, directory, device, dtype)

    async def unload(self) -> None:
        """Leave the device to others."""
        await self.call(_unload)

    async def one_by_one(self, prompts: Sequence[Prompt], tokens: int) -> Run:
        """All are there at once; `generate` answers one after the other."""
        return Run(await self.call(_one_by_one, [prompt.ids for prompt in prompts], tokens))

    async def continuous(self, prompts: Sequence[Prompt], tokens: int) -> Run:
        """All in one batch, by transformers. Raises whatever goes wrong in it."""
        return Run(await self.call(_continuous, [prompt.ids for prompt in prompts], tokens))


# --- in the child --------------------------------------------------------------------------------

_model: Any = None
_tokenizer: Any = None


def _quieten() -> None:
    """Before transformers is imported: it reads these then."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"


def _load(directory: Path, device: str, dtype: str) -> None:
    import tokenizers
    import torch
    import transformers

    # As many as the model process uses: it leaves a core to the daemon.
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) - 1))
    global _model, _tokenizer
    _tokenizer = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
    _model = transformers.AutoModelForCausalLM.from_pretrained(
        directory, dtype=getattr(torch, dtype), local_files_only=True
    )
    _model.to(device).eval()


def _unload() -> None:
    import gc

    import torch

    global _model
    _model = None
    gc.collect()
    torch.cuda.empty_cache()  # does nothing where there is no card


def _answer(ids: list[int], at: list[float]) -> Answer:
    # Replies have no blanks in front: the engine takes them away.
    return Answer(text=_tokenizer.decode(ids).lstrip(), tokens=len(ids), at=at)


def _one_by_one(prompts: list[list[int]], tokens: int) -> list[Answer]:
    import torch
    from transformers.generation.streamers import BaseStreamer

    class Clock(BaseStreamer):
        """Is handed the prompt, then each token."""

        def __init__(self) -> None:
            self.at: list[float] = []

        def put(self, value: Any) -> None:
            del value
            self.at.append(time.perf_counter() - began)

        def end(self) -> None:
            pass

    began = time.perf_counter()
    answers = []
    for ids in prompts:
        clock = Clock()
        asked = torch.tensor([ids], device=_model.device)
        answered = _model.generate(
            asked,
            attention_mask=torch.ones_like(asked),
            do_sample=False,
            max_new_tokens=tokens,
            pad_token_id=0,
            streamer=clock,
        )
        answers.append(_answer(answered[0, len(ids) :].tolist(), clock.at[1:]))
    return answers


def _continuous(prompts: list[list[int]], tokens: int) -> list[Answer]:
    import transformers

    classes: Any = transformers  # which left some of them without types
    # Its cache is of a size found out on the GPU, unless it is told.
    pages = sum(-(-(len(ids) + tokens) // PAGE) for ids in prompts)
    done: dict[str, Any] = {}
    with _model.continuous_batching_context_manager(
        generation_config=classes.GenerationConfig(do_sample=False, eos_token_id=-1),
        continuous_batching_config=classes.ContinuousBatchingConfig(
            page_size=PAGE, num_blocks=pages + 1, max_batch_tokens=512
        ),
    ) as manager:
        began = time.perf_counter()
        wanted = manager.add_requests(prompts, max_new_tokens=tokens, record_timestamps=True)
        while len(done) < len(wanted):
            result = manager.get_result(timeout=PATIENCE)
            if result is None or result.error:
                raise RuntimeError(result.error if result else "its manager gave no result")
            if result.is_finished():
                done[result.request_id] = result
    return [
        _answer(done[id].generated_tokens, [at - began for at in done[id].timestamps])
        for id in wanted
    ]


def vllm(directory: Path, dtype: str, prompts: list[list[int]], tokens: int) -> float:
    """Tokens a second of vLLM, which takes the whole card: run it in a child that holds no model.
    Raises ImportError where it is not installed."""
    library: Any = importlib.import_module("vllm")
    engine = library.LLM(model=str(directory), dtype=dtype, skip_tokenizer_init=True)
    sampling = library.SamplingParams(
        temperature=0, max_tokens=tokens, ignore_eos=True, detokenize=False
    )
    asked = [{"prompt_token_ids": ids} for ids in prompts]
    engine.generate(asked[:1], sampling, use_tqdm=False)  # awake
    began = time.perf_counter()
    said = engine.generate(asked, sampling, use_tqdm=False)
    seconds = time.perf_counter() - began
    return sum(len(answer.outputs[0].token_ids) for answer in said) / seconds


def bandwidth(device: str, size: int) -> float:
    """Bytes a second that the device's memory reads and writes while it copies `size` bytes, the
    best of ten times."""
    import torch

    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    best = 0.0
    for _ in range(10):
        began = time.perf_counter()
        target.copy_(source)
        if source.is_cuda:
            torch.cuda.synchronize()
        best = max(best, 2 * size / (time.perf_counter() - began))
    return best
