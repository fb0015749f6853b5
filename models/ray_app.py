"""The service of `models.api` on Ray Serve: replicas on a cluster, each with model processes of its
own. Knows no chat platform.

    serve run models.ray_app:build config=/srv/botdaemon/config.toml most_replicas=4 gpus=0.5

The configuration is botdaemon's own; the models in it that run on local devices are served. It and
the directories of the models must be at the same place on every machine of the cluster.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field
from ray import serve

from botdaemon.config import TransformersConfig, load
from botdaemon.errors import ConfigError
from models.api import application
from models.fleet import Fleet
from models.process import ImageSpec, TextSpec
from models.specs import budgets, specs_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ray.serve import Application, Deployment
    from starlette.applications import Starlette

    from botdaemon.config import Config
    from botdaemon.ports import ImageEngine, TextEngine


class Options(BaseModel):
    """What `serve run` and the `args` of a Serve configuration file can say."""

    model_config = ConfigDict(extra="forbid")

    config: str
    """the configuration file"""
    key_file: str | None = None
    """a file that holds the key callers must have; without one, whoever reaches the port may ask"""
    replicas: int = Field(default=1, ge=1)
    """replicas that always run"""
    most_replicas: int | None = Field(default=None, ge=1)
    """replicas that may run when there is much to do"""
    requests: int = Field(default=16, ge=1)
    """requests under way in a replica, above which another one is started"""
    cpus: float = Field(default=1.0, ge=0)
    """CPUs that a replica reserves"""
    gpus: float = Field(default=0.0, ge=0)
    """GPUs that a replica reserves; replicas share one when this is below 1, and the configuration
    then limits the memory of each: [devices."cuda:0"] memory_gigabytes"""


def build(args: dict[str, Any]) -> Application:
    """The application for `serve run` or `serve.run`; `args` are the fields of `Options`. Raises
    `ConfigError`, here rather than on every machine of the cluster."""
    options = Options.model_validate(args)
    served(options)

    def made() -> Starlette:
        return service(options)

    scaling: dict[str, Any] = {"num_replicas": options.replicas}
    if options.most_replicas is not None:
        scaling = {
            "autoscaling_config": {
                "min_replicas": options.replicas,
                "max_replicas": max(options.replicas, options.most_replicas),
                "target_ongoing_requests": options.requests,
            }
        }

    replica = serve.deployment(
        name="models",
        # Twice as many wait in the replica, where the models can take them in together.
        max_ongoing_requests=2 * options.requests,
        ray_actor_options={"num_cpus": options.cpus, "num_gpus": options.gpus},
        **scaling,
    )
    deployment: Deployment = replica(serve.ingress(made)())
    return deployment.bind()


def served(options: Options) -> tuple[Config, dict[str, TextSpec | ImageSpec]]:
    """The configuration, and its models that run on local devices. Raises `ConfigError`."""
    config = load(Path(options.config))
    found = specs_of(config.models).items()
    specs = {name: spec for name, spec in found if isinstance(spec, TextSpec | ImageSpec)}
    if not specs:
        raise ConfigError(f"{options.config}: there is no model for local devices to serve")
    return config, specs


def service(options: Options) -> Starlette:
    """The application of one replica, whose models live as long as it does."""
    text: dict[str, TextEngine] = {}
    images: dict[str, ImageEngine] = {}

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        config, specs = served(options)
        async with Fleet(specs, base=config.path.parent, budgets=budgets(config)) as fleet:
            for name in specs:
                if isinstance(table := config.models[name], TransformersConfig):
                    base = text[name] = fleet.text(name)
                    for voice in table.adapters:
                        text[f"{name}:{voice}"] = base.speaking(voice)
                else:
                    images[name] = fleet.image(name)
            yield

    key = Path(options.key_file).read_text("utf-8").strip() if options.key_file else None
    return application(text, images, key=key, lifespan=lifespan)
