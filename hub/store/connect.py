"""Engines with the hub's settings: what every connection to its database has in common."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool

_READERS = 8


def _dumps(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def make_engine(url: str, *, writer: bool = False, pooled: bool = True) -> AsyncEngine:
    """An engine for this URL with the hub's settings. ``writer``: transactions of SQLite begin by taking the write lock."""
    if make_url(url).get_backend_name() != "sqlite":
        return create_async_engine(url, json_serializer=_dumps, json_deserializer=msgspec.json.decode)
    pool: dict[str, Any] = (
        {"poolclass": AsyncAdaptedQueuePool, "pool_size": 1 if writer else _READERS, "max_overflow": 0}
        if pooled
        else {"poolclass": NullPool}
    )
    engine = create_async_engine(url, json_serializer=_dumps, json_deserializer=msgspec.json.decode, **pool)
    begin = "BEGIN IMMEDIATE" if writer else "BEGIN"

    @event.listens_for(engine.sync_engine, "connect")
    def _opened(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late for a consistent read
        cursor = connection.cursor()
        for pragma in (
            "busy_timeout=5000",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "cache_size=-65536",
            "temp_store=MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _began(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine
