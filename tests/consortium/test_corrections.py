"""What a late event changed, told as differences: each kind once, values before and after, nothing that did not change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.corrections import Change, Projection, diff
from consortium.events import Kind
from consortium.facts import ItemStatus
from consortium.states import Conflict, EndKind, Transit, TransitState
from tests.consortium.histories import AWAY, HERE, fold, lent
from tests.make import HOST, NOW, Make


def projection(loans=(), transits=(), conflicts=(), status=ItemStatus.SHELVED, branch=HERE):
    by_id = [{one.id: one for one in records} for records in (loans, transits, conflicts)]
    return Projection(HOST, "1001", status, branch, *by_id)


OPEN = Make.loan()
ENDED = replace(OPEN, t_end=NOW + 1, end_kind=EndKind.RETURN, end_event="e", end_place=HERE)
GOING = Transit("t1", HOST, "1001", AWAY, HERE, "HOME", TransitState.SENT, NOW)
DOUBT = Conflict("c1", "CF_DOUBLE_RETURN", HOST, "1001", ["e"], NOW)


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({}, {}, []),
        ({"loans": [OPEN]}, {"loans": [replace(OPEN)]}, []),
        ({}, {"loans": [OPEN]}, ["LOAN_OPENED"]),
        ({}, {"loans": [ENDED]}, ["LOAN_OPENED"]),
        ({"loans": [OPEN]}, {}, ["LOAN_WITHDRAWN"]),
        ({"loans": [OPEN]}, {"loans": [ENDED]}, ["LOAN_ENDED"]),
        ({"loans": [ENDED]}, {"loans": [OPEN]}, ["LOAN_REOPENED"]),
        ({"loans": [OPEN]}, {"loans": [replace(OPEN, due=1)]}, ["LOAN_CHANGED"]),
        ({"loans": [ENDED]}, {"loans": [replace(ENDED, t_end=NOW + 2)]}, ["LOAN_CHANGED"]),
        ({}, {"transits": [GOING]}, ["TRANSIT_OPENED"]),
        ({"transits": [GOING]}, {}, ["TRANSIT_WITHDRAWN"]),
        ({"transits": [GOING]}, {"transits": [replace(GOING, state=TransitState.AT_HUB)]}, ["TRANSIT_CHANGED"]),
        ({"transits": [GOING]}, {"transits": [replace(GOING)]}, []),
        ({}, {"conflicts": [DOUBT]}, ["CONFLICT_OPENED"]),
        ({"conflicts": [DOUBT]}, {}, ["CONFLICT_DISSOLVED"]),
        ({"conflicts": [DOUBT]}, {"conflicts": [replace(DOUBT, events=["e", "f"])]}, ["CONFLICT_CHANGED"]),
        ({"conflicts": [DOUBT]}, {"conflicts": [replace(DOUBT)]}, []),
        ({}, {"branch": AWAY}, ["ITEM_MOVED"]),
        ({}, {"status": ItemStatus.MISSING}, ["ITEM_MOVED"]),
        ({"transits": [GOING], "status": ItemStatus.IN_TRANSIT}, {"loans": [OPEN], "conflicts": [DOUBT]},
         ["LOAN_OPENED", "TRANSIT_WITHDRAWN", "CONFLICT_OPENED", "ITEM_MOVED"]),
    ],
)  # fmt: skip
def test_each_difference_has_its_name(before, after, changes):
    found = diff(projection(**before), projection(**after))
    assert [one.change for one in found] == [Change(name) for name in changes]
    assert {(one.owner, one.item_no) for one in found} <= {(HOST, "1001")}


def test_every_change_has_a_name_that_is_its_value():
    assert all(change.name == change.value for change in Change)


def test_only_what_changed_is_told_and_in_plain_words():
    (one,) = diff(projection([OPEN]), projection([ENDED]))
    assert one.subject == "l1"
    assert one.before == {"t_end": None, "end_kind": None, "end_event": None, "end_place": None}
    assert one.after == {"t_end": NOW + 1, "end_kind": "RETURN", "end_event": "e", "end_place": HERE}
    assert type(one.after["end_kind"]) is str


def test_what_is_new_is_told_whole_and_what_is_gone_too():
    (opened,) = diff(projection(), projection([OPEN]))
    (gone,) = diff(projection([OPEN]), projection())
    assert opened.before == gone.after == {}
    assert opened.after == gone.before
    assert (opened.after["who"], opened.after["due"], opened.after["observed"]) == ("r1", OPEN.due, False)


def test_the_place_is_told_whole():
    (one,) = diff(projection(), projection(branch=AWAY))
    assert one.subject == "990001/1001"
    assert one.before == {"status": "SHELVED", "branch": HERE}
    assert one.after == {"status": "SHELVED", "branch": AWAY}


def test_differences_come_in_the_order_of_their_ids():
    found = diff(projection(), projection([Make.loan("b"), Make.loan("a")]))
    assert [one.subject for one in found] == ["a", "b"]


def test_what_was_told_does_not_change_when_folding_goes_on():
    story = lent()
    history = story.fold()
    (told, _) = diff(projection(), Projection.of(history))
    from consortium.fold import apply

    before = dict(told.after)
    apply(history, story.then(Kind.RENEW, "r1").events[-1])
    assert told.after == before
    assert told.after["renewals"] == []


def test_a_projection_begins_where_it_is_told_to():
    story = lent().then(Kind.RETURN, branch=AWAY).then(Kind.CHECKOUT, "r2").then(Kind.CHECKOUT, "r3")
    history = fold(story.events)
    assert len(Projection.of(history).loans) == 3
    assert list(Projection.of(history, 2).loans) == [history.loans[2].id]
    assert len(Projection.of(history, 0, 0, 1).conflicts) == len(history.conflicts) - 1
