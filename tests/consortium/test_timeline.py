"""The timeline: late events folded from a snapshot give what folding everything gives, and tell exactly what changed."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings

from consortium.corrections import Change, Projection, diff
from consortium.events import Kind
from consortium.fold import Logged
from consortium.states import EndKind
from consortium.timeline import EVERY, Timeline
from tests.consortium.histories import AWAY, HERE, ITEM, MINUTE, any_history, fold, lent, route, seeds, shuffled
from tests.make import HOUR, NOW, Make


def timeline(events=()) -> Timeline:
    return Timeline(*ITEM, events)


def replayed(known: dict, corrections) -> dict:
    """What somebody who was told ``known`` knows after the corrections; each must speak of what was known."""
    known = dict(known)
    for one in corrections:
        kind = one.change.value.split("_")[0]
        key = (kind, one.subject)
        if one.change.value.endswith(("WITHDRAWN", "DISSOLVED")):
            assert known.pop(key) == one.before
            assert one.after == {}
        elif one.change.value.endswith("OPENED") and one.change is not Change.LOAN_REOPENED:
            assert key not in known
            assert one.before == {}
            known[key] = one.after
        else:
            was = known[key]
            assert one.before == {name: was[name] for name in one.before}
            assert one.before.keys() == one.after.keys()
            assert one.before != one.after
            known[key] = {**was, **one.after}
    return known


def as_told(history) -> dict:
    """All projections of a history, as plain values by kind and id."""
    empty = Projection.of(fold([]))
    out = {("ITEM", "990001/1001"): {"status": history.status.value, "branch": history.branch}}
    for one in diff(empty, Projection.of(history)):
        if one.change is not Change.ITEM_MOVED:
            out[one.change.value.split("_")[0], one.subject] = one.after
    return out


def on_a_shelf() -> dict:
    return as_told(fold([]))


@settings(max_examples=150)
@given(seeds)
def test_events_one_by_one_in_any_order_are_the_fold_of_all(rng: random.Random):
    events = shuffled(any_history(rng, 40), rng)
    line = timeline()
    for logged in events:
        line.insert(logged)
    assert line.history == fold(events)
    assert len(line) <= len(events)
    assert timeline(events).history == line.history


@settings(max_examples=150)
@given(seeds)
def test_corrections_replayed_on_what_was_told_give_what_is_known_now(rng: random.Random):
    events = shuffled(any_history(rng, 40), rng)
    line = timeline()
    known = on_a_shelf()
    for logged in events:
        known = replayed(known, line.insert(logged))
        assert known == as_told(line.history)


@settings(max_examples=60)
@given(seeds)
def test_an_event_known_already_tells_nothing_and_changes_nothing(rng: random.Random):
    events = any_history(rng, 20)
    line = timeline(events)
    before, size = fold(events), len(line)
    for logged in events:
        assert line.insert(logged) == []
    assert line.history == before
    assert len(line) == size


def turns(n: int) -> list[Logged]:
    """Lent and handed in by turns, a minute apart."""
    return [
        Make.logged(Kind.CHECKOUT if seq % 2 else Kind.RETURN, seq, at=NOW + seq * MINUTE) for seq in range(1, n + 1)
    ]


@pytest.mark.parametrize("known", [EVERY - 1, EVERY, EVERY + 1, 2 * EVERY, 2 * EVERY + 1, 3 * EVERY + 5])
def test_a_late_event_goes_in_at_every_place_around_the_snapshots(known):
    events = turns(known)
    for place in range(known + 1):
        line = timeline()
        for logged in events:
            line.insert(logged)
        late = Make.logged(Kind.CHECKOUT, 900, "r9", at=NOW + place * MINUTE + 30_000)
        line.insert(late)
        assert line.history == fold([*events, late])
        later = Make.logged(Kind.RETURN, 901, at=NOW + place * MINUTE + 40_000)
        line.insert(later)
        assert line.history == fold([*events, late, later])
        assert len(line) == known + 2


def test_a_timeline_of_given_events_takes_late_ones_too():
    events = turns(3 * EVERY)
    line = timeline(events)
    late = Make.logged(Kind.CHECKOUT, 900, "r9", at=NOW + 5 * MINUTE + 30_000)
    line.insert(late)
    assert line.history == fold([*events, late])


def test_going_back_to_a_snapshot_everything_is_as_it_was_then():
    quiet = [Make.logged(Kind.IN_USE, seq, at=NOW + seq * MINUTE) for seq in range(1, EVERY + 2)]
    after = NOW + (EVERY + 5) * MINUTE
    stay = Make.logged(
        Kind.RETURN, 90, at=after, branch=AWAY, data={"route": route("STAY", AWAY), "code": "RETURN_STAY"}
    )
    line = timeline([*quiet, stay])
    assert line.history.circ_branch == AWAY
    withdrawn = Make.logged(Kind.ITEM_MARKED, 91, at=after - 1, data={"mark": "WITHDRAWN"})
    line.insert(withdrawn)
    assert line.history == fold([*quiet, withdrawn, stay])
    assert line.history.circ_branch == HERE


def _quiet_after(*first: Logged, n: int = 3 * EVERY + 3) -> list[Logged]:
    """A beginning, then many events that move nothing: what was different at the beginning stays different, or not."""
    tail = [Make.logged(Kind.IN_USE, 100 + seq, at=NOW + HOUR + seq * MINUTE) for seq in range(n)]
    return [*first, *tail]


LENT = Make.logged(Kind.CHECKOUT, 1)
GOING = Make.logged(
    Kind.RETURN, 2, at=NOW + 1, branch=AWAY, data={"route": route("TRANSIT", HERE), "code": "RETURN_TRANSIT"}
)
LATE = {
    "due moves on": ([LENT], Kind.LOAN_EXTENDED, {}),
    "bagged": ([LENT, GOING], Kind.TRANSIT_BAGGED, {"bag": "b1"}),
    "used once more": ([LENT], Kind.IN_USE, {}),
    "a conflict": ([LENT], Kind.RENEW, {}),
    "lent and back": ([LENT], Kind.RETURN, {}),
    "nothing": ([LENT], Kind.TRANSIT_SEEN, {}),
    "sent on": ([LENT, GOING], Kind.TRANSIT_SENT, {"to": HERE}),
}


@pytest.mark.parametrize("name", LATE)
def test_what_a_late_event_changed_stays_changed_however_quiet_the_rest(name):
    first, kind, data = LATE[name]
    events = _quiet_after(*first)
    line = timeline(events)
    known = as_told(line.history)
    late = Make.logged(kind, 50, "r2", at=NOW + MINUTE, data=data)
    known = replayed(known, line.insert(late))
    assert line.history == fold([*events, late])
    assert known == as_told(line.history)


@pytest.mark.parametrize("name", LATE)
def test_after_one_late_event_a_second_goes_in_anywhere(name):
    first, kind, data = LATE[name]
    events = _quiet_after(*first)
    late = Make.logged(kind, 50, "r2", at=NOW + MINUTE, data=data)
    for place in range(0, 3 * EVERY + 3, 3):
        line = timeline(events)
        line.insert(late)
        known = as_told(line.history)
        more = [
            Make.logged(Kind.CHECKOUT, 60, "r3", at=NOW + HOUR + place * MINUTE + 1),
            Make.logged(Kind.RETURN, 61, at=NOW + HOUR + place * MINUTE // 2 + 2),
        ]
        for one in more:
            known = replayed(known, line.insert(one))
        assert line.history == fold([*events, late, *more])
        assert known == as_told(line.history)


def test_only_what_follows_the_last_snapshot_is_folded_again():
    events = turns(4 * EVERY)
    line = timeline(events)
    loans = line.history.loans
    kept = [id(loan) for loan in loans[: EVERY // 2 - 1]]
    line.insert(Make.logged(Kind.RETURN, 900, at=NOW + (EVERY + 2) * MINUTE + 30_000))
    assert [id(loan) for loan in line.history.loans[: EVERY // 2 - 1]] == kept


def test_a_return_that_comes_late_ends_the_loan_it_was_about_and_says_so():
    first, back, second = (
        Make.logged(Kind.CHECKOUT, 1),
        Make.logged(Kind.RETURN, 2, at=NOW + MINUTE),
        Make.logged(Kind.CHECKOUT, 3, "r2", at=NOW + 2 * MINUTE),
    )
    line = timeline([first, second])
    told = line.insert(back)
    assert [(one.change, one.subject) for one in told] == [
        (Change.LOAN_CHANGED, first.event.name),
        (Change.CONFLICT_DISSOLVED, f"CF_IMPLIED_RETURN:{second.event.name}"),
    ]
    assert told[0].before == {"t_end": NOW + 2 * MINUTE, "end_kind": "IMPLIED_RETURN", "end_event": second.event.name}
    assert told[0].after == {"t_end": NOW + MINUTE, "end_kind": "RETURN", "end_event": back.event.name}
    assert (told[0].owner, told[0].item_no) == ("990001", "1001")


def test_a_checkout_between_two_returns_opens_a_loan_that_is_over():
    story = lent().then(Kind.RETURN).then(Kind.RETURN, after=HOUR)
    line = timeline(story.events)
    late = Make.logged(Kind.CHECKOUT, 9, "r2", at=NOW + 30 * MINUTE)
    assert [one.change for one in line.insert(late)] == [Change.LOAN_OPENED]
    assert line.history.loans[-1].end_kind is EndKind.RETURN


def test_a_late_loan_supersedes_the_journey_that_was_told():
    story = lent().then(Kind.RETURN, branch=AWAY, route=route("TRANSIT", HERE))
    line = timeline(story.events)
    told = line.insert(Make.logged(Kind.CHECKOUT, 9, "r2", at=NOW + HOUR))
    assert [one.change for one in told] == [Change.LOAN_OPENED, Change.TRANSIT_CHANGED, Change.ITEM_MOVED]
    assert told[2].before == {"status": "IN_TRANSIT", "branch": AWAY}
    assert told[2].after == {"status": "ON_LOAN", "branch": HERE}


def test_a_reader_who_becomes_known_is_told_and_an_erased_one_changes_nothing():
    unknown = Make.logged(Kind.CHECKOUT, 1, None)
    line = timeline([unknown])
    told = line.insert(replace(unknown, who="r1"))
    assert [(one.change, one.after) for one in told] == [(Change.LOAN_CHANGED, {"who": "r1"})]
    assert line.insert(unknown) == []
    assert line.history.loan.who == "r1"


def test_an_original_that_comes_after_its_reissue_takes_its_place():
    first = Make.logged(Kind.CHECKOUT, 1)
    again = replace(first, event=replace(first.event, epoch="e2", seq=5, reissue_of=first.event.name))
    line = timeline()
    line.insert(again)
    told = line.insert(first)
    assert [one.change for one in told] == [Change.LOAN_OPENED, Change.LOAN_WITHDRAWN]
    assert line.history.doubles == [again.event.name]
    assert line.insert(again) == []
    assert line.history == fold([first, again])
