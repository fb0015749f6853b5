"""Says in plain words what pydantic found wrong. Knows neither the file nor its lines."""

from __future__ import annotations

import difflib
import math
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ValidationError

from botdaemon.config.secrets import ADVICE, holds_a_secret, names_a_secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from botdaemon.config.locate import Where


class Mistake(NamedTuple):
    """Something in the file that must be mended."""

    where: Where
    what: str


def explain(error: ValidationError, model: type[BaseModel]) -> Iterator[Mistake]:
    """Every error of a document that did not fit `model`."""
    for details in error.errors(include_url=False):
        if details["type"] == "default_factory_not_called":
            continue  # the consequence of another error
        where, table, annotation = _walk(details["loc"], model)
        yield _sentence(details, where, table, annotation)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`, did you mean "…"?`, or nothing when no known word is like it."""
    by_folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold(), by_folded, n=1)
    return f', did you mean "{by_folded[close[0]]}"?' if close else ""


def listed(words: Iterable[str], last: str = "and") -> str:
    """`"a", "b" and "c"`."""
    *most, final = [f'"{word}"' for word in words]
    return f"{', '.join(most)} {last} {final}" if most else final


_EXPECTED = {
    "string_type": "text in quotes",
    "path_type": "a path in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "an ordinary number",
    "bool_type": "true or false",
    "datetime_type": "a date and time as 2026-12-24T18:00:00",
    "tuple_type": "a list in [ ]",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}


def _sentence(details: ErrorDetails, where: Where, table: Any, annotation: Any) -> Mistake:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    key = str(where[-1]) if where else ""
    match kind:
        case "extra_forbidden":
            if names_a_secret(key):
                return Mistake(where, ADVICE)
            known = sorted(_fields(table))
            hint = did_you_mean(key, known) or f"; known here: {listed(known)}"
            return Mistake(where, f'unknown key "{key}"{hint}')
        case "missing":
            purpose = _fields(table)[key].description
            return Mistake(where[:-1], f'the key "{key}" is missing: {purpose}')
        case "union_tag_not_found":
            kinds = _tables_by_kind(annotation)
            return Mistake(where, f'the key "kind" is missing, expected {listed(kinds, "or")}')
        case "union_tag_invalid":
            kinds = _tables_by_kind(annotation)
            hint = did_you_mean(context["tag"], kinds) or f"; known kinds: {listed(kinds)}"
            return Mistake((*where, "kind"), f'unknown kind "{context["tag"]}"{hint}')
        case "literal_error":
            words = get_args(annotation)
            hint = did_you_mean(value, words) if isinstance(value, str) else ""
            return Mistake(where, f"expected {listed(words, 'or')}, found {_found(value)}{hint}")
        case "too_short" | "string_too_short":
            return Mistake(where, "must not be empty")
        case "value_error":
            return Mistake(where, str(context["error"]))
        case _ if kind in _BOUNDS:
            name, bound = _BOUNDS[kind]
            return Mistake(where, f"must be {bound} {context[name]}, found {_found(value)}")
        case _ if kind in _EXPECTED:
            found = "something else" if holds_a_secret(key) else _found(value)
            return Mistake(where, f"expected {_EXPECTED[kind]}, found {found}")
    return Mistake(where, details["msg"])


def _found(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float() if not math.isfinite(value):
            return str(value)
        case int() | float():
            return f"the number {value}"
        case str():
            return f'"{value}"' if len(value) <= 40 else f'"{value[:39]}…"'
        case list():
            return "a list"
        case dict():
            return "a table"
    return "a date or time"


def _walk(loc: tuple[str | int, ...], model: type[BaseModel]) -> tuple[Where, Any, Any]:
    """The path in the file of pydantic's `loc`, the table its last key is in, and its type."""
    where: Where = ()
    table: Any = None
    annotation: Any = model
    for part in loc:
        if part == "[key]":  # the error is about the name that was just passed
            break
        if kinds := _tables_by_kind(annotation):  # pydantic puts the kind into the path
            annotation = kinds[str(part)]
            continue
        if _is_table(annotation):
            table = annotation
            field = _fields(table).get(str(part))
            annotation = _given(field.annotation) if field else None
        else:
            table, annotation = None, next(iter(get_args(annotation)[-1:]), None)
        where = (*where, part)
    return where, table, annotation


def _given(annotation: Any) -> Any:
    """The type of a key that may be left out, "X | None", when it is there."""
    members = [member for member in get_args(annotation) if member is not NoneType]
    optional = NoneType in get_args(annotation) and len(members) == 1
    return members[0] if optional else annotation


def _is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _fields(table: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in table.model_fields.items()}


def _tables_by_kind(annotation: Any) -> dict[str, type[BaseModel]]:
    """The members of a union of tables by their kind; nothing for other types."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return {
        get_args(member.model_fields["kind"].annotation)[0]: member
        for member in get_args(annotation)
        if _is_table(member) and "kind" in member.model_fields
    }
