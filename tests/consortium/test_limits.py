"""Limits over a reader's open loans, due dates over calendars, and the terms a loan is made under."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.agreement import CategoryMap, FeeScheme, Group, LimitScope, LimitSet, PolicyRule
from consortium.calendar import ALL_DAY, Calendar
from consortium.decisions import may_borrow
from consortium.facts import OpenLoans
from consortium.lending import due_date, limit_codes
from consortium.terms import NO_TERMS, Terms
from tests.make import DAY, HOME, HOST, HOUR, NOW, THIRD, Make

BOOKS = frozenset({"BOOK"})
LOANS = (
    OpenLoans(HOST, "BOOK", 2, 20),
    OpenLoans(HOST, "DISC", 1, 5),
    OpenLoans(HOME, "BOOK", 3, 30),
    OpenLoans(THIRD, "BOOK", 1, 9),
)
VALLEY = (Group("valley", frozenset({HOST, THIRD})),)


def codes(*limits: LimitSet, here: str = HOST, category: str = "U", item=None, loans=LOANS, groups=VALLEY) -> list[str]:
    policy = Make.policy(limits=limits, groups=groups)
    return limit_codes(policy, Make.reader(open_loans=loans), item or Make.item(value=10), here, category)


def limit(scope: LimitScope, most: int, **more: object) -> LimitSet:
    return LimitSet("x", scope, most, **more)


@pytest.mark.parametrize(
    ("scope", "more", "open_now", "code"),
    [
        (LimitScope.LENDER, {}, 3, "LIMIT_LENDER"),
        (LimitScope.LENDER, {"item_types": BOOKS}, 2, "LIMIT_TYPE"),
        (LimitScope.LENDER, {"lender": HOST}, 3, "LIMIT_LENDER"),
        (LimitScope.LENDER, {"categories": frozenset({"U"})}, 3, "LIMIT_LENDER"),
        (LimitScope.GROUP, {"group": "valley"}, 4, "LIMIT_CONSORTIUM"),
        (LimitScope.GROUP, {"group": "valley", "item_types": BOOKS}, 3, "LIMIT_CONSORTIUM"),
        (LimitScope.CONSORTIUM, {}, 7, "LIMIT_CONSORTIUM"),
        (LimitScope.CONSORTIUM, {"item_types": BOOKS}, 6, "LIMIT_CONSORTIUM"),
        (LimitScope.CONSORTIUM, {"partners_only": True}, 4, "LIMIT_CONSORTIUM"),
    ],
)
def test_one_more_is_lent_up_to_the_limit_and_not_beyond(scope, more, open_now, code):
    assert codes(limit(scope, open_now + 1, **more)) == []
    assert codes(limit(scope, open_now, **more)) == [code]
    assert codes(limit(scope, open_now + 1, **more), loans=(*LOANS, OpenLoans(HOST, "BOOK", 1))) == [code]


@pytest.mark.parametrize(
    ("scope", "more"),
    [
        (LimitScope.LENDER, {"item_types": frozenset({"DISC"})}),
        (LimitScope.LENDER, {"categories": frozenset({"STAFF"})}),
        (LimitScope.LENDER, {"lender": THIRD}),
        (LimitScope.GROUP, {"group": "hills"}),
        (LimitScope.GROUP, {}),
    ],
)
def test_a_limit_of_others_does_not_concern_this_loan(scope, more):
    assert codes(limit(scope, 0, **more)) == []


def test_a_limit_for_partners_does_not_bind_at_home():
    assert codes(limit(LimitScope.CONSORTIUM, 0, partners_only=True), here=HOME) == []
    assert codes(limit(LimitScope.CONSORTIUM, 0), here=HOME) == ["LIMIT_CONSORTIUM"]


@pytest.mark.parametrize(
    ("scope", "more", "sum_with_this"),
    [
        (LimitScope.LENDER, {}, 35),
        (LimitScope.LENDER, {"item_types": BOOKS}, 30),
        (LimitScope.GROUP, {"group": "valley"}, 44),
        (LimitScope.CONSORTIUM, {"partners_only": True}, 44),
        (LimitScope.CONSORTIUM, {}, 74),
    ],
)
def test_the_value_of_what_is_out_and_of_this_item_count_together(scope, more, sum_with_this):
    assert codes(limit(scope, 99, max_value=sum_with_this, **more)) == []
    assert codes(limit(scope, 99, max_value=sum_with_this - 1, **more)) == ["LIMIT_VALUE"]
    assert codes(limit(scope, 99, max_value=0, **more)) == []


def test_every_limit_that_is_broken_is_told_once_in_the_bundles_order():
    found = codes(
        limit(LimitScope.CONSORTIUM, 1, max_value=1), limit(LimitScope.LENDER, 1, max_value=1), limit(LimitScope.LENDER, 1),
        limit(LimitScope.LENDER, 1, item_types=BOOKS), limit(LimitScope.GROUP, 1, group="valley"),
    )  # fmt: skip
    assert found == ["LIMIT_CONSORTIUM", "LIMIT_VALUE", "LIMIT_LENDER", "LIMIT_TYPE"]


def test_the_category_is_the_shared_one_for_partners_and_the_home_one_at_home():
    shared = (LimitSet("shared", LimitScope.LENDER, 0, categories=frozenset({"U"})),)
    home = (LimitSet("home", LimitScope.LENDER, 0, categories=frozenset({"UG"})),)
    here, own = Make.borrow(), Make.borrow(device=Make.device(f"{HOME}-01"), item=Make.item(HOME))
    assert may_borrow(Make.policy(limits=shared), here, NOW).primary == "LIMIT_LENDER"
    assert may_borrow(Make.policy(limits=home), here, NOW).allowed
    assert may_borrow(Make.policy(limits=home), own, NOW).primary == "LIMIT_LENDER"
    assert may_borrow(Make.policy(limits=shared), own, NOW).allowed


# --- due dates ---

SHANGHAI = ZoneInfo("Asia/Shanghai")
EIGHT_TO_EIGHT = Calendar("always", "Asia/Shanghai", (((480, 1200),),) * 7)


def at(day: int, hour: int, minute: int = 0, second: int = 0) -> int:
    """An instant of November 2026 in Shanghai; the 1st is a Sunday."""
    return int(datetime(2026, 11, day, hour, minute, second, tzinfo=SHANGHAI).timestamp()) * 1000


def due(
    now: int,
    calendar: Calendar = EIGHT_TO_EIGHT,
    ends: tuple[int | None, ...] = (),
    hard: int | None = None,
    **terms: int,
):
    return due_date(Make.policy(calendars=(calendar,)), Terms(**terms), hard, f"{HOST}-01", now, ends)


def test_days_end_with_the_day_and_hours_to_the_millisecond():
    assert due(at(2, 10), period_days=7) == at(9, 23, 59, 59)
    assert due(at(2, 10), period_hours=4) == at(2, 14)
    assert due(at(2, 10) + 1, period_hours=4) == at(2, 14) + 1


def test_hours_that_end_behind_closed_doors_end_when_they_open():
    assert due(at(2, 18), period_hours=4) == at(3, 8)
    assert due(at(2, 16), period_hours=4) == at(3, 8)
    assert due(at(2, 15, 59), period_hours=4) == at(2, 19, 59)
    never = Make.shut()
    assert due(at(2, 18), never, period_hours=4) == at(2, 22)


def test_a_loan_of_hours_is_one_even_where_the_rule_has_days_too():
    rules = (PolicyRule("kit", lend=True, period_days=30, period_hours=4),)
    decision = may_borrow(Make.policy(rules=rules), Make.borrow(), NOW)
    assert decision.due_ms == NOW + 4 * HOUR
    assert decision.terms == Terms(period_hours=4)


def test_a_day_on_which_nobody_can_return_moves_on():
    closed = Calendar("always", "Asia/Shanghai", (ALL_DAY,) * 7, exceptions={"2026-11-09": (), "2026-11-10": ()})
    assert due(at(2, 10), closed, period_days=6) == at(8, 23, 59, 59)
    assert due(at(2, 10), closed, period_days=7) == at(11, 23, 59, 59)


@pytest.mark.parametrize("end", [at(5, 12), at(9, 23, 59, 58)])
def test_what_ends_first_is_the_due_date(end):
    assert due(at(2, 10), period_days=7, ends=(None, end, at(20, 0))) == end
    assert due(at(2, 10), period_days=7, hard=end) == end
    assert due(at(2, 10), period_hours=400, ends=(end,)) == end


def test_what_has_ended_before_now_does_not_count():
    assert due(at(2, 10), period_days=7, hard=at(2, 10)) == at(9, 23, 59, 59)
    assert due(at(2, 10), period_days=7, hard=at(2, 10) + 1) == at(2, 10) + 1
    assert due(at(2, 10), period_days=7, ends=(at(1, 0),)) == at(9, 23, 59, 59)


@given(st.integers(0, 40), st.integers(0, 400), st.lists(st.integers(-5, 50) | st.none(), max_size=3))
def test_nothing_is_due_in_the_past_or_after_what_ends(days, hours, ends):
    now = at(2, 10)
    instants = [end if end is None else now + end * DAY + 1 for end in ends]
    found = due(now, period_days=days, period_hours=hours, ends=tuple(instants))
    assert found >= now
    assert all(found <= end for end in instants if end is not None and end > now)


def test_a_day_pass_is_due_before_it_ends():
    guests = (CategoryMap(HOME, "DAY_PASS", "GUEST"),)
    closing = NOW + 6 * HOUR
    reader = Make.reader(category="DAY_PASS", valid_to_ms=closing)
    rules = (PolicyRule("guest", category="GUEST", lend=True, period_days=1),)
    policy = Make.policy(rules=rules, agreements=(Make.agreement(category_map=guests),))
    decision = may_borrow(policy, Make.borrow(reader=reader), NOW)
    assert decision.due_ms == closing
    assert may_borrow(policy, Make.borrow(reader=reader), closing).codes == ("READER_EXPIRED",)
    assert may_borrow(policy, Make.borrow(), NOW).codes == ("AGR_CATEGORY",)


def test_equipment_is_lent_by_the_hour_with_deposit_and_reading_stock_not_at_all():
    rules = (
        PolicyRule("kit", item_type="CAMERA", lend=True, period_hours=4, deposit=5000, condition_note=True),
        PolicyRule("reading", item_type="READING", lend=False),
        PolicyRule("general", lend=True, period_days=30),
    )
    policy = Make.policy(rules=rules)
    kit = may_borrow(policy, Make.borrow(item=Make.item(item_type="CAMERA")), NOW)
    assert (kit.due_ms, kit.terms.deposit) == (NOW + 4 * HOUR, 5000)
    reading = may_borrow(policy, Make.borrow(item=Make.item(item_type="READING")), NOW)
    assert reading.codes == ("ITEM_REFERENCE",)


# --- terms ---

FULL = PolicyRule(
    "general", lend=True, period_days=30, renewals=2, renew_window_days=3, grace_days=1, fine_per_day=10, max_fine=500,
    suspension_days=4, deposit=7,
)  # fmt: skip


def test_a_loan_carries_all_that_its_rule_promised():
    decision = may_borrow(Make.policy(rules=(FULL,)), Make.borrow(), NOW)
    assert decision.terms == Terms(30, 0, 2, 3, 1, 10, 500, 4, 7)
    assert may_borrow(Make.policy(), Make.borrow(), NOW).terms == Terms(period_days=30)


@pytest.mark.parametrize(
    ("scheme", "fine"), [(FeeScheme.NONE, 0), (FeeScheme.HOME_KEEPS, 10), (FeeScheme.LENDER_KEEPS, 10)]
)
def test_an_agreement_without_charges_has_none(scheme, fine):
    policy = Make.policy(rules=(FULL,), agreements=(Make.agreement(fee_scheme=scheme),))
    terms = may_borrow(policy, Make.borrow(), NOW).terms
    assert (terms.fine_per_day, terms.max_fine) == (fine, 500)


def test_terms_read_back_without_their_zeros_and_pass_over_what_is_new():
    terms = Terms(30, 0, 2, 3, 1, 10, 500, 4, 7)
    assert Terms.from_plain(terms.to_plain()) == terms
    assert "period_hours" not in terms.to_plain()
    assert NO_TERMS.to_plain() == {}
    assert Terms.from_plain({"renewals": "2", "colour": 3}) == Terms(renewals=2)


def test_the_better_of_two_terms_is_taken_value_by_value():
    old = Terms(30, 0, 2, 3, 1, 10, 500, 4, 7)
    now = Terms(28, 0, 3, 5, 0, 20, 400, 5, 0)
    assert old.more_generous(now) == Terms(30, 0, 3, 5, 1, 10, 400, 4, 7)
    assert now.more_generous(old) == Terms(30, 0, 3, 5, 1, 10, 400, 4, 0)


@pytest.mark.parametrize(
    ("old", "now", "better"),
    [
        (Terms(period_days=1), Terms(period_hours=24), Terms(period_days=1)),
        (Terms(period_days=1), Terms(period_hours=25), Terms(period_hours=25)),
        (Terms(period_hours=25), Terms(period_days=1), Terms(period_hours=25)),
        (Terms(renew_window_days=0), Terms(renew_window_days=5), Terms()),
        (Terms(renew_window_days=5), Terms(renew_window_days=0), Terms()),
        (Terms(renew_window_days=5), Terms(renew_window_days=3), Terms(renew_window_days=5)),
        (Terms(max_fine=0), Terms(max_fine=9), Terms(max_fine=9)),
        (Terms(max_fine=9), Terms(max_fine=0), Terms(max_fine=9)),
        (Terms(max_fine=9), Terms(max_fine=8), Terms(max_fine=8)),
    ],
)
def test_what_is_better_for_the_reader(old, now, better):
    assert old.more_generous(now) == better


def test_grace_is_counted_in_days():
    assert Terms(grace_days=2).grace_ms() == 2 * DAY
