"""Laws of the folds over any history: order and doubles do not matter, one loan at a time, no promise shortened, no CHECKOUT lost."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings

from consortium.events import Kind
from consortium.facts import ItemStatus
from consortium.fold import Logged, apply, begin, fold_visits, sift
from consortium.holds import fold_holds
from consortium.states import EndKind, Fate
from tests.consortium.histories import (
    HERE,
    ITEM,
    MINUTE,
    Story,
    any_history,
    any_visits,
    fold,
    lent,
    seeds,
    shuffled,
)
from tests.make import NOW, Make

LENT = {ItemStatus.ON_LOAN, ItemStatus.LOST, ItemStatus.CLAIMED_RETURNED}


@given(seeds)
def test_an_items_history_is_the_same_in_any_order_with_doubles_reissues_and_forks(rng: random.Random):
    events = any_history(rng)
    assert fold(shuffled(events, rng)) == fold(events)


@given(seeds)
def test_visits_are_the_same_in_any_order(rng: random.Random):
    events = any_visits(rng)
    assert fold_visits(shuffled(events, rng)) == fold_visits(events)


@given(seeds)
def test_holds_are_the_same_in_any_order(rng: random.Random):
    events = any_history(rng, holds=True)
    assert fold_holds(shuffled(events, rng)) == fold_holds(events)


@given(seeds)
def test_folding_on_in_order_is_the_same_as_refolding(rng: random.Random):
    sifted = sift(any_history(rng))
    history = begin(*ITEM, sifted)
    for logged in sifted.kept:
        apply(history, logged)
    assert history == fold(sifted.kept) or sifted.doubles or sifted.forks


@given(seeds)
def test_at_every_instant_one_loan_or_one_transit_or_neither(rng: random.Random):
    sifted = sift(any_history(rng, 25))
    history = begin(*ITEM, sifted)
    for logged in sifted.kept:
        apply(history, logged)
        open_loans = [loan for loan in history.loans if loan.open]
        open_transits = [transit for transit in history.transits if transit.open]
        assert len(open_loans) + len(open_transits) <= 1
        assert open_loans == [history.loan] * len(open_loans)
        assert open_transits == [history.transit] * len(open_transits)
        assert not open_loans or history.status in LENT
        assert open_loans or history.status is not ItemStatus.ON_LOAN
        assert bool(open_transits) == (history.status is ItemStatus.IN_TRANSIT)
        assert history.branch in {"990001-01", "990001-02", "990002-01", "251020-01"}


@given(seeds)
def test_every_checkout_has_one_fate_or_was_a_double(rng: random.Random):
    events = any_history(rng)
    history = fold(events)
    checkouts = {one.event.name for one in events if one.event.kind is Kind.CHECKOUT}
    assert set(history.fates) | set(history.doubles) == checkouts
    assert not set(history.fates) & set(history.doubles)
    ours = [loan.id for loan in history.loans if not loan.observed]
    assert len(ours) == len(set(ours))
    assert set(ours) == {name for name, fate in history.fates.items() if fate is Fate.LOAN}
    renewals = {name for loan in history.loans for name in loan.renewals}
    assert {name for name, fate in history.fates.items() if fate is Fate.RENEWAL} == renewals & checkouts


@given(seeds)
def test_no_due_date_is_ever_shortened_and_every_end_is_told(rng: random.Random):
    sifted = sift(any_history(rng, 25))
    history = begin(*ITEM, sifted)
    due: dict[str, int] = {}
    for logged in sifted.kept:
        apply(history, logged)
        for loan in history.loans:
            assert loan.due >= due.get(loan.id, 0)
            due[loan.id] = loan.due
    printed = {one.event.name: one.event.data["due"] for one in sifted.kept if "due" in one.event.data}
    conflicts = {one.kind: one for one in history.conflicts}
    ends = [loan.end_event for loan in history.loans if not loan.open]
    assert len(ends) == len(set(ends))
    for loan in history.loans:
        assert loan.due >= max(printed[name] for name in (loan.id, *loan.renewals))
        assert loan.open == (loan.end_kind is None) == (loan.end_event is None) == (loan.end_place is None)
        assert loan.t_end is None or loan.t_end >= loan.t_out
        assert loan.end_kind is not EndKind.IMPLIED_RETURN or "CF_IMPLIED_RETURN" in conflicts


@settings(max_examples=30)
@given(seeds)
def test_a_fold_takes_nothing_from_the_events_it_reads(rng: random.Random):
    events = any_history(rng)
    before = copy.deepcopy(events)
    fold(events)
    assert events == before


def test_an_event_is_never_folded_twice():
    history = fold(lent().events)
    with pytest.raises(ValueError, match="in order"):
        apply(history, lent().events[0])


# --- the same event again, re-issued, or another under its id ---


def _reissued(logged: Logged, seq: int = 9, **changes: object) -> Logged:
    event = logged.event
    return replace(logged, event=replace(event, epoch="e2", seq=seq, reissue_of=event.name, **changes))


def _in_every_order(*events: Logged) -> None:
    results = [fold(order) for order in permutations(events)]
    assert all(result == results[0] for result in results)


def test_a_reissued_checkout_is_one_loan_under_its_first_id():
    first = lent().events[0]
    again, twice = _reissued(first), _reissued(first, 10)
    for events in permutations([first, again, twice]):
        history = fold(events)
        assert [loan.id for loan in history.loans] == [first.event.name]
        assert history.doubles == sorted([again.event.name, twice.event.name])


def test_of_reissues_alone_the_first_in_order_stands_for_all():
    first = lent().events[0]
    early, late = _reissued(first, 9), _reissued(first, 10)
    for events in ([early, late], [late, early]):
        history = fold(events)
        assert [loan.id for loan in history.loans] == [early.event.name]
        assert history.doubles == [late.event.name]


def test_the_original_stands_for_its_reissue_though_that_is_earlier_in_order():
    first = lent().events[0]
    early = _reissued(first, t_eff=first.event.t_eff - MINUTE)
    for events in ([first, early], [early, first]):
        assert [loan.id for loan in fold(events).loans] == [first.event.name]


def test_a_reissued_return_is_no_double_of_a_checkout():
    story = lent().then(Kind.RETURN)
    history = fold([*story.events, _reissued(story.events[1])])
    assert history.doubles == []
    assert len(history.loans) == 1
    assert history.conflicts == []


def test_two_events_under_one_id_are_a_fork_and_the_first_by_text_is_held():
    first = lent(due=NOW + 1).events[0]
    other = replace(first, event=replace(first.event, data={**first.event.data, "due": NOW + 2}))
    for events in ([first, other], [other, first], [other, first, other]):
        history = fold(events)
        assert [(one.kind, one.events, one.t) for one in history.conflicts] == [
            ("CF_EVENT_FORK", [first.event.name], first.event.t_eff)
        ]
        assert history.conflicts[0].id == f"CF_EVENT_FORK:{first.event.name}"
        assert [loan.due for loan in history.loans] == [NOW + 1]
        assert history.conflicts[0].owner == "990001"
        assert history.conflicts[0].item_no == "1001"


def test_a_fork_of_a_reissue_is_told_though_the_original_is_held():
    first = lent().events[0]
    again = _reissued(first)
    fork = _reissued(first, t_dev=5)
    _in_every_order(first, again, fork)
    assert [one.id for one in fold([first, again, fork]).conflicts] == [f"CF_EVENT_FORK:{again.event.name}"]


def test_a_reader_who_becomes_known_is_the_loans_in_any_order():
    known = lent("r1").events[0]
    before = replace(known, who=None)
    for events in ([known, before], [before, known], [before, known, before]):
        assert fold(events).loans[0].who == "r1"


def test_two_erased_readers_stay_two_and_one_stays_one():
    first = Make.logged(Kind.CHECKOUT, 1, None, subject="a" * 64)
    same = Make.logged(Kind.CHECKOUT, 2, None, subject="a" * 64, at=NOW + 1)
    other = Make.logged(Kind.CHECKOUT, 2, None, subject="b" * 64, at=NOW + 1)
    assert [loan.end_kind for loan in fold([first, same]).loans] == [None]
    assert [loan.end_kind for loan in fold([first, other]).loans] == [EndKind.IMPLIED_RETURN, None]
    assert fold([first]).loans[0].who == "erased:" + "a" * 64
    nobody = Make.logged(Kind.CHECKOUT, 1, None, subject=None)
    assert fold([nobody]).loans[0].who == f"erased:{nobody.event.name}"


def test_an_unknown_card_is_a_loan_and_a_conflict():
    story = Story().then(Kind.CHECKOUT, unknown=True)
    history = story.fold()
    assert [one.kind for one in history.conflicts] == ["CF_UNKNOWN_CARD"]
    assert history.conflicts[0].events == [history.loans[0].id]
    assert history.branch == HERE
    assert lent().fold().conflicts == []
