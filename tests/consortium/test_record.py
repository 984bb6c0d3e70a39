"""A decision's record: its facts and its instant in integers, strings, lists and objects, and back."""

from __future__ import annotations

import json

import msgspec
import pytest

from consortium.decision import Decision, Mode, Outcome
from consortium.decisions import accept_return, may_borrow, may_enter, may_renew
from consortium.facts import BlockFacts, Known, Sighting
from consortium.record import facts_of, record
from tests.make import HOME, HOST, HOUR, NOW, Make

KNOWN = Known(NOW - 1, NOW - 2, NOW - 3, NOW - 4, NOW - 5)


def test_a_record_holds_the_answer_the_instant_the_ages_and_the_facts():
    facts = Make.borrow(known=KNOWN)
    decision = may_borrow(Make.policy(), facts, NOW)
    kept = record(decision, facts, NOW)
    assert kept == {
        "f": "borrow",
        "o": "ALLOW",
        "c": ["OK"],
        "pv": 1,
        "s": "edge",
        "m": "ONLINE",
        "due": decision.due_ms,
        "b": ["both@1", "general"],
        "t": NOW,
        "k": [1, 2, 3, 4, 5],
        "facts": {
            "device": {"id": "kiosk1", "branch": f"{HOST}-01"},
            "card": {"status": "ACTIVE", "assurance": "HIGH"},
            "reader": {"home": HOME, "category": "UG", "shared": 1, "age": 20},
            "item": {"owner": HOST, "item_no": "1001", "item_type": "BOOK", "owner_branch": f"{HOST}-01", "value": 1},
        },
    }


def test_a_refusal_has_neither_due_date_nor_basis():
    facts = Make.enter(card=None)
    kept = record(may_enter(Make.policy(), facts, NOW, source="hub"), facts, NOW)
    assert "due" not in kept
    assert "b" not in kept
    assert (kept["o"], kept["c"], kept["s"]) == ("DENY", ["CARD_UNKNOWN"], "hub")
    assert kept["facts"]["card"] is None


@pytest.mark.parametrize(
    ("function", "facts"),
    [
        (may_enter, Make.enter(known=KNOWN, elsewhere=Sighting(f"{HOME}-01", NOW - HOUR), inside=True)),
        (may_borrow, Make.borrow(known=KNOWN, item=Make.item(item_no="null", transit_to="null", collection="1"))),
        (may_renew, Make.renew(known=KNOWN, loan=Make.loan_facts(renewed=1))),
        (accept_return, Make.give_back(known=KNOWN, item=None, can_hand_back=True)),
    ],
)
def test_facts_read_back_through_json(function, facts):
    kept = record(function(Make.policy(), facts, NOW), facts, NOW)
    assert facts_of(json.loads(json.dumps(kept))) == facts


def test_sets_are_written_in_order_and_flags_as_numbers():
    block = BlockFacts(HOME, "issuer", frozenset({"ENTER", "BORROW", "HOLD"}))
    facts = Make.enter(reader=Make.reader(blocks=(block,)), flooded=True)
    kept = record(may_enter(Make.policy(), facts, NOW), facts, NOW)
    assert kept["facts"]["reader"]["blocks"] == [
        {"issuer": HOME, "scope": "issuer", "actions": ["BORROW", "ENTER", "HOLD"]}
    ]
    assert type(kept["facts"]["flooded"]) is int
    assert type(kept["facts"]["card"]["status"]) is str
    assert facts_of(kept) == facts


@pytest.mark.parametrize("damage", [{"facts": {}}, {"facts": {"device": 1}}])
def test_what_is_no_record_is_refused(damage):
    facts = Make.enter()
    kept = record(may_enter(Make.policy(), facts, NOW), facts, NOW)
    with pytest.raises(msgspec.ValidationError):
        facts_of({**kept, **damage})


def test_a_decision_shows_its_first_code_in_the_readers_language():
    decision = Decision("enter", Outcome.DENY, ("BLOCK_HOME", "BRANCH_FULL"), 1, KNOWN, "edge", Mode.ONLINE)
    assert (decision.primary, decision.allowed) == ("BLOCK_HOME", False)
    assert (decision.display(), decision.display("en")) == ("请联系所属馆", "Contact your home library")
    empty = Decision("enter", Outcome.ALLOW, (), 1, KNOWN, "edge", Mode.ONLINE)
    assert (empty.primary, empty.display("en"), empty.allowed) == ("OK", "Approved", True)
