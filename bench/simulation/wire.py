"""Between outbox and hub: offline spells, batches, resends, overtaking. The result is the order in which the hub sees the rows."""

from __future__ import annotations

import random
from collections.abc import Iterable

from bench.simulation.edges import Edge, Row
from bench.simulation.plan import MINUTE, START, Wire


def arrivals(edges: Iterable[Edge], wire: Wire, chance: random.Random, end: int) -> list[Row]:
    """Every row that reaches the hub, as often as it does, in order of arrival. All edges come online at ``end`` at the latest."""
    seen: list[tuple[int, int, Row]] = []
    for edge in edges:
        rows = [row for row in edge.rows if not row.lost]
        for at, batch in _sent(rows, edge.restarts, _online(wire, chance, end), wire, chance):
            seen.extend((at, len(seen) + n, row) for n, row in enumerate(batch))
    seen.sort(key=lambda one: one[:2])
    return [row for _, _, row in seen]


def taken(rows: Iterable[Row]) -> list[Row]:
    """The rows as a hub takes them: one above a hole in its epoch's numbers waits until the hole is filled, or for ever (domain §6).

    Doubles are left in; who folds has to bear them.
    """
    upto: dict[tuple[str, str], int] = {}
    waiting: dict[tuple[str, str], dict[int, Row]] = {}
    out = []
    for row in rows:
        key = (row.event.node, row.event.epoch)
        held = waiting.setdefault(key, {})
        held[row.event.seq] = row
        if row.event.seq <= upto.get(key, 0):
            out.append(held.pop(row.event.seq))
        while (following := held.pop(upto.get(key, 0) + 1, None)) is not None:
            out.append(following)
            upto[key] = following.event.seq
    return out


def _online(wire: Wire, chance: random.Random, end: int) -> list[tuple[int, int]]:
    """The spells in which an edge has a network, up to ``end``; after that always."""
    spells = []
    now = START
    online = chance.random() >= wire.offline
    while now < end and wire.offline > 0:
        share = (1 - wire.offline) if online else wire.offline
        until = now + max(MINUTE, round(chance.expovariate(1 / (2 * share * wire.spell_ms))))
        if online:
            spells.append((now, min(until, end)))
        now, online = until, not online
    return [*spells, (end if wire.offline > 0 else START, 1 << 60)]


def _sent(
    rows: list[Row], restarts: list[int], spells: list[tuple[int, int]], wire: Wire, chance: random.Random
) -> Iterable[tuple[int, list[Row]]]:
    """Each batch an edge sends and when it is logged; some twice, some late, some before those that went earlier."""
    waiting = 0  # rows before this one were sent
    unacked = (0, 0)  # when a sending began, and with which row
    restarts = sorted(restarts)
    for n, (begin, until) in enumerate(spells):
        back = spells[n + 1][0] if n + 1 < len(spells) else until
        now = begin
        while waiting < len(rows):
            now = max(now, rows[waiting].ready + chance.randint(0, wire.flush_ms))
            if now >= until:
                break
            if restarts and restarts[0] <= now:
                down = restarts.pop(0)
                if down - unacked[0] < 2 * MINUTE:  # the acks for these were lost with it
                    waiting = unacked[1]
            if now - unacked[0] > MINUTE:
                unacked = (now, waiting)
            batch = [row for row in rows[waiting : waiting + chance.randint(1, wire.batch)] if row.ready <= now]
            waiting += len(batch)
            yield from _delivered(now, back, batch, wire, chance)
            now += chance.randint(50, 500)


def _delivered(
    now: int, back: int, batch: list[Row], wire: Wire, chance: random.Random
) -> Iterable[tuple[int, list[Row]]]:
    late = round(chance.expovariate(1 / wire.late_ms)) if chance.random() < wire.overtaken else 0
    shuffled = chance.sample(batch, len(batch)) if chance.random() < wire.overtaken else batch
    yield now + late + chance.randint(20, 400), shuffled
    if chance.random() < wire.resent:
        # No ack in ten seconds: the hub died between its commit and the ack, or the network went and the ack with it.
        again = now + 10_000 if chance.random() < 0.5 else max(back, now + 10_000)
        yield again + round(chance.expovariate(1 / wire.late_ms)), batch
