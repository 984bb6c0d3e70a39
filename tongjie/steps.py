"""The steps of a period for ``tongjie whatif``, streamed from a hub's database or an exported log in event order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import select
from sqlalchemy.engine import Connection

from consortium.bundle import Bundle, from_json
from consortium.events import Kind
from consortium.whatif import KINDS, Step
from hub.store import schema
from tongjie.history import HistoryError, with_connection, with_exported

T = TypeVar("T")

_AT_ONCE = 2_000


class _Data(msgspec.Struct):
    item: tuple[str, str] | None = None
    home: str | None = None
    visit: str | None = None


class _Body(msgspec.Struct):
    """What a replay reads of an event; the log was checked when it was written, so the rest is passed over."""

    kind: Kind
    branch: str
    t_eff: int
    data: _Data
    decision: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Body).decode


@dataclass(frozen=True, slots=True)
class Steps:
    """A log that can be asked for its policies and for the steps of a period."""

    connection: Connection

    def bundles(self) -> list[Bundle]:
        """Every published policy, oldest first; raises BundleError."""
        table = schema.bundles.c
        return [from_json(row.body) for row in self.connection.execute(select(table.body).order_by(table.version))]

    def between(self, from_ms: int, to_ms: int) -> Iterator[Step]:
        """The steps with ``from_ms`` <= t_eff < ``to_ms`` in event order, read as they are asked for; raises HistoryError."""
        table = schema.events.c
        query = (
            select(table.node, table.epoch, table.seq, table.rid, table.body)
            .where(table.t_eff >= from_ms, table.t_eff < to_ms, table.kind.in_([kind.value for kind in KINDS]))
            .order_by(table.t_eff, table.node, table.epoch, table.seq)
            .execution_options(yield_per=_AT_ONCE)
        )
        with self.connection.execute(query) as rows:
            for node, epoch, seq, who, body in rows:
                yield _step(f"{node}/{epoch}/{seq}", body, who)


def _step(name: str, body: str, who: str | None) -> Step:
    try:
        read = _decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise HistoryError("WHATIF_EVENT", f"event {name} cannot be read ({error}); tongjie check says more") from error
    data = read.data
    return Step(name, read.kind, read.t_eff, read.branch, who, data.home, data.item, data.visit, read.decision)


def with_database(url: str, use: Callable[[Steps], T]) -> T:
    """What ``use`` makes of the log in a hub's database, read-only and at one moment; raises HistoryError."""
    return with_connection(url, lambda connection: use(Steps(connection)))


def with_export(path: Path, use: Callable[[Steps], T]) -> T:
    """The same of a file that ``tongjie log export`` wrote; raises HistoryError."""
    return with_exported(path, lambda connection: use(Steps(connection)))
