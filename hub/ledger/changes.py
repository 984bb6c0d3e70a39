"""Corrections: what a late fact changed of what had been told, as records that are only ever added to (domain §6, step 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.corrections import Correction
from hub.ledger.rows import is_person
from hub.store.engine import execute_rows, insert
from hub.store.schema import corrections


@dataclass(frozen=True, slots=True)
class Told:
    """Corrections with the event that made them necessary."""

    cause: str
    found: Sequence[Correction]


async def write(conn: AsyncConnection, told: Iterable[Told], positions: Mapping[str, int], last: int, now: int) -> None:
    """Write corrections down. ``positions``: of events in the log, by name; ``last`` is taken for others. ``now`` in ms UTC."""
    rows = [
        {
            "pos": positions.get(one.cause, last), "t": now, "cause": one.cause, "change": change.change.value,
            "subject": change.subject, "owner": change.owner, "item_no": change.item_no, "before": _plain(change.before),
            "after": _plain(change.after),
        }
        for one in told
        for change in one.found
    ]  # fmt: skip
    await execute_rows(conn, insert(conn, corrections), rows)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    # These records outlive a reader's identity, so they do not name one: the loan does, for as long as it may.
    if "who" not in values:
        return values
    return {**values, "who": "known" if is_person(values["who"]) else "unknown"}
