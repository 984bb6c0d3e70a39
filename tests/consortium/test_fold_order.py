"""Events of two branches closer together than their clocks can tell: folded in their order, and a person is told."""

from __future__ import annotations

import pytest

from consortium.events import Kind
from tests.consortium.histories import AWAY, HERE, MINUTE, Story, fold, lent
from tests.make import NOW, Make


def doubts(story: Story) -> list[list[str]]:
    return [one.events for one in story.fold().conflicts if one.kind == "CF_ORDER_AMBIGUOUS"]


@pytest.mark.parametrize(
    ("gap", "first", "second", "doubtful"), [(100, 50, 50, True), (101, 50, 50, False), (30, 30, 0, True), (31, 30, 0, False),
    (30, 0, 30, True), (0, 0, 0, True), (1, 0, 0, False)],
)  # fmt: skip
def test_the_uncertainties_of_both_are_added(gap, first, second, doubtful):
    story = lent("r1", unc=first).then(Kind.CHECKOUT, "r2", branch=AWAY, after=gap, unc=second)
    ids = [one.event.name for one in story.events]
    assert doubts(story) == ([ids] if doubtful else [])


def test_one_node_knows_its_own_order():
    assert doubts(lent("r1").then(Kind.CHECKOUT, "r2", after=1)) == []


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Kind.RETURN, {}), (Kind.RECEIVE, {}), (Kind.ITEM_MARKED, {"mark": "LOST"}), (Kind.LOAN_ENDED, {}),
        (Kind.ILS_OBSERVED, {"what": "RETURN"}),
    ],
)  # fmt: skip
def test_everything_that_tells_where_an_item_is_counts(kind, data):
    assert len(doubts(lent("r1").then(kind, branch=AWAY, after=1, **data))) == 1


def test_a_journey_begun_by_hand_counts():
    assert len(doubts(Story().then(Kind.RETURN).then(Kind.TRANSIT_SENT, branch=AWAY, to=HERE, after=1))) == 1


@pytest.mark.parametrize("kind", [Kind.RENEW, Kind.IN_USE, Kind.LOAN_EXTENDED])
def test_what_moves_nothing_does_not_count(kind):
    story = lent("r1").then(kind, "r1", branch=AWAY, after=1)
    assert doubts(story) == []
    assert doubts(story.then(Kind.RETURN, after=MINUTE)) == []


def test_an_event_that_no_row_takes_is_not_compared_with():
    story = Story().then(Kind.LOAN_ENDED, branch=AWAY).then(Kind.CHECKOUT, "r1", after=1)
    assert doubts(story) == []
    assert story.fold().moved == (NOW + MINUTE + 1, 50, f"edge-{HERE}", story.last)


def test_the_first_event_of_all_has_none_to_be_confused_with_even_where_a_clock_stood_at_its_beginning():
    first = Make.logged(Kind.RETURN, 1, at=10, branch=AWAY)
    assert [one.kind for one in fold([first]).conflicts] == ["CF_RETURN_NO_LOAN"]
