"""Clocks that are wrong by more than they know, and what a later measurement makes of them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from bench.simulation.edges import Row
from bench.simulation.plan import START
from consortium.clocks import Clocks
from consortium.events import ITEM_KINDS, Event, Kind


def turnover_gap(rows: Iterable[Row]) -> int:
    """Mean time between two successive events about the same item, ms."""
    times: dict[tuple[str, str], set[int]] = defaultdict(set)
    for row in rows:
        event = row.event
        if event.item is not None and event.kind in ITEM_KINDS:
            times[event.item].add(event.t_eff)
    gaps = [b - a for seen in times.values() for a, b in zip(sorted(seen), sorted(seen)[1:], strict=False)]
    return round(sum(gaps) / max(1, len(gaps)))


def blurred(rows: list[Row], share: float, chance: random.Random) -> list[Row]:
    """The same rows from edges whose clocks are off by up to ``share`` of the mean turnover gap, each by its own amount throughout."""
    unc = round(share * turnover_gap(rows))
    error = {
        node: round(chance.uniform(-1, 1) * unc)
        for node in sorted({row.event.node for row in rows if not _of_hub(row.event)})
    }
    return [
        replace(row, event=replace(row.event, t_eff=row.event.t_eff + error[row.event.node], t_unc=unc))
        if row.event.node in error
        else row
        for row in rows
    ]


def _of_hub(event: Event) -> bool:
    return event.node.startswith("hub-")


def corrected(rows: list[Row]) -> list[Row]:
    """The rows as they are known once each boot's clock was measured: one CLOCK_CORRECTED for each stretch of one offset."""
    clocks = Clocks(measurements(rows))
    return [replace(row, event=clocks.corrected(row.event)) for row in rows]


def measurements(rows: Iterable[Row]) -> list[Event]:
    """CLOCK_CORRECTED events that say what the clocks of all edges really showed."""
    logged: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for row in rows:
        event = row.event
        if not _of_hub(event):
            logged[event.node, event.epoch][event.seq] = row.acted - event.t_dev
    out: list[Event] = []
    for (node, epoch), offsets in logged.items():
        stretch: list[int] = []
        for seq, offset in sorted(offsets.items()):
            if stretch and offset != offsets[stretch[0]]:
                out.append(_measured(node, epoch, stretch, offsets[stretch[0]], len(out) + 1))
                stretch = []
            stretch.append(seq)
        out.append(_measured(node, epoch, stretch, offsets[stretch[0]], len(out) + 1))
    return out


def _measured(node: str, epoch: str, stretch: list[int], offset: int, seq: int) -> Event:
    data = {"node": node, "epoch": epoch, "first": stretch[0], "last": stretch[-1], "offset": offset, "unc": 0}
    return Event("hub-1", "0", seq, Kind.CLOCK_CORRECTED, "990001-01", "hub", START, START, 0, 0, "b1", data)
