"""The configuration as frozen, strict tables: those of the daemon itself, and the whole file. What
concerns more than one of them at a time is in `references`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from botdaemon.config.base import Table
from botdaemon.config.bots import BotConfig
from botdaemon.config.manners import FiltersConfig
from botdaemon.config.personas import BaseConfig
from botdaemon.config.platforms import AdapterConfig
from botdaemon.config.schedules import GovernorConfig, Hours, ScheduleConfig, Timezone
from botdaemon.config.sound import HearingConfig
from botdaemon.config.thinking import DeviceConfig, ModelConfig
from botdaemon.config.values import (
    Channels,
    Device,
    File,
    Name,
    RoomName,
    Seconds,
    Words,
)


class DaemonConfig(Table):
    """The process itself."""

    data_dir: File = Field(default=Path("data"), validate_default=True)
    """where the database and the files are kept, relative to this file"""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """the least serious thing to log; debug also logs what people say"""
    log_format: Literal["auto", "terminal", "journal", "json"] = "auto"
    """the shape of log lines; auto looks at where they go"""
    grace_seconds: Seconds = 20.0
    """how long running turns may still take when the daemon stops"""
    confine_models: bool = True
    """whether model processes reach no network and no file but their models'; they have no token
    either way"""


class LimitsConfig(Table):
    """What the daemon takes upon itself at most."""

    message_characters: int = Field(default=16_000, ge=1, le=1_000_000)
    """longest message that is accepted"""
    queue: int = Field(default=200, ge=1)
    """turns that may wait, of all people together"""
    queue_per_person: int = Field(default=5, ge=1)
    """turns of one person that may wait"""
    turns_at_once: int = Field(default=16, ge=1, le=1000)
    """turns that write at the same time, in different threads; image models draw one by one"""
    merge_seconds: float = Field(default=0.6, ge=0, le=60)
    """messages of one person within this time become one turn"""
    turn_seconds: float = Field(default=300.0, gt=0)
    """longest time a turn may think"""
    answers_per_minute_person: int = Field(default=20, ge=1)
    """answers that one person may ask for within a minute"""
    answers_per_minute_channel: int = Field(default=40, ge=1)
    """answers that may be asked for in one channel within a minute"""
    answers_per_minute_server: int = Field(default=120, ge=1)
    """answers that may be asked for in one server within a minute"""
    bots_in_a_row: int = Field(default=3, ge=1, le=12)
    """messages of bots without a person's in between, after which no bot is answered"""
    answers_to_bots_per_hour: int = Field(default=12, ge=0)
    """answers that other bots get in one channel within an hour"""
    stale_minutes: float = Field(default=60.0, ge=0)
    """what was said longer ago while the daemon was away is read, but not answered"""
    file_megabytes: int = Field(default=20, ge=1, le=1000)
    """largest file that is taken in"""


class RecordsConfig(Table):
    """What is written along in plain text."""

    directory: File | None = None
    """the folder; in it one for each room, and in that a file for each day (UTC)"""


def _only(data: dict[str, Any]) -> str:
    bots: tuple[str, ...] = data.get("bots", ())
    return bots[0] if len(bots) == 1 else ""


class RoomConfig(Table):
    """A room that is always there."""

    bots: Words = Field(min_length=1, description="the bots that live there")
    host: str = Field(default_factory=_only)
    """the bot that answers when nobody else was asked; "" for none"""
    channels: Channels = ()
    """channels that share its threads, each as "ADAPTER:CHANNEL" """
    quiet_hours: Hours = ""
    """hours of every day in which no bot writes first here; by default the governor's"""
    timezone: Timezone = ""
    """the clock of this room; by default the governor's"""


class Tables(Table):
    """Everything the file may say."""

    daemon: DaemonConfig
    adapters: dict[Name, AdapterConfig] = Field(default_factory=dict)
    models: dict[Name, ModelConfig] = Field(default_factory=dict)
    devices: dict[Device, DeviceConfig] = Field(default_factory=dict)
    persona: BaseConfig = BaseConfig()
    bots: dict[Name, BotConfig] = Field(default_factory=dict)
    rooms: dict[RoomName, RoomConfig] = Field(default_factory=dict)
    schedules: list[ScheduleConfig] = Field(default_factory=list)
    governor: GovernorConfig = GovernorConfig()
    limits: LimitsConfig = LimitsConfig()
    filters: FiltersConfig = FiltersConfig()
    records: RecordsConfig = RecordsConfig()
    hearing: HearingConfig = HearingConfig()
