"""The command line. Knows how to say things to an operator; what is done lies in `app`.

Exit codes: 0 done, 1 a fault of ours or a refusal, 2 wrong usage, 65 an export or a dataset cannot
be read or was read in part, 69 something outside refuses (a port in use), 74 the store failed, 75
another daemon has the data directory, 78 the configuration, a model or the database must be mended
by a person.
"""

from __future__ import annotations

import os

import click

import botdaemon
from botdaemon.cli.daemon import can, chat, check, run, setup
from botdaemon.cli.datasets import dataset, forget, import_export, ratings
from botdaemon.cli.knowledge import knowledge
from botdaemon.cli.models import models, serve_models
from botdaemon.cli.records import export, held
from botdaemon.cli.service import install_service, reload
from botdaemon.cli.voices import evaluate, promote, rollback, train, versions


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(botdaemon.__version__, prog_name="botdaemon")
def main() -> None:
    """Bots for your chat rooms, from one daemon."""
    # Every process below this one, too: nothing is downloaded while a person waits.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


for _command in (
    run, check, setup, chat, can, models, serve_models,
    import_export, dataset, train, evaluate, promote, rollback, versions,
    ratings, forget, export, held, knowledge, reload, install_service,
):  # fmt: skip
    main.add_command(_command)
