"""The serialisation bench: both libraries do the same work, so that its figures compare."""

from __future__ import annotations

import json

import msgspec
import pydantic
import pytest

from bench import serial
from consortium.schemas import Checkout

EVENT = json.loads(serial._EVENT)


@pytest.mark.parametrize(
    "wrong",
    [
        {"item": ["", "1"]}, {"item": ["1"]}, {"item": ["1", "2", "3"]}, {"home": "x" * 17}, {"due": -1}, {"due": "5"}, {"due": 1.5},
        {"basis": ["x" * 65]}, {"basis": ["x"] * 65}, {"terms": {"x" * 25: 1}}, {"terms": {"renewals": -1}}, {"hold": ""},
        {"override": {"actor": "", "reason": "r"}}, {"condition": "x" * 401}, {"type": None},
    ],
)  # fmt: skip
def test_both_refuse_the_same_events(wrong: dict[str, object]) -> None:
    text = json.dumps(EVENT | wrong)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Checkout)
    with pytest.raises(pydantic.ValidationError):
        serial._Checkout.model_validate_json(text)


def test_both_read_the_same_event() -> None:
    ours = json.loads(msgspec.json.encode(msgspec.json.decode(serial._EVENT, type=Checkout)))
    theirs = serial._Checkout.model_validate_json(serial._EVENT).model_dump(mode="json")
    assert ours == theirs


def test_every_figure_of_work_has_its_rival_beside_it() -> None:
    figures, beside = serial.measure(seconds=0.001, runs=1)
    assert {f"pydantic_{name}" for name in figures} - beside.keys() == {
        "pydantic_bundle_canonical_us",
        "pydantic_bundle_bytes",
    }
    assert all(value > 0 for value in (*figures.values(), *beside.values()))
