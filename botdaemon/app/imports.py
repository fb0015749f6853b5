"""Adapters and models by import string: imported when the configuration asks for them, so a daemon
whose models are elsewhere never imports a model library. Knows nothing of what they do."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from botdaemon.errors import ConfigError

ADAPTERS = {
    "web": "adapters.web:WebAdapter",
    "terminal": "adapters.terminal:TerminalAdapter",
    "discord": "adapters.discord:DiscordAdapter",
    "slack": "adapters.slack:SlackAdapter",
    "telegram": "adapters.telegram:TelegramAdapter",
}
PROBES = {kind: f"adapters.{kind}.probe:probe" for kind in ("discord", "slack", "telegram")}
GUIDES = {kind: f"adapters.{kind}.guide:guide" for kind in PROBES}
ECHO = "models.echo:EchoEngine"
FLEET = "models.fleet:Fleet"
SURVEY = "models.fleet:survey"
SPECS_OF = "models.specs:specs_of"
BUDGETS = "models.specs:budgets"
HUB = "models.hub:Hub"
LISTING = "models.inventory:listing"
VERIFY = "models.inventory:verify"
REMOTE_TEXT = "models.remote:RemoteTextEngine"
REMOTE_IMAGE = "models.remote:RemoteImageEngine"
FALL_BACK = "models.remote:FallBack"
REMOTE_HEARING = "models.remote.sound:RemoteHearingEngine"
REMOTE_SPEECH = "models.remote.sound:RemoteSpeechEngine"
FIND_WHISPER = "models.sound.files:whisper"
FIND_SPEECH = "models.sound.files:speech"
FOOTPRINTS = "models.footprints:Footprints"
PLAN_PICTURE = "models.plan:Picture"
PLAN_SVG = "models.plan_svg:svg"
API = "models.api:application"
SERVE = "models.api:serve"
ESTIMATE = "models.remote.tokens:estimate"
SIZE = "models.ledger:size"
RESOLVE = "models.preflight:resolve"
EMBEDDER = "models.embed.layout:load"
FORMAT = "models.formats:load"
SOURCE_OF = "models.image.metadata:source"
MANNERS = "models.image.manners:card"
LABELS = "models.labels:card"
COLLECT = "models.exports.importing:collect"
EXPORT_OPTIONS = "models.exports.neutral:Options"
COLLECTION = "models.exports.collection:open_collection"
DATASET_BUILD = "models.dataset.build"
DATASET_CARD = "models.dataset.card:DatasetCard"
STATISTICS = "models.dataset.show:statistics"
EXAMPLES = "models.dataset.show:examples"
TRAINING_PLAN = "models.training.voice.plan"
TRAIN = "models.training.voice:train"
EVALUATION = "models.evaluation.evaluate"
BOUNDS = "models.evaluation.figures:Bounds"
PROMOTE = "models.promotion:promote"
ROLLBACK = "models.promotion:rollback"
PRUNE = "models.promotion:prune"
VERSIONS = "models.voice_home:versions"
FORGETTING = "models.forgetting"
THREADS_READER = "models.exports.threads:reader"
SCREEN = "models.evaluation.screen:Screen"
HEARD = "models.evaluation.screen:heard"


def named(name: str) -> Any:
    """What an import string names. A package that is missing is said with its remedy; one that
    is broken is not taken for missing."""
    path, _, attribute = name.partition(":")
    return getattr(module(path), attribute)


def module(path: str) -> Any:
    """A module, with the same care."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("adapters", "models", "botdaemon"):
            raise
        raise ConfigError(
            f"{path} needs the package {error.name}, which is not installed; "
            "install botdaemon with the extra that brings it (see README.md)"
        ) from error


def lie_side_by_side() -> None:
    """`adapters` and `models` are generic names: make sure that they are ours."""
    here = Path(__file__).resolve().parent.parent.parent
    for name in ("adapters", "models"):
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).resolve().parent.parent if spec and spec.origin else None
        if origin != here:
            found = f"found in {origin}" if origin else "not found"
            raise ConfigError(
                f"the package {name!r} that belongs to botdaemon should lie in {here} and was "
                f"{found}: another distribution has taken its name; install botdaemon into a "
                "virtual environment of its own"
            )
