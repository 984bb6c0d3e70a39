"""An item's open loan: the replica's row carried on by own events, in the order they happened."""

from __future__ import annotations

from consortium.facts import ItemStatus
from consortium.terms import Terms
from edge.openloan import SCAN_MS, OpenLoan, open_loan
from edge.overlay import Own
from edge.replica import ItemRow

ROW = ItemRow(
    "BOOK", "a-01", status=ItemStatus.ON_LOAN, loan_srid="ann", due=1_000_000, t_out=1_000, place="a-01",
    terms={"renewals": 2}, renewed=1,
)  # fmt: skip


def lent(srid: str | None, at: int, due: int = 2_000_000, **more: object) -> Own:
    """An own loan."""
    return Own(ItemStatus.ON_LOAN, "b-01", srid, due=due, t_eff=at, **more)  # type: ignore[arg-type]


def back(at: int) -> Own:
    """An own return."""
    return Own(ItemStatus.SHELVED, "b-01", t_eff=at)


def test_nobody_has_what_nobody_was_lent() -> None:
    assert open_loan(None, []) is None
    assert open_loan(ItemRow("BOOK", "a-01"), []) is None


def test_a_return_ends_it() -> None:
    assert open_loan(ROW, [back(5_000)]) is None
    assert open_loan(None, [lent("bob", 1), back(2)]) is None


def test_the_row_alone_says_it_all() -> None:
    assert open_loan(ROW, []) == OpenLoan("ann", 1_000, 1_000_000, "a-01", Terms(renewals=2), 1)


def test_a_renewal_moves_the_due_date_and_is_counted_as_not_yet_known() -> None:
    loan = open_loan(ROW, [lent("ann", 9_000, renews=True)])
    assert loan is not None
    assert (loan.due, loan.renewed, loan.unsynced, loan.t_out, loan.place) == (2_000_000, 2, 1, 1_000, "a-01")
    assert loan.terms == Terms(renewals=2)


def test_a_renewal_never_takes_time_away() -> None:
    loan = open_loan(ROW, [lent("ann", 9_000, due=5, renews=True)])
    assert loan is not None
    assert loan.due == 1_000_000


def test_a_second_scan_is_no_renewal_and_a_later_one_is() -> None:
    first = lent("bob", 1_000_000, terms={"renewals": 1})
    near = open_loan(None, [first, lent("bob", 1_000_000 + SCAN_MS)])
    far = open_loan(None, [first, lent("bob", 1_000_001 + SCAN_MS)])
    assert near is not None
    assert far is not None
    assert (near.renewed, far.renewed) == (0, 1)


def test_another_readers_loan_is_a_new_one() -> None:
    loan = open_loan(ROW, [lent("bob", 9_000, terms={"renewals": 7})])
    assert loan == OpenLoan("bob", 9_000, 2_000_000, "b-01", Terms(renewals=7))


def test_a_loan_of_the_ils_to_nobody_we_know_is_nobodys() -> None:
    loan = open_loan(ROW, [lent(None, 9_000)])
    assert loan is not None
    assert loan.srid is None
