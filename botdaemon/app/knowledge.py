"""What bots may look up, as configured: made for the daemon, and looked at by the command line.
Imports what it takes only where a bot has knowledge."""

from __future__ import annotations

from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING

from botdaemon.app.engines import make_engines
from botdaemon.bots.packing import budget
from botdaemon.config import KnowledgeConfig, TextBotConfig
from botdaemon.errors import BotdaemonError, ConfigError
from botdaemon.types import ChatLine, Finding, TextRequest, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from botdaemon.app.engines import Engines
    from botdaemon.config import Config
    from botdaemon.knowledge.briefing import Librarian
    from botdaemon.knowledge.indexing import Shelf, Told
    from botdaemon.knowledge.search import Found
    from botdaemon.ports import Bot, Embedder, TextEngine
    from botdaemon.store.passages import IndexedFile

#: Seconds that an embedder may take for a question before words alone must do: while somebody waits
#: for an answer, and where it is loaded for that one question.
PATIENCE, LOADING = 10.0, 600.0
#: by the names under which they are imported
_PACKAGES = {
    "charset_normalizer": "charset-normalizer",
    "lxml": "lxml",
    "numpy": "numpy",
    "pypdf": "pypdf",
    "stop_words": "stop-words",
}


def tables(config: Config) -> dict[str, KnowledgeConfig]:
    """The bots that may look things up."""
    return {
        name: bot.knowledge
        for name, bot in config.bots.items()
        if isinstance(bot, TextBotConfig) and bot.knowledge is not None
    }


def complete() -> None:
    """Raises `ConfigError` when what reads files is not installed."""
    missing = [name for module, name in _PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise ConfigError(
            f"knowledge needs {' and '.join(missing)}, which is not installed; install"
            " botdaemon[knowledge]"
        )


def shelf(config: Config, bot: str) -> Shelf:
    """What a bot may look up. Raises `ConfigError`."""
    complete()
    from botdaemon.knowledge.indexing import Shelf

    table = _table(config, bot)
    return Shelf(
        bot=bot,
        folders=table.folders,
        directory=_directory(config, bot),
        stems=table.language == "en",
        most=table.file_megabytes * 1_000_000,
        pause=table.scan_seconds,
    )


def librarian(config: Config, bot: str, engines: Engines, patience: float = PATIENCE) -> Librarian:
    """Who looks things up for a bot. `patience`: seconds that its embedder may take for a question.
    Raises `ConfigError`."""
    complete()
    from botdaemon.knowledge.briefing import Habits, Librarian

    table = _table(config, bot)
    owner = config.bots[bot]
    assert isinstance(owner, TextBotConfig)
    engine = engines.text.get(owner.model)

    async def count(text: str) -> int:
        assert engine is not None
        line = ChatLine(role="user", text=text)
        return await engine.count(TextRequest(model=owner.model, speaker=bot, lines=(line,)))

    return Librarian(
        Habits(
            bot=bot,
            directory=_directory(config, bot),
            language=table.language,
            passages=table.passages,
            tokens=min(table.tokens, _space(owner, engine)) if engine else table.tokens,
            least_similarity=table.least_similarity,
            patience=patience,
        ),
        embedder(config, bot, engines),
        count if engine is not None else None,
    )


def _space(bot: TextBotConfig, engine: TextEngine) -> int:
    """Tokens that its prompt has for what it is told for one turn."""
    return budget(bot.budget.passing, engine.card.context)


def embedder(config: Config, bot: str, engines: Engines) -> Embedder | None:
    """What a bot's knowledge is found with by meaning."""
    model = _table(config, bot).model
    return engines.embedders[model] if model else None


async def keep_fresh(config: Config, bot: str, engines: Engines) -> None:
    """Keep a bot's index like its folders, until cancelled."""
    from botdaemon.knowledge import indexing

    await indexing.keep_fresh(shelf(config, bot), embedder(config, bot, engines))


def citing(config: Config, name: str, bot: Bot, librarian: Librarian) -> Bot:
    """The bot, which says what it was told."""
    from botdaemon.knowledge.citing import Citing

    most = config.bots[name].most_characters.said or 0
    return Citing(bot, librarian, name, _table(config, name).sources, most)


# --- for the command line ------------------------------------------------------------------------


def indexed(config: Config, bot: str) -> tuple[list[IndexedFile], int, int]:
    """The files of a bot's index, its passages, and those with a vector. Raises `StoreUnusable`."""
    from botdaemon.store.passages import look

    with look(_directory(config, bot)) as index:
        if index is None:
            return [], 0, 0
        return [*index.files().values()], *index.count()


async def bring_up_to_date(
    config: Config, bot: str, *, say: Callable[[str], None], told: Told
) -> None:
    """Make a bot's index like its folders. Raises `StoreLocked` beside a daemon, `ConfigError`,
    `ModelUnusable`, `StoreError`."""
    from botdaemon.knowledge.indexing import refresh

    mine = shelf(config, bot)
    async with AsyncExitStack() as stack:
        engines = await _engines(config, bot, stack)
        await refresh(mine, embedder(config, bot, engines), say=say, told=told)


async def find(config: Config, bot: str, question: str) -> list[Found]:
    """What a bot would find for a question. Raises what `bring_up_to_date` does."""
    async with AsyncExitStack() as stack:
        engines = await _engines(config, bot, stack)
        # Here it has to be loaded first.
        return await librarian(config, bot, engines, patience=LOADING).find(question)


async def _engines(config: Config, bot: str, stack: AsyncExitStack) -> Engines:
    model = _table(config, bot).model
    return await make_engines(config, stack, [model] if model else [], config.daemon.data_dir)


def check_knowledge(config: Config) -> Iterator[Finding]:
    """For each bot with knowledge what there is, and what could not be read."""
    for bot, table in tables(config).items():
        where = ("bots", bot, "knowledge")
        try:
            complete()
            yield from _check(config, bot, table)
        except BotdaemonError as error:
            yield Finding(Verdict.PROBLEM, config.problem(where, str(error)))


def _check(config: Config, bot: str, table: KnowledgeConfig) -> Iterator[Finding]:
    from botdaemon.knowledge.folders import scan

    where = ("bots", bot, "knowledge", "folders")
    there = scan(table.folders)
    for problem in there.problems.values():
        yield Finding(Verdict.PROBLEM, config.problem(where, problem))
    files, passages, vectors = indexed(config, bot)
    known = {(file.path, file.stamp) for file in files}
    waiting = sum((str(file.path), file.stamp) not in known for file in there.files)
    found = f"{len(there.files):,} files to read"
    if waiting:
        found += f", {waiting:,} of them not read yet"
    by_meaning = f", {vectors:,} of them by meaning too" if table.model else " by their words"
    yield Finding(
        Verdict.OK, f"bots.{bot}.knowledge: {found}; {passages:,} passages are found{by_meaning}"
    )
    for file in files:
        if file.problem:
            yield Finding(Verdict.NOTE, config.problem(where, f"{file.path}: {file.problem}"))


def _table(config: Config, bot: str) -> KnowledgeConfig:
    return tables(config)[bot]


def _directory(config: Config, bot: str) -> Path:
    return config.daemon.data_dir / "knowledge" / bot
