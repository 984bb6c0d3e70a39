"""Domain values as plain data and JSON, and back: checked, bounded, with a schema that stays (msgspec, docs/decisions/0004).

What is wrong is told as one sentence with the place: ``category: expected `str`, got `int` ``. Keys that a value does not have
are refused where a person writes the data (``strict``), since a misspelt one would otherwise be silently left out.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from consortium.bundle import Bundle
from consortium.entities import PATTERNS, Block, Card, DeviceRecord, EntityError, HoldWish, Item, Reader
from consortium.events import SCHEMAS

T = TypeVar("T")

MAX_JSON = 1 << 20
"""Longest JSON of one value accepted, in bytes, unless the caller allows more (a bundle may be larger)."""

_PLACE = re.compile(r"^(?P<what>.*) - at `(?P<place>.*)`$", re.DOTALL)
_REGEX = re.compile(r"^expected `str` matching regex '(?P<pattern>.*)'$")
_INDEX = re.compile(r"\[(?!\d)[^]]*\]")

ENTITIES: tuple[type[Any], ...] = (Reader, Card, Item, Block, HoldWish, DeviceRecord, Bundle)
"""Values that have a published schema of their own."""


class PlainError(ValueError):
    """Plain data that is not the value it should be. ``place`` is where ("cards[0].medium"), ``code`` is stable:
    PLAIN_NOT_JSON, PLAIN_TOO_LONG, PLAIN_TYPE, PLAIN_KEY, or the code of the value's own error."""

    def __init__(self, code: str, place: str, what: str) -> None:
        super().__init__(f"{place}: {what}" if place else what)
        self.code = code
        self.place = place
        self.what = what


def to_plain(value: Any) -> Any:
    """Lists, dicts, integers and strings of a value; sets as sorted lists."""
    return msgspec.to_builtins(value, order="sorted")


def to_json(value: Any) -> str:
    """Canonical JSON of a value: keys sorted, no spaces, sets as sorted lists."""
    return msgspec.json.encode(value, order="sorted").decode()


def from_json(text: str | bytes, kind: type[T], *, limit: int = MAX_JSON) -> T:
    """The value that ``to_json`` wrote; ``limit`` in bytes. Raises PlainError."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(raw) > limit:
        raise PlainError("PLAIN_TOO_LONG", "", f"at most {limit} bytes of JSON are read")
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.ValidationError, EntityError) as error:
        raise _told(error, "") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise PlainError("PLAIN_NOT_JSON", "", "this is not JSON") from error


def from_plain(data: Any, kind: type[T], *, place: str = "", strict: bool = False) -> T:
    """A value from plain data; ``place`` is what the data is called, ``strict`` refuses keys that the value does not have.

    Raises PlainError.
    """
    try:
        value = msgspec.convert(data, type=kind)
    except (msgspec.ValidationError, EntityError) as error:
        raise _told(error, place) from error
    except RecursionError as error:
        raise PlainError("PLAIN_TYPE", place, "this is nested too deeply") from error
    if strict and (stray := unknown_key(data, kind)) is not None:
        raise PlainError("PLAIN_KEY", join(place, stray), "there is no such key here")
    return value


def join(place: str, inner: str) -> str:
    """``inner`` as seen from outside ``place``: ("readers[3]", "category") → "readers[3].category"."""
    if not place or not inner:
        return place or inner
    return f"{place}{inner}" if inner.startswith("[") else f"{place}.{inner}"


def _told(error: msgspec.ValidationError | EntityError, place: str) -> PlainError:
    found = _PLACE.match(str(error))
    what, inner = (found["what"], found["place"]) if found else (str(error), "$")
    inner = _INDEX.sub("", inner).removeprefix("$").removeprefix(".")
    cause = error if isinstance(error, EntityError) else error.__cause__
    where = join(place, inner)
    if isinstance(cause, EntityError):
        return PlainError(cause.code, join(where, cause.field), cause.what)
    code = getattr(cause, "code", None)  # the domain's other values (a calendar) carry a code as well
    if (pattern := _REGEX.match(_small(what))) and (form := PATTERNS.get(pattern["pattern"])):
        what = f"this is not a {form}"
    return PlainError(code if isinstance(code, str) else "PLAIN_TYPE", where, _small(what))


def _small(text: str) -> str:
    """A sentence inside a sentence: no capital, and no more of a value than one can read."""
    return (text[:1].lower() + text[1:])[:200]


def unknown_key(data: Any, kind: type[Any]) -> str | None:
    """The place of the first key in plain data that ``kind`` does not have, None where all are known."""
    return _stray(data, inspect.type_info(kind))


def _stray(data: Any, info: inspect.Type) -> str | None:
    if isinstance(info, inspect.Metadata):
        return _stray(data, info.type)
    if isinstance(info, inspect.UnionType):
        return next((_stray(data, part) for part in info.types if isinstance(part, inspect.DataclassType)), None)
    if isinstance(info, inspect.DataclassType | inspect.StructType) and isinstance(data, dict):
        fields = {spec.encode_name: spec.type for spec in info.fields}
        for key, value in data.items():
            if key not in fields:
                return str(key)
            if (found := _stray(value, fields[key])) is not None:
                return join(str(key), found)
    elif isinstance(info, inspect.VarTupleType | inspect.ListType) and isinstance(data, list | tuple):
        for number, value in enumerate(data):
            if (found := _stray(value, info.item_type)) is not None:
                return join(f"[{number}]", found)
    return None


def schema(kind: type[Any]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a value."""
    found: dict[str, Any] = _tidy(msgspec.json.schema(kind))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def _tidy(data: Any) -> Any:
    """Descriptions come from docstrings: their line breaks are of the source, not of the text."""
    if isinstance(data, dict):
        return {
            key: " ".join(value.split()) if key == "description" and isinstance(value, str) else _tidy(value)
            for key, value in data.items()
        }
    return [_tidy(value) for value in data] if isinstance(data, list) else data


def all_schemas() -> dict[str, dict[str, Any]]:
    """Every published schema by file name: the entities, the policy bundle, and one a type of event."""
    out = {f"{kind.__name__.lower()}.json": schema(kind) for kind in ENTITIES}
    out |= {f"event-{kind.value.lower().replace('_', '-')}.json": schema(shape) for kind, shape in SCHEMAS.items()}
    return out


def schema_text(data: dict[str, Any]) -> str:
    """A schema as it stands in its file."""
    return json.dumps(data, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
