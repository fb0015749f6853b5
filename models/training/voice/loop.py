"""Runs transformers' Trainer through the updates, from the last checkpoint on. Knows tokens, no
dataset.

All epochs are one list, read from front to back, so a checkpoint needs to say no more than how far
it was. The Trainer writes into `checkpoints.part`; what it has written is put into its place here.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers.trainer_callback import PrinterCallback

from botdaemon.errors import Refused
from models.training.voice import base, checkpoints
from models.training.voice.material import collate
from models.training.voice.progress import Reporter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from transformers import TrainerControl, TrainerState, TrainingArguments

    from models.training.voice.base import Base
    from models.training.voice.material import Item
    from models.training.voice.plan import Plan, Precision, Recipe
    from models.training.voice.progress import Progress

# Its own progress bars and advice would stand between ours.
_talk: Any = transformers.utils.logging
_talk.set_verbosity_error()
_talk.disable_progress_bar()

_LOGGED = 2000
"""Updates whose losses are kept one by one; of more, as many means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is run through."""

    out: Path
    plan: Plan
    base: Base
    recipe: Recipe
    #: "cpu" or "cuda"
    device: str
    #: the samples of all epochs, in the order in which they are learned
    train: Sequence[Item]
    held_out: Sequence[Item]

    @property
    def tokens(self) -> list[int]:
        """Of each update."""
        lengths, batch = [len(item["input_ids"]) for item in self.train], self.recipe.batch
        return [sum(lengths[i : i + batch]) for i in range(0, len(lengths), batch)]


def precision(device: str) -> Precision:
    """What is computed in; weights and their sums stay in 32 bits. On a CPU that has bfloat16 in
    hardware it was 1.6 times as quick."""
    if device == "cpu":
        able = torch.cpu.get_capabilities()
        narrow = bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    else:
        narrow = torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if narrow else "float32"


def state_of(checkpoint: Path) -> TrainerState:
    """How far it was, and all losses until then."""
    state: TrainerState = transformers.TrainerState.load_from_json(
        str(checkpoint / "trainer_state.json")
    )
    return state


def ended(state: TrainerState, recipe: Recipe) -> bool:
    return state.global_step >= recipe.updates or _halted(state.log_history, recipe.patience)


def run(course: Course, progress: Callable[[Progress], None]) -> None:
    """From the last whole checkpoint to the end, where there is one, too. Raises `Refused` when the
    losses are no numbers, and what says that memory ran out."""
    newest = checkpoints.newest(course.out)
    if newest and ended(state_of(newest), course.recipe):
        return
    if course.device == "cuda" and course.plan.memory:
        # It must not take what is left to a daemon that serves from the same card, come what may.
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, course.plan.memory / total))
    model = base.load(course.base, course.plan, course.device)
    if course.recipe.recompute:
        inner = model.get_base_model() if course.plan.adapter else model
        inner.activation_checkpointing_enable()
    trainer = transformers.Trainer(
        model=model,
        args=_arguments(course, resumed=newest is not None),
        train_dataset=course.train,
        eval_dataset=course.held_out or None,
        data_collator=collate,
        callbacks=[
            _Guard(course.recipe.patience),
            Reporter(course.out, course.tokens, progress),
            _Keeper(course.out, checkpoints.seconds(newest)),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=str(newest) if newest else None)


def _arguments(course: Course, *, resumed: bool) -> TrainingArguments:
    recipe, looks = course.recipe, bool(course.held_out)
    return transformers.TrainingArguments(
        output_dir=str(checkpoints.part(course.out)),
        num_train_epochs=1,  # all of ours
        train_sampling_strategy="sequential",
        per_device_train_batch_size=recipe.at_once,
        per_device_eval_batch_size=recipe.at_once,
        gradient_accumulation_steps=recipe.accumulation,
        learning_rate=recipe.rate,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay,
        bf16=recipe.precision == "bfloat16",
        use_cpu=course.device == "cpu",
        dataloader_pin_memory=course.device != "cpu",
        seed=course.plan.seed,
        save_strategy="steps",
        save_steps=recipe.every,
        eval_strategy="steps" if looks else "no",
        eval_steps=recipe.every,
        # What it was before, for the card. After a kill that is known already.
        eval_on_start=looks and not resumed,
        prediction_loss_only=True,
        metric_for_best_model="loss" if looks else None,
        greater_is_better=False,
        logging_steps=logged_every(recipe.updates),
        logging_nan_inf_filter=False,  # `_Guard` wants to see them
        label_names=["labels"],
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
        log_level="error",
    )


def logged_every(updates: int) -> int:
    return max(1, updates // _LOGGED)


def _halted(history: Sequence[Mapping[str, float]], patience: int) -> bool:
    """Whether so many looks at held-out conversations have brought nothing better. It follows from
    the history alone, so a training that was killed ends where it would have ended."""
    looks = [entry["eval_loss"] for entry in history if "eval_loss" in entry]
    return bool(looks) and len(looks) - 1 - looks.index(min(looks)) >= patience


class _Guard(transformers.TrainerCallback):
    """Ends a training that has gone wrong, or that goes nowhere."""

    def __init__(self, patience: int) -> None:
        self._patience = patience

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **_: Any,
    ) -> None:
        del control
        for what in ("loss", "grad_norm", "eval_loss"):
            value = (logs or {}).get(what, 0.0)
            if not math.isfinite(value):
                raise Refused(
                    f"the training broke at update {state.global_step}: its {what} is {value}; take"
                    f" a lower rate than {args.learning_rate:g}, and another directory"
                )

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        del args
        if _halted(state.log_history, self._patience):
            control.should_training_stop = True


class _Keeper(transformers.TrainerCallback):
    """Puts checkpoints into their place."""

    def __init__(self, out: Path, spent: float) -> None:
        self._out = out
        self._began = time.monotonic() - spent

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        del args, control
        checkpoints.seal(self._out, state.global_step, time.monotonic() - self._began)
        best = state.best_global_step
        checkpoints.prune(self._out, [best] if best else [])
