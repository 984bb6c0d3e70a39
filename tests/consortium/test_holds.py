"""Holds folded from their own events and those of their item."""

from __future__ import annotations

import pytest

from consortium.events import Kind
from consortium.holds import fold_holds
from consortium.states import HoldState
from tests.consortium.histories import AWAY, HERE, MINUTE, Story, route
from tests.make import NOW, Make


def placed(who: str = "r1", **more) -> Story:
    return Story().then(Kind.HOLD_PLACED, who, **more)


def holds(story: Story):
    return fold_holds(reversed(story.events))


def states(story: Story) -> list[HoldState]:
    return [hold.state for hold in holds(story)]


def here(name: str | None = "h1"):
    return {"route": route("HOLD", HERE, hold_id=name)}


def onward(name: str | None = "h1"):
    return {"route": route("TRANSIT", AWAY, hold_id=name)}


def test_a_hold_waits_for_its_item_at_its_branch():
    (hold,) = holds(placed(pickup=AWAY, expiry=NOW + 5))
    assert (hold.id, hold.owner, hold.item_no, hold.who, hold.pickup, hold.t, hold.expiry, hold.state) == (
        "h1", "990001", "1001", "r1", AWAY, NOW + MINUTE, NOW + 5, HoldState.WAITING,
    )  # fmt: skip
    assert (hold.t_ready, hold.t_end, hold.loan, hold.open) == (None, None, None, True)
    assert holds(placed())[0].expiry is None


def test_a_hold_placed_twice_is_the_first():
    story = placed().then(Kind.HOLD_PLACED, "r2")
    assert [(hold.who, hold.t) for hold in holds(story)] == [("r1", NOW + MINUTE)]
    assert len(holds(placed().then(Kind.HOLD_PLACED, "r2", hold="h2"))) == 2


@pytest.mark.parametrize(
    ("kind", "state"), [(Kind.HOLD_CANCELLED, HoldState.CANCELLED), (Kind.HOLD_EXPIRED, HoldState.EXPIRED)]
)
def test_a_hold_ends_once(kind, state):
    story = placed().then(kind)
    (hold,) = holds(story)
    assert (hold.state, hold.t_end, hold.open) == (state, NOW + 2 * MINUTE, False)
    later = (
        story.then(Kind.HOLD_CANCELLED).then(Kind.HOLD_EXPIRED).then(Kind.CHECKOUT, "r1").then(Kind.RETURN, **here())
    )
    assert holds(later) == [hold]


def test_an_end_of_a_hold_that_nobody_placed_changes_nothing():
    assert holds(Story().then(Kind.HOLD_CANCELLED)) == []
    assert states(placed().then(Kind.HOLD_CANCELLED, hold="h9")) == [HoldState.WAITING]


@pytest.mark.parametrize("kind", [Kind.RETURN, Kind.RECEIVE])
def test_an_item_routed_to_its_shelf_is_ready_and_under_way_it_is_on_its_way(kind):
    (hold,) = holds(placed().then(kind, **here()))
    assert (hold.state, hold.t_ready) == (HoldState.READY, NOW + 2 * MINUTE)
    (hold,) = holds(placed().then(kind, **onward()))
    assert (hold.state, hold.t_ready) == (HoldState.IN_TRANSIT, None)
    assert states(placed().then(kind, **onward()).then(kind, **here())) == [HoldState.READY]
    assert states(placed().then(kind, **here()).then(kind, **onward())) == [HoldState.IN_TRANSIT]


@pytest.mark.parametrize("action", ["SHELVE", "STAY", "DESK", "HOLD_HERE"])
def test_a_route_that_is_none_leaves_its_hold_as_it_was(action):
    routed = {"route": route(action, HERE, hold_id="h1")}
    assert states(placed().then(Kind.RETURN, **routed)) == [HoldState.WAITING]
    assert states(placed().then(Kind.RETURN, **here()).then(Kind.RETURN, **routed)) == [HoldState.READY]


@pytest.mark.parametrize("supplied", [here(), onward()])
@pytest.mark.parametrize("other", [here("h2"), onward("h2"), here(None), onward(None), {"route": route()}])
def test_a_hold_whose_item_went_another_way_waits_again(supplied, other):
    (hold,) = holds(placed().then(Kind.RETURN, **supplied).then(Kind.RECEIVE, **other))
    assert (hold.state, hold.t_ready) == (HoldState.WAITING, None)


def test_the_readers_own_checkout_fills_the_hold_and_names_the_loan():
    for before in (placed(), placed().then(Kind.RETURN, **here()), placed().then(Kind.RETURN, **onward())):
        story = before.then(Kind.CHECKOUT, "r1")
        (hold,) = holds(story)
        assert (hold.state, hold.loan, hold.t_end) == (HoldState.FILLED, story.last, story.now)
        assert not hold.open


def test_another_readers_checkout_makes_it_wait_again():
    assert states(placed().then(Kind.CHECKOUT, "r2")) == [HoldState.WAITING]
    for supplied in (here(), onward()):
        (hold,) = holds(placed().then(Kind.RETURN, **supplied).then(Kind.CHECKOUT, "r2"))
        assert (hold.state, hold.t_ready, hold.loan, hold.t_end) == (HoldState.WAITING, None, None, None)


def test_of_two_holds_the_one_named_is_served_and_the_other_waits():
    story = placed().then(Kind.HOLD_PLACED, "r2", hold="h2").then(Kind.RETURN, **here("h2"))
    assert states(story) == [HoldState.WAITING, HoldState.READY]
    assert states(story.then(Kind.CHECKOUT, "r1")) == [HoldState.FILLED, HoldState.WAITING]


def test_other_events_of_the_item_do_not_move_a_hold():
    story = placed().then(Kind.RETURN, **here())
    for kind in (Kind.RENEW, Kind.IN_USE, Kind.ITEM_MARKED, Kind.TRANSIT_SENT):
        story.then(kind, "r1")
    assert states(story) == [HoldState.READY]


def test_an_erased_readers_hold_is_filled_by_the_same_erased_reader():
    story = Story().then(Kind.HOLD_PLACED).then(Kind.CHECKOUT)
    assert states(story) == [HoldState.FILLED]
    assert Make.event(Kind.CHECKOUT, 1).subject == "s" * 64
