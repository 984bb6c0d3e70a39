"""Lists: one description of a resource gives its filters, its order, its pages and what exists for whom.

Every statement that the API and the console run over a table is made here, and each carries the scope of who asks: a row outside it
does not exist, in lists, by id and in counts alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from sqlalchemy import ColumnElement, FromClause, Row, Select, and_, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.api.forms import cursor_text, cursor_values, ms_of
from hub.api.problems import Problem
from hub.auth.access import Access

__all__ = [
    "DEFAULT_LIMIT",
    "MAX_LIMIT",
    "Filter",
    "PageRows",
    "Query",
    "Resource",
    "count",
    "fetch",
    "one",
    "parse_query",
]

MAX_LIMIT: Final = 200
DEFAULT_LIMIT: Final = 50
_MAX_VALUE: Final = 160
_PAGING: Final = frozenset({"limit", "cursor"})


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter: ``kind`` is ``text``, ``bool``, ``int`` or ``time``; ``where`` makes the condition of a value."""

    where: Callable[[Any], ColumnElement[bool]]
    kind: str = "text"
    about: str = ""


def equals(column: Any, about: str = "") -> Filter:
    """A filter on equality with a text column."""
    return Filter(lambda value: column == value, about=about)


@dataclass(frozen=True, slots=True)
class Resource:
    """A list of the API. ``order`` are the columns of the page order, all one way, the last ones unique.

    ``visible`` gives the condition under which a row exists for an access; ``shape`` makes what is sent from a row at ``now``.
    """

    name: str
    single: str
    source: FromClause
    columns: tuple[Any, ...]
    key: tuple[Any, ...]
    order: tuple[Any, ...]
    kinds: tuple[type, ...]
    visible: Callable[[Access], ColumnElement[bool]]
    shape: Callable[[Row[Any], Access, int], dict[str, Any]]
    filters: Mapping[str, Filter]
    model: type[BaseModel]
    newest_first: bool = True

    def select(self, access: Access) -> Select[Any]:
        """All rows that exist for ``access``."""
        return select(*self.columns).select_from(self.source).where(self.visible(access))


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed list request."""

    where: tuple[ColumnElement[bool], ...] = ()
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class PageRows:
    """One page: what is sent, and the cursor of the next."""

    items: list[dict[str, Any]]
    next_cursor: str | None


def _wrong(field: str, code: str, title: str) -> Problem:
    return Problem(422, code, title, errors=[{"field": field, "code": code, "message": title}])


def check_names(known: frozenset[str], given: list[tuple[str, str]]) -> dict[str, str]:
    """The parameters by name. Raises Problem 422 FILTER_UNKNOWN, FILTER_TWICE or FILTER_TOO_LONG."""
    out: dict[str, str] = {}
    for name, value in given:
        if name not in known:
            raise _wrong(name[:40], "FILTER_UNKNOWN", f"This list filters by {', '.join(sorted(known))}.")
        if name in out:
            raise _wrong(name, "FILTER_TWICE", f"Give {name} once.")
        if name != "cursor" and len(value) > _MAX_VALUE:
            raise _wrong(name, "FILTER_TOO_LONG", f"{name} has at most {_MAX_VALUE} characters.")
        if "\x00" in value:
            raise _wrong(name, "FILTER_INVALID", f"{name} holds a character no value can have.")
        out[name] = value
    return out


def page_limit(text: str) -> int:
    """The page size asked for. Raises Problem 422 LIMIT_INVALID outside 1..200."""
    if not text.isascii() or not text.isdigit() or len(text) > 6 or not 1 <= int(text) <= MAX_LIMIT:
        raise _wrong("limit", "LIMIT_INVALID", f"limit is 1 to {MAX_LIMIT}.")
    return int(text)


def parse_query(resource: Resource, given: list[tuple[str, str]]) -> Query:
    """The list request in the query parameters ``given``. Raises Problem 422 with a code for each thing that can be wrong."""
    values = check_names(_PAGING | resource.filters.keys(), given)
    limit = page_limit(values.pop("limit", str(DEFAULT_LIMIT)))
    cursor = values.pop("cursor", None)
    if cursor is not None and len(cursor) > 1024:
        raise _wrong("cursor", "CURSOR_INVALID", "Send next_cursor of the page before, unchanged.")
    where = tuple(resource.filters[name].where(_value(name, resource.filters[name], v)) for name, v in values.items())
    return Query(where, limit, cursor)


def _value(name: str, known: Filter, text: str) -> Any:
    if known.kind == "bool":
        if text not in ("true", "false"):
            raise _wrong(name, "FILTER_INVALID", f"{name} is true or false.")
        return text == "true"
    if known.kind == "int":
        digits = text.removeprefix("-")
        if not digits.isascii() or not digits.isdigit() or len(digits) > 15:
            raise _wrong(name, "FILTER_INVALID", f"{name} is a whole number.")
        return int(text)
    if known.kind == "time":
        return ms_of(text, name)
    return text


def _after(resource: Resource, values: list[Any]) -> ColumnElement[bool]:
    # (a, b) < (x, y) spelt out: row values with mixed collations are not the same on both databases
    steps = []
    for i, (column, value) in enumerate(zip(resource.order, values, strict=True)):
        same = [c == v for c, v in zip(resource.order[:i], values[:i], strict=True)]
        steps.append(and_(*same, column < value if resource.newest_first else column > value))
    return or_(*steps)


async def fetch(conn: AsyncConnection, resource: Resource, access: Access, query: Query, now: int) -> PageRows:
    """One page of what exists for ``access``. Raises Problem 422 CURSOR_INVALID."""
    statement = resource.select(access).where(*query.where)
    if query.cursor is not None:
        statement = statement.where(_after(resource, cursor_values(resource.name, query.cursor, resource.kinds)))
    ordered = [column.desc() if resource.newest_first else column.asc() for column in resource.order]
    rows = (await conn.execute(statement.order_by(*ordered).limit(query.limit + 1))).all()
    page = rows[: query.limit]
    more = None
    if len(rows) > query.limit:
        last = page[-1]._mapping
        more = cursor_text(resource.name, [last[column] for column in resource.order])
    return PageRows([resource.shape(row, access, now) for row in page], more)


async def one(
    conn: AsyncConnection, resource: Resource, access: Access, key: tuple[str | int, ...], now: int
) -> dict[str, Any]:
    """The row of that key. Raises Problem 404 where it does not exist for ``access``."""
    matches = [column == value for column, value in zip(resource.key, key, strict=True)]
    row = (await conn.execute(resource.select(access).where(*matches))).first()
    if row is None:
        raise Problem(404, "NOT_FOUND", f"No {resource.single} of that id exists for you.")
    return resource.shape(row, access, now)


async def count(conn: AsyncConnection, resource: Resource, access: Access, *where: ColumnElement[bool]) -> int:
    """How many rows exist for ``access`` under these conditions."""
    statement = select(func.count()).select_from(resource.source).where(resource.visible(access), *where)
    return int((await conn.execute(statement)).scalar_one())


def everyone(_: Access) -> ColumnElement[bool]:
    """The scope of rows that every member may see."""
    return true()
