"""The data of each type of event: the least it carries, what it may not lack, and how much it may hold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from consortium.events import (
    CLASS_OF,
    HOLD_KINDS,
    ITEM_KINDS,
    NEEDS_SUBJECT,
    SCHEMAS,
    VISIT_KINDS,
    EventClass,
    EventError,
    Kind,
    decode,
    encode,
)
from tests.consortium.histories import route
from tests.least import LEAST
from tests.make import HOST, Make


def body(kind: Kind, data: dict[str, Any]) -> str:
    raw = json.loads(encode(Make.event(Kind.EXIT, 1)))
    return json.dumps({**raw, "kind": kind.value, "data": data})


def refused(kind: Kind, data: dict[str, Any]) -> bool:
    """Whether the body is refused for its data; any other refusal is no answer."""
    try:
        decode(body(kind, data))
    except EventError as error:
        if error.code != "EVENT_DATA":
            raise
        return True
    return False


def test_every_type_has_its_schema_its_class_and_its_least():
    assert set(LEAST) == set(SCHEMAS) == set(CLASS_OF) == set(Kind)
    assert all(kind.name == kind.value for kind in Kind)


@pytest.mark.parametrize("kind", list(Kind))
def test_the_least_is_enough_and_nothing_of_it_can_be_left_out(kind):
    event = decode(body(kind, LEAST[kind]))
    assert (event.kind, event.data) == (kind, LEAST[kind])
    for name in LEAST[kind]:
        assert refused(kind, {other: value for other, value in LEAST[kind].items() if other != name}), name


@pytest.mark.parametrize("kind", list(Kind))
def test_what_a_schema_does_not_name_is_kept(kind):
    data = {**LEAST[kind], "colour": "blue"}
    assert decode(body(kind, data)).data == data


@pytest.mark.parametrize("kind", [kind for kind in Kind if "item" in LEAST[kind]])
@pytest.mark.parametrize(
    "item", [None, HOST, [HOST], [HOST, ""], ["", "1"], [HOST, "x" * 65], ["x" * 17, "1"], [HOST, 1]]
)
def test_an_item_is_an_owner_and_a_number(kind, item):
    assert refused(kind, {**LEAST[kind], "item": item})


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (Kind.CHECKOUT, {"due": -1}), (Kind.CHECKOUT, {"due": 1 << 53}), (Kind.CHECKOUT, {"type": "x" * 25}),
        (Kind.CHECKOUT, {"home": ""}), (Kind.CHECKOUT, {"basis": ["x"] * 65}), (Kind.CHECKOUT, {"flags": ["x" * 65]}),
        (Kind.CHECKOUT, {"terms": {"renewals": -1}}), (Kind.CHECKOUT, {"terms": {"renewals": 1 << 31}}),
        (Kind.CHECKOUT, {"terms": {"x" * 25: 1}}), (Kind.CHECKOUT, {"condition": "x" * 401}),
        (Kind.CHECKOUT, {"override": {"actor": "a"}}), (Kind.CHECKOUT, {"override": {"actor": "", "reason": "r"}}),
        (Kind.CHECKOUT, {"override": {"actor": "a", "reason": ""}}), (Kind.RENEW, {"due": "1"}),
        (Kind.RETURN, {"route": {"action": "FLY"}}), (Kind.RETURN, {"route": {"action": "TRANSIT"}}),
        (Kind.RETURN, {"route": route(reason="")}), (Kind.RETURN, {"code": ""}), (Kind.RETURN, {"t_credit": -1}),
        (Kind.IN_USE, {"how": "nose"}), (Kind.TRANSIT_SENT, {"to": ""}), (Kind.ITEM_MARKED, {"mark": "GONE"}),
        (Kind.LOAN_ENDED, {"end": "RETURN"}), (Kind.ILS_OBSERVED, {"what": "WEDDING"}), (Kind.ENTRY, {"class": "x" * 17}),
        (Kind.TAG_WRITTEN, {"ok": 2}), (Kind.TAG_WRITTEN, {"secured": -1}), (Kind.CARD_STATUS, {"status": "STOLEN"}),
        (Kind.CLOCK_CORRECTED, {"first": 0}), (Kind.CLOCK_CORRECTED, {"last": 0}), (Kind.CLOCK_CORRECTED, {"unc": -1}),
        (Kind.CLOCK_CORRECTED, {"offset": 1 << 53}), (Kind.POLICY_PUBLISHED, {"digest": "0" * 63}),
        (Kind.ENTRY, {"passage": "guessed"}), (Kind.EXIT, {"passage": ""}), (Kind.GATE_ALARM, {"code": "LOUD"}),
        (Kind.GATE_ALARM, {"antenna": 256}), (Kind.GATE_ALARM, {"item": [HOST]}), (Kind.PEOPLE_COUNTED, {"came": -1}),
        (Kind.PEOPLE_COUNTED, {"drift": 1 << 31}), (Kind.PEOPLE_COUNTED, {"by": "eye"}),
        (Kind.CHARGE_PAID, {"amount": -1}), (Kind.HOLD_PLACED, {"hold": ""}), (Kind.HOLD_PLACED, {"hold": "x" * 161}),
    ],
)  # fmt: skip
def test_what_is_out_of_bounds_is_refused(kind, change):
    assert refused(kind, {**LEAST[kind], **change})


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (Kind.CHECKOUT, {"due": 0}), (Kind.CHECKOUT, {"due": (1 << 53) - 1}), (Kind.CHECKOUT, {"type": "x" * 24}),
        (Kind.CHECKOUT, {"basis": ["x" * 64] * 64}), (Kind.CHECKOUT, {"terms": {"x" * 24: (1 << 31) - 1}}),
        (Kind.CHECKOUT, {"override": {"actor": "a", "reason": "r", "codes": ["LIMIT_LENDER"]}}),
        (Kind.RETURN, {"route": {"action": "DESK"}}), (Kind.RETURN, {"route": {"action": "TRANSIT", "dest": "a-1"}}),
        (Kind.ENTRY, {"passage": "assumed"}), (Kind.EXIT, {"passage": "confirmed"}), (Kind.GATE_ALARM, {"item": [HOST, "1"]}),
        (Kind.PEOPLE_COUNTED, {"drift": -5}),
        (Kind.IN_USE, {"how": "scan"}), (Kind.CLOCK_CORRECTED, {"offset": 1 - (1 << 53)}), (Kind.HOLD_PLACED, {"hold": "x" * 160}),
    ],
)  # fmt: skip
def test_what_is_just_within_bounds_is_taken(kind, change):
    assert not refused(kind, {**LEAST[kind], **change})


def test_who_reads_what():
    assert ITEM_KINDS & VISIT_KINDS == ITEM_KINDS & HOLD_KINDS == VISIT_KINDS & HOLD_KINDS == frozenset()
    assert {kind for kind in Kind if CLASS_OF[kind] is EventClass.VISIT} == VISIT_KINDS | {
        Kind.REFUSED, Kind.GATE_ALARM,
    }  # fmt: skip
    assert {kind for kind in Kind if CLASS_OF[kind] is EventClass.PRESENCE} == {
        Kind.IN_USE, Kind.DEVICE, Kind.PEOPLE_COUNTED,
    }  # fmt: skip


@pytest.mark.parametrize("kind", list(Kind))
def test_who_it_was_about_is_asked_where_it_must_be_known(kind):
    raw = json.loads(body(kind, LEAST[kind]))
    del raw["subject"]
    if kind in NEEDS_SUBJECT:
        with pytest.raises(EventError) as caught:
            decode(json.dumps(raw))
        assert caught.value.code == "EVENT_SUBJECT"
    else:
        assert decode(json.dumps(raw)).subject is None
