"""Measurements that anyone can repeat: ``python -m benchmarks [NAME ...]``."""

from __future__ import annotations

from pathlib import Path

#: where figures are kept, and what is measured writes its data
OUT = Path(__file__).parent / "out"
