"""Envelopes: refusals, exact bytes, round trips, garbage."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.bus import (
    MAX_MESSAGE,
    Envelope,
    LocalProtocolError,
    RemoteProtocolError,
    decode,
    encode,
    from_rfc3339,
    rfc3339,
)

GOOD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "edge-251020-01",
    "type": "tongjie.evt.v1",
    "time": "2025-03-01T08:00:00.123Z",
    "data": {},
}


def raw(**changes: Any) -> bytes:
    return json.dumps({name: value for name, value in (GOOD | changes).items() if value is not ...}).encode()


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "BUS_NOT_JSON"),
        (b"[]", "BUS_NOT_JSON"),
        (b"\xff\xfe", "BUS_NOT_JSON"),
        (b"[" * 16_000, "BUS_NOT_JSON"),
        (b'{"specversion":' + b"9" * 9_000 + b"}", "BUS_NOT_JSON"),
        (b'{"id":"\xed\xa0\x80"}', "BUS_NOT_JSON"),
        (b" " * (MAX_MESSAGE + 1), "BUS_TOO_LARGE"),
        (raw(specversion="0.3"), "BUS_ENVELOPE_VERSION"),
        (raw(specversion=...), "BUS_ENVELOPE_VERSION"),
        (raw(datacontenttype="text/xml"), "BUS_ENVELOPE_FIELD"),
        (raw(data=...), "BUS_ENVELOPE_FIELD"),
        (raw(data=[]), "BUS_ENVELOPE_FIELD"),
        (raw(id=""), "BUS_ENVELOPE_FIELD"),
        (raw(id=7), "BUS_ENVELOPE_FIELD"),
        (raw(id=None), "BUS_ENVELOPE_FIELD"),
        (raw(source="a\u0000b"), "BUS_ENVELOPE_FIELD"),
        (raw(type="x" * 513), "BUS_ENVELOPE_FIELD"),
        (raw(time="2025-03-01T08:00:00+08:00"), "BUS_ENVELOPE_FIELD"),
        (raw(time="2025-02-30T08:00:00Z"), "BUS_ENVELOPE_FIELD"),
        (raw(subject=5), "BUS_ENVELOPE_FIELD"),
        (raw(counter=-1), "BUS_ENVELOPE_FIELD"),
        (raw(counter=2**31), "BUS_ENVELOPE_FIELD"),
        (raw(counter=True), "BUS_ENVELOPE_FIELD"),
        (raw(counter="1"), "BUS_ENVELOPE_FIELD"),
        (raw(**{"decision.by": "x"}), "BUS_ENVELOPE_EXTENSION"),
        (raw(Upper="x"), "BUS_ENVELOPE_EXTENSION"),
        (raw(**{"a" * 21: "x"}), "BUS_ENVELOPE_EXTENSION"),
        (raw(nested={}), "BUS_ENVELOPE_EXTENSION"),
        (raw(ratio=0.5), "BUS_ENVELOPE_EXTENSION"),
        (raw(big=2**31), "BUS_ENVELOPE_EXTENSION"),
        (raw(data_base64="AA=="), "BUS_ENVELOPE_EXTENSION"),
    ],
)
def test_what_is_no_envelope_is_the_peers_fault(payload: bytes, code: str) -> None:
    with pytest.raises(RemoteProtocolError) as refusal:
        decode(payload)
    assert refusal.value.code == code


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_garbage_raises_nothing_else(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(payload)


@given(
    st.dictionaries(
        st.sampled_from([*GOOD, "sig", "counter", "x"]), st.none() | st.integers() | st.text() | st.lists(st.text())
    )
)
def test_wrong_types_raise_nothing_else(changes: dict[str, Any]) -> None:
    with contextlib.suppress(RemoteProtocolError):
        decode(raw(**changes))


def test_message_above_the_bound_is_not_made() -> None:
    with pytest.raises(LocalProtocolError) as refusal:
        encode(Envelope(id="1", source="hub", type="t", time=rfc3339(0), data={"x": "馆" * 6_000}))
    assert refusal.value.code == "BUS_TOO_LARGE"


def test_data_without_a_json_form_is_not_made() -> None:
    for data in ({"x": object()}, {"x": "\ud800"}):
        with pytest.raises(LocalProtocolError) as refusal:
            encode(Envelope(id="1", source="hub", type="t", time=rfc3339(0), data=data))
        assert refusal.value.code == "BUS_DATA"


def test_bytes_on_the_wire() -> None:
    envelope = Envelope(
        id="e1",
        source="edge-251020-01",
        type="tongjie.req.enter.v1",
        time="2025-03-01T08:00:00.123Z",
        subject="251020-01",
        sig="c2ln",
        keyid="k1",
        counter=7,
        extensions={"traceparent": "00-ab-cd-01"},
        data={"gate": "东门"},
    )
    assert encode(envelope).decode() == (
        '{"specversion":"1.0","id":"e1","source":"edge-251020-01","type":"tongjie.req.enter.v1","time":"2025-03-01T08:00:00.123Z",'
        '"subject":"251020-01","datacontenttype":"application/json","sig":"c2ln","keyid":"k1","counter":7,"traceparent":"00-ab-cd-01",'
        '"data":{"gate":"东门"}}'
    )
    assert decode(encode(envelope)) == envelope
    assert envelope.time_ms == 1_740_816_000_123


def test_unsigned_envelope_has_no_trace_of_a_signature() -> None:
    wire = json.loads(encode(Envelope(id="1", source="hub", type="t", time=rfc3339(0), data={})))
    assert not wire.keys() & {"sig", "keyid", "counter"}


def test_null_attribute_is_an_absent_one() -> None:
    assert decode(raw(subject=None, sig=None, other=None)) == decode(raw())


printable = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
scalars = printable | st.booleans() | st.integers(-(2**31), 2**31 - 1)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    st.lists,
)


@given(
    st.builds(
        Envelope,
        id=printable,
        source=printable,
        type=printable,
        time=st.integers(0, 4 * 10**12).map(rfc3339),
        subject=st.none() | printable,
        dataschema=st.none() | printable,
        sig=st.none() | printable,
        keyid=st.none() | printable,
        counter=st.none() | st.integers(0, 2**31 - 1),
        extensions=st.dictionaries(st.from_regex(r"x[a-z0-9]{0,19}", fullmatch=True), scalars, max_size=4),
        data=st.dictionaries(printable, values, max_size=4),
    )
)
def test_round_trip(envelope: Envelope) -> None:
    assert decode(encode(envelope)) == envelope


@given(st.integers(0, 253_402_300_799_999))
def test_times_round_trip_to_the_millisecond(ms: int) -> None:
    assert from_rfc3339(rfc3339(ms)) == ms
