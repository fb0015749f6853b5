"""The tables about keeping data: `[backup]` and `[retention]`. Knows no other table."""

from __future__ import annotations

from pydantic import Field

from botdaemon.config.base import Table
from botdaemon.config.values import File


class BackupConfig(Table):
    """Backups that the daemon makes by itself, and where `botdaemon backup` puts its own."""

    directory: File | None = None
    """the folder; without it, the daemon makes none"""
    every_hours: float = Field(default=24.0, ge=1)
    """the time between two of them"""
    keep: int = Field(default=7, ge=1)
    """so many good ones are kept"""


class RetentionConfig(Table):
    """How long what was said is kept; nothing here keeps everything."""

    days: float | None = Field(default=None, gt=0)
    """messages go when they are older"""
    megabytes: float | None = Field(default=None, gt=0)
    """the oldest messages go when a room's take more, with their files"""
