"""The event log: exactly once on (node, epoch, seq), byte for byte, with the contiguous prefix of every node.

``take`` runs inside the caller's transaction under the writer's lock, which is what locks the nodes' cursors. Rows above a hole are
logged and wait; they come out of ``take`` when the hole is filled. The chain is checked link by link over the hashes as stated, so that
one bad row costs itself and not its successors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_, delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.clocks import Clocks
from consortium.events import Event, decode
from consortium.fold import Logged
from consortium.identity import CHAIN_START, chain
from hub.identity.index import readers_of
from hub.ledger.admit import Row
from hub.store.engine import execute_rows, insert, insert_new, upsert
from hub.store.schema import cursors, events, quarantine, strangers, subjects

FORK = "CF_EVENT_FORK"
BROKEN_CHAIN = "EVENT_CHAIN"
MAX_AHEAD = 1_000_000
"""How far above the prefix a row may lie; what is further is not taken, and is sent again when the hole is filled."""

Stream = tuple[str, str]
"""(node, epoch)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one node and epoch, ``seq`` rising without a hole. ``org``: the node's library, under whose key srids are."""

    node: str
    org: str
    epoch: str
    rows: Sequence[Row]

    @property
    def stream(self) -> Stream:
        """(node, epoch)."""
        return (self.node, self.epoch)


@dataclass(slots=True)
class Cursor:
    """What the hub holds of a stream: the prefix, the hash at its end, and the highest seq at all."""

    upto: int = 0
    chain: str = CHAIN_START
    top: int = 0


@dataclass(slots=True)
class Taken:
    """What a transaction changed. ``covered`` are events newly inside a prefix, to be folded now, as their clocks are known now;
    ``positions`` are theirs in the log, by name. ``last_pos`` is 0 where nothing was logged; ``rejected`` has (seq, code) for each
    batch, in their order."""

    covered: list[Logged] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    rejected: list[list[tuple[int, str]]] = field(default_factory=list)
    cursors: dict[Stream, Cursor] = field(default_factory=dict)
    first_pos: int = 0
    last_pos: int = 0
    logged: int = 0
    duplicates: int = 0


@dataclass(slots=True)
class _Held:
    """One seq as held: in the log (``row`` or ``body``), or in quarantine (``code``)."""

    hash: str
    code: str | None = None
    row: Row | None = None
    body: str = ""
    rid: str | None = None
    somebody: bool = False  # identity stands beside it
    pos: int = 0
    linked: bool = True
    stored: bool = False


async def take(conn: AsyncConnection, batches: Sequence[Batch], now: int, clocks: Clocks | None = None) -> Taken:
    """Log what is new of these batches, quarantine what may not enter, and advance the prefixes.

    ``clocks``: what was learned of the nodes' clocks before; None = nothing.
    """
    out = Taken(cursors=await _cursors(conn, {batch.stream for batch in batches}))
    before = {stream: (cursor.upto, cursor.top) for stream, cursor in out.cursors.items()}
    held: dict[Stream, dict[int, _Held]] = {stream: {} for stream in out.cursors}
    forks: list[tuple[Stream, Row]] = []
    for batch in batches:
        out.rejected.append(await _sort_in(conn, batch, out, held[batch.stream], before[batch.stream], forks))
    rids = await _rids(conn, batches, held)
    walked = {
        stream: await _walk(conn, stream, out.cursors[stream], held[stream], before[stream]) for stream in out.cursors
    }
    homes = {batch.stream: batch.org for batch in batches}
    await _write(conn, out, held, rids, homes, forks, now, clocks)
    for stream, covered in walked.items():
        for seq in covered:
            one = held[stream][seq]
            event = one.row.event if one.row is not None else decode(one.body)
            assert event is not None
            if clocks is not None:
                event = clocks.corrected(event)
            if one.row is not None:
                who, somebody = rids.get((stream, seq)), one.row.srid is not None
            else:
                who, somebody = one.rid, one.somebody
            out.covered.append(Logged(event, who, unknown=somebody and who is None))
            out.positions[event.name] = one.pos
    return out


async def _cursors(conn: AsyncConnection, streams: Iterable[Stream]) -> dict[Stream, Cursor]:
    wanted = sorted(streams)
    out = {stream: Cursor() for stream in wanted}
    query = select(cursors).where(tuple_(cursors.c.node, cursors.c.epoch).in_(wanted)).with_for_update()
    for row in await conn.execute(query):
        out[row.node, row.epoch] = Cursor(row.upto, row.chain, row.top)
    return out


async def _sort_in(
    conn: AsyncConnection,
    batch: Batch,
    out: Taken,
    held: dict[int, _Held],
    before: tuple[int, int],
    forks: list[tuple[Stream, Row]],
) -> list[tuple[int, str]]:
    """Tell what is new from what is held already; gives what of the batch is in quarantine."""
    cursor = out.cursors[batch.stream]
    rejected: list[tuple[int, str]] = []
    if batch.rows[0].seq <= before[1]:
        await _recall(conn, batch.stream, held, batch.rows[0].seq - 1, batch.rows[-1].seq)
    stated: str | None = None  # hash of the row before, as this batch states it
    for row in batch.rows:
        if row.seq > before[0] + MAX_AHEAD:
            break
        known = held.get(row.seq)
        if known is not None:
            out.duplicates += 1
            if known.hash != row.hash:
                forks.append((batch.stream, row))
                rejected.append((row.seq, FORK))
            elif known.code is not None:
                rejected.append((row.seq, known.code))
            stated = known.hash
            continue
        if row.seq - 1 in held:
            stated = held[row.seq - 1].hash
        elif row.seq - 1 == before[0]:
            stated = cursor.chain
        code = row.code
        if code is None and stated is not None and chain(stated, row.body) != row.hash:
            code = BROKEN_CHAIN
        held[row.seq] = _Held(row.hash, code, row, linked=stated is not None)
        if code is not None:
            rejected.append((row.seq, code))
        stated = row.hash
        cursor.top = max(cursor.top, row.seq)
    return rejected


async def _recall(conn: AsyncConnection, stream: Stream, held: dict[int, _Held], first: int, last: int) -> None:
    """Learn what the database holds of seqs ``first`` to ``last``; what is known already stays."""
    node, epoch = stream
    e, s = events.c, subjects.c
    beside = events.outerjoin(subjects, and_(e.node == s.node, e.epoch == s.epoch, e.seq == s.seq))
    query = (
        select(e.seq, e.hash, e.body, e.rid, s.srid, e.pos)
        .select_from(beside)
        .where(e.node == node, e.epoch == epoch, e.seq.between(first, last))
    )
    for row in await conn.execute(query):
        stored = _Held(
            row.hash, None, None, row.body, row.rid, row.srid is not None, row.pos, linked=False, stored=True
        )
        held.setdefault(row.seq, stored)
    bad = select(quarantine.c.seq, quarantine.c.hash, quarantine.c.code).where(
        quarantine.c.node == node,
        quarantine.c.epoch == epoch,
        quarantine.c.seq.between(first, last),
        quarantine.c.code != FORK,
    )
    for kept in await conn.execute(bad):
        held.setdefault(kept.seq, _Held(kept.hash, kept.code, stored=True))


async def _rids(
    conn: AsyncConnection, batches: Sequence[Batch], held: dict[Stream, dict[int, _Held]]
) -> dict[tuple[Stream, int], str]:
    wanted: dict[tuple[Stream, int], tuple[str, str]] = {}
    out: dict[tuple[Stream, int], str] = {}
    for batch in batches:
        for row in batch.rows:
            one = held[batch.stream].get(row.seq)
            if one is None or one.row is not row or one.code is not None:
                continue
            if row.rid is not None:
                out[batch.stream, row.seq] = row.rid
            elif row.srid is not None:
                wanted[batch.stream, row.seq] = (batch.org, row.srid)
    known = await readers_of(conn, wanted.values())
    out.update({place: known[name] for place, name in wanted.items() if name in known})
    return out


async def _walk(
    conn: AsyncConnection, stream: Stream, cursor: Cursor, held: dict[int, _Held], before: tuple[int, int]
) -> list[int]:
    """Advance the prefix as far as nothing is missing; gives the seqs that entered it and may be folded."""
    upto, top = before
    if top > upto and cursor.upto + 1 in held:
        await _recall(conn, stream, held, upto + 1, top)
    covered: list[int] = []
    while (one := held.get(cursor.upto + 1)) is not None:
        seq = cursor.upto + 1
        if (
            one.code is None
            and not one.linked
            and chain(cursor.chain, one.row.body if one.row else one.body) != one.hash
        ):
            await _expel(conn, stream, seq, one)
        if one.code is None:
            covered.append(seq)
        cursor.upto, cursor.chain = seq, one.hash
    return covered


async def _expel(conn: AsyncConnection, stream: Stream, seq: int, one: _Held) -> None:
    """A row waited above a hole and does not link to what filled it: it was never acknowledged, so it moves to quarantine."""
    one.code = BROKEN_CHAIN
    if one.row is None:
        node, epoch = stream
        here = (events.c.node == node) & (events.c.epoch == epoch) & (events.c.seq == seq)
        await conn.execute(delete(events).where(here))
        await conn.execute(
            delete(strangers).where(strangers.c.node == node, strangers.c.epoch == epoch, strangers.c.seq == seq)
        )
        one.row = Row(seq, one.body, one.hash, None, None, None, BROKEN_CHAIN)
        one.stored = False


async def _write(
    conn: AsyncConnection,
    out: Taken,
    held: dict[Stream, dict[int, _Held]],
    rids: dict[tuple[Stream, int], str],
    homes: dict[Stream, str],
    forks: list[tuple[Stream, Row]],
    now: int,
    clocks: Clocks | None,
) -> None:
    event_rows: list[dict[str, Any]] = []
    subject_rows: list[dict[str, Any]] = []
    stranger_rows: list[dict[str, Any]] = []
    bad = [_quarantined(stream, row, FORK, now) for stream, row in forks]
    pos = (await conn.execute(select(func.coalesce(func.max(events.c.pos), 0)))).scalar_one()
    out.first_pos = pos + 1
    for stream, seqs in held.items():
        for seq, one in seqs.items():
            if one.stored or one.row is None:
                continue
            if one.code is not None or one.row.event is None:
                bad.append(_quarantined(stream, one.row, one.code or "EVENT_FIELD", now))
                continue
            pos += 1
            one.pos = pos
            rid = rids.get((stream, seq))
            t_eff = one.row.event.t_eff if clocks is None else clocks.corrected(one.row.event).t_eff
            event_rows.append(_event_row(one.row, one.row.event, pos, rid, t_eff, now))
            if one.row.salt is not None:
                name = {"node": stream[0], "epoch": stream[1], "seq": seq}
                subject_rows.append({**name, "salt": one.row.salt, "srid": one.row.srid})
                if rid is None:
                    stranger_rows.append({**name, "org": homes[stream]})
    await execute_rows(conn, insert(conn, events), event_rows)
    await execute_rows(conn, insert(conn, subjects), subject_rows)
    await execute_rows(conn, insert(conn, strangers), stranger_rows)
    await execute_rows(conn, insert_new(conn, quarantine), bad)
    cursor_rows = [
        {"node": node, "epoch": epoch, "upto": c.upto, "chain": c.chain, "t": now, "top": max(c.top, c.upto)}
        for (node, epoch), c in out.cursors.items()
    ]
    await execute_rows(conn, upsert(conn, cursors), cursor_rows)
    out.logged = len(event_rows)
    out.last_pos = pos if event_rows else 0


def _quarantined(stream: Stream, row: Row, code: str, now: int) -> dict[str, Any]:
    return {
        "node": stream[0], "epoch": stream[1], "seq": row.seq, "code": code, "body": row.body, "t_arr": now, "hash": row.hash,
    }  # fmt: skip


def _event_row(row: Row, event: Event, pos: int, rid: str | None, t_eff: int, now: int) -> dict[str, Any]:
    owner, item_no = event.item or (None, None)
    return {
        "pos": pos, "node": event.node, "epoch": event.epoch, "seq": event.seq, "kind": event.kind.value,
        "branch": event.branch, "device": event.device, "t_eff": t_eff, "t_arr": now, "owner": owner,
        "item_no": item_no, "rid": rid, "body": row.body, "hash": row.hash,
    }  # fmt: skip
