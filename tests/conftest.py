"""What several test files share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import tiny_models

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def tiny_gpt2() -> Path:
    """The directory of a tiny, real GPT-2 with random weights."""
    return tiny_models.chat_model()
