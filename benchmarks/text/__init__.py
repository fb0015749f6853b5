"""Many conversations at once with one text model on the CPU, beside what transformers does by
itself.

A GPT-2 of 124 M random weights in float32 answers 1, 4 and 16 people who ask at the same moment:
through a model process, sockets and all, and through plain `generate`, one after the other, with as
many threads, in the same run. Both get the same prompts, new ones in every round, and go first in
turn, so that a machine which grows slower or faster favours neither; ratios are medians over the
rounds. Then one conversation of ten turns, transformers' continuous batching, and the int8 engine.
`card` is the same for a GPU.

It raises when an answer is another than that of `generate`, never because something is slow.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.text.course import Figures


def measure() -> Figures:
    """All figures. Times in seconds or, where so named, milliseconds; memory in MiB or, where so
    named, MB; `generate_` is what `generate` does."""
    from benchmarks.text import course, cpu

    logging.disable(logging.INFO)
    return asyncio.run(course.run(course.FULL)) | cpu.measure()
