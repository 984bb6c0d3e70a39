"""may_borrow at its bounds: cards, items, agreements of three libraries, quotas, staleness and the caps of being away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.agreement import CategoryMap, Library, LibraryStatus, Party, PolicyRule, Quotas, Service, Staleness
from consortium.calendar import Period
from consortium.decision import Mode, Outcome
from consortium.decisions import may_borrow
from consortium.facts import Assurance, BlockFacts, ItemStatus, OpenLoans, Relation, Sighting
from tests.consortium.test_enter_bounds import apart
from tests.make import DAY, HOME, HOST, HOUR, NOW, THIRD, Make

OWN = Make.device(f"{HOME}-01")
OWN_ITEM = Make.item(HOME)
QUARTER = 15 * 60_000
LENDS = PolicyRule("general", lend=True, period_days=30)


def decide(facts, **policy):
    return may_borrow(Make.policy(**policy), facts, NOW)


def at_home(**more):
    return Make.borrow(device=OWN, item=OWN_ITEM, **more)


# --- card and reader ---


def test_a_copyable_card_wants_a_pin_of_partners_alone():
    low = Make.card(assurance=Assurance.LOW)
    assert decide(at_home(card=low)).allowed
    assert decide(Make.borrow(card=low)).codes == ("CARD_ASSURANCE_LOW",)
    assert decide(Make.borrow(card=low)).outcome is Outcome.DENY
    assert decide(Make.borrow(card=Make.card(assurance=Assurance.MED))).allowed
    expired = Make.card(assurance=Assurance.LOW, to_ms=NOW)
    assert decide(Make.borrow(card=expired)).codes == ("CARD_EXPIRED", "CARD_ASSURANCE_LOW")


def test_nothing_is_asked_of_a_card_that_nobody_knows():
    seen = Sighting(f"{HOME}-01", NOW - 1)
    assert decide(Make.borrow(card=None, elsewhere=seen), branches=apart()).codes == ("CARD_UNKNOWN",)
    assert decide(Make.borrow(reader=None, elsewhere=seen), branches=apart()).codes == ("CARD_UNKNOWN",)


def test_a_card_at_two_places_at_once_lends_nothing():
    decision = decide(Make.borrow(elsewhere=Sighting(f"{HOME}-01", NOW - HOUR)), branches=apart())
    assert (decision.codes, decision.outcome) == (("CARD_CLONE_SUSPECT",), Outcome.REFER)
    assert decide(Make.borrow(elsewhere=Sighting(f"{HOME}-01", NOW - 3 * HOUR)), branches=apart()).allowed


def test_sharing_is_asked_for_at_partners_and_not_at_home():
    reader = Make.reader(shared=False)
    assert decide(Make.borrow(reader=reader)).codes == ("READER_NOT_SHARED",)
    assert decide(at_home(reader=reader)).allowed


# --- the item ---


@pytest.mark.parametrize("status", list(ItemStatus))
def test_a_reader_with_the_item_in_hand_may_have_it_whatever_its_state_but_withdrawn(status):
    decision = decide(Make.borrow(item=Make.item(status=status)))
    assert decision.codes == (("ITEM_UNKNOWN",) if status is ItemStatus.WITHDRAWN else ("OK",))
    found = status in (ItemStatus.MISSING, ItemStatus.LOST, ItemStatus.CLAIMED_RETURNED)
    assert decision.notes == (("FOUND",) if found else ())


@pytest.mark.parametrize(
    ("item", "codes"),
    [
        ({"transit_hold": True}, ("ITEM_HELD",)),
        ({"transit_hold": True, "hold": Relation.SELF}, ("OK",)),
        ({"transit_hold": True, "hold": Relation.OTHER}, ("ITEM_HELD",)),
        ({"loan": Relation.OTHER, "hold": Relation.OTHER}, ("ITEM_ON_LOAN", "ITEM_HELD")),
        ({"loan": Relation.SELF, "reference": True, "shareable": False},
         ("ITEM_ON_LOAN_SELF", "ITEM_REFERENCE", "ITEM_NOT_SHARED")),
        ({"transit_to": f"{THIRD}-01", "status": ItemStatus.IN_TRANSIT}, ("OK",)),
        ({"damaged": True}, ("OK",)),
    ],
)  # fmt: skip
def test_what_speaks_against_the_item_is_told_in_order(item, codes):
    assert decide(Make.borrow(item=Make.item(**item))).codes == codes


def test_an_unshared_item_is_lent_to_its_owners_readers_at_its_owner_only():
    item = Make.item(HOST, shareable=False)
    mine = Make.reader(HOST)
    assert decide(Make.borrow(item=item, reader=mine)).allowed
    assert decide(Make.borrow(item=item, reader=mine, device=OWN)).codes == ("ITEM_NOT_SHARED",)
    assert decide(Make.borrow(item=item)).codes == ("ITEM_NOT_SHARED",)


def test_an_item_whose_tag_differs_is_not_even_looked_at():
    item = Make.item(loan=Relation.OTHER)
    assert decide(Make.borrow(item=item, tag_agrees=False)).codes == ("ITEM_MISMATCH",)


# --- agreements: home, owner and lender are three libraries ---


def _three(place: dict | None = None, owner: dict | None = None):
    maps = (CategoryMap(HOME, "UG", "U"),)
    return {
        "agreements": (
            Make.agreement("lender", parties=(Party(HOME), Party(HOST)), category_map=maps, **(place or {})),
            Make.agreement("owner", parties=(Party(HOME), Party(THIRD)), category_map=maps, **(owner or {})),
        )
    }


THREE = Make.borrow(item=Make.item(THIRD))


def test_a_third_librarys_item_needs_both_agreements_and_both_are_named():
    assert decide(THREE, **_three()).basis == ("lender@1", "owner@1", "general")
    away = {"services": frozenset({Service.ENTER})}
    assert decide(THREE, **_three(place=away)).codes == ("AGR_SERVICE_OFF",)
    assert decide(THREE, **_three(owner=away)).codes == ("AGR_SERVICE_OFF",)
    assert decide(THREE, **_three(place={"blackouts": (Period(NOW, NOW + 1),)}, owner=away)).codes == ("AGR_BLACKOUT",)


def test_an_exclusion_in_either_agreement_counts_and_is_told_once():
    out = {"excluded_item_types": frozenset({"BOOK"})}
    assert decide(THREE, **_three(owner=out)).codes == ("ITEM_NOT_SHARED",)
    assert decide(THREE, **_three(place=out, owner=out)).codes == ("ITEM_NOT_SHARED",)
    rare = {"excluded_collections": frozenset({"RARE"})}
    item = Make.item(THIRD, collection="RARE")
    assert decide(replace(THREE, item=item), **_three(owner=rare)).codes == ("ITEM_NOT_SHARED",)
    assert decide(replace(THREE, item=Make.item(THIRD, collection="OPEN")), **_three(owner=rare)).allowed
    assert decide(
        replace(THREE, item=Make.item(THIRD)), **_three(owner={"excluded_collections": frozenset({""})})
    ).allowed


def test_the_strictest_bounds_of_both_agreements_bind():
    strict = {"staleness": Staleness(borrow_facts_fresh_ms=60_000, offline_cap=0)}
    aged = replace(THREE, known=Make.known(60_001, policy=NOW))
    assert decide(aged, **_three()).mode is Mode.ONLINE
    for which in ("place", "owner"):
        assert decide(aged, **_three(**{which: strict})).codes == ("LIMIT_OFFLINE",)
        on_time = replace(THREE, known=Make.known(60_000, policy=NOW))
        assert decide(on_time, **_three(**{which: strict})).mode is Mode.ONLINE


@pytest.mark.parametrize(
    ("bound", "known", "facts", "code"),
    [
        ("policy_fresh_ms", {"policy": NOW - HOUR - 1}, {}, "STALE_POLICY"),
        ("borrow_facts_refuse_ms", {"cards": NOW - HOUR - 1}, {}, "NOT_DECIDABLE_OFFLINE"),
    ],
)
@pytest.mark.parametrize("which", ["place", "owner"])
def test_each_bound_is_the_lower_of_two(which, bound, known, facts, code):
    more = {"staleness": Staleness(**{bound: HOUR})}
    given = replace(THREE, known=Make.known(**known))
    assert decide(given, **_three()).allowed
    assert decide(given, **_three(**{which: more})).codes == (code,)


def test_the_highest_value_is_the_lower_of_two_where_either_has_one():
    away = replace(THREE, away=True, item=Make.item(THIRD, value=50))
    cap = {"staleness": Staleness(offline_max_value=49)}
    looser = {"staleness": Staleness(offline_max_value=90)}
    assert decide(away, **_three()).allowed
    assert decide(away, **_three(place=cap)).codes == ("LIMIT_OFFLINE",)
    assert decide(away, **_three(owner=cap)).codes == ("LIMIT_OFFLINE",)
    assert decide(away, **_three(place=cap, owner=looser)).codes == ("LIMIT_OFFLINE",)
    assert decide(replace(away, item=Make.item(THIRD, value=49)), **_three(place=cap, owner=looser)).allowed


def test_the_lenders_quota_is_the_lenders_and_not_the_owners():
    quota = {"quotas": Quotas(loans_per_reader=1, loans_per_lender=1)}
    reader = Make.reader(open_loans=(OpenLoans(HOST, "BOOK", 1),))
    facts = replace(THREE, reader=reader, partner_loans=1)
    assert decide(facts, **_three(place=quota)).codes == ("AGR_QUOTA",)
    assert decide(facts, **_three(owner=quota)).allowed
    home = Make.borrow(device=OWN, item=Make.item(HOST), reader=reader, partner_loans=1)
    assert decide(home, **_three(place=quota)).allowed


@pytest.mark.parametrize(
    ("quotas", "n", "partner_loans", "code"),
    [
        (Quotas(loans_per_reader=3), 2, 99, "OK"),
        (Quotas(loans_per_reader=3), 3, 0, "AGR_QUOTA"),
        (Quotas(loans_per_lender=9), 4, 8, "OK"),
        (Quotas(loans_per_lender=9), 0, 9, "AGR_QUOTA"),
        (Quotas(), 4, 10**6, "OK"),
    ],
)
def test_quotas_of_loans_count_here_and_now(quotas, n, partner_loans, code):
    elsewhere = (OpenLoans(HOME, "BOOK", 3), OpenLoans(THIRD, "BOOK", 3))
    reader = Make.reader(open_loans=(*elsewhere, OpenLoans(HOST, "DISC", n)))
    agreements = (Make.agreement(quotas=quotas),)
    assert decide(Make.borrow(reader=reader, partner_loans=partner_loans), agreements=agreements).codes == (code,)


def test_a_quota_and_an_exclusion_are_both_told():
    agreements = (Make.agreement(quotas=Quotas(loans_per_lender=1), excluded_item_types=frozenset({"BOOK"})),)
    assert decide(Make.borrow(partner_loans=1), agreements=agreements).codes == ("ITEM_NOT_SHARED", "AGR_QUOTA")


@pytest.mark.parametrize("status", [LibraryStatus.LEAVING, LibraryStatus.LEFT])
def test_a_library_that_leaves_lends_nothing_to_partners_and_sends_none(status):
    for gone in (HOME, HOST, THIRD):
        orgs = {gone: status}
        members = tuple(
            Library(org, org, org, org, status=orgs.get(org, LibraryStatus.ACTIVE)) for org in (HOME, HOST, THIRD)
        )
        assert decide(THREE, libraries=members, **_three()).codes == ("AGR_ENDED",)
        assert decide(at_home(), libraries=members).allowed


# --- staleness and the caps of being away ---


@pytest.mark.parametrize("name", ["cards", "blocks", "loans"])
def test_facts_are_fresh_degraded_and_refused_to_the_millisecond(name):
    def at(age: int, unsynced: int = 0):
        return decide(Make.borrow(known=Make.known(**{name: NOW - age}), reader=Make.reader(unsynced=unsynced)))

    assert (at(QUARTER, 9).codes, at(QUARTER).mode) == (("OK",), Mode.ONLINE)
    assert (at(QUARTER + 1, 1).codes, at(QUARTER + 1).mode) == (("OK",), Mode.STALE)
    assert at(QUARTER + 1, 2).codes == ("LIMIT_OFFLINE",)
    assert at(8 * HOUR, 1).codes == ("OK",)
    assert at(8 * HOUR + 1).codes == ("NOT_DECIDABLE_OFFLINE",)
    assert at(8 * HOUR + 1).outcome is Outcome.REFER


def test_old_item_facts_are_flagged_and_lent_on():
    assert decide(Make.borrow(known=Make.known(items=NOW - QUARTER))).mode is Mode.ONLINE
    decision = decide(Make.borrow(known=Make.known(items=NOW - 99 * DAY), reader=Make.reader(unsynced=9)))
    assert (decision.codes, decision.mode) == (("OK",), Mode.STALE)


@pytest.mark.parametrize(
    ("partner", "age", "code"),
    [(True, 24 * HOUR, "OK"), (True, 24 * HOUR + 1, "STALE_POLICY"),
     (False, 24 * HOUR + 1, "OK"), (False, 72 * HOUR, "OK"), (False, 72 * HOUR + 1, "STALE_POLICY")],
)  # fmt: skip
def test_an_old_policy_lends_to_own_readers_for_three_days(partner, age, code):
    facts = Make.borrow() if partner else at_home()
    decision = decide(replace(facts, known=Make.known(policy=NOW - age)))
    assert decision.codes == (code,)
    assert decision.mode is (Mode.STALE if age > 24 * HOUR else Mode.ONLINE)


def test_an_untrusted_clock_lends_to_own_readers_alone():
    bad = Make.device(f"{HOME}-01", clock_trusted=False)
    assert decide(replace(at_home(), device=bad)).codes == ("OK",)
    assert decide(replace(at_home(), device=bad)).mode is Mode.STALE
    assert decide(Make.borrow(device=bad, item=Make.item(HOST))).codes == ("CLOCK_UNTRUSTED",)


def test_all_that_is_stale_is_told_at_once():
    facts = Make.borrow(device=Make.device(clock_trusted=False), known=Make.known(30 * HOUR))
    assert decide(facts).codes == ("CLOCK_UNTRUSTED", "STALE_POLICY", "NOT_DECIDABLE_OFFLINE")


@pytest.mark.parametrize(
    ("rule", "facts", "codes", "mode"),
    [
        ({"offline_lend": False}, {}, ("OK",), Mode.ONLINE),
        ({"offline_lend": False}, {"away": True}, ("NOT_DECIDABLE_OFFLINE",), Mode.OFFLINE),
        ({"offline_lend": False}, {"known": Make.known(items=NOW - QUARTER)}, ("OK",), Mode.ONLINE),
        ({"offline_lend": False}, {"known": Make.known(items=NOW - QUARTER - 1)}, ("NOT_DECIDABLE_OFFLINE",), Mode.STALE),
        ({"offline_lend": True}, {"away": True}, ("OK",), Mode.OFFLINE),
        ({}, {"away": True}, ("OK",), Mode.OFFLINE),
        ({"offline_cap": 0}, {"away": True}, ("LIMIT_OFFLINE",), Mode.OFFLINE),
        ({"offline_cap": 0}, {}, ("OK",), Mode.ONLINE),
        ({"offline_cap": 3}, {"away": True, "reader": Make.reader(unsynced=2)}, ("OK",), Mode.OFFLINE),
        ({"offline_cap": 3}, {"away": True, "reader": Make.reader(unsynced=3)}, ("LIMIT_OFFLINE",), Mode.OFFLINE),
    ],
)  # fmt: skip
def test_a_rule_says_what_is_lent_while_the_hub_is_away(rule, facts, codes, mode):
    decision = decide(Make.borrow(**facts), rules=(replace(LENDS, **rule),))
    assert (decision.codes, decision.mode) == (codes, mode)


@pytest.mark.parametrize(("value", "codes"), [(49, ("OK",)), (50, ("OK",)), (51, ("LIMIT_OFFLINE",))])
def test_dear_items_are_not_lent_on_degraded_facts(value, codes):
    agreements = (Make.agreement(staleness=Staleness(offline_max_value=50)),)
    facts = Make.borrow(item=Make.item(value=value))
    assert decide(replace(facts, away=True), agreements=agreements).codes == codes
    assert decide(replace(facts, known=Make.known(loans=NOW - HOUR)), agreements=agreements).codes == codes
    assert decide(facts, agreements=agreements).allowed


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({}, "RULE_NONE"),
        ({"lend": True}, "RULE_NONE"),
        ({"lend": False}, "ITEM_REFERENCE"),
        ({"period_days": 30}, "RULE_NONE"),
        ({"lend": False, "period_hours": 4}, "ITEM_REFERENCE"),
        ({"lend": True, "period_hours": 4}, "OK"),
        ({"lend": True, "period_days": 30}, "OK"),
    ],
)
def test_a_rule_lends_where_it_says_that_and_how_long(rule, code):
    assert decide(Make.borrow(), rules=(PolicyRule("r", **rule),)).codes == (code,)


# --- blocks, the ILS, what has to be done ---


def test_a_block_in_force_now_counts_and_one_of_yesterday_does_not():
    def blocked(**more):
        return decide(
            Make.borrow(reader=Make.reader(blocks=(BlockFacts(HOME, "issuer", frozenset({"BORROW"}), **more),)))
        )

    assert blocked(from_ms=NOW).codes == ("BLOCK_HOME",)
    assert blocked(from_ms=NOW + 1).allowed
    assert blocked(to_ms=NOW + 1).codes == ("BLOCK_HOME",)
    assert blocked(to_ms=NOW).allowed


def test_the_ils_in_charge_is_asked_last():
    decision = decide(Make.borrow(ils_refused=True))
    assert (decision.codes, decision.outcome) == (("ILS_REFUSED",), Outcome.REFER)


@pytest.mark.parametrize(
    ("rule", "obligations"),
    [
        ({}, ("UNSECURE", "RECEIPT")),
        ({"deposit": 0, "condition_note": False}, ("UNSECURE", "RECEIPT")),
        ({"deposit": 1}, ("UNSECURE", "RECEIPT", "DEPOSIT")),
        ({"condition_note": True}, ("UNSECURE", "RECEIPT", "CONDITION_NOTE")),
        ({"deposit": 5000, "condition_note": True}, ("UNSECURE", "RECEIPT", "DEPOSIT", "CONDITION_NOTE")),
    ],
)
def test_what_has_to_be_done_with_a_loan(rule, obligations):
    assert decide(Make.borrow(), rules=(replace(LENDS, **rule),)).obligations == obligations
