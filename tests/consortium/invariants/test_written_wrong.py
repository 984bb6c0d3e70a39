"""For every invariant of what is decided and signed (I8 to I10, I12, I15, I16, I18) an event that was written wrong and is caught."""

from __future__ import annotations

import pytest

from consortium.bundle import to_json
from consortium.events import Kind
from consortium.invariants import History
from consortium.seal import public_key, seal, to_text
from tests.consortium.invariants.faults import Write, another_way, renewed_too_often
from tests.consortium.invariants.world import KEY, World, broken, bundle, lend, world
from tests.make import DAY, HOME, HOST, HOUR, NOW


def another_code(made: World) -> str:
    event = made.event("lent")
    assert event.decision is not None
    made.change("lent", decision=event.decision | {"c": ["KO"]})
    return "lent"


def another_outcome(made: World) -> str:
    event = made.event("refused")
    assert event.decision is not None
    made.change("refused", decision=event.decision | {"o": "ALLOW", "c": ["OK"]})
    return "refused"


def another_due_date(made: World) -> str:
    event = made.event("renewed")
    assert event.decision is not None
    made.change("renewed", decision=event.decision | {"due": event.decision["due"] - 1})
    return "renewed"


def promised_less_than_decided(made: World) -> str:
    made.change("lent", data={"due": made.event("lent").data["due"] - DAY})
    return "lent"


def the_same_way_elsewhere(made: World) -> str:
    made.change("back", data={"route": {"action": "TRANSIT", "dest": f"{HOME}-01"}})
    return "back"


def policy_nobody_knows(made: World) -> str:
    event = made.event("lent")
    assert event.decision is not None
    made.change("lent", decision=event.decision | {"pv": 7})
    return "lent"


def half_a_decision(made: World) -> str:
    event = made.event("lent")
    assert event.decision is not None
    made.change("lent", decision={key: value for key, value in event.decision.items() if key != "facts"})
    return "lent"


def _aged(made: World, name: str, ages: list[int], **more: str) -> str:
    event = made.event(name)
    assert event.decision is not None
    made.change(name, decision=event.decision | {"k": ages} | more)
    return name


def stale_cards(made: World) -> str:
    return _aged(made, "lent", [0, HOUR, 0, 0, 0])


def stale_items(made: World) -> str:
    return _aged(made, "lent", [0, 0, 0, 0, HOUR])


def stale_policy(made: World) -> str:
    return _aged(made, "came", [25 * HOUR, 0, 0, 0, 0])


def stale_renewal(made: World) -> str:
    return _aged(made, "renewed", [0, 0, HOUR, 0, 0])


def far_too_old(made: World) -> str:
    return _aged(made, "lent", [0, 9 * HOUR, 0, 0, 0], m="STALE")


def partner_on_yesterdays_cards(made: World) -> str:
    return _aged(made, "came", [0, 25 * HOUR, 0, 0, 0], m="STALE")


def override_without_a_reason(made: World) -> str:
    made.change("overridden", data={"override": {"actor": "s17", "reason": "  "}})
    return "overridden"


def override_without_a_device(made: World) -> str:
    made.change("overridden", device="")
    return "overridden"


def against_its_decision(made: World) -> str:
    made.change("overridden", data={"override": None})
    return "overridden"


def marked_by_nobody(made: World) -> str:
    made.change("claim", data={"override": None})
    return "claim"


def ended_by_nobody(made: World) -> str:
    made.change("ended by staff", data={"override": None})
    return "ended by staff"


def settled_at_an_edge_by_nobody(made: World) -> str:
    return made.add(Kind.CONFLICT_SETTLED, NOW + 7 * DAY, data={"conflict": "CF_X:1", "resolution": "ACCEPTED"})


def ended_at_the_hub_by_staff_and_nobody(made: World) -> str:
    lend(made, NOW + 3 * HOUR, "1020", "r1")
    return made.add(Kind.LOAN_ENDED, NOW + 2 * DAY, node="hub-1", item=(HOST, "1020"), data={"end": "STAFF"})


def chip_number(made: World) -> str:
    return made.add(Kind.DEVICE, NOW, data={"state": "OK", "kind": "gate", "reason": "card 04a1b2c3d4e5f6 refused"})


def reader_number(made: World) -> str:
    made.change("refused", device="20240001")
    return "refused"


def number_with_signs_in_it(made: World) -> str:
    return made.add(Kind.DEVICE, NOW, data={"state": "OK", "kind": "gate", "reason": "证号读者-2024/7。"})


def number_as_a_key(made: World) -> str:
    made.change("refused", data={"20240001": 1})
    return "refused"


def handed_in_nowhere(made: World) -> str:
    made.change("late", branch="770000-01", decision=None)
    return "late"


def sent_nowhere(made: World) -> str:
    made.change("late", data={"route": {"action": "TRANSIT", "dest": "770000-01"}}, decision=None)
    return "late"


BEFORE: list[tuple[str, Write]] = [
    ("I8", another_code),
    ("I8", another_outcome),
    ("I8", another_due_date),
    ("I8", promised_less_than_decided),
    ("I8", another_way),
    ("I8", the_same_way_elsewhere),
    ("I8", policy_nobody_knows),
    ("I8", half_a_decision),
    ("I9", stale_cards),
    ("I9", stale_items),
    ("I9", stale_policy),
    ("I9", stale_renewal),
    ("I9", far_too_old),
    ("I9", partner_on_yesterdays_cards),
    ("I9", half_a_decision),
    ("I10", policy_nobody_knows),
    ("I12", renewed_too_often),
    ("I15", chip_number),
    ("I15", reader_number),
    ("I15", number_with_signs_in_it),
    ("I15", number_as_a_key),
    ("I16", override_without_a_reason),
    ("I16", override_without_a_device),
    ("I16", against_its_decision),
    ("I16", marked_by_nobody),
    ("I16", ended_by_nobody),
    ("I16", settled_at_an_edge_by_nobody),
    ("I16", ended_at_the_hub_by_staff_and_nobody),
    ("I18", handed_in_nowhere),
    ("I18", sent_nowhere),
]


@pytest.mark.parametrize(("invariant", "write"), BEFORE, ids=lambda one: one if isinstance(one, str) else one.__name__)
def test_what_was_written_wrong_is_caught_and_named(invariant: str, write: Write) -> None:
    made = world()
    name = write(made)
    history = made.history()
    if write is renewed_too_often:  # here somebody let it pass in silence
        history.conflicts = [one for one in history.conflicts if one.kind != "CF_RENEW_NOT_ALLOWED"]
    finding = broken(history)[invariant]
    assert finding.offending == (made.names.get(name, name),)
    assert finding.total == 1


# --- I10: whose policy it was ---


def _sealed(**more: object) -> History:
    made = world()
    history = made.history()
    for name, value in more.items():
        setattr(history, name, value)
    return history


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"sealed": {}}, "not signed"),
        ({"sealed": {1: "{}"}}, "no sealed policy bundle"),
        ({"sealed": {1: to_text(seal(to_json(bundle()), bytes(range(1, 33))))}}, "no key that is trusted"),
        ({"sealed": {1: to_text(seal(to_json(bundle(issued_ms=NOW + 1)), KEY))}}, "another text"),
        ({"policy_keys": {"00": "no key"}}, "64 hex digits"),
        ({"bundles": {1: "{}"}}, "not on record"),
    ],
    ids=["unsigned", "no-seal", "stranger", "other-text", "bad-key", "unreadable"],
)
def test_a_policy_that_nobody_trusted_signed_is_caught(change: dict[str, object], word: str) -> None:
    finding = broken(_sealed(**change))["I10"]
    assert word in finding.note
    assert finding.total == finding.checked > 0


@pytest.mark.parametrize("when", [{"valid_from_ms": NOW + 1}, {"valid_to_ms": NOW + DAY}])
def test_a_policy_that_was_not_in_force_is_caught(when: dict[str, int]) -> None:
    text = to_json(bundle(**when))
    finding = broken(_sealed(bundles={1: text}, sealed={1: to_text(seal(text, KEY))}))["I10"]
    assert 0 < finding.total < finding.checked
    assert "not in force" in finding.note


def test_a_policy_out_of_force_is_caught_although_no_key_is_known() -> None:
    text = to_json(bundle(valid_to_ms=NOW + DAY))
    assert "I10" in broken(_sealed(bundles={1: text}, policy_keys={}))


def test_a_tampered_seal_of_a_trusted_key_is_caught() -> None:
    text = to_text(seal(to_json(bundle()), KEY)).replace("U", "V")
    assert public_key(KEY).id in text
    assert "I10" in broken(_sealed(sealed={1: text}))
