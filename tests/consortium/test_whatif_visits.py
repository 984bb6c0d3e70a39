"""What if, visit after visit: whom the draft's own earlier answers would have left inside."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.agreement import Quotas
from consortium.calendar import DAY_MS
from consortium.events import Kind
from consortium.whatif.draft import Draft
from tests.consortium.replayed import Log, agreement, pairs
from tests.make import HOST, HOUR, NOW, Make


def visitors(now: int = 0, day: int = 0) -> Draft:
    return agreement(quotas=Quotas(visitors_now=now, visits_per_day=day))


def test_visitors_who_would_have_been_refused_leave_room() -> None:
    log = Log()
    for number in range(3):
        log.enter(f"r{number}", partner_visitors=number)
    assert pairs(log.under(visitors(now=2))) == {("OK", "OK"): 2, ("OK", "AGR_QUOTA"): 1}
    log.enter("r8", partner_visitors=2, at=NOW + HOUR)  # one of the first went out: 2 counted, 1 would be inside
    assert pairs(log.under(visitors(now=2))) == {("OK", "OK"): 3, ("OK", "AGR_QUOTA"): 1}


@pytest.mark.parametrize("ended", ["exit", "closed", "again", "day"])
def test_a_refused_visit_is_over_when_the_real_one_is(ended: str) -> None:
    log = Log()
    entry = log.enter("r1", partner_visitors=2)
    at = NOW + HOUR
    if ended == "exit":
        log.add(Kind.EXIT, at, "r1")
    elif ended == "closed":
        log.add(Kind.VISIT_CLOSED, at, None, visit=entry.id)
    elif ended == "again":
        log.add(Kind.ENTRY, at, "r1")
    else:
        at = NOW + 25 * HOUR
    log.enter("r2", partner_visitors=2, at=at)
    assert pairs(log.under(visitors(now=2))) == {("OK", "AGR_QUOTA"): 2}


def test_visits_of_a_day_count_within_that_day_at_the_branch() -> None:
    log = Log()
    log.enter("r1", visits_today=2)
    log.enter("r2", visits_today=3)
    assert pairs(log.under(visitors(day=2))) == {("OK", "AGR_QUOTA"): 2}
    assert pairs(log.under(visitors(day=3))) == {("OK", "OK"): 1, ("OK", "AGR_QUOTA"): 1}
    log.enter("r3", visits_today=2, at=NOW + HOUR)
    found = log.under(visitors(day=2))
    assert pairs(found) == {("OK", "AGR_QUOTA"): 2, ("OK", "OK"): 1}  # two of the three before would not have come in
    log.enter("r4", visits_today=2, at=NOW + DAY_MS + HOUR)
    assert pairs(log.under(visitors(day=2)))["OK", "AGR_QUOTA"] == 3


def test_a_visitor_the_draft_lets_in_stays_a_while_and_does_not_ask_again() -> None:
    log = Log(agreements=(replace(Make.agreement(), quotas=Quotas(visitors_now=1)),))
    log.enter("r1", partner_visitors=1)
    log.enter("r1", partner_visitors=1, at=NOW + HOUR // 60)
    log.enter("r2", partner_visitors=1, at=NOW + HOUR // 30)
    log.enter("r3", partner_visitors=1, at=NOW + 3 * HOUR)
    found = log.under(visitors(now=2))
    assert (found.moot, pairs(found)) == (1, {("AGR_QUOTA", "OK"): 2, ("AGR_QUOTA", "AGR_QUOTA"): 1})


def test_a_visit_of_the_draft_ends_after_its_stay_to_the_millisecond() -> None:
    log = Log(agreements=(replace(Make.agreement(), quotas=Quotas(visitors_now=1)),))
    log.enter("r1", partner_visitors=1)
    log.enter("r2", partner_visitors=1, at=NOW + 2 * HOUR - 1)
    log.enter("r3", partner_visitors=1, at=NOW + 2 * HOUR)
    assert pairs(log.under(visitors(now=2))) == {("AGR_QUOTA", "OK"): 2, ("AGR_QUOTA", "AGR_QUOTA"): 1}


def test_who_came_in_after_all_is_compared() -> None:
    log = Log(agreements=(replace(Make.agreement(), quotas=Quotas(visitors_now=1)),))
    log.enter("r1", partner_visitors=1)
    log.enter("r1", at=NOW + HOUR)
    log.enter("r2", partner_visitors=1, at=NOW + HOUR + 1)  # the first is counted, and not once more
    found = log.under(visitors(now=2))
    assert (found.moot, pairs(found)) == (0, {("AGR_QUOTA", "OK"): 2, ("OK", "OK"): 1})


def test_who_was_let_in_by_staff_was_let_in_in_both_worlds() -> None:
    log = Log(agreements=(replace(Make.agreement(), quotas=Quotas(visitors_now=3)),))
    log.enter("r1", partner_visitors=5)
    log.steps[0] = replace(log.steps[0], kind=Kind.ENTRY)
    log.enter("r2", partner_visitors=4)
    assert pairs(log.under(visitors(now=4))) == {("AGR_QUOTA", "AGR_QUOTA"): 2}


def test_an_own_reader_takes_a_place_but_no_partners() -> None:
    log = Log(branches=tuple(replace(branch, capacity=10) for branch in Make.bundle().branches))
    log.enter("r1", occupancy=9, partner_visitors=5)
    log.enter("r2", occupancy=10, reader=Make.reader(HOST))
    log.enter("r3", occupancy=8, partner_visitors=5)
    assert pairs(log.under(visitors(now=5))) == {("OK", "AGR_QUOTA"): 1, ("BRANCH_FULL", "OK"): 1, ("OK", "OK"): 1}


def test_a_place_is_taken_again_when_the_refused_visitor_went_out() -> None:
    log = Log(branches=tuple(replace(branch, capacity=10) for branch in Make.bundle().branches))
    log.enter("r1", partner_visitors=5)
    log.add(Kind.EXIT, NOW + 1, "r1")
    log.enter("r2", occupancy=10, reader=Make.reader(HOST))
    assert pairs(log.under(visitors(now=5))) == {("OK", "AGR_QUOTA"): 1, ("BRANCH_FULL", "BRANCH_FULL"): 1}


def test_a_reader_who_would_not_have_come_in_is_not_inside() -> None:
    branches = tuple(replace(branch, anti_pass_back=True) for branch in Make.bundle().branches)
    log = Log(branches=branches)
    log.enter("r1", partner_visitors=5)
    log.enter("r1", inside=True, partner_visitors=1, at=NOW + HOUR)
    assert pairs(log.under(visitors(now=5))) == {("OK", "AGR_QUOTA"): 1, ("ALREADY_INSIDE", "OK"): 1}
    log.enter("r2", partner_visitors=4, at=NOW + HOUR)  # r1 is among the four in both worlds now
    log.enter("r3", partner_visitors=5, at=NOW + HOUR)
    assert pairs(log.under(visitors(now=5))) == {("OK", "AGR_QUOTA"): 2, ("ALREADY_INSIDE", "OK"): 1, ("OK", "OK"): 1}
    log.enter("r4", partner_visitors=6, at=NOW + 4 * HOUR)  # r3 is among the six, and would not be
    assert pairs(log.under(visitors(now=5)))["OK", "AGR_QUOTA"] == 3


def test_an_entry_that_took_place_later_counts_once_in_the_days_number() -> None:
    log = Log(branches=tuple(replace(branch, anti_pass_back=True) for branch in Make.bundle().branches))
    log.enter("r1", partner_visitors=5, visits_today=0)
    log.enter("r1", inside=True, partner_visitors=1, visits_today=1, at=NOW + HOUR)
    log.enter("r2", visits_today=1, at=NOW + HOUR)
    draft = agreement(quotas=Quotas(visitors_now=5, visits_per_day=1))
    assert pairs(log.under(draft)) == {("OK", "AGR_QUOTA"): 2, ("ALREADY_INSIDE", "OK"): 1}


def test_a_place_that_would_be_free_is_taken() -> None:
    branches = tuple(replace(branch, capacity=10) for branch in Make.bundle().branches)
    log = Log(branches=branches)
    log.enter("r1", occupancy=9, partner_visitors=5)
    log.enter("r2", occupancy=10, partner_visitors=4)
    assert pairs(log.under(visitors(now=5))) == {("OK", "AGR_QUOTA"): 1, ("BRANCH_FULL", "OK"): 1}
