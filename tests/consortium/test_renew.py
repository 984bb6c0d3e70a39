"""may_renew: stage by stage at its bounds, and never a day lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.agreement import (
    CategoryMap,
    FeeScheme,
    Library,
    LibraryStatus,
    Master,
    Mastership,
    Party,
    PolicyRule,
    Service,
    Staleness,
)
from consortium.calendar import Calendar
from consortium.decision import Mode, Outcome
from consortium.decisions import may_renew
from consortium.facts import BlockFacts, Relation
from consortium.terms import Terms
from tests.make import DAY, HOME, HOST, HOUR, NOW, THIRD, Make

QUARTER = 15 * 60_000
LENDS = PolicyRule("general", lend=True, period_days=30, renewals=2)
PROMISED = Terms(period_days=30, renewals=2)


def decide(facts, now=NOW, **policy):
    return may_renew(Make.policy(**{"rules": (LENDS,), **policy}), facts, now)


def renew(terms: Terms = PROMISED, **loan):
    return Make.renew(loan=Make.loan_facts(terms=terms, **loan))


def test_a_loan_is_renewed_from_today_under_the_agreement_it_needs():
    decision = decide(renew())
    assert (decision.codes, decision.obligations) == (("OK",), ("RECEIPT",))
    assert 30 * DAY <= decision.due_ms - NOW < 31 * DAY
    assert decision.basis == ("both@1", "general")
    assert decision.terms == PROMISED


# --- the loan ---


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (Make.renew(reader=None), "CARD_UNKNOWN"),
        (Make.renew(item=None), "ITEM_UNKNOWN"),
        (Make.renew(item=Make.item("880000")), "ITEM_UNKNOWN"),
        (Make.renew(loan=None), "ITEM_UNKNOWN"),
        (Make.renew(reader=None, item=None, loan=None), "CARD_UNKNOWN"),
        (renew(mine=False), "ITEM_ON_LOAN"),
        (renew(place="880000-01"), "NOT_DECIDABLE_OFFLINE"),
        (renew(place="880000-01", mine=False), "NOT_DECIDABLE_OFFLINE"),
    ],
)
def test_only_an_open_loan_of_this_reader_is_renewed(facts, code):
    assert decide(facts).codes == (code,)


# --- whose loan it is: home, owner and lender ---


def at_home(**more):
    facts = {"item": Make.item(HOME), "loan": Make.loan_facts(place=f"{HOME}-01"), "device": Make.device(f"{HOME}-01")}
    return Make.renew(**{**facts, **more})


def test_own_readers_renew_own_items_without_sharing_or_agreement():
    assert decide(at_home(reader=Make.reader(shared=False)), agreements=()).allowed
    assert decide(at_home()).basis == ("general",)


@pytest.mark.parametrize("part", [{"item": Make.item(HOST)}, {"loan": Make.loan_facts(place=f"{HOST}-01")}])
def test_sharing_and_agreement_are_asked_for_where_lender_or_owner_is_a_partner(part):
    assert decide(at_home(**part, reader=Make.reader(shared=False))).codes == ("READER_NOT_SHARED",)
    assert decide(at_home(**part), agreements=()).codes == ("AGR_NONE",)
    assert decide(at_home(**part)).basis == ("both@1", "general")


def test_it_is_the_lenders_agreement_that_counts_and_not_that_of_the_machine():
    asked_elsewhere = replace(renew(), device=Make.device(f"{THIRD}-01"))
    assert decide(asked_elsewhere).allowed


def _three(place: dict | None = None, owner: dict | None = None):
    maps = (CategoryMap(HOME, "UG", "U"),)
    return {
        "agreements": (
            Make.agreement("lender", parties=(Party(HOME), Party(HOST)), category_map=maps, **(place or {})),
            Make.agreement("owner", parties=(Party(HOME), Party(THIRD)), category_map=maps, **(owner or {})),
        )
    }


def test_three_libraries_need_two_agreements_and_the_strictest_bounds():
    facts = replace(renew(), item=Make.item(THIRD))
    assert decide(facts, **_three()).basis == ("lender@1", "owner@1", "general")
    assert decide(facts, **_three(owner={"services": frozenset({Service.BORROW})})).codes == ("AGR_SERVICE_OFF",)
    strict = {"staleness": Staleness(borrow_facts_fresh_ms=HOUR)}
    loose = {"staleness": Staleness(borrow_facts_fresh_ms=2 * HOUR)}
    aged = replace(facts, known=Make.known(HOUR + 1))
    assert decide(aged, **_three(place=loose, owner=loose)).mode is Mode.ONLINE
    assert decide(aged, **_three(place=strict, owner=loose)).mode is Mode.STALE
    assert decide(aged, **_three(place=loose, owner=strict)).mode is Mode.STALE


def test_a_library_that_leaves_renews_nothing_for_partners():
    for gone in (HOME, HOST):
        members = tuple(
            Library(org, org, org, org, status=LibraryStatus.LEAVING if org == gone else LibraryStatus.ACTIVE)
            for org in (HOME, HOST, THIRD)
        )
        assert decide(renew(), libraries=members).codes == ("AGR_ENDED",)


# --- terms: what was promised, or better ---


@pytest.mark.parametrize(
    ("promised", "rule", "days"),
    [
        (PROMISED, {"period_days": 10}, 30),
        (PROMISED, {"period_days": 60}, 60),
        (PROMISED, {"lend": False}, 30),
        (PROMISED, {"lend": False, "period_days": 60}, 30),
        (PROMISED, {"lend": None, "period_days": 60}, 30),
        (PROMISED, {"lend": None}, 30),
        (PROMISED, {"period_days": None}, 30),
        (Terms(), {"period_days": 20}, 20),
    ],
)
def test_a_loan_keeps_its_terms_unless_todays_are_better(promised, rule, days):
    decision = decide(renew(promised), rules=(replace(LENDS, **rule),))
    assert decision.allowed
    assert days * DAY <= decision.due_ms - NOW < (days + 1) * DAY
    assert decision.terms.period_days == days


@pytest.mark.parametrize("rule", [{"lend": False}, {"lend": None}, {"period_days": None}])
def test_a_loan_without_terms_needs_a_rule_that_lends(rule):
    assert decide(renew(Terms()), rules=(replace(LENDS, **rule),)).codes == ("RULE_NONE",)


def test_a_loan_of_hours_is_renewed_by_hours():
    kit = (PolicyRule("kit", lend=True, period_hours=4, renewals=1),)
    for promised in (Terms(), Terms(period_hours=4, renewals=1)):
        decision = decide(renew(promised, due=NOW + HOUR), rules=kit)
        assert decision.due_ms == NOW + 4 * HOUR
    promised = Terms(period_hours=4, renewals=1)
    for today in ({"lend": False}, {"lend": True, "period_hours": 2}, {}):
        rules = (PolicyRule("kit", **today),)
        assert decide(renew(promised, due=NOW + HOUR), rules=rules).due_ms == NOW + 4 * HOUR


def test_an_agreement_without_charges_renews_without_them():
    rules = (replace(LENDS, fine_per_day=10),)
    free = (Make.agreement(fee_scheme=FeeScheme.NONE),)
    promised = Terms(period_days=30, renewals=2, fine_per_day=10)
    assert decide(renew(promised), rules=rules, agreements=free).terms.fine_per_day == 0
    assert decide(renew(promised), rules=rules).terms.fine_per_day == 10


# --- renewals, window, hold, overdue, gain ---


def test_the_last_renewal_is_the_last():
    assert decide(renew(renewed=1)).allowed
    assert decide(renew(renewed=2)).codes == ("RENEW_LIMIT",)
    assert decide(renew(Terms(period_days=30)), rules=(replace(LENDS, renewals=None),)).codes == ("RENEW_LIMIT",)
    assert decide(renew(renewed=2), rules=(replace(LENDS, renewals=3),)).allowed


@pytest.mark.parametrize(("before", "code"), [(3 * DAY, "OK"), (3 * DAY + 1, "RENEW_EARLY"), (1, "OK"), (0, "OK")])
def test_the_window_opens_to_the_millisecond(before, code):
    windowed = replace(PROMISED, renew_window_days=3)
    rules = (replace(LENDS, renew_window_days=3),)
    assert decide(renew(windowed, due=NOW + before), rules=rules).codes == (code,)
    assert decide(renew(windowed, due=NOW + before)).codes == ("OK",)


@pytest.mark.parametrize(
    ("loan", "item", "code"),
    [
        ({"recalled": True}, {}, "RENEW_HELD"),
        ({}, {"hold": Relation.OTHER}, "RENEW_HELD"),
        ({}, {"hold": Relation.SELF}, "OK"),
        ({"recalled": True}, {"hold": Relation.OTHER}, "RENEW_HELD"),
    ],
)
def test_what_somebody_else_waits_for_is_not_renewed(loan, item, code):
    assert decide(replace(renew(**loan), item=Make.item(**item))).codes == (code,)


@pytest.mark.parametrize(
    ("late", "grace", "code"),
    [
        (0, 0, "OK"),
        (1, 0, "RENEW_OVERDUE"),
        (DAY, 1, "OK"),
        (DAY + 1, 1, "RENEW_OVERDUE"),
        (2 * DAY, 1, "RENEW_OVERDUE"),
    ],
)
def test_overdue_is_renewed_within_the_grace_and_not_beyond(late, grace, code):
    assert decide(renew(replace(PROMISED, grace_days=grace), due=NOW - late)).codes == (code,)


def test_a_renewal_that_gains_nothing_is_not_used_up():
    gained = decide(renew(due=NOW)).due_ms
    assert decide(renew(due=gained - 1)).due_ms == gained
    assert decide(renew(due=gained)).codes == ("RENEW_EARLY",)
    assert decide(renew(due=gained + 1)).codes == ("RENEW_EARLY",)


@pytest.mark.parametrize("end", ["reader", "agreement", "hard"])
def test_nothing_is_renewed_past_what_ends(end):
    last = NOW + 5 * DAY
    facts, policy = renew(), {}
    if end == "reader":
        facts = replace(facts, reader=Make.reader(valid_to_ms=last))
    elif end == "agreement":
        policy = {"agreements": (Make.agreement(valid_to_ms=last),)}
    else:
        policy = {"rules": (replace(LENDS, hard_due_ms=last),)}
    assert decide(facts, **policy).due_ms == last
    assert decide(replace(facts, loan=Make.loan_facts(due=last)), **policy).codes == ("RENEW_EARLY",)


def test_the_calendar_is_the_lending_branchs():
    open_sundays = Calendar("always", "Asia/Shanghai", ((),) * 6 + (((0, 1440),),))
    decision = decide(renew(), calendars=(open_sundays,))
    assert (decision.due_ms // 1000 + 1 + 8 * 3600) % 86_400 == 0
    assert decision.due_ms > decide(renew()).due_ms


@given(st.integers(-3, 60), st.integers(0, 40), st.integers(0, 3), st.booleans())
def test_a_renewal_never_takes_a_day_away(due, period, renewed, hours):
    terms = Terms(period_days=0 if hours else period, period_hours=period if hours else 0, renewals=3, grace_days=5)
    decision = decide(renew(terms, due=NOW + due * DAY, renewed=renewed))
    assert decision.due_ms is None or decision.due_ms > NOW + due * DAY
    assert decision.allowed == (decision.due_ms is not None)


# --- freshness, blocks, ILS ---


@pytest.mark.parametrize(
    ("name", "bound"), [("blocks", QUARTER), ("loans", QUARTER), ("items", QUARTER), ("policy", DAY)]
)
def test_out_of_touch_a_loan_is_renewed_one_step_and_no_more(name, bound):
    fresh, old = Make.known(**{name: NOW - bound}), Make.known(**{name: NOW - bound - 1})
    for known, unsynced, code, mode in [
        (fresh, 1, "OK", Mode.ONLINE), (old, 0, "OK", Mode.STALE), (old, 1, "NOT_DECIDABLE_OFFLINE", Mode.STALE),
    ]:  # fmt: skip
        decision = decide(replace(renew(unsynced=unsynced), known=known))
        assert (decision.primary, decision.mode) == (code, mode)


@pytest.mark.parametrize(("unsynced", "code"), [(0, "OK"), (1, "NOT_DECIDABLE_OFFLINE")])
def test_while_the_hub_is_away_one_step_is_renewed_too(unsynced, code):
    decision = decide(replace(renew(unsynced=unsynced), away=True))
    assert (decision.primary, decision.mode) == (code, Mode.OFFLINE)
    assert decision.outcome is (Outcome.ALLOW if code == "OK" else Outcome.REFER)


def test_an_untrusted_clock_renews_nothing():
    decision = decide(replace(renew(), device=Make.device(clock_trusted=False)))
    assert (decision.codes, decision.mode) == (("NOT_DECIDABLE_OFFLINE",), Mode.STALE)
    assert decide(replace(renew(), away=True, device=Make.device(clock_trusted=False))).mode is Mode.OFFLINE


def test_blocks_on_renewing_are_those_of_home_here_and_the_consortium():
    def blocked(issuer: str, *, at: str = f"{HOST}-01", action: str = "RENEW"):
        block = BlockFacts(issuer, "issuer", frozenset({action}), "FEES")
        return decide(replace(renew(), reader=Make.reader(blocks=(block,)), device=Make.device(at))).codes

    assert blocked(HOME) == ("BLOCK_HOME",)
    assert blocked(HOST) == ("BLOCK_FEES",)
    assert blocked(HOST, at=f"{THIRD}-01") == ("OK",)
    assert blocked(HOME, action="BORROW") == ("OK",)


def test_the_ils_in_charge_has_the_last_word():
    assert decide(replace(renew(), ils_refused=True)).codes == ("ILS_REFUSED",)
    assert decide(replace(renew(renewed=2), ils_refused=True)).codes == ("RENEW_LIMIT",)


def test_what_the_ils_in_charge_renewed_is_renewed_and_never_earlier_than_it_was_due():
    libraries = tuple(Library(org, "", org, org, masters=Mastership(loans=Master.ILS)) for org in (HOME, HOST, THIRD))
    own = replace(
        renew(renewed=9), reader=Make.reader(home=HOST), item=Make.item(owner=HOST), device=Make.device(f"{HOST}-01")
    )
    own = replace(own, loan=replace(own.loan, place=f"{HOST}-01"))
    policy = Make.policy(libraries=libraries)
    later = may_renew(policy, replace(own, ils_due_ms=own.loan.due + DAY), NOW)
    assert (later.codes, later.due_ms, later.basis) == (("OK",), own.loan.due + DAY, ("ILS",))
    assert may_renew(policy, replace(own, ils_due_ms=NOW), NOW).due_ms == own.loan.due
    partners = replace(own, reader=Make.reader(), ils_due_ms=NOW + DAY)
    assert may_renew(policy, partners, NOW).basis != ("ILS",)


def test_a_reader_whose_account_ended_renews_nothing():
    assert decide(replace(renew(), reader=Make.reader(valid_to_ms=NOW))).codes == ("READER_EXPIRED",)
    assert decide(replace(renew(), reader=Make.reader(status="GONE"))).codes == ("READER_INACTIVE",)
