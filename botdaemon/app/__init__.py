"""The daemon put together: the only package that knows everyone.

`life` starts, runs and stops it, `parts` makes what the configuration describes, `errands` are what
the command line does besides, `look` is what it only looks at, `imports` brings adapters and
models in by name.
"""

from botdaemon.app.errands import can, chat
from botdaemon.app.life import Daemon, running, serve
from botdaemon.app.look import inspect_model, probe, setup_guide, weigh

__all__ = [
    "Daemon",
    "can",
    "chat",
    "inspect_model",
    "probe",
    "running",
    "serve",
    "setup_guide",
    "weigh",
]
