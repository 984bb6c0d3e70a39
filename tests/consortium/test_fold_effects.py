"""What each kind of event does to an item's loans, journeys and place, to the letter."""

from __future__ import annotations

import pytest

from consortium.events import Kind
from consortium.facts import ItemStatus
from consortium.fold import DOUBLE_RETURN_MS, DUPLICATE_SCAN_MS
from consortium.states import EndKind, Fate, TransitState
from tests.consortium.histories import AWAY, FAR, HERE, MINUTE, NEXT, Story, lent, route, travelling
from tests.make import DAY, HOME, HOST, NOW

TERMS = {"renewals": 2, "renew_window_days": 3, "grace_days": 1}


def kinds(story: Story) -> list[str]:
    return [one.kind for one in story.fold().conflicts]


# --- lending ---


def test_a_loan_carries_what_its_checkout_says():
    story = Story().then(
        Kind.CHECKOUT, "r1", branch=NEXT, device="kiosk7", type="DISC", home="251020", due=NOW + DAY,
        basis=["both@1"], flags=["OFFLINE"], terms=TERMS,
    )  # fmt: skip
    (loan,) = story.fold().loans
    assert (loan.id, loan.owner, loan.item_no, loan.item_type, loan.who, loan.home) == (
        story.last, HOST, "1001", "DISC", "r1", HOME,
    )  # fmt: skip
    assert (loan.place, loan.lender, loan.device, loan.t_out, loan.due) == (NEXT, HOST, "kiosk7", story.now, NOW + DAY)
    assert (loan.basis, loan.flags, loan.terms, loan.renewals) == (["both@1"], ["OFFLINE"], TERMS, [])
    assert (loan.t_end, loan.end_kind, loan.end_event, loan.end_place, loan.t_credit) == (None,) * 5
    assert (loan.observed, loan.open) == (False, True)


def test_lending_takes_the_item_off_its_hold_shelf():
    story = Story().then(Kind.RETURN, route=route("HOLD", HERE, hold_id="h1"))
    assert story.fold().hold_id == "h1"
    history = story.then(Kind.CHECKOUT, "r1", branch=NEXT).fold()
    assert (history.hold_id, history.branch, history.status) == (None, NEXT, ItemStatus.ON_LOAN)


def test_lent_on_the_first_loan_ends_where_and_when_the_second_begins():
    story = lent("r1").then(Kind.CHECKOUT, "r2", branch=AWAY)
    first, second = story.fold().loans
    assert (first.end_kind, first.t_end, first.end_event, first.end_place) == (
        EndKind.IMPLIED_RETURN, story.now, story.last, AWAY,
    )  # fmt: skip
    assert second.id == story.last
    (conflict,) = story.fold().conflicts
    assert (conflict.id, conflict.events, conflict.t) == (
        f"CF_IMPLIED_RETURN:{story.last}", [first.id, second.id], story.now,
    )  # fmt: skip
    assert set(story.fold().fates.values()) == {Fate.LOAN}


@pytest.mark.parametrize(
    ("after", "device", "who", "fate"),
    [
        (DUPLICATE_SCAN_MS, "kiosk1", "r1", Fate.DUPLICATE),
        (DUPLICATE_SCAN_MS + 1, "kiosk1", "r1", Fate.RENEWAL),
        (1, "kiosk2", "r1", Fate.RENEWAL),
        (1, "kiosk1", "r2", Fate.LOAN),
    ],
)
def test_the_same_reader_at_the_same_machine_at_once_is_a_double_scan(after, device, who, fate):
    story = lent("r1").then(Kind.CHECKOUT, who, after=after, device=device, due=NOW + 99 * DAY)
    history = story.fold()
    assert history.fates[story.last] is fate
    due = NOW + MINUTE + 30 * DAY if fate is Fate.DUPLICATE else NOW + 99 * DAY
    assert history.loans[-1].due == due
    assert DUPLICATE_SCAN_MS == 120_000


def test_two_minutes_are_counted_from_the_last_scan_that_was_none():
    story = lent("r1").then(Kind.CHECKOUT, "r1", after=100_000).then(Kind.CHECKOUT, "r1", after=100_000)
    assert list(story.fold().fates.values()) == [Fate.LOAN, Fate.DUPLICATE, Fate.RENEWAL]
    story = lent("r1").then(Kind.CHECKOUT, "r1", after=121_000).then(Kind.CHECKOUT, "r1", after=120_000)
    assert list(story.fold().fates.values()) == [Fate.LOAN, Fate.RENEWAL, Fate.DUPLICATE]
    story = lent("r1").then(Kind.RENEW, "r1", after=100_000).then(Kind.CHECKOUT, "r1", after=100_000)
    assert list(story.fold().fates.values()) == [Fate.LOAN, Fate.RENEWAL]


# --- renewing ---


def renewed(after: int, who: str = "r1", kind: Kind = Kind.RENEW, due: int = NOW + 60 * DAY, **terms: int) -> Story:
    return lent("r1", terms=terms, due=NOW + 30 * DAY).then(kind, who, after=after, device="kiosk2", due=due)


@pytest.mark.parametrize(
    ("terms", "at", "allowed"),
    [
        ({}, NOW + 99 * DAY, True),
        ({"renewals": 1}, NOW + 30 * DAY, True),
        ({"renewals": 1}, NOW + 30 * DAY + 1, False),
        ({"renewals": 1, "grace_days": 2}, NOW + 32 * DAY, True),
        ({"renewals": 1, "grace_days": 2}, NOW + 32 * DAY + 1, False),
        ({"renewals": 1, "renew_window_days": 3}, NOW + 27 * DAY, True),
        ({"renewals": 1, "renew_window_days": 3}, NOW + 27 * DAY - 1, False),
        ({"renewals": 1}, NOW + MINUTE + 1, True),
        ({"grace_days": 1}, NOW + 2 * MINUTE, False),
    ],
)
@pytest.mark.parametrize("kind", [Kind.RENEW, Kind.CHECKOUT])
def test_a_renewal_beyond_the_loans_own_terms_is_a_conflict_and_its_date_stays(kind, terms, at, allowed):
    story = renewed(at - NOW - MINUTE, kind=kind, **terms)
    (loan,) = story.fold().loans
    assert (loan.due, loan.renewals) == (NOW + 60 * DAY, [story.last])
    assert kinds(story) == ([] if allowed else ["CF_RENEW_NOT_ALLOWED"])
    if not allowed:
        assert story.fold().conflicts[0].events == [story.last]


def test_renewals_are_counted():
    story = lent("r1", terms={"renewals": 1}).then(Kind.RENEW, "r1")
    assert kinds(story) == []
    assert kinds(story.then(Kind.RENEW, "r1")) == ["CF_RENEW_NOT_ALLOWED"]
    assert len(story.fold().loans[0].renewals) == 2


def test_staff_may_renew_beyond_the_terms():
    override = {"actor": "staff1", "reason": "exam"}
    assert kinds(lent("r1", terms={"grace_days": 1}).then(Kind.RENEW, "r1", override=override)) == []


def test_a_renewal_never_shortens():
    assert renewed(MINUTE, due=NOW + DAY).fold().loan.due == NOW + 30 * DAY
    assert lent("r1").then(Kind.LOAN_EXTENDED, due=NOW + DAY).fold().loan.due == NOW + MINUTE + 30 * DAY
    assert lent("r1").then(Kind.LOAN_EXTENDED, due=NOW + 90 * DAY).fold().loan.due == NOW + 90 * DAY


@pytest.mark.parametrize("before", [lent("r2"), Story(), lent("r1").then(Kind.RETURN)])
def test_a_renewal_of_what_is_not_the_readers_changes_nothing_and_is_told(before):
    due = [loan.due for loan in before.fold().loans]
    story = before.then(Kind.RENEW, "r1", due=NOW + 99 * DAY)
    assert kinds(story) == ["CF_RENEW_NOT_ALLOWED"]
    assert story.fold().conflicts[0].events == [story.last]
    assert [loan.due for loan in story.fold().loans] == due


def test_a_renewal_leaves_a_lost_item_lost_and_a_scan_finds_it():
    lost = lent("r1").then(Kind.ITEM_MARKED, mark="LOST")
    assert lost.then(Kind.RENEW, "r1").fold().status is ItemStatus.LOST
    assert lost.then(Kind.CHECKOUT, "r1", after=DAY).fold().status is ItemStatus.ON_LOAN


# --- handing in ---


def test_a_return_ends_the_loan_at_its_place_and_time():
    story = lent().then(Kind.RETURN, branch=NEXT)
    history = story.fold()
    (loan,) = history.loans
    assert (loan.end_kind, loan.t_end, loan.end_event, loan.end_place, loan.t_credit) == (
        EndKind.RETURN, story.now, story.last, NEXT, None,
    )  # fmt: skip
    assert history.back == (NEXT, story.now)
    assert history.hold_id is None


@pytest.mark.parametrize(
    ("credit", "counted"),
    [
        (NOW, NOW + MINUTE), (NOW + MINUTE, NOW + MINUTE), (NOW + MINUTE + 1, NOW + MINUTE + 1),
        (NOW + 2 * MINUTE, NOW + 2 * MINUTE), (NOW + 2 * MINUTE + 1, NOW + 2 * MINUTE), (0, NOW + MINUTE),
    ],
)  # fmt: skip
def test_a_drop_box_counts_from_when_it_says_within_the_loan(credit, counted):
    assert lent().then(Kind.RETURN, t_credit=credit).fold().loans[0].t_credit == counted


@pytest.mark.parametrize(
    ("action", "status", "hold_id"),
    [
        ("SHELVE", ItemStatus.SHELVED, None), ("STAY", ItemStatus.SHELVED, None), ("HOLD", ItemStatus.HOLD_SHELF, "h1"),
        ("DESK", ItemStatus.EXCEPTION, None), ("HOLD_HERE", ItemStatus.RETURNED_AT, None),
        ("TRANSIT", ItemStatus.IN_TRANSIT, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [Kind.RETURN, Kind.RECEIVE])
def test_where_a_route_leads(kind, action, status, hold_id):
    history = lent().then(kind, branch=AWAY, route=route(action, FAR, hold_id="h1")).fold()
    assert (history.status, history.branch, history.hold_id) == (status, AWAY, hold_id)
    assert history.circ_branch == (AWAY if action == "STAY" else HERE)
    assert len(history.transits) == (action == "TRANSIT")
    assert history.conflicts == []


def test_an_item_without_a_catalogue_is_a_conflict():
    assert kinds(Story().then(Kind.RETURN, route=route("DESK", HERE, reason="UNKNOWN"))) == ["CF_UNKNOWN_ITEM"]
    assert kinds(Story().then(Kind.RETURN, route=route("DESK", HERE, reason="WITHDRAWN"))) == []
    assert kinds(Story().then(Kind.RETURN, route=route("SHELVE", HERE, reason="UNKNOWN"))) == []


def test_a_return_where_the_item_was_not_is_told_once():
    story = Story().then(Kind.RETURN, branch=AWAY)
    assert kinds(story) == ["CF_RETURN_NO_LOAN"]
    assert story.fold().conflicts[0].events == [story.last]
    assert kinds(story.then(Kind.RETURN, branch=AWAY)) == ["CF_RETURN_NO_LOAN"]


@pytest.mark.parametrize(
    ("later", "branch", "kind"),
    [
        (DOUBLE_RETURN_MS, AWAY, "CF_DOUBLE_RETURN"), (DOUBLE_RETURN_MS + 1, AWAY, "CF_RETURN_NO_LOAN"),
        (MINUTE, HERE, None), (MINUTE, NEXT, "CF_DOUBLE_RETURN"),
    ],
)  # fmt: skip
def test_handed_in_at_two_branches_within_a_day_is_once_too_often(later, branch, kind):
    story = lent().then(Kind.RETURN).then(Kind.RETURN, branch=branch, after=later)
    assert kinds(story) == ([kind] if kind else [])
    if kind:
        assert story.fold().conflicts[0].events == [story.last]
    assert DOUBLE_RETURN_MS == DAY


def test_what_was_moved_since_and_comes_back_is_no_double_return():
    assert kinds(travelling().then(Kind.RECEIVE).then(Kind.RETURN, branch=HERE)) == []
    assert kinds(travelling().then(Kind.RECEIVE).then(Kind.RETURN, branch=AWAY)) == ["CF_RETURN_NO_LOAN"]
    assert kinds(Story().then(Kind.RECEIVE, branch=AWAY).then(Kind.RETURN, branch=FAR)) == ["CF_RETURN_NO_LOAN"] * 2


# --- journeys ---


def test_a_journey_begins_as_its_route_says():
    story = travelling(HERE, AWAY, via=FAR, hold_id="h1")
    (transit,) = story.fold().transits
    assert (transit.id, transit.owner, transit.item_no, transit.start, transit.to, transit.reason) == (
        story.last, HOST, "1001", AWAY, HERE, "HOME",
    )  # fmt: skip
    assert (transit.state, transit.t_open, transit.via, transit.hold_id) == (
        TransitState.REQUESTED,
        story.now,
        FAR,
        "h1",
    )
    assert (transit.t_sent, transit.t_end, transit.legs, transit.bag, transit.open) == (None, None, [], None, True)


def test_a_journeys_reason_is_its_routes():
    assert travelling(HERE, AWAY, reason="HOLD").fold().transit.reason == "HOLD"


def test_a_route_without_a_reason_goes_home():
    bare = {"action": "TRANSIT", "dest": HERE}
    story = lent()
    story.then(Kind.RETURN, branch=AWAY, route=bare)
    assert story.fold().transit.reason == "HOME"


def test_bagged_sent_and_seen_on_its_way():
    story = travelling(via=FAR).then(Kind.TRANSIT_BAGGED, branch=AWAY, bag="b7")
    assert (story.fold().transit.state, story.fold().transit.bag) == (TransitState.BAGGED, "b7")
    story.then(Kind.TRANSIT_SENT, branch=AWAY)
    sent = story.fold().transit
    assert (sent.state, sent.t_sent, sent.bag, sent.to) == (TransitState.SENT, story.now, "b7", HERE)
    story.then(Kind.TRANSIT_SEEN, branch=FAR)
    assert (story.fold().transit.state, story.fold().branch) == (TransitState.AT_HUB, FAR)
    story.then(Kind.TRANSIT_SEEN, branch=NEXT)
    assert (story.fold().transit.state, story.fold().branch) == (TransitState.MISROUTED, NEXT)
    story.then(Kind.TRANSIT_SEEN, branch=HERE)
    assert (story.fold().transit.state, story.fold().transit.legs) == (TransitState.ARRIVED, [FAR, NEXT, HERE])
    story.then(Kind.RECEIVE)
    (transit,) = story.fold().transits
    assert (transit.state, transit.t_end, transit.open) == (TransitState.RECEIVED, story.now, False)
    assert (story.fold().status, story.fold().branch) == (ItemStatus.SHELVED, HERE)


def test_a_bag_named_when_sent_is_that_bag():
    assert travelling().then(Kind.TRANSIT_SENT, branch=AWAY, bag="b9").fold().transit.bag == "b9"


@pytest.mark.parametrize(
    "before",
    [Story(), lent().then(Kind.RETURN, route=route("HOLD_HERE")), Story().then(Kind.ITEM_MARKED, mark="DAMAGED")],
)
def test_what_lies_here_is_sent_by_hand(before):
    story = before.then(Kind.TRANSIT_SENT, branch=NEXT, to=FAR, bag="b1")
    history = story.fold()
    transit = history.transit
    assert (transit.start, transit.to, transit.reason, transit.state, transit.t_sent) == (
        NEXT, FAR, "MANUAL", TransitState.SENT, story.now,
    )  # fmt: skip
    assert (transit.bag, transit.via, transit.hold_id) == ("b1", None, None)
    assert (history.status, history.branch) == (ItemStatus.IN_TRANSIT, NEXT)


def test_sent_by_hand_off_a_hold_shelf_it_travels_for_that_hold():
    history = Story().then(Kind.RETURN, route=route("HOLD", HERE, hold_id="h1")).then(Kind.TRANSIT_SENT, to=FAR).fold()
    assert (history.transit.hold_id, history.hold_id) == ("h1", None)


def test_at_a_wrong_branch_the_same_journey_goes_on_to_where_the_route_says():
    story = travelling(HERE).then(Kind.RETURN, branch=FAR, route=route("TRANSIT", NEXT))
    (transit,) = story.fold().transits
    assert (transit.state, transit.to, transit.legs, transit.start) == (TransitState.MISROUTED, NEXT, [FAR], AWAY)
    assert story.fold().branch == FAR
    assert kinds(story) == []


def test_arrived_and_routed_on_a_second_journey_begins():
    history = travelling(HERE).then(Kind.RECEIVE, route=route("TRANSIT", NEXT)).fold()
    assert [(one.state, one.to) for one in history.transits] == [
        (TransitState.RECEIVED, HERE),
        (TransitState.REQUESTED, NEXT),
    ]


@pytest.mark.parametrize(
    ("kind", "data", "state", "status", "branch"),
    [
        (Kind.TRANSIT_CANCELLED, {"branch": NEXT}, TransitState.CANCELLED, ItemStatus.RETURNED_AT, NEXT),
        (Kind.RECEIVE, {"branch": FAR}, TransitState.CANCELLED, ItemStatus.SHELVED, FAR),
        (Kind.CHECKOUT, {"branch": FAR}, TransitState.SUPERSEDED, ItemStatus.ON_LOAN, FAR),
        (Kind.ITEM_MARKED, {"mark": "MISSING"}, TransitState.LOST, ItemStatus.MISSING, AWAY),
        (Kind.ITEM_MARKED, {"mark": "LOST"}, TransitState.LOST, ItemStatus.LOST, AWAY),
        (Kind.ILS_OBSERVED, {"what": "LOAN", "branch": FAR}, TransitState.SUPERSEDED, ItemStatus.ON_LOAN, FAR),
        (Kind.ILS_OBSERVED, {"what": "RETURN", "branch": FAR}, TransitState.CANCELLED, ItemStatus.SHELVED, FAR),
        (Kind.ILS_OBSERVED, {"what": "RETURN"}, TransitState.RECEIVED, ItemStatus.SHELVED, HERE),
    ],
)
def test_how_a_journey_ends(kind, data, state, status, branch):
    story = travelling(HERE).then(kind, **data)
    history = story.fold()
    (transit,) = history.transits
    assert (transit.state, transit.t_end, history.transit) == (state, story.now, None)
    assert (history.status, history.branch) == (status, branch)
