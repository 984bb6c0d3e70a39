"""The refold: laws that hold for any history, then each row of the state table."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.events import Kind
from consortium.facts import ItemStatus
from consortium.fold import Logged, apply, fold_item, fold_visits
from consortium.states import EndKind, Fate, OutKind, TransitState
from tests.make import HOME, HOST, NOW, THIRD, Make

ITEM = (HOST, "1001", f"{HOST}-01")
MINUTE = 60_000


def fold(*events: Logged):
    return fold_item(*ITEM, events)


def away(seq: int, at: int, branch: str = f"{THIRD}-01", node: str = "edge-990002-01") -> Logged:
    route = {"action": "TRANSIT", "dest": f"{HOST}-01", "reason": "HOME"}
    return Make.logged(
        Kind.RETURN, seq, at=at, node=node, branch=branch, data={"route": route, "code": "RETURN_TRANSIT"}
    )


@st.composite
def histories(draw) -> list[Logged]:
    """Any sequence of item events of three nodes: clocks may tie, readers and branches vary."""
    events = []
    for seq in range(1, draw(st.integers(1, 14)) + 1):
        kind = draw(st.sampled_from([Kind.CHECKOUT, Kind.RENEW, Kind.RETURN, Kind.RECEIVE, Kind.TRANSIT_SENT]))
        org = draw(st.sampled_from([HOME, HOST, THIRD]))
        at = NOW + draw(st.integers(0, 20)) * MINUTE
        more = {}
        if kind in (Kind.RETURN, Kind.RECEIVE) and draw(st.booleans()):
            dest = f"{draw(st.sampled_from([HOME, HOST, THIRD]))}-01"
            more = {"data": {"route": {"action": "TRANSIT", "dest": dest, "reason": "HOME"}, "code": "RETURN_TRANSIT"}}
        who = draw(st.sampled_from(["r1", "r2", None]))
        events.append(Make.logged(kind, seq, who, at=at, node=f"edge-{org}-01", branch=f"{org}-01", **more))
    return events


@given(histories(), st.randoms(use_true_random=False))
def test_arrival_order_and_doubles_do_not_matter(events: list[Logged], rng: random.Random):
    shuffled = [*events, *rng.sample(events, len(events) // 2)]
    rng.shuffle(shuffled)
    assert fold(*shuffled) == fold(*events)


@given(histories())
def test_folding_one_by_one_in_order_is_the_same_as_refolding(events: list[Logged]):
    ordered = sorted({logged.event.id: logged for logged in events}.values(), key=lambda logged: logged.event.order)
    history = fold(ordered[0])
    for logged in ordered[1:]:
        apply(history, logged)
    assert history == fold(*events)


@given(histories())
def test_at_most_one_loan_and_one_transit_is_open_and_never_both(events: list[Logged]):
    history = fold(*events)
    open_loans = [loan for loan in history.loans if loan.open]
    open_transits = [transit for transit in history.transits if transit.open]
    assert len(open_loans) <= 1
    assert len(open_transits) <= 1
    assert not (open_loans and open_transits)
    assert bool(open_loans) == (history.status is ItemStatus.ON_LOAN)


@given(histories())
def test_every_checkout_has_exactly_one_fate_and_no_due_date_shrinks(events: list[Logged]):
    history = fold(*events)
    checkouts = {str(e.event.id): e.event for e in events if e.event.kind is Kind.CHECKOUT}
    assert set(history.fates) == set(checkouts)
    assert {loan.id for loan in history.loans} == {i for i, fate in history.fates.items() if fate is Fate.LOAN}
    for loan in history.loans:
        assert loan.due >= checkouts[loan.id].data["due"]
        assert loan.t_end is None or loan.t_end >= loan.t_out


def test_an_event_before_the_last_one_folded_is_not_applied():
    history = fold(Make.logged(Kind.CHECKOUT, 2, at=NOW))
    with pytest.raises(ValueError, match="order"):
        apply(history, Make.logged(Kind.RETURN, 1, at=NOW - 1))


def test_a_checkout_opens_a_loan():
    history = fold(Make.logged(Kind.CHECKOUT, 1))
    assert (history.status, history.loan.who, history.loan.t_out) == (ItemStatus.ON_LOAN, "r1", NOW)


def test_another_readers_checkout_ends_the_first_loan_with_a_conflict():
    history = fold(Make.logged(Kind.CHECKOUT, 1), Make.logged(Kind.CHECKOUT, 2, "r2", at=NOW + MINUTE))
    first, second = history.loans
    assert (first.end_kind, first.t_end, second.open) == (EndKind.IMPLIED_RETURN, NOW + MINUTE, True)
    assert [conflict.kind for conflict in history.conflicts] == ["CF_IMPLIED_RETURN"]


@pytest.mark.parametrize(("later", "fate"), [(120_000, Fate.DUPLICATE), (120_001, Fate.RENEWAL)])
def test_the_same_reader_again_is_a_double_scan_and_later_a_renewal(later, fate):
    history = fold(Make.logged(Kind.CHECKOUT, 1), Make.logged(Kind.CHECKOUT, 2, at=NOW + later))
    assert history.fates["edge-990001-01/e1/2"] is fate
    assert len(history.loans) == 1


def test_the_same_reader_at_another_machine_at_once_is_no_double_scan():
    history = fold(Make.logged(Kind.CHECKOUT, 1), Make.logged(Kind.CHECKOUT, 2, at=NOW + 1000, device="kiosk2"))
    assert history.fates["edge-990001-01/e1/2"] is Fate.RENEWAL


def test_an_erased_reader_is_still_told_from_another():
    history = fold(
        Make.logged(Kind.CHECKOUT, 1, None, subject="a" * 64),
        Make.logged(Kind.CHECKOUT, 2, None, at=NOW + 1, subject="b" * 64),
    )
    assert len(history.loans) == 2


def test_a_return_away_opens_a_transit_and_its_arrival_ends_it():
    history = fold(
        Make.logged(Kind.CHECKOUT, 1),
        away(1, NOW + MINUTE),
        Make.logged(Kind.TRANSIT_SENT, 2, at=NOW + 2 * MINUTE, node="edge-990002-01", branch=f"{THIRD}-01"),
    )
    assert (history.status, history.transit.state, history.transit.to) == (
        ItemStatus.IN_TRANSIT, TransitState.SENT, f"{HOST}-01",
    )  # fmt: skip
    apply(history, Make.logged(Kind.RECEIVE, 9, at=NOW + 3 * MINUTE))
    assert (history.status, history.branch, history.transits[0].state) == (
        ItemStatus.SHELVED, f"{HOST}-01", TransitState.RECEIVED,
    )  # fmt: skip


def test_an_item_in_transit_seen_elsewhere_keeps_its_journey():
    history = fold(
        Make.logged(Kind.CHECKOUT, 1), away(1, NOW + MINUTE), away(1, NOW + 2 * MINUTE, f"{HOME}-01", "edge-251020-01")
    )
    assert len(history.transits) == 1
    assert (history.transit.state, history.transit.legs) == (TransitState.MISROUTED, [f"{HOME}-01"])


def test_borrowed_on_the_way_the_journey_is_superseded():
    history = fold(
        Make.logged(Kind.CHECKOUT, 1), away(1, NOW + MINUTE), Make.logged(Kind.CHECKOUT, 2, "r2", at=NOW + 2 * MINUTE)
    )
    assert history.transits[0].state is TransitState.SUPERSEDED
    assert history.conflicts == []


def test_a_return_without_a_loan_is_a_conflict_only_where_the_item_had_not_been():
    assert fold(Make.logged(Kind.RETURN, 1)).conflicts == []
    elsewhere = fold(away(1, NOW))
    assert [conflict.kind for conflict in elsewhere.conflicts] == ["CF_RETURN_NO_LOAN"]


def test_a_return_that_arrives_late_ends_the_loan_it_was_about():
    first, back, second = (
        Make.logged(Kind.CHECKOUT, 1),
        Make.logged(Kind.RETURN, 2, at=NOW + MINUTE),
        Make.logged(Kind.CHECKOUT, 3, "r2", at=NOW + 2 * MINUTE),
    )
    assert [c.kind for c in fold(first, second).conflicts] == ["CF_IMPLIED_RETURN"]
    healed = fold(first, second, back)
    assert healed.conflicts == []
    assert healed.loans[0].end_kind is EndKind.RETURN


def test_a_renewal_of_a_loan_that_is_not_the_readers_is_a_conflict():
    history = fold(Make.logged(Kind.CHECKOUT, 1), Make.logged(Kind.RENEW, 2, "r2", at=NOW + 1))
    assert [conflict.kind for conflict in history.conflicts] == ["CF_RENEW_NOT_ALLOWED"]


def test_visits_pair_entries_with_exits_and_close_a_forgotten_one_at_the_next_entry():
    events = [
        Make.logged(Kind.ENTRY, 1, at=NOW),
        Make.logged(Kind.EXIT, 2, at=NOW + 5),
        Make.logged(Kind.EXIT, 3, at=NOW + 6),
        Make.logged(Kind.ENTRY, 4, at=NOW + 10),
        Make.logged(Kind.ENTRY, 5, at=NOW + 20),
    ]
    visits = fold_visits([*reversed(events), events[0]])
    assert [(v.t_in - NOW, v.t_out and v.t_out - NOW, v.out_kind) for v in visits] == [
        (0, 5, OutKind.EXIT), (10, 20, OutKind.NEXT_ENTRY), (20, None, None),
    ]  # fmt: skip
