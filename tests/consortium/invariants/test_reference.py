"""Two readings of the domain meet: whatever happens to an item, the checker's reference tells what the fold folds (I6)."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from consortium.events import Event, Kind
from consortium.fold import Logged, fold_item
from consortium.invariants import History
from consortium.invariants.case import ItemCase
from consortium.invariants.history import ItemRows
from consortium.invariants.reading import Clocks
from consortium.invariants.refold import RefoldsAlike
from tests.consortium.invariants.world import MINUTE, SIGNED, World
from tests.make import DAY, HOME, HOST, HOUR, NOW, THIRD

BRANCHES = (f"{HOST}-01", f"{THIRD}-01", f"{HOME}-01")
NODES = ("edge-990001-01", "edge-990002-01", "hub-1")
READERS = ("r1", "r2")
GAPS = (0, 30, 20_000, 119_000, 121_000, 5 * MINUTE, HOUR, DAY - 1, DAY, 3 * DAY, 20 * DAY, 40 * DAY)
TERMS: tuple[dict[str, int], ...] = (
    {},
    {"period_days": 30, "renewals": 1},
    {"period_days": 30, "renewals": 3, "renew_window_days": 7, "grace_days": 2},
)
KINDS = (
    *[Kind.CHECKOUT] * 5, *[Kind.RETURN] * 5, *[Kind.RECEIVE] * 2, *[Kind.RENEW] * 2, Kind.IN_USE, Kind.TRANSIT_BAGGED,
    Kind.TRANSIT_SENT,
    Kind.TRANSIT_SEEN, Kind.TRANSIT_CANCELLED, *[Kind.ITEM_MARKED] * 3, Kind.LOAN_ENDED, Kind.LOAN_EXTENDED, *[Kind.ILS_OBSERVED] * 3,
)  # fmt: skip


def _data(draw: random.Random, kind: Kind, at: int) -> dict[str, Any]:
    due = at + draw.choice((DAY, 10 * DAY, 30 * DAY))
    branch = draw.choice(BRANCHES)
    override = {"override": SIGNED} if draw.random() < 0.2 else {}
    if kind is Kind.CHECKOUT:
        terms = draw.choice(TERMS)
        return {"type": "BOOK", "home": HOME, "due": due, **({"terms": terms} if terms else {}), **override}
    if kind is Kind.RENEW:
        return {"home": HOME, "due": due, **override}
    if kind in (Kind.RETURN, Kind.RECEIVE):
        action = draw.choice(("SHELVE", "STAY", "HOLD", "HOLD_HERE", "DESK", "TRANSIT", "TRANSIT", "TRANSIT"))
        route = {"action": action, "dest": branch, "reason": draw.choice(("HOME", "HOLD", "UNKNOWN"))}
        if draw.random() < 0.3:
            route["via"] = draw.choice(BRANCHES)
        credit = {"t_credit": at - draw.choice((0, HOUR, 9 * DAY))} if draw.random() < 0.3 else {}
        return {"route": route, "code": "RETURN_HOME", **credit}
    if kind in (Kind.TRANSIT_BAGGED, Kind.TRANSIT_SENT, Kind.TRANSIT_SEEN):
        return {"to": branch, "bag": "B1"}
    if kind is Kind.ITEM_MARKED:
        return {
            "mark": draw.choice(("MISSING", "LOST", "CLAIMED_RETURNED", "WITHDRAWN", "FOUND", "DAMAGED")),
            **override,
        }
    if kind is Kind.LOAN_ENDED:
        return {"end": draw.choice(("LOST_PAID", "STAFF")), **override}
    if kind is Kind.LOAN_EXTENDED:
        return {"due": due}
    if kind is Kind.ILS_OBSERVED:
        what = draw.choice(("LOAN", "LOAN", "RENEWAL", "RETURN", "RETURN", "FEE", "ITEM"))
        more = {"due": due} if draw.random() < 0.7 else {}
        return {
            "what": what,
            "as_of": at,
            "status": draw.choice(("", "MISSING", "LOST", "WITHDRAWN", "ON_SHELF")),
            **more,
        }
    return {}


def story(seed: int, length: int) -> World:
    """A random life of one item: all kinds of events, near and far in time, from several nodes, some of them sent again."""
    draw, made, at = random.Random(seed), World(), NOW
    for _ in range(length):
        at += draw.choice(GAPS)
        kind = draw.choice(KINDS)
        who = draw.choice(READERS) if kind in (Kind.CHECKOUT, Kind.RENEW) or draw.random() < 0.3 else None
        name = made.add(
            kind, at, node=draw.choice(NODES), who=who, item=(HOST, "1001"), data=_data(draw, kind, at),
            branch=draw.choice(BRANCHES), device=draw.choice(("kiosk1", "kiosk2")), t_unc=draw.choice((0, 50, 60_000)),
        )  # fmt: skip
        if who and draw.random() < 0.1:
            made.erased.add(name)
        if draw.random() < 0.1:
            _again(draw, made, made.event(name))
    return made


def _again(draw: random.Random, made: World, event: Event) -> None:
    name = made.add(
        event.kind, event.t_eff + draw.choice((0, 1, HOUR)), node=event.node, epoch="e2", data=event.data, branch=event.branch,
        device=event.device, who=made.who.get(str(event.id)), reissue_of=str(event.id),
    )  # fmt: skip
    if str(event.id) in made.erased:
        made.erased.add(name)


def differences(history: History) -> list[tuple[str, str]]:
    """What I6 has to say."""
    check = RefoldsAlike()
    for rows in history.by_item():
        check.look(ItemCase.of(rows, history.cursors, Clocks(())))
    finding = check.result()
    return [pair for pair in zip(finding.offending, finding.why, strict=True) if pair[0] != "the log"]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1 << 40), st.integers(1, 40))
@example(1, 40)
def test_whatever_happens_the_reference_tells_what_the_fold_folds(seed: int, length: int) -> None:
    assert differences(story(seed, length).history()) == []


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1 << 40), st.randoms(use_true_random=False))
def test_neither_order_nor_number_changes_the_story(seed: int, shuffle: random.Random) -> None:
    history = story(seed, 20).history()
    rows = next(iter(history.by_item()))
    mixed = [*rows.rows, *shuffle.sample(rows.rows, len(rows.rows) // 2)]
    shuffle.shuffle(mixed)
    again = ItemRows(
        rows.owner, rows.item_no, rows.owner_branch, mixed, rows.state, rows.loans, rows.transits, rows.conflicts
    )
    first, second = (ItemCase.of(one, history.cursors, Clocks(())).story for one in (rows, again))
    assert first == second


def test_the_stories_reach_every_corner() -> None:
    kinds, ends, states = set(), set(), set()
    for seed in range(150):
        made = story(seed, 30)
        logged = [Logged(one, made.who.get(str(one.id))) for one in made.events]
        state = fold_item(HOST, "1001", f"{HOST}-01", logged)
        kinds |= {conflict.kind for conflict in state.conflicts}
        ends |= {loan.end_kind for loan in state.loans}
        states |= {transit.state for transit in state.transits}
    assert len(kinds) >= 6
    assert len(ends) == 6  # five ways to end, and open
    assert len(states) >= 8
