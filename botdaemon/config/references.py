"""Checks what one table of the file says about another. Knows the document only as tomllib read it,
so that it finds its mistakes besides those of the types, not after them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botdaemon.config.explain import Mistake, did_you_mean, listed
from botdaemon.config.secrets import ADVICE, looks_secret

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from botdaemon.config.locate import Where

_Tables = dict[str, dict[str, Any]]


def references(document: dict[str, Any]) -> Iterator[Mistake]:
    """Names that do not exist, are taken twice or do not belong there."""
    adapters, models, bots, rooms = (
        _section(document, name) for name in ("adapters", "models", "bots", "rooms")
    )
    for section, tables in document.items():
        if isinstance(tables, dict):
            yield from _same_but_for_case(section, tables)
    for name, adapter in adapters.items():
        if adapter.get("kind") == "terminal":
            yield from _exists(("adapters", name, "bot"), adapter, "bot", bots)
        for index, served in _texts(adapter.get("bots")):
            if served not in bots:
                yield _unknown(("adapters", name, "bots", index), "bot", served, bots)
    for name, model in models.items():
        yield from _model(name, model, models)
    for name, bot in bots.items():
        yield from _bot(name, bot, bots, models)
    filters = _section(document, "filters")
    yield from _classified(("filters", "classifier"), filters.get("classifier"), models)
    hearing = document.get("hearing")
    if isinstance(hearing, dict) and hearing.get("model") != "":
        yield from _thinks_with(("hearing", "model"), hearing, models, "a hearing model")
    yield from _rooms(rooms, bots, adapters)
    yield from _schedules(document.get("schedules"), bots, rooms, adapters)


def secrets(value: Any, where: Where = ()) -> Iterator[Mistake]:
    """Values anywhere in the document that are shaped like a token."""
    if isinstance(value, str) and looks_secret(value):
        yield Mistake(where, ADVICE)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from secrets(inner, (*where, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from secrets(inner, (*where, index))


def _section(document: dict[str, Any], name: str, of: Any = dict) -> dict[str, Any]:
    section = document.get(name)
    tables = section.items() if isinstance(section, dict) else ()
    return {key: table for key, table in tables if isinstance(table, of)}


#: what a model is for, by the kind of its table or the interface of its servers
_SORTS = {
    "diffusers": "an image model",
    "images": "an image model",
    "embedder": "an embedder",
    "classifier": "a classifier",
    "whisper": "a hearing model",
    "transcriptions": "a hearing model",
    "speech": "a speech model",
}


def _sort(model: dict[str, Any]) -> str:
    """What a model is for, in words."""
    what = model.get("api") if model.get("kind") == "openai" else model.get("kind")
    return _SORTS.get(str(what), "a text model")


def _model(name: str, model: dict[str, Any], models: _Tables) -> Iterator[Mistake]:
    where: Where = ("models", name, "fall_back")
    if "fall_back" not in model:
        return
    if (sort := _sort(model)) in ("a hearing model", "a speech model"):
        yield Mistake(where, f"{sort} has none to fall back on: leave it out")
        return
    yield from _thinks_with(where, model, models, _sort(model))
    seen = [name]
    while isinstance(other := models.get(seen[-1], {}).get("fall_back"), str):
        if other in seen:
            chain = " -> ".join([*seen, other])
            yield Mistake(where, f"models fall back on each other in a circle: {chain}")
            return
        seen.append(other)


def _thinks_with(
    where: Where, table: dict[str, Any], models: _Tables, sort: str
) -> Iterator[Mistake]:
    """The model named there exists, and is of this sort."""
    yield from _exists(where, table, "model", models)
    name = table.get(str(where[-1]))
    if isinstance(name, str) and name in models and _sort(models[name]) != sort:
        yield Mistake(where, f'"{name}" is {_sort(models[name])}, name {sort}')


def _classified(where: Where, table: Any, models: _Tables) -> Iterator[Mistake]:
    """What a table at `where` says of a classifier."""
    if isinstance(table, dict):
        yield from _thinks_with((*where, "model"), table, models, "a classifier")


def _adapters(
    where: Where, names: Iterable[Any], bot: dict[str, Any], models: _Tables
) -> Iterator[Mistake]:
    """The model's table has the adapters."""
    model = bot.get("model")
    if not isinstance(model, str) or model not in models:
        return
    known = _section(models[model], "adapters", of=str)
    for name in names:
        if isinstance(name, str) and name and name not in known:
            hint = did_you_mean(name, known) or (
                f"; its adapters: {listed(sorted(known))}" if known else "; it has no adapters"
            )
            yield Mistake(where, f'models.{model} has no adapter "{name}"{hint}')


def _bot(name: str, bot: dict[str, Any], bots: _Tables, models: _Tables) -> Iterator[Mistake]:
    where: Where = ("bots", name)
    filters = bot.get("filters")
    if isinstance(filters, dict):
        place = (*where, "filters", "classifier")
        yield from _classified(place, filters.get("classifier"), models)
    if bot.get("kind") == "text":
        yield from _thinks_with((*where, "model"), bot, models, "a text model")
        knowledge = bot.get("knowledge")
        if isinstance(knowledge, dict) and knowledge.get("model"):
            place = (*where, "knowledge", "model")
            yield from _thinks_with(place, knowledge, models, "an embedder")
        yield from _adapters((*where, "adapter"), [bot.get("adapter")], bot, models)
        memory = bot.get("memory")
        for key in ("facts", "summarise"):
            if isinstance(memory, dict) and key in memory:
                place = (*where, "memory", key)
                yield from _thinks_with(place, memory, models, "a text model")
        if isinstance(enrich := bot.get("enrich"), dict):
            yield from _thinks_with((*where, "enrich", "model"), enrich, models, "a text model")
    if bot.get("kind") == "image":
        yield from _thinks_with((*where, "model"), bot, models, "an image model")
        yield from _classified((*where, "checker"), bot.get("checker"), models)
        if "improve" in bot:
            yield from _thinks_with((*where, "improve"), bot, models, "a text model")
        for style, table in _section(bot, "styles").items():
            used = _section(table, "adapters", of=float | int)
            yield from _adapters((*where, "styles", style, "adapters"), used, bot, models)
    if isinstance(speech := bot.get("speech"), dict):
        yield from _thinks_with((*where, "speech", "model"), speech, models, "a speech model")
    if bot.get("kind") == "canned" and bot.get("from"):
        yield from _exists((*where, "from"), bot, "bot", bots)
        source = bot["from"]
        if isinstance(source, str) and bots.get(source, {}).get("kind") == "canned":
            yield Mistake((*where, "from"), f'"{source}" is a canned bot itself, name a text bot')
    others = {other.casefold(): other for other in bots if other != name}
    for index, further in _texts(bot.get("names")):
        if other := others.get(further.casefold()):
            yield Mistake((*where, "names", index), f'"{further}" is the name of bots.{other}')


def _rooms(rooms: _Tables, bots: _Tables, adapters: _Tables) -> Iterator[Mistake]:
    room_of: dict[str, str] = {}
    for name, room in rooms.items():
        where: Where = ("rooms", name)
        members: list[str] = []
        for index, bot in _texts(room.get("bots")):
            if bot in members:
                yield Mistake((*where, "bots", index), f'"{bot}" is named twice')
            elif bot not in bots:
                yield _unknown((*where, "bots", index), "bot", bot, bots)
            members.append(bot)
        host = room.get("host")
        if isinstance(host, str) and host and host not in members:
            hint = did_you_mean(host, members) or f"; bots here: {listed(dict.fromkeys(members))}"
            yield Mistake((*where, "host"), f'"{host}" is not one of the bots of this room{hint}')
        for index, channel in _texts(room.get("channels")):
            adapter = channel.partition(":")[0]
            if ":" in channel and adapter not in adapters:
                yield _unknown((*where, "channels", index), "adapter", adapter, adapters)
            if room_of.setdefault(channel, name) != name:
                taken = f'"{channel}" belongs to rooms.{room_of[channel]} already'
                yield Mistake((*where, "channels", index), taken)


def _schedules(
    schedules: Any, bots: _Tables, rooms: _Tables, adapters: _Tables
) -> Iterator[Mistake]:
    seen: dict[str, int] = {}
    for index, table in enumerate(schedules if isinstance(schedules, list) else ()):
        if not isinstance(table, dict):
            continue
        where: Where = ("schedules", index)
        name = table.get("name")
        if isinstance(name, str) and seen.setdefault(name.casefold(), index) != index:
            yield Mistake((*where, "name"), f'"{name}" is the name of another schedule')
        yield from _exists((*where, "bot"), table, "bot", bots)
        if table.get("room"):
            yield from _exists((*where, "room"), table, "room", rooms)
            members = _named(rooms, table.get("room"), "bots")
            bot = table.get("bot")
            if isinstance(bot, str) and bot in bots and members and bot not in members:
                hint = f"; bots there: {listed(members)}"
                yield Mistake((*where, "bot"), f'"{bot}" is not one of the bots of that room{hint}')
        for key in ("channel", "person"):
            adapter, colon, _ = str(table.get(key, "")).partition(":")
            if colon and adapter not in adapters:
                yield _unknown((*where, key), "adapter", adapter, adapters)


def _named(tables: _Tables, name: Any, key: str) -> list[str]:
    table = tables.get(name) if isinstance(name, str) else None
    return [text for _, text in _texts(table.get(key))] if table else []


def _exists(where: Where, table: dict[str, Any], what: str, known: _Tables) -> Iterator[Mistake]:
    name = table.get(str(where[-1]))
    if isinstance(name, str) and name not in known:
        yield _unknown(where, what, name, known)


def _unknown(where: Where, what: str, name: str, known: Collection[str]) -> Mistake:
    others = f"known {what}s: {listed(sorted(known))}" if known else f"this file has no {what}s"
    hint = did_you_mean(name, known) or f"; {others}"
    return Mistake(where, f'there is no {what} "{name}"{hint}')


def _same_but_for_case(section: str, tables: Iterable[str]) -> Iterator[Mistake]:
    seen: dict[str, str] = {}
    for name in tables:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            yield Mistake((section, name), f'"{name}" and "{other}" differ in case only')


def _texts(value: Any) -> Iterator[tuple[int, str]]:
    if isinstance(value, list):
        yield from ((index, item) for index, item in enumerate(value) if isinstance(item, str))
