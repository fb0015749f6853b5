"""The daemon put together: the only package that knows everyone.

`life` starts, runs and stops it, `parts` makes what the configuration describes, `engines` what it
thinks with, `errands` are what
the command line does besides, `look` is what it only looks at,
`knowledge` what bots may look up, `holdings` the models on this machine, `imports` brings adapters
and models in by name.
"""

from botdaemon.app import knowledge
from botdaemon.app.control import ask
from botdaemon.app.errands import can, chat, serve_models
from botdaemon.app.holdings import amount, fetch, listing, misfits, offer, plan, verify
from botdaemon.app.life import Daemon, running, serve
from botdaemon.app.look import inspect_model, label_problems, probe, setup_guide, weigh
from botdaemon.app.records import export, held
from botdaemon.app.voices import (
    build,
    collect,
    evaluate,
    examples,
    forget,
    promote,
    prune,
    rate,
    rollback,
    speakers,
    statistics,
    train,
    versions,
)

__all__ = [
    "Daemon",
    "amount",
    "ask",
    "build",
    "can",
    "chat",
    "collect",
    "evaluate",
    "examples",
    "export",
    "fetch",
    "forget",
    "held",
    "inspect_model",
    "knowledge",
    "label_problems",
    "listing",
    "misfits",
    "offer",
    "plan",
    "probe",
    "promote",
    "prune",
    "rate",
    "rollback",
    "running",
    "serve",
    "serve_models",
    "setup_guide",
    "speakers",
    "statistics",
    "train",
    "verify",
    "versions",
    "weigh",
]
