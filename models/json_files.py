"""Reads the small JSON files of a model's directory, with a sentence for what is wrong. Knows none
of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from botdaemon.errors import ModelUnusable

if TYPE_CHECKING:
    from pathlib import Path

Table = TypeVar("Table", bound=BaseModel)


def read(path: Path) -> dict[str, Any]:
    """The object in a file; empty when there is no such file. Raises `ModelUnusable`."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ModelUnusable(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # neither JSON nor UTF-8
        raise ModelUnusable(f"{path} is not valid JSON: {error}") from error
    if not isinstance(data, dict):
        raise ModelUnusable(f"{path} must hold a JSON object")
    return data


def read_as(path: Path, table: type[Table]) -> Table:
    """The same for a file of ours, of which every key is known. Raises `ModelUnusable`."""
    try:
        return table.model_validate(read(path))
    except ValidationError as error:
        problems = []
        for problem in error.errors():
            key = ".".join(map(str, problem["loc"]))
            unknown = problem["type"] == "extra_forbidden"
            problems.append(f"{key}: {'there is no such key' if unknown else problem['msg']}")
        raise ModelUnusable(f"{path}: {'; '.join(problems)}") from error
