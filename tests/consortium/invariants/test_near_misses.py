"""What must not be taken for a breach, beside what is one by a hair."""

from __future__ import annotations

import pytest

from consortium.agreement import Staleness
from consortium.bundle import Policy, to_json
from consortium.decisions import may_borrow, may_enter
from consortium.events import Kind
from consortium.record import record
from consortium.seal import seal, to_text
from tests.consortium.invariants.faults import another_way, charge, renewed_too_often
from tests.consortium.invariants.world import KEY, POLICY, agreement, broken, bundle, lend, world
from tests.make import DAY, HOST, HOUR, NOW, Make


def test_a_renewal_over_the_limit_that_stands_in_a_conflict_is_a_persons_to_settle() -> None:
    made = world()
    renewed_too_often(made)
    history = made.history()
    assert [one.kind for one in history.conflicts].count("CF_RENEW_NOT_ALLOWED") == 1
    assert "I12" not in broken(history)


def test_a_renewal_over_the_limit_by_staff_is_theirs_to_give() -> None:
    made = world()
    name = renewed_too_often(made)
    for event in [one for one in made.events if one.kind is Kind.RENEW]:
        made.change(str(event.id), data={"override": {"actor": "s17", "reason": "长假"}})
    assert name
    assert broken(made.history()) == {}


def test_staff_may_send_an_item_another_way_and_say_why() -> None:
    made = world()
    another_way(made)
    assert "I8" in broken(made.history())
    made.change("back", data={"override": {"actor": "s17", "reason": "急用"}})
    assert "I8" not in broken(made.history())


def test_an_item_number_that_equals_a_readers_is_no_disclosure() -> None:
    made = world()
    lend(made, NOW + HOUR, "20240001", "r1")
    history = made.history()
    history.totals = None
    assert broken(history) == {}


def test_a_number_inside_a_longer_one_is_another_number() -> None:
    made = world()
    made.add(Kind.DEVICE, NOW, data={"state": "OK", "kind": "gate", "reason": "serial 120240001 and A04A1B2C3D4E5F6"})
    assert broken(made.history()) == {}


def test_an_agreement_that_is_stricter_is_kept() -> None:
    made = world()
    strict = bundle(agreements=(agreement(staleness=Staleness(borrow_facts_fresh_ms=60_000)),))
    facts = Make.borrow(item=Make.item(item_no="1001"), known=Make.known(items=NOW, cards=NOW - 120_000))
    decision = may_borrow(Policy(strict), facts, NOW)
    made.change("lent", decision=record(decision, facts, NOW))
    history = made.history()
    history.bundles[1], history.sealed[1] = to_json(strict), to_text(seal(to_json(strict), KEY))
    assert "I9" not in broken(history)
    made.change("lent", decision=record(decision, facts, NOW) | {"m": "ONLINE"})
    history.log = made.history().log
    assert broken(history)["I9"].offending == (made.names["lent"],)


def test_an_own_reader_comes_in_on_facts_of_any_age() -> None:
    made = world()
    facts = Make.enter(reader=Make.reader(HOST), known=Make.known(100 * HOUR))
    decision = may_enter(POLICY, facts, NOW)
    assert decision.allowed
    made.add(Kind.ENTRY, NOW, who="r8", data={"home": HOST, "class": "own"}, decision=record(decision, facts, NOW))
    history = made.history()
    history.totals = None
    assert broken(history) == {}


@pytest.mark.parametrize(("known", "codes"), [("policy", "STALE_POLICY"), ("cards", "NOT_DECIDABLE_OFFLINE")])
def test_what_was_known_when_is_part_of_deciding_again(known: str, codes: str) -> None:
    made = world()
    facts = Make.enter(known=Make.known(**{known: NOW - 80 * HOUR}))
    refusal = record(may_enter(POLICY, facts, NOW), facts, NOW)
    assert refusal["c"] == [codes]
    made.change("refused", decision=refusal)
    assert broken(made.history()) == {}
    made.change("refused", decision=refusal | {"k": [0, 0, 0, 0, 0]})
    assert set(broken(made.history())) == {"I8"}


def test_a_gates_own_agreement_bounds_what_a_partner_may_enter_on() -> None:
    made = world()
    lax = bundle(agreements=(agreement(staleness=Staleness(enter_cards_fresh_ms=10 * HOUR)),))
    facts = Make.enter(known=Make.known(cards=NOW - 5 * HOUR))
    made.change("came", decision=record(may_enter(Policy(lax), facts, NOW), facts, NOW))
    history = made.history()
    assert set(broken(history)) == {"I9"}  # by the bundle that is on record it was too old
    history.bundles[1], history.sealed[1] = to_json(lax), to_text(seal(to_json(lax), KEY))
    assert broken(history) == {}


@pytest.mark.parametrize(("credit", "most"), [(35 * DAY, 0), (38 * DAY, 20), (0, 0), (99 * DAY, 40)])
def test_what_a_drop_box_credits_is_the_return_within_the_loan(credit: int, most: int) -> None:
    made = world()
    made.change("late", data={"t_credit": NOW + credit})
    history = made.history()
    charge(made, history, ("second", "late", most, 0))
    assert broken(history) == {}
    charge(made, history, ("second", "late", most + 1, 0))
    assert set(broken(history)) == {"I14"}
