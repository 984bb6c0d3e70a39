"""One seed, one world, one verdict: what ``make proof`` asks ten thousand times."""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace

from bench.simulation.edges import Row
from bench.simulation.measure import (
    Figures,
    Key,
    by_item,
    compare,
    folded,
    our_books,
    rival_books,
    wrong_visits,
)
from bench.simulation.plan import DAY, HOUR, SMALL, Habits, Plan, Wire
from bench.simulation.rivals import RULES, deduped
from bench.simulation.truth import Truth
from bench.simulation.wire import taken
from bench.simulation.world import Told, tell
from consortium.fold import Logged, fold_item
from consortium.states import ItemHistory
from consortium.timeline import Timeline

OURS = "refold"


@dataclass(slots=True)
class Verdict:
    """What one seed showed: figures of every rule, and every way in which ours is not as it must be."""

    seed: int
    figures: dict[str, Figures]
    faults: list[str] = field(default_factory=list)


def small_world(seed: int) -> Plan:
    """A small consortium, each a little different: how many branches and items, how long offline, how careless its people."""
    chance = random.Random(f"plan {seed}")
    careless = chance.choice((0.5, 1, 1, 3))
    usual = Habits()
    habits = replace(
        usual,
        kept_ms=chance.choice((6 * HOUR, DAY, 3 * DAY)),
        **{
            name: getattr(usual, name) * careless
            for name in (
                "double_scan", "double_return", "forgets_scan", "hands_over", "same_instant", "keyed_later", "keyed_return", "loses",
                "claims", "snatched", "misrouted", "unscanned_arrival", "missing_per_day",
            )
        },
    )  # fmt: skip
    wire = Wire(
        offline=chance.choice((0.0, 0.2, 0.5, 0.5, 0.8)),
        spell_ms=chance.choice((HOUR, 6 * HOUR, DAY, 3 * DAY)),
        resent=chance.choice((0.0, 0.3, 0.3, 0.8)),
        late_ms=chance.choice((60_000, HOUR, 8 * HOUR)),
        batch=chance.choice((1, 5, 20)),
    )
    items = chance.choice((3, 8, 20, 40))
    return replace(
        SMALL, branches=chance.randint(2, 7), items=items, readers=chance.choice((3, 10, 25)), habits=habits, wire=wire
    )


def compared(truth: Truth, rows: list[Row], histories: dict[Key, ItemHistory]) -> dict[str, Figures]:
    """All rules over the same rows."""
    out = {OURS: compare(truth, our_books(truth, histories.values()))}
    once = deduped(rows)
    for name, rule in RULES.items():
        for suffix, given in (("", rows), ("_deduped", once)):
            ledger = rule()
            ledger.take(given)
            out[name + suffix] = compare(truth, rival_books(truth, ledger))
    return out


def examine(seed: int, plan: Plan | None = None) -> Verdict:
    """Tell the world of that seed over its wires with trusted clocks and look at what our refold makes of it."""
    told = tell(plan or small_world(seed), seed)
    taken_in = taken(told.arrived)
    logged = by_item(taken_in)
    histories = folded(told.truth, logged)
    verdict = Verdict(seed, compared(told.truth, told.arrived, histories))
    ours = verdict.figures[OURS]
    if ours.wrong:
        verdict.faults.append(
            f"{ours.missing} loans missing, {ours.ghosts} ghosts, {ours.wrong_holder} wrong holders, {ours.wrong_place} wrong places"
        )
    if lost := wrong_visits(told.truth, taken_in):
        verdict.faults.append(f"{lost} visits not as they were")
    chance = random.Random(f"orders {seed}")
    for item in told.truth.items:
        key = (item.owner, item.item_no)
        if key in logged:
            verdict.faults += [
                f"{'/'.join(key)}: {fault}" for fault in _laws(key, item.branch, logged[key], histories[key], chance)
            ]
    return verdict


def _laws(key: Key, branch: str, events: list[Logged], history: ItemHistory, chance: random.Random) -> list[str]:
    """Incremental = batch, at the end and on the way there; another order and more doubles change nothing."""
    faults = []
    stop = chance.randint(1, len(events))
    timeline = Timeline(*key, branch)
    for n, logged in enumerate(events, 1):
        timeline.insert(logged)
        if n == stop and timeline.history != fold_item(*key, branch, events[:n]):
            faults.append(f"after {n} of {len(events)} arrivals the timeline is not the fold")
    if timeline.history != history:
        faults.append("after the last arrival the timeline is not the fold")
    shuffled = [*events, *chance.sample(events, len(events) // 2)]
    chance.shuffle(shuffled)
    if fold_item(*key, branch, shuffled) != history:
        faults.append("another order of arrival gives another history")
    return faults


def prove(seeds: Sequence[int], workers: int | None = None) -> tuple[dict[str, Figures], list[Verdict]]:
    """Examine all these worlds on ``workers`` processes (default: one a core); totals of every rule, and the verdicts with a fault."""
    totals: dict[str, Figures] = {}
    faulty: list[Verdict] = []
    blocks = [seeds[n : n + _BLOCK] for n in range(0, len(seeds), _BLOCK)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers or os.cpu_count(), spawn, initializer=_end_with_parent) as pool:
        for figures, found in pool.map(_examine_block, blocks):
            faulty += found
            for name, one in figures.items():
                totals.setdefault(name, Figures()).add(one)
    return totals, faulty


_BLOCK = 50


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for its next block for ever."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _examine_block(seeds: Sequence[int]) -> tuple[dict[str, Figures], list[Verdict]]:
    totals: dict[str, Figures] = {}
    faulty = []
    for seed in seeds:
        verdict = examine(seed)
        if verdict.faults:
            faulty.append(verdict)
        for name, figures in verdict.figures.items():
            totals.setdefault(name, Figures()).add(figures)
    return totals, faulty


def complaint(faulty: Sequence[Verdict]) -> str:
    """Which seeds are not as they must be, and what to run to see one again."""
    lines = [f"{len(faulty)} seeds are not as it truly was"]
    for verdict in faulty[:5]:
        lines += [
            f"seed {verdict.seed}: {'; '.join(verdict.faults[:3])}",
            f"  python -m bench.simulation {verdict.seed}",
        ]
    return "\n".join(lines)


def offending(told: Told) -> list[str]:
    """For a replay: every loan that ours and the truth have differently, with the item's events in their order."""
    truth = told.truth
    logged = by_item(taken(told.arrived))
    books = our_books(truth, folded(truth, logged).values())
    key_of = [(item.owner, item.item_no) for item in truth.items]
    ours = {(key, who, begun, ended) for key, who, begun, ended in books.loans}
    true = {(key_of[loan.item], loan.who, loan.begun, loan.ended) for loan in truth.loans}
    lines = []
    for key in sorted({one[0] for one in ours ^ true}):
        for title, loans in (("only in truth", true - ours), ("only in ours", ours - true)):
            for _, who, begun, ended in sorted((one for one in loans if one[0] == key), key=lambda one: one[2]):
                lines.append(f"{'/'.join(key)} {title}: reader {who[:6]} act {begun} to {ended}")
        once = {str(one.event.id): one for one in logged[key]}
        for one in sorted(once.values(), key=lambda one: one.event.order):
            event = one.event
            route = event.data.get("route", {}).get("action", event.data.get("mark", ""))
            again = f" again {event.reissue_of}" if event.reissue_of else ""
            lines.append(
                f"  {event.t_eff} {event.id} act {truth.act_of[str(event.id)]} {event.kind} {(one.who or '')[:6]} {route}{again}"
            )
    return lines
