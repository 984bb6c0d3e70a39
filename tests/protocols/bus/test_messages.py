"""Batches, acks, births: refusals, exact text of events, sizes that hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.bus import (
    BATCH_OVERHEAD,
    MAX_MESSAGE,
    Ack,
    Envelope,
    EventBatch,
    EventRow,
    Kind,
    LocalProtocolError,
    Rejected,
    RemoteProtocolError,
    State,
    Uploader,
    decode,
    encode,
    message_type,
    rfc3339,
    row_size,
)

HASH = "ab" * 32
ROW = {"seq": 1, "body": "{}", "hash": HASH, "salt": None, "srid": None}
bodies = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
rows = st.builds(EventRow, st.just(1), bodies, st.just(HASH), st.none() | st.just("00ff"), st.none() | st.just(HASH))


def envelope(data: dict[str, Any]) -> Envelope:
    return Envelope(id="1", source="edge-251020-01", type=message_type(Kind.EVT), time=rfc3339(0), data=data)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({}, "BUS_MESSAGE_FIELD"),
        ({"epoch": "e", "events": {}}, "BUS_MESSAGE_FIELD"),
        ({"epoch": "e", "events": []}, "BUS_MESSAGE_FIELD"),
        ({"epoch": "e", "events": [7]}, "BUS_MESSAGE_FIELD"),
        ({"epoch": "a/b", "events": [ROW]}, "BUS_MESSAGE_FIELD"),
        ({"epoch": 5, "events": [ROW]}, "BUS_MESSAGE_FIELD"),
        ({"epoch": "e", "events": [ROW | {"seq": 0}]}, "BUS_MESSAGE_FIELD"),
        ({"epoch": "e", "events": [ROW | {"seq": True}]}, "BUS_MESSAGE_FIELD"),
        ({"epoch": "e", "events": [ROW | {"seq": 2**53}]}, "BUS_MESSAGE_FIELD"),
        ({"epoch": "e", "events": [ROW | {"body": {}}]}, "BUS_MESSAGE_FIELD"),
        ({"epoch": "e", "events": [ROW | {"hash": "AB"}]}, "BUS_MESSAGE_FIELD"),
        ({"epoch": "e", "events": [ROW | {"salt": ""}]}, "BUS_MESSAGE_FIELD"),
        ({"epoch": "e", "events": [ROW, ROW]}, "BUS_BATCH_ORDER"),
        ({"epoch": "e", "events": [ROW, ROW | {"seq": 3}]}, "BUS_BATCH_ORDER"),
    ],
)
def test_batch_with_a_hole_or_a_wrong_field_is_the_peers_fault(data: dict[str, Any], code: str) -> None:
    with pytest.raises(RemoteProtocolError) as refusal:
        EventBatch.from_data(data)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    "data",
    [
        {"epoch": "e"},
        {"epoch": "e", "upto": -1},
        {"epoch": "e", "upto": 1.0},
        {"epoch": "e", "upto": 1, "rejected": [{}]},
        {"epoch": "e", "upto": 1, "rejected": [{"seq": 1, "code": "bad code"}]},
        {"epoch": "e", "upto": 1, "rejected": None},
    ],
)
def test_ack_with_a_wrong_field_is_the_peers_fault(data: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        Ack.from_data(data)


@pytest.mark.parametrize("data", [{}, {"online": 1}, {"online": True}, {"online": True, "epoch": "e", "devices": []}])
def test_birth_with_a_wrong_field_is_the_peers_fault(data: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        State.from_data(data)


def test_birth_without_epoch_is_our_fault() -> None:
    with pytest.raises(LocalProtocolError):
        State(online=True)


def test_will_says_only_that_the_node_is_gone() -> None:
    assert State(online=False).to_data() == {"online": False}


@given(st.lists(bodies, min_size=1, max_size=5))
def test_bodies_arrive_byte_for_byte(texts: list[str]) -> None:
    batch = EventBatch("1740816000123-x", tuple(EventRow(seq, text, HASH) for seq, text in enumerate(texts, 7)))
    assert EventBatch.from_data(decode(encode(envelope(batch.to_data()))).data) == batch


def test_body_keeps_its_spelling() -> None:
    body = '{"n":1.0,  "馆":"\\u9986", "n":2}'  # what a JSON library would rewrite
    wire = encode(envelope(EventBatch("e", (EventRow(1, body, HASH),)).to_data()))
    assert EventBatch.from_data(decode(wire).data).events[0].body == body


@given(
    st.builds(
        Ack,
        st.just("e-1"),
        st.integers(0, 2**53 - 1),
        st.lists(st.builds(Rejected, st.integers(1, 99), st.just("BAD_HASH"))).map(tuple),
    )
)
def test_ack_round_trip(ack: Ack) -> None:
    assert Ack.from_data(json.loads(json.dumps(ack.to_data()))) == ack


def test_state_round_trip() -> None:
    state = State(True, "e-1", "0.1.0", {"gate-1": {"kind": "GATE"}})
    assert State.from_data(state.to_data()) == state


@given(rows)
def test_row_size_is_what_the_row_adds(row: EventRow) -> None:
    one = len(encode(envelope(EventBatch("e", (row,)).to_data())))
    second = EventRow(2, row.body, row.hash, row.salt, row.srid)
    two = len(encode(envelope(EventBatch("e", (row, second)).to_data())))
    assert two - one == row_size(second)


def test_full_batch_with_the_longest_attributes_and_a_signature_fits_a_message() -> None:
    uploader = Uploader("e" * 64)
    batch_rows: list[EventRow] = []
    while True:
        row = EventRow(10**12 + len(batch_rows), '{"k":"' + "馆" * 30 + '"}', HASH, "f" * 64, "f" * 64)
        if sum(map(row_size, [*batch_rows, row])) > uploader.row_limit:
            break
        batch_rows.append(row)
    full = Envelope(
        id="n" * 64 + "/" + "e" * 64 + "/" + "9" * 16,
        source="n" * 64,
        type=message_type(Kind.EVT),
        time=rfc3339(0),
        subject="n" * 64,
        sig="s" * 86,
        keyid="k" * 64,
        counter=2**31 - 1,
        extensions={"traceparent": "0" * 55},
        data=EventBatch("e" * 64, tuple(batch_rows)).to_data(),
    )
    assert len(encode(full)) <= 16_000 < MAX_MESSAGE
    assert len(encode(full)) - sum(map(row_size, batch_rows)) <= BATCH_OVERHEAD
