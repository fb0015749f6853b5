"""The configuration: one TOML file, every key typed, every mistake explained with its line.

Knows no module of the house but `types` and `errors`, and nothing of what the values are used for.
"""

from botdaemon.config.bots import (
    BotConfig,
    CannedBotConfig,
    ImageBotConfig,
    StyleConfig,
    TextBotConfig,
)
from botdaemon.config.data import BackupConfig, RetentionConfig
from botdaemon.config.feelings import MoodConfig, StageConfig
from botdaemon.config.manners import FilterConfig, FiltersConfig
from botdaemon.config.platforms import (
    AccessConfig,
    AdapterConfig,
    ChatConfig,
    DiscordConfig,
    SlackConfig,
    TelegramConfig,
    TerminalConfig,
    WebConfig,
)
from botdaemon.config.reader import Config, load, parse, read_key, read_token
from botdaemon.config.schedules import GovernorConfig, ScheduleConfig
from botdaemon.config.tables import (
    DaemonConfig,
    LimitsConfig,
    RecordsConfig,
    RoomConfig,
)
from botdaemon.config.thinking import (
    DeviceConfig,
    DiffusersConfig,
    EchoConfig,
    ModelConfig,
    OpenAIConfig,
    SamplingConfig,
    TransformersConfig,
)
from botdaemon.config.values import room_name

__all__ = [
    "AccessConfig",
    "AdapterConfig",
    "BackupConfig",
    "BotConfig",
    "CannedBotConfig",
    "ChatConfig",
    "Config",
    "DaemonConfig",
    "DeviceConfig",
    "DiffusersConfig",
    "DiscordConfig",
    "EchoConfig",
    "FilterConfig",
    "FiltersConfig",
    "GovernorConfig",
    "ImageBotConfig",
    "LimitsConfig",
    "ModelConfig",
    "MoodConfig",
    "OpenAIConfig",
    "RecordsConfig",
    "RetentionConfig",
    "RoomConfig",
    "SamplingConfig",
    "ScheduleConfig",
    "SlackConfig",
    "StageConfig",
    "StyleConfig",
    "TelegramConfig",
    "TerminalConfig",
    "TextBotConfig",
    "TransformersConfig",
    "WebConfig",
    "load",
    "parse",
    "read_key",
    "read_token",
    "room_name",
]
