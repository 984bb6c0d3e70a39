"""Readers and the blocks on them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, and_, or_, select, true

from hub.api import schemas
from hub.api.forms import time_of, time_or_none
from hub.api.lists import Resource
from hub.api.resources.base import flag, own, texts
from hub.auth.access import Access
from hub.store import schema as t


def _reader(row: Row[Any], access: Access, now: int) -> dict[str, Any]:
    return {
        "rid": row.rid,
        "home": row.home,
        "reader_no": row.reader_no if access.library == row.home else None,
        "category": row.category,
        "status": row.status,
        "valid_to": time_or_none(row.valid_to_ms),
        "shared": row.shared,
    }


READERS = Resource(
    "readers", "reader", t.readers, (t.readers,), (t.readers.c.rid,), (t.readers.c.rid,), (str,), own(t.readers.c.home),
    _reader, {**texts(t.readers, "home", "category", "status"), "shared": flag(t.readers.c.shared)}, schemas.ReaderOut,
    newest_first=False,
)  # fmt: skip


def _block(row: Row[Any], access: Access, now: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "rid": row.rid,
        "issuer": row.issuer,
        "scope": row.scope,
        "kind": row.kind,
        "actions": row.actions,
        "from_time": time_of(row.from_ms) if row.from_ms else None,
        "to_time": time_or_none(row.to_ms),
        "in_force": row.from_ms <= now and (row.to_ms is None or now < row.to_ms),
        "reason": row.reason if access.library == row.issuer else None,
    }


def _blocks_visible(access: Access) -> ColumnElement[bool]:
    if access.everywhere:
        return true()
    own = select(t.readers.c.rid).where(t.readers.c.home == access.library)
    # Home learns of another library's block only where it stops the reader everywhere: the rest is between issuer and reader.
    return or_(t.blocks.c.issuer == access.library, and_(t.blocks.c.scope == "consortium", t.blocks.c.rid.in_(own)))


BLOCKS = Resource(
    "blocks", "block", t.blocks, (t.blocks,), (t.blocks.c.id,), (t.blocks.c.id,), (str,), _blocks_visible, _block,
    texts(t.blocks, "rid", "issuer", "scope", "kind"), schemas.BlockOut, newest_first=False,
)  # fmt: skip
