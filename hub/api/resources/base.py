"""What the descriptions of resources are made of: scopes, filters and the parts every row shows alike."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, true

from consortium.reasons import text as reason_text
from hub.api.lists import Filter, equals
from hub.ledger.rows import is_person
from hub.store import schema as t


def at_branch_of(column: Any, library: str) -> ColumnElement[bool]:
    """Whether a branch column names a branch of ``library``."""
    condition: ColumnElement[bool] = column.startswith(f"{library}-", autoescape=True)
    return condition


def names(code: str) -> dict[str, str]:
    """What a reader sees for a code, in both languages."""
    return {"zh": reason_text(code, "zh"), "en": reason_text(code, "en")}


def ref(row: Any) -> dict[str, str]:
    return {"owner": row.owner, "item_no": row.item_no}


def rid_shown(value: str | None) -> str | None:
    return value if value is not None and is_person(value) else None


def own(column: Any) -> Any:
    return lambda access: true() if access.everywhere else column == access.library


def placed(column: Any) -> Any:
    return lambda access: true() if access.everywhere else at_branch_of(column, access.library)


def still_open(column: Any) -> Filter:
    return Filter(lambda value: column.is_(None) if value else column.is_not(None), "bool", "still open")


def flag(column: Any) -> Filter:
    return Filter(lambda value: column.is_(value), "bool")


def times(column: Any) -> dict[str, Filter]:
    return {
        "since": Filter(lambda value: column >= value, "time", "at or after this time"),
        "until": Filter(lambda value: column < value, "time", "before this time"),
    }


def texts(table: Any, *columns: str) -> dict[str, Filter]:
    return {name: equals(table.c[name]) for name in columns}


def titled(table: Any) -> Any:
    return table.outerjoin(t.items, and_(table.c.owner == t.items.c.owner, table.c.item_no == t.items.c.item_no))
