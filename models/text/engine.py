"""Continues many conversations with one model. Knows no frames and no threads.

`start` takes a request in as a `Slot`, `step` brings all of them on. A slot has a row of keys and
values while there is room for one, and waits before that. Reading a prompt and writing a reply are
the same: tokens that the row does not have yet are read into it, and after the last one there is a
next one to choose.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from botdaemon.errors import EngineFailed, ModelUnusable
from botdaemon.types import Piece, TextRequest
from models import formats, torch_device
from models.measure import out_of_memory
from models.replies import ReplyText
from models.text import loading
from models.text.adapters import Adapters
from models.text.kept import Beginning, Kept, common
from models.text.network import Line, Network
from models.text.rows import BLOCK, Rows
from models.text.sampling import Sampler, decided, generation_defaults

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

SLICE_SECONDS = 0.5
"""How long a step may read prompts, while nobody's reply goes on: platforms show drafts once a
second. It may take as long as the step writes in any case, or long prompts would starve."""
SHORTEST_SLICE, LONGEST_SLICE = 32, 512
"""Tokens of prompts that one step reads. It begins with the shortest: nobody knows how quick the
device is, and with a large model on a CPU the longest takes a minute."""


@dataclass(slots=True, eq=False, kw_only=True)
class Slot:
    """A request under way."""

    ids: list[int]
    prompt_tokens: int
    #: how many of `ids` its row holds
    read: int = 0
    adapter: str
    limit: int
    ends: frozenset[int]
    sampler: Sampler
    text: ReplyText
    #: it came as the how manieth
    number: int

    @property
    def tokens(self) -> int:
        """Tokens generated so far."""
        return len(self.ids) - self.prompt_tokens

    @property
    def unread(self) -> int:
        return len(self.ids) - self.read


class TransformersEngine:
    """One causal language model on one device: a `LoadedTextModel`."""

    def __init__(
        self,
        *,
        name: str,
        directory: Path,
        device: str = "auto",
        dtype: str = "auto",
        quantize: Literal["none", "int8"] = "none",
        adapters: Mapping[str, Path] | None = None,
        batch: int = 16,
        cache_bytes: int = 512 * 2**20,
    ) -> None:
        """`batch`: most rows at once. `cache_bytes`: for keys and values, of rows and of what is
        kept for the next turn; a single row may need more. Raises `ModelUnusable`, and what says
        that memory ran out."""
        began = time.monotonic()
        self._name = name
        self._format = formats.load(directory)
        self._device = torch_device.device(device, name)
        model: Any
        if quantize == "int8":
            from models.text import int8

            wanted = None if dtype == "auto" else torch_device.dtype(dtype, self._device, name)[0]
            model, why = int8.load(directory, name=name, dtype=wanted), "as configured"
            kind = f"int8 and {str(model.dtype).removeprefix('torch.')}"
        else:
            chosen, why = torch_device.dtype(dtype, self._device, name)
            model, kind = loading.load(name, directory, chosen), str(chosen).removeprefix("torch.")
        model.to(self._device).eval()
        embeddings = model.get_input_embeddings()
        known = self._format.tokenizer.get_vocab_size(with_added_tokens=True)
        if known > embeddings.num_embeddings:
            raise ModelUnusable(
                f'model "{name}": the tokenizer in {directory} knows {known} tokens, but the model'
                f" only {embeddings.num_embeddings}; they do not belong together"
            )
        self._defaults = formats.merge(self._format.sampling, generation_defaults(model))
        self._network = Network(model, name=name, context=self._format.card.context)
        self._adapters = Adapters(model, name, adapters or {})
        self._network.wear(self._adapters)

        self._batch = batch
        self._cache_bytes = cache_bytes
        self._slice, self._longest_slice = SHORTEST_SLICE, LONGEST_SLICE
        self._rows = Rows(self._network.like)
        #: the slots that have a row, by its number
        self._slots: list[Slot] = []
        self._waiting: deque[Slot] = deque()
        self._kept = Kept()
        self._came = 0
        log.info(
            'model "%s" loaded on %s in %s (%s), %.1f M parameters, %s, %.1f s',
            name,
            self._device,
            kind,
            why,
            model.num_parameters() / 1e6,
            "many at once" if self._network.batched else "one after the other",
            time.monotonic() - began,
        )

    def start(self, request: TextRequest) -> Slot:
        """Take a request in. Raises `EngineFailed` when the prompt does not fit, or the adapter
        cannot be had."""
        context = self._format.card.context
        ids = self._format.encode(request)
        room = context - len(ids)
        if room < 1:
            raise EngineFailed(
                f'the prompt has {len(ids)} tokens, but model "{self._name}" takes {context},'
                " prompt and reply together"
            )
        if not ids:
            raise EngineFailed(f'the prompt for model "{self._name}" is empty')
        used = {slot.adapter for slot in (*self._slots, *self._waiting)}
        adapter = self._adapters.key(request.adapter, used)
        sampling = decided(formats.merge(request.sampling, self._defaults))
        ends = self._format.ends(request.stop)
        self._came += 1
        slot = Slot(
            ids=ids,
            prompt_tokens=len(ids),
            adapter=adapter,
            limit=min(sampling.max_tokens or self._format.card.max_tokens, room),
            ends=ends,
            sampler=Sampler(sampling, ends, self._device),
            text=ReplyText(self._format.tokenizer, (*self._format.stop, *request.stop)),
            number=self._came,
        )
        self._waiting.append(slot)
        return slot

    @property
    def bytes(self) -> int:
        """What its weights take, on the device that it runs on."""
        model = self._network.model
        return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))

    @property
    def busy(self) -> bool:
        return bool(self._slots or self._waiting)

    def step(self) -> Sequence[tuple[Slot, Piece | EngineFailed]]:
        """Advance: a token for each slot that has been read, a slice of the prompts that have not.
        After any exception the slots are as before, and it may be called again."""
        self._make_room()
        self._admit()
        if not self._slots:
            return []
        # 1. Read. Nothing counts as read until the end of the step.
        writing = [row for row, slot in enumerate(self._slots) if slot.unread == 1]
        reading = self._next_slice()
        logits = []
        began = self._now()
        if writing:
            # Rows up to the last one, so that they lie side by side; those between just come along.
            logits.append(self._read(dict.fromkeys(writing, 1), range(writing[-1] + 1)))
        wrote = self._now()
        if reading:
            logits.append(self._read(reading, list(reading)))
            self._pace(sum(reading.values()), self._now() - wrote, wrote - began)
        counts = {**dict.fromkeys(writing, 1), **reading}
        # 2. Choose.
        tokens = self._choose(torch.cat(logits), counts)
        # 3. Settle.
        for row, count in counts.items():
            self._slots[row].read += count
        chosen = [(self._slots[row], token) for row, token in tokens.items()]
        return [(slot, self._say(slot, token)) for slot, token in chosen]

    def drop(self, slot: Slot) -> None:
        """Its answer is not wanted any more. Its place is free at once."""
        if slot in self._slots:
            self._keep(slot)
            self._leave(slot)
        elif slot in self._waiting:
            self._waiting.remove(slot)

    def relieve(self) -> bool:
        """Need less memory: half as many rows, or where there is one, a shorter slice; nothing
        kept. All slots are read again, and lose nothing."""
        had = bool(self._kept.bytes)
        rows = len(self._slots)
        if rows > 1:
            self._batch = rows // 2
        elif self._longest_slice > SHORTEST_SLICE:
            self._longest_slice = max(SHORTEST_SLICE, self._longest_slice // 2)
            self._slice = min(self._slice, self._longest_slice)
        elif not had:
            return False
        self._give_back()
        return True

    def rest(self) -> None:
        """Leave the device for RAM, until `wake`."""
        self._give_back()
        self._network.model.to("cpu")

    def wake(self) -> None:
        """Come back to the device."""
        self._network.model.to(self._device)

    # --- rows ------------------------------------------------------------------------------------

    def _make_room(self) -> None:
        """Rows grow: when they come to need more than there is, the newest has to wait."""
        while len(self._slots) > 1 and self._cost() > self._cache_bytes:
            self._put_back(max(self._slots, key=lambda slot: slot.number))
        if self._slots:
            self._fit(len(self._slots), self._longest())

    def _admit(self) -> None:
        """Give rows to those who wait, in the order they came."""
        while self._waiting and len(self._slots) < self._batch:
            slot = self._waiting[0]
            row, longest = len(self._slots), max(self._longest(), len(slot.ids) + BLOCK)
            if row and self._rows.cost(row + 1, longest) > self._cache_bytes:
                return
            tokens, beginning = self._kept.find(slot.adapter, slot.ids[:-1])
            self._fit(row + 1, longest)
            if beginning:
                self._rows.paste(row, beginning.past, tokens)
            slot.read = tokens
            self._slots.append(slot)
            self._waiting.popleft()

    def _fit(self, rows: int, longest: int) -> None:
        self._kept.shrink(self._cache_bytes - self._rows.cost(rows, longest))
        self._rows.fit(rows, longest, self._cache_bytes - self._kept.bytes)

    def _longest(self) -> int:
        return max((len(slot.ids) for slot in self._slots), default=0)

    def _cost(self) -> int:
        return self._rows.cost(len(self._slots), self._longest())

    def _leave(self, slot: Slot) -> None:
        """Give the row up; the last one takes its place."""
        row = self._slots.index(slot)
        last = self._slots.pop()
        if last is not slot:
            self._rows.move(len(self._slots), row, last.read)
            self._slots[row] = last
        if not self._slots:
            self._rows.clear()

    def _put_back(self, slot: Slot) -> None:
        """Let a slot wait again, before those that came after it."""
        self._leave(slot)
        slot.read = 0
        self._waiting = deque(sorted((*self._waiting, slot), key=lambda slot: slot.number))

    def _give_back(self) -> None:
        for slot in list(self._slots):
            self._put_back(slot)
        self._kept.clear()

    def _keep(self, slot: Slot) -> None:
        """Remember what was read, for the next turn, if there is room for it."""
        room = self._cache_bytes - self._rows.bytes
        bytes = slot.read * self._rows.token_bytes
        if bytes > room:
            return
        self._kept.shrink(room - bytes)
        try:
            past = self._rows.copy(self._slots.index(slot), slot.read)
        except Exception as error:
            if not out_of_memory(error):
                raise
        else:
            self._kept.keep(Beginning(slot.adapter, slot.ids[: slot.read], past))

    # --- reading ---------------------------------------------------------------------------------

    def _next_slice(self) -> dict[int, int]:
        """Rows of which to read on, and how many tokens: of the oldest as much as may be, and of
        those after it as long as they fit in beside it."""
        slots = (slot for slot in self._slots if slot.unread > 1)
        chosen: dict[int, int] = {}
        width = 0
        for slot in sorted(slots, key=lambda slot: slot.number):
            self._borrow(slot)
            width = max(width, min(slot.unread, self._slice))
            if chosen and (len(chosen) + 1) * width > self._slice:
                break
            chosen[self._slots.index(slot)] = min(slot.unread, self._slice)
            if not self._network.batched:
                break
        return chosen

    def _borrow(self, slot: Slot) -> None:
        """Take over what another row has read of the same beginning meanwhile."""
        row = self._slots.index(slot)
        for other, giver in enumerate(self._slots):
            if giver.adapter == slot.adapter and giver.read > slot.read:
                tokens = common(giver.ids[: giver.read], slot.ids[:-1])
                if tokens > slot.read:
                    self._rows.move(other, row, tokens)
                    slot.read = tokens

    def _read(self, counts: Mapping[int, int], rows: Sequence[int]) -> torch.Tensor:
        lines = []
        for row in rows:
            slot = self._slots[row]
            ids = slot.ids[slot.read : slot.read + counts.get(row, 0)]
            lines.append(Line(row, slot.read, ids, slot.adapter if ids else ""))
        return self._network.read(self._rows, lines)

    def _now(self) -> float:
        if self._device.type == "cuda":  # what was asked of it may not be done yet
            torch.cuda.synchronize(self._device)
        return time.monotonic()

    def _pace(self, tokens: int, took: float, wrote: float) -> None:
        """Let the next slice take about as long as it may."""
        may = max(SLICE_SECONDS, wrote)
        if (
            took > may or tokens > self._slice // 2
        ):  # of a slice that was not full one learns little
            fitting = int(self._slice * min(2.0, max(0.5, may / took)))
            self._slice = max(SHORTEST_SLICE, min(self._longest_slice, fitting))

    # --- writing ---------------------------------------------------------------------------------

    def _choose(self, logits: torch.Tensor, counts: Mapping[int, int]) -> dict[int, int | None]:
        """The next token of each row that is read to its end by this; None where the model computed
        no number."""
        # One look at all of them: the largest is NaN where any is.
        sound = logits.amax(-1).isfinite().tolist()
        tokens: dict[int, int | None] = {}
        dice = {slot: slot.sampler.state for slot in self._slots}
        try:
            for row, of_row, is_sound in zip(counts, logits, sound, strict=True):
                slot = self._slots[row]
                if not is_sound:
                    tokens[row] = None
                elif slot.unread == counts[row]:
                    tokens[row] = slot.sampler.choose(of_row, slot.ids)
        except BaseException:
            for slot, state in dice.items():  # they will be thrown again
                slot.sampler.state = state
            raise
        return tokens

    def _say(self, slot: Slot, token: int | None) -> Piece | EngineFailed:
        if token is None:
            self._rows.wipe(self._slots.index(slot))
            self._leave(slot)
            return EngineFailed(
                f'model "{self._name}" computed something that is no number: its weights or its'
                " number format are at fault"
            )
        slot.ids.append(token)
        try:
            piece = self._piece(slot, token)
        except Exception as error:  # the tokenizer's, which raises bare Exception
            self._leave(slot)
            return EngineFailed(
                f'the tokenizer of model "{self._name}" cannot write what it said: {error}'
            )
        if piece.finish:
            self._keep(slot)
            self._leave(slot)
        return piece

    @staticmethod
    def _piece(slot: Slot, token: int) -> Piece:
        finish: Literal["", "stop", "length"] = ""
        if token in slot.ends:
            text, finish = slot.text.flush(), "stop"
        else:
            text = slot.text.push(token)
            if slot.text.stopped:
                finish = "stop"
            elif slot.tokens >= slot.limit:
                text, finish = text + slot.text.flush(), "length"
        return Piece(text=text, tokens=slot.tokens, prompt_tokens=slot.prompt_tokens, finish=finish)
