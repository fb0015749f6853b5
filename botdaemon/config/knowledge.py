"""What a bot may look up: `[bots.NAME.knowledge]`. Knows no other table."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from botdaemon.config.base import Table
from botdaemon.config.values import File

Folders = Annotated[tuple[File, ...], Field(strict=False, min_length=1)]
#: those that the package stop-words has lists of words for
Language = Literal[
    "ar", "bg", "ca", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fr", "gu", "he", "hi", "hu",
    "id", "it", "ja", "ko", "ms", "nb", "nl", "pl", "pt", "ro", "ru", "sk", "sv", "tr", "uk", "vi",
    "zh", "",
]  # fmt: skip


class KnowledgeConfig(Table):
    """Folders of text, Markdown, PDF and HTML that a bot looks things up in."""

    folders: Folders = Field(description="the folders, with everything below them")
    """the folders, with everything below them"""
    model: str = ""
    """the name of an embedder among the models, which finds by meaning; without one, words alone
    find"""
    language: Language = "en"
    """the language of the files, for words that say nothing and, in English, for their endings; ""
    for none"""
    passages: int = Field(default=3, ge=1, le=20)
    """most passages that it is told for one answer"""
    tokens: int = Field(default=400, ge=32, le=32_000)
    """most tokens that they take"""
    least_similarity: float = Field(default=0.35, ge=-1, le=1)
    """how alike in meaning a question and a passage must be, when words do not find it"""
    sources: Literal["always", "named", "never"] = "always"
    """what stands under an answer: the sources whose numbers it names, or else all that were looked
    up; named: only those; never: none"""
    scan_seconds: float = Field(default=60.0, ge=1)
    """time between two looks for files that have changed"""
    file_megabytes: int = Field(default=20, ge=1, le=200)
    """largest file that is read"""
