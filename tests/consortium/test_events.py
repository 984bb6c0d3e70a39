"""Event bodies and identities: exact text, refused forms, commitments."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium import identity
from consortium.events import MAX_BODY, EventError, Kind, decode, encode
from consortium.identity import EventId, IdentityError, ItemKey, TokenKind
from tests.make import NOW, Make


@pytest.mark.parametrize(
    "kind", [Kind.CHECKOUT, Kind.RENEW, Kind.RETURN, Kind.RECEIVE, Kind.TRANSIT_SENT, Kind.ENTRY, Kind.EXIT]
)
def test_a_body_reads_back_as_the_event_it_was(kind):
    event = Make.event(kind, 7)
    assert decode(encode(event)) == event


def test_a_body_is_canonical_and_holds_no_identity():
    text = encode(Make.event(Kind.CHECKOUT, 1))
    assert text == json.dumps(json.loads(text), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert "srid" not in text


def _with(**changes):
    return json.dumps({**json.loads(encode(Make.event(Kind.CHECKOUT, 1))), **changes})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "EVENT_NOT_JSON"),
        ("[]", "EVENT_NOT_JSON"),
        ("[" * 4000, "EVENT_NOT_JSON"),
        (_with(t_eff=1.5), "EVENT_NOT_JSON"),
        (_with(v=2), "EVENT_VERSION"),
        (_with(kind="TELEPORT"), "EVENT_KIND"),
        (_with(data=[]), "EVENT_DATA"),
        (_with(data={"item": ["990001"], "type": "BOOK", "home": "251020", "due": 1}), "EVENT_DATA"),
        (_with(data={"item": ["990001", "x" * 65], "type": "BOOK", "home": "251020", "due": 1}), "EVENT_DATA"),
        (_with(data={"item": ["990001", "1"], "type": "BOOK", "home": "251020"}), "EVENT_DATA"),
        (_with(node="Not a node"), "NODE_INVALID"),
        (_with(branch="nowhere"), "BRANCH_INVALID"),
        (_with(seq="1"), "EVENT_FIELD"),
        (_with(seq=True), "EVENT_FIELD"),
        (_with(seq=0), "EVENT_FIELD"),
        (_with(t_unc=-1), "EVENT_FIELD"),
        (_with(subject=None), "EVENT_SUBJECT"),
        (_with(subject=5), "EVENT_SUBJECT"),
        (_with(decision=[]), "EVENT_DECISION"),
        (_with(reissue_of=7), "EVENT_REISSUE"),
        (_with(v=True), "EVENT_VERSION"),
        (_with(boot="x" * MAX_BODY), "EVENT_TOO_LONG"),
    ],
)
def test_what_is_no_event_is_refused_with_a_code(body, code):
    with pytest.raises(EventError) as caught:
        decode(body)
    assert caught.value.code == code


@given(st.text(max_size=300))
def test_garbage_is_refused_and_never_breaks(text):
    with pytest.raises(EventError):
        decode(text)


def test_events_are_ordered_by_corrected_time_then_node_epoch_and_seq():
    late = Make.event(Kind.RETURN, 1, at=NOW + 1)
    early = Make.event(Kind.RETURN, 2, at=NOW)
    other = Make.event(Kind.RETURN, 1, at=NOW, node="edge-251020-01")
    assert sorted([late, early, other], key=lambda e: e.order) == [other, early, late]


def test_an_event_id_reads_back_and_has_one_uuid():
    event_id = EventId("edge-1", "e", 3)
    assert EventId.parse(str(event_id)) == event_id
    assert event_id.as_uuid() == EventId("edge-1", "e", 3).as_uuid() != EventId("edge-1", "e", 4).as_uuid()
    with pytest.raises(IdentityError):
        EventId.parse("edge-1/e")


def test_tokens_of_two_libraries_do_not_join_and_kinds_do_not_mix():
    master = bytes(32)
    keys = [identity.site_key(master, org) for org in ("251020", "990001")]
    raw = identity.canonical_uid("04:A1:B2:C3:D4:E5:F6")
    tokens = {identity.token(key, kind, raw) for key in keys for kind in (TokenKind.UID, TokenKind.CARD_NO)}
    assert len(tokens) == 4
    assert len({identity.srid(key, "r" * 32) for key in keys}) == 2


@pytest.mark.parametrize("text", ["", "04", "xyz", "0" * 34])
def test_what_is_no_chip_number_is_refused(text):
    with pytest.raises(IdentityError):
        identity.canonical_uid(text)


def test_an_item_is_never_a_bare_number():
    with pytest.raises(IdentityError):
        ItemKey("", "1001")
    with pytest.raises(IdentityError):
        ItemKey("990001", "x" * 65)
