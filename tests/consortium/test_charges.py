"""What lateness costs, what is posted, and who owes whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.agreement import Branch, DebtRule, FeeScheme
from consortium.calendar import ALL_DAY, Calendar, round_the_clock
from consortium.charges import Debt, Entry, debt, overdue_charge, overdue_days, post, suspension_days
from consortium.states import EndKind
from tests.make import DAY, HOME, HOST, NOW, THIRD, Make

HERE, OTHER = f"{HOST}-01", f"{HOME}-01"
SHANGHAI = ZoneInfo("Asia/Shanghai")
TERMS = {"fine_per_day": 10, "max_fine": 100, "grace_days": 1, "suspension_days": 2}


def at(day: int, hour: int = 12) -> int:
    """An instant of November 2026; the 2nd is a Monday."""
    return int(datetime(2026, 11, day, hour, tzinfo=SHANGHAI).timestamp()) * 1000


def policy(here: Calendar | None = None, other: Calendar | None = None):
    calendars = (replace(here or round_the_clock("a"), id="a"), replace(other or round_the_clock("b"), id="b"))
    branches = tuple(
        Branch(f"{org}-01", org, "馆", "Branch", "a" if org == HOST else "b") for org in (HOME, HOST, THIRD)
    )
    return Make.policy(calendars=calendars, branches=branches)


def closed_on(*weekdays: int) -> Calendar:
    return Calendar("x", "Asia/Shanghai", tuple(() if day in weekdays else ALL_DAY for day in range(7)))


def back(day: int, place: str = HERE, **more):
    fields = {
        "due": at(2), "t_out": at(1), "t_end": at(day), "end_kind": EndKind.RETURN, "end_event": "e", "end_place": place,
        "terms": TERMS,
    }  # fmt: skip
    return Make.loan(**{**fields, **more})


EVER = policy()


@pytest.mark.parametrize(
    ("loan", "days"),
    [
        (back(2), 0), (back(3), 0), (back(4), 1), (back(5), 2), (back(5, terms={}), 3), (back(2, terms={}), 0),
        (back(2, t_end=at(2) + 1, terms={}), 0), (back(1, terms={}), 0),
        (back(9, t_credit=at(4)), 1), (back(9, t_credit=at(2)), 0), (back(9, t_credit=at(2, 13), terms={}), 0),
    ],
)  # fmt: skip
def test_days_overdue_are_open_days_after_the_day_it_was_due_beyond_the_grace(loan, days):
    assert overdue_days(EVER, loan, at(30)) == days


def test_an_open_loan_is_judged_as_of_now():
    loan = back(5, t_end=None, end_kind=None, end_event=None, end_place=None)
    assert [overdue_days(EVER, loan, at(day)) for day in (1, 3, 4, 5)] == [0, 0, 1, 2]


def test_closed_days_of_lender_or_of_the_branch_returned_to_do_not_count():
    # The 3rd to the 9th: a week, of which two days and three days are closed.
    loan = back(9, OTHER, terms={})
    assert overdue_days(policy(), loan, NOW) == 7
    assert overdue_days(policy(here=closed_on(5, 6)), loan, NOW) == 5
    assert overdue_days(policy(other=closed_on(1, 2, 3)), loan, NOW) == 4
    assert overdue_days(policy(closed_on(5, 6), closed_on(1, 2, 3)), loan, NOW) == 2
    assert overdue_days(policy(other=closed_on(1, 2, 3)), replace(loan, end_place=HERE), NOW) == 7


def test_two_calendars_count_as_far_as_one_and_no_further_than_ten_years():
    zone = closed_on()
    for day in (2, 3, 9):
        assert overdue_days(policy(zone, closed_on(5)), back(day, OTHER, terms={}), NOW) == max(0, day - 2 - (day > 6))
    assert overdue_days(policy(zone, closed_on()), back(3, OTHER, terms={}, t_end=at(2) + 20 * 366 * DAY), NOW) == 3_660


def test_one_calendar_counts_every_year():
    assert overdue_days(EVER, back(3, terms={}, t_end=at(2) + 20 * 366 * DAY), NOW) == 20 * 366
    assert overdue_days(EVER, back(3, terms={"grace_days": 9}), NOW) == 0


def test_where_two_calendars_keep_two_times_the_lenders_clock_counts():
    there = replace(closed_on(), tz="America/New_York")
    loan = back(3, OTHER, terms={}, due=at(2, 23), t_end=at(3, 1))
    assert overdue_days(policy(closed_on(), there), loan, NOW) == 1
    assert overdue_days(policy(there, closed_on()), loan, NOW) == 0


def test_a_branch_that_is_gone_from_the_policy_counts_no_days():
    assert overdue_days(EVER, back(9, "880000-01", terms={}), NOW) == 7
    assert overdue_days(EVER, replace(back(9, "880000-01", terms={}), place="880000-02"), NOW) == 0


@pytest.mark.parametrize(
    ("loan", "fen"),
    [
        (back(3), 0), (back(4), 10), (back(13), 100), (back(14), 100), (back(13, terms={**TERMS, "max_fine": 99}), 99),
        (back(14, terms={**TERMS, "max_fine": 0}), 110), (back(14, terms={}), 0), (back(14, observed=True), 0),
        (back(14, end_kind=EndKind.LOST_PAID), 100), (back(14, end_kind=EndKind.IMPLIED_RETURN), 0),
        (back(14, end_kind=EndKind.CLAIMED_RETURNED), 0), (back(14, end_kind=EndKind.STAFF), 0),
        (back(14, t_end=None, end_kind=None), 100),
    ],
)  # fmt: skip
def test_what_lateness_costs(loan, fen):
    assert overdue_charge(EVER, loan, at(30)) == fen


@pytest.mark.parametrize(
    ("loan", "days"),
    [
        (back(4), 2), (back(5), 4), (back(3), 0), (back(5, terms={}), 0), (back(5, observed=True), 0),
        (back(5, end_kind=EndKind.STAFF), 0), (back(5, t_end=None, end_kind=None), 0),
    ],
)  # fmt: skip
def test_what_lateness_suspends(loan, days):
    assert suspension_days(EVER, loan, at(30)) == days


# --- the ledger ---


def test_an_open_loans_charge_is_shown_and_not_posted():
    assert post(EVER, back(9, t_end=None, end_kind=None), (), "e9", NOW) is None


def test_the_first_end_posts_the_charge_even_where_it_is_nothing():
    assert post(EVER, back(5), (), "e9", NOW) == Entry("l1", 20, "e9")
    assert post(EVER, back(2), (), "e9", NOW) == Entry("l1", 0, "e9")
    assert post(EVER, back(5), (Entry("other", 70, "e"),), "e9", NOW) == Entry("l1", 20, "e9")


@pytest.mark.parametrize(
    ("posted", "day", "entry"),
    [
        ([20], 5, None), ([20], 4, -10), ([20], 2, -20), ([20], 9, None), ([0], 9, None), ([70, -50], 5, None),
        ([70, -50], 4, -10), ([20, -20], 5, None),
    ],
)  # fmt: skip
def test_what_is_learned_later_only_gives_back(posted, day, entry):
    entries = [Entry("l1", amount, "e") for amount in posted]
    assert post(EVER, back(day), entries, "e9", NOW) == (Entry("l1", entry, "e9") if entry else None)


def test_a_loan_found_to_be_open_still_gives_its_charge_back():
    loan = back(9, t_end=None, end_kind=None)
    assert post(EVER, loan, (Entry("l1", 20, "e"),), "e9", at(30)) == Entry("l1", -20, "e9")
    assert post(EVER, loan, (Entry("l1", 0, "e"),), "e9", at(30)) is None


@given(st.lists(st.integers(1, 25) | st.none(), min_size=1, max_size=8))
def test_after_its_first_posting_the_ledger_never_rises(days):
    posted: list[Entry] = []
    owed: list[int] = []
    for day in days:
        loan = back(day) if day else back(9, t_end=None, end_kind=None)
        entry = post(EVER, loan, posted, "e", at(30))
        posted += [entry] if entry else []
        if posted:
            owed.append(sum(one.amount for one in posted))
            assert owed[-1] <= overdue_charge(EVER, loan, at(30)) or loan.open
    assert owed == sorted(owed, reverse=True)
    assert all(amount >= 0 for amount in owed)


# --- between libraries ---


@pytest.mark.parametrize(
    ("loan", "agreement", "lost", "found"),
    [
        ({}, {}, False, Debt(HOME, HOST, 30)),
        ({}, {"fee_scheme": FeeScheme.HOME_KEEPS}, False, None),
        ({}, {"fee_scheme": FeeScheme.NONE}, False, None),
        ({"home": HOST}, {}, False, None),
        ({"owner": THIRD}, {}, False, Debt(HOME, HOST, 30)),
        ({}, {}, True, Debt(HOME, HOST, 30)),
        ({}, {"fee_scheme": FeeScheme.NONE}, True, Debt(HOME, HOST, 30)),
        ({"owner": THIRD}, {}, True, Debt(HOME, THIRD, 30)),
        ({"owner": THIRD}, {"debt_rule": DebtRule.HOST_RISK}, True, Debt(HOST, THIRD, 30)),
        ({}, {"debt_rule": DebtRule.HOST_RISK}, True, None),
        ({"owner": HOME}, {}, True, None),
        ({"owner": HOME}, {"debt_rule": DebtRule.HOST_RISK}, True, Debt(HOST, HOME, 30)),
    ],
)
def test_who_owes_whom(loan, agreement, lost, found):
    made = Make.loan(**loan)
    assert debt(made, Make.agreement(**agreement), 30, lost=lost) == found
    assert debt(made, Make.agreement(**agreement), 0, lost=lost) is None
    assert lost or debt(made, Make.agreement(**agreement), 30) == found


def test_a_day_is_a_day_of_the_calendars_zone():
    assert overdue_days(EVER, back(3, terms={}, due=at(2, 23), t_end=at(3, 0)), NOW) == 1
    assert at(3, 0) - at(2, 23) == DAY // 24
