"""The hub's own events: the same log, the same chain, the same fold as an edge's.

The hub's node takes its next number and hash from its cursor inside the transaction, so that a rolled-back change leaves no hole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium import identity
from consortium.events import Event, Kind, encode
from hub.identity.keys import HUB_SITE, Identity
from hub.ledger.admit import Row, admit
from hub.store.schema import cursors


class Born(Protocol):
    """What a hub-born event is made from (``hub.ingest.HubEvent``)."""

    @property
    def kind(self) -> Kind: ...
    @property
    def branch(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def data(self) -> Mapping[str, Any]: ...
    @property
    def rid(self) -> str | None: ...
    @property
    def decision(self) -> Mapping[str, Any] | None: ...
    @property
    def t_eff(self) -> int | None: ...


class JournalError(ValueError):
    """The hub made an event that it would not take from anybody else; a defect of ours. ``code`` says which rule it breaks."""

    def __init__(self, code: str, kind: Kind) -> None:
        super().__init__(f"a hub-born {kind.value} breaks {code}")
        self.code = code


async def hub_rows(
    conn: AsyncConnection,
    names: Identity,
    node: str,
    epoch: str,
    born: Sequence[Born],
    now: int,
    salt: Callable[[], str],
) -> list[Row]:
    """Rows for the log, numbered and chained after what the node has. Raises JournalError."""
    query = select(cursors.c.upto, cursors.c.chain).where(cursors.c.node == node, cursors.c.epoch == epoch)
    row = (await conn.execute(query)).one_or_none()
    seq, previous = (row.upto, row.chain) if row is not None else (0, identity.CHAIN_START)
    out: list[Row] = []
    for one in born:
        seq += 1
        grain, srid = (salt(), names.srid(HUB_SITE, one.rid)) if one.rid is not None else (None, None)
        t = now if one.t_eff is None else one.t_eff
        body = encode(
            Event(
                node, epoch, seq, one.kind, one.branch, one.device, t, t, 0, 0, node, dict(one.data),
                subject=identity.subject(grain, srid) if grain is not None and srid is not None else None,
                decision=dict(one.decision) if one.decision is not None else None,
            )
        )  # fmt: skip
        previous = identity.chain(previous, body)
        judged = admit(node, None, epoch, seq, body, previous, grain, srid, now)
        if judged.event is None:
            raise JournalError(judged.code or "EVENT_FIELD", one.kind)
        out.append(Row(seq, body, previous, grain, srid, judged.event, rid=one.rid))
    return out
