"""The configuration: one TOML file, every key typed, every mistake explained with its line.

Knows no module of the house but `types` and `errors`, and nothing of what the values are used for.
"""

from botdaemon.config.bots import (
    BotConfig,
    CannedBotConfig,
    CheckerConfig,
    EnrichConfig,
    ImageBotConfig,
    StyleConfig,
    TextBotConfig,
)
from botdaemon.config.feelings import MoodConfig, StageConfig
from botdaemon.config.knowledge import KnowledgeConfig
from botdaemon.config.manners import (
    ClassifierFilterConfig,
    CrowdConfig,
    FilterConfig,
    FiltersConfig,
)
from botdaemon.config.memory import MemoryConfig
from botdaemon.config.personas import BudgetConfig, PersonaConfig
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
from botdaemon.config.sound import HearingConfig, SpeechConfig, SpokenConfig, WhisperConfig
from botdaemon.config.tables import (
    DaemonConfig,
    LimitsConfig,
    RecordsConfig,
    RoomConfig,
)
from botdaemon.config.thinking import (
    ClassifierConfig,
    DeviceConfig,
    DiffusersConfig,
    EchoConfig,
    EmbedderConfig,
    ModelConfig,
    OpenAIConfig,
    SamplingConfig,
    TransformersConfig,
)
from botdaemon.config.values import room_name

__all__ = [
    "AccessConfig",
    "AdapterConfig",
    "BotConfig",
    "BudgetConfig",
    "CannedBotConfig",
    "ChatConfig",
    "CheckerConfig",
    "ClassifierConfig",
    "ClassifierFilterConfig",
    "Config",
    "CrowdConfig",
    "DaemonConfig",
    "DeviceConfig",
    "DiffusersConfig",
    "DiscordConfig",
    "EchoConfig",
    "EmbedderConfig",
    "EnrichConfig",
    "FilterConfig",
    "FiltersConfig",
    "GovernorConfig",
    "HearingConfig",
    "ImageBotConfig",
    "KnowledgeConfig",
    "LimitsConfig",
    "MemoryConfig",
    "ModelConfig",
    "MoodConfig",
    "OpenAIConfig",
    "PersonaConfig",
    "RecordsConfig",
    "RoomConfig",
    "SamplingConfig",
    "ScheduleConfig",
    "SlackConfig",
    "SpeechConfig",
    "SpokenConfig",
    "StageConfig",
    "StyleConfig",
    "TelegramConfig",
    "TerminalConfig",
    "TextBotConfig",
    "TransformersConfig",
    "WebConfig",
    "WhisperConfig",
    "load",
    "parse",
    "read_key",
    "read_token",
    "room_name",
]
