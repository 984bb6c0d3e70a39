"""What staff, reading-room pads and a member's own ILS say of an item, and what that does to its loan and place."""

from __future__ import annotations

import pytest

from consortium.events import Kind
from consortium.facts import ItemStatus
from consortium.states import EndKind
from tests.consortium.histories import AWAY, FAR, HERE, MINUTE, NEXT, Story, lent, route, travelling
from tests.make import DAY, HOME, HOST, NOW


def kinds(story: Story) -> list[str]:
    return [one.kind for one in story.fold().conflicts]


# --- marks ---


def test_reading_in_the_library_is_counted_and_moves_what_lies_on_a_table():
    story = Story().then(Kind.IN_USE, branch=NEXT).then(Kind.IN_USE, branch=FAR)
    assert (story.fold().uses, story.fold().branch, story.fold().status) == (2, FAR, ItemStatus.SHELVED)
    assert lent().then(Kind.IN_USE, branch=NEXT).fold().branch == HERE
    assert travelling().then(Kind.IN_USE, branch=NEXT).fold().branch == AWAY
    found = Story().then(Kind.ITEM_MARKED, mark="MISSING").then(Kind.IN_USE, branch=NEXT).fold()
    assert (found.uses, found.status, found.branch) == (1, ItemStatus.EXCEPTION, NEXT)
    assert Story().then(Kind.ITEM_MARKED, mark="MISSING").then(Kind.ITEM_MARKED, mark="FOUND").fold().uses == 0


@pytest.mark.parametrize(
    ("mark", "end"), [("LOST", EndKind.RETURN), ("CLAIMED_RETURNED", EndKind.CLAIMED_RETURNED)]
)  # fmt: skip
@pytest.mark.parametrize("found", [{"kind": Kind.ITEM_MARKED, "mark": "FOUND"}, {"kind": Kind.IN_USE}])
def test_found_again_the_loan_ends(mark, end, found):
    data = dict(found)
    story = lent().then(Kind.ITEM_MARKED, mark=mark)
    assert story.fold().loan is not None
    history = story.then(data.pop("kind"), branch=NEXT, **data).fold()
    assert (history.loans[0].end_kind, history.loans[0].end_place) == (end, NEXT)
    assert (history.status, history.branch) == (ItemStatus.EXCEPTION, NEXT)


@pytest.mark.parametrize("mark", ["MISSING", "LOST", "DAMAGED"])
def test_what_is_gone_or_set_aside_lies_on_no_hold_shelf(mark):
    story = Story().then(Kind.RETURN, route=route("HOLD", HERE, hold_id="h1"))
    assert story.then(Kind.ITEM_MARKED, mark=mark).fold().hold_id is None


@pytest.mark.parametrize(
    ("end", "kind", "place"), [("LOST_PAID", EndKind.LOST_PAID, HERE), ("STAFF", EndKind.STAFF, NEXT)]
)
def test_loans_that_staff_end(end, kind, place):
    story = lent().then(Kind.LOAN_ENDED, branch=NEXT, end=end)
    history = story.fold()
    (loan,) = history.loans
    assert (loan.end_kind, loan.t_end, loan.end_event, loan.end_place) == (kind, story.now, story.last, NEXT)
    assert history.branch == place


# --- a member's own ILS ---


def test_a_loan_in_the_ils_is_one_that_we_were_told_of():
    story = Story().then(
        Kind.ILS_OBSERVED, "r1", branch=NEXT, device="feed", what="LOAN", due=NOW + DAY, type="DISC", home=HOME
    )
    (loan,) = story.fold().loans
    assert (loan.id, loan.owner, loan.item_no, loan.item_type, loan.who, loan.home, loan.place, loan.device) == (
        story.last, HOST, "1001", "DISC", "r1", HOME, NEXT, "feed",
    )  # fmt: skip
    assert (loan.t_out, loan.due, loan.observed) == (story.now, NOW + DAY, True)
    assert story.fold().fates == {}


def test_a_loan_in_the_ils_that_says_little_is_the_owners_due_at_once():
    story = Story().then(Kind.ILS_OBSERVED, what="LOAN")
    (loan,) = story.fold().loans
    assert (loan.who, loan.home, loan.due, loan.item_type) == (f"ils:{story.last}", HOST, story.now, "")


def test_the_ils_tells_of_our_own_loan_again():
    story = lent("r1").then(Kind.ILS_OBSERVED, "r1", what="LOAN", due=NOW + 99 * DAY)
    (loan,) = story.fold().loans
    assert (loan.due, loan.observed) == (NOW + 99 * DAY, False)
    assert lent("r1").then(Kind.ILS_OBSERVED, "r1", what="LOAN").fold().loan.due == NOW + MINUTE + 30 * DAY
    assert lent("r1").then(Kind.ILS_OBSERVED, "r1", what="LOAN", due=NOW).fold().loan.due == NOW + MINUTE + 30 * DAY


def test_a_loan_in_the_ils_to_another_ends_ours_without_a_conflict():
    story = lent("r1").then(Kind.ILS_OBSERVED, "r2", what="LOAN", branch=NEXT)
    first, second = story.fold().loans
    assert (first.end_kind, first.t_end, first.end_event, second.who) == (EndKind.RETURN, story.now, story.last, "r2")
    assert story.fold().conflicts == []
    assert story.fold().branch == NEXT


@pytest.mark.parametrize("data", [{"what": "LOAN"}, {"what": "RETURN"}])
def test_what_the_ils_moved_lies_on_no_hold_shelf(data):
    story = Story().then(Kind.RETURN, route=route("HOLD", HERE, hold_id="h1"))
    assert story.then(Kind.ILS_OBSERVED, **data).fold().hold_id is None


def test_a_return_in_the_ils_ends_the_loan_and_is_a_handing_in():
    story = lent().then(Kind.ILS_OBSERVED, what="RETURN", branch=NEXT)
    history = story.fold()
    assert (history.loans[0].end_kind, history.loans[0].end_place) == (EndKind.RETURN, NEXT)
    assert (history.back, history.branch, history.status) == ((NEXT, story.now), NEXT, ItemStatus.SHELVED)
    assert kinds(story.then(Kind.RETURN, branch=AWAY)) == ["CF_DOUBLE_RETURN"]
    assert Story().then(Kind.ILS_OBSERVED, what="RETURN").fold().loans == []


def test_a_renewal_in_the_ils_without_a_date_changes_none():
    story = lent().then(Kind.ILS_OBSERVED, what="RENEWAL")
    assert story.fold().loan.due == NOW + MINUTE + 30 * DAY


def test_a_booking_that_the_ils_refused_is_a_conflict_that_names_the_event_and_moves_nothing():
    story = lent().then(Kind.ILS_OBSERVED, what="REFUSED", ref="e/1/1", branch=NEXT)
    folded = story.fold()
    (conflict,) = folded.conflicts
    assert (conflict.kind, conflict.events[0], len(conflict.events)) == ("CF_ILS_REFUSED", "e/1/1", 2)
    assert (folded.status, folded.branch) == (ItemStatus.ON_LOAN, HERE)
    assert lent().then(Kind.ILS_OBSERVED, what="BOOKED", ref="e/1/1", branch=NEXT).fold().conflicts == []


def test_a_difference_of_the_nightly_reconciliation_is_a_conflict_with_or_without_a_loan():
    assert [c.kind for c in Story().then(Kind.ILS_OBSERVED, what="DIFFERS").fold().conflicts] == ["CF_ILS_DIFFERS"]
    assert len(Story().then(Kind.ILS_OBSERVED, what="DIFFERS").fold().conflicts[0].events) == 1


def test_words_about_an_item_never_make_its_order_doubtful():
    other = "edge-990002-01"
    story = (
        lent()
        .then(Kind.ILS_OBSERVED, what="BOOKED", node=other, after=1)
        .then(Kind.ILS_OBSERVED, what="DIFFERS", node=other, after=1)
    )
    assert [c.kind for c in story.fold().conflicts] == ["CF_ILS_DIFFERS"]
