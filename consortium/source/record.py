"""One table of a policy source and the value it describes: read and written by the same list of rows."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any

from consortium.source.forms import Form, FormError


class SourceError(ValueError):
    """A policy source that cannot be read or written. ``code`` is stable; the message begins with the place.

    SOURCE_SYNTAX (no TOML), SOURCE_TOO_LARGE, SOURCE_UNKNOWN_KEY, SOURCE_MISSING, SOURCE_VALUE, SOURCE_REFERENCE (names what is not
    there), SOURCE_UNWRITABLE (a bundle that has no source form), or the code of a calendar's own fault.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Row:
    """One key of a table and the field, or pair of fields, that it fills."""

    key: str
    fields: tuple[str, ...]
    form: Form


@dataclass(frozen=True, slots=True)
class Layout:
    """How a value of ``kind`` stands in a source. ``given``: fields that come from elsewhere, such as the table's name."""

    kind: Callable[..., Any]
    rows: tuple[Row, ...]
    given: tuple[str, ...] = ()


def suggestion(word: str, known: Iterable[str]) -> str:
    """ " (did you mean …?)" for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), 1, 0.6)
    return f" (did you mean {near[0]}?)" if near else ""


def table_of(value: Any, place: str) -> dict[str, Any]:
    """The value as a table; raises SourceError SOURCE_VALUE."""
    if not isinstance(value, dict):
        raise SourceError("SOURCE_VALUE", f"{place}: must be a table")
    return value


def check_keys(table: Mapping[str, Any], known: Sequence[str], place: str) -> None:
    """Raise SourceError SOURCE_UNKNOWN_KEY for a key that means nothing here, with the nearest that does."""
    for key in table:
        if key not in known:
            near = suggestion(key, known) or f" (there are {', '.join(known)})"
            raise SourceError("SOURCE_UNKNOWN_KEY", f"{place}.{key}: there is no such key{near}")


def read_form(form: Form, value: Any, tz: str, place: str) -> Any:
    """A value by its form; raises SourceError SOURCE_VALUE, naming the place."""
    try:
        return form.read(value, tz)
    except FormError as error:
        raise SourceError(error.code, _at(place, error)) from error


def write_form(form: Form, value: Any, tz: str, place: str) -> Any:
    """A value as it stands in a source; raises SourceError SOURCE_UNWRITABLE, naming the place."""
    try:
        return form.write(value, tz)
    except FormError as error:
        raise SourceError("SOURCE_UNWRITABLE", _at(place, error)) from error


def read_record(layout: Layout, value: Any, tz: str, place: str, **given: Any) -> Any:
    """The value that a table describes; keys that are not there leave the default."""
    table = table_of(value, place)
    check_keys(table, [row.key for row in layout.rows], place)
    needed = _needed(layout.kind)
    found = dict(given)
    for row in layout.rows:
        if row.key in table:
            read = read_form(row.form, table[row.key], tz, f"{place}.{row.key}")
            found.update(zip(row.fields, read if len(row.fields) > 1 else (read,), strict=True))
        elif any(field in needed and field not in found for field in row.fields):
            raise SourceError("SOURCE_MISSING", f"{place}.{row.key}: is missing")
    try:
        return layout.kind(**found)
    except ValueError as error:
        raise SourceError(getattr(error, "code", "SOURCE_VALUE"), f"{place}: {error}") from error


def write_record(layout: Layout, value: Any, tz: str, place: str) -> dict[str, Any]:
    """The table that describes a value; fields at their default are left out."""
    defaults = _defaults(layout.kind)
    table: dict[str, Any] = {}
    for row in layout.rows:
        fields = tuple(getattr(value, field) for field in row.fields)
        if all(field in defaults and defaults[field] == held for field, held in zip(row.fields, fields, strict=True)):
            continue
        written = fields if len(fields) > 1 else fields[0]
        table[row.key] = write_form(row.form, written, tz, f"{place}.{row.key}")
    return table


def record_form(layout: Layout) -> Form:
    """A table inside a table, as a form of its own."""

    def write(value: Any, tz: str) -> Any:
        try:
            return write_record(layout, value, tz, "")
        except SourceError as error:
            raise FormError(str(error), error.code) from error

    return Form(lambda value, tz: read_nested(layout, value, tz), write)


def read_nested(layout: Layout, value: Any, tz: str, at: str = "") -> Any:
    """The value of a table inside a value; raises FormError with the rest of the way, from ``at`` on."""
    try:
        return read_record(layout, value, tz, at)
    except SourceError as error:
        raise FormError(str(error), error.code) from error


def _at(place: str, error: FormError) -> str:
    text = str(error)
    return f"{place}{text}" if text[:1] in (".", ":", "[") else f"{place}: {text}"


def _defaults(kind: Any) -> dict[str, Any]:
    out = {}
    for spec in dataclasses.fields(kind):
        if spec.default is not MISSING:
            out[spec.name] = spec.default
        elif spec.default_factory is not MISSING:
            out[spec.name] = spec.default_factory()
    return out


def _needed(kind: Any) -> frozenset[str]:
    return frozenset(spec.name for spec in dataclasses.fields(kind)) - _defaults(kind).keys()
