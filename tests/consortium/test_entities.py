"""Readers, cards, items, blocks, holds and devices: what they refuse, what they say of themselves."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from consortium.entities import (
    ASSURANCE_OF,
    Action,
    Block,
    BlockKind,
    BlockScope,
    Card,
    DeviceKind,
    DeviceRecord,
    EntityError,
    HoldWish,
    Item,
    Medium,
    Reader,
    ShareNotice,
    Tag,
)
from consortium.facts import Assurance, BlockFacts, CardFacts, CardStatus
from consortium.identity import ItemKey
from tests.make import DAY, HOME, HOST, NOW

RIGHT: dict[type[Any], dict[str, Any]] = {
    Reader: {"home": HOME, "reader_no": "1", "category": "UG"},
    ShareNotice: {"version": 1, "t": NOW},
    Card: {"uid": "04A1B2C3"},
    Block: {"issuer": HOME, "actions": frozenset({Action.ENTER})},
    Tag: {"oi": "CN-251020", "pii": "C1"},
    Item: {"owner": HOME, "item_no": "1", "item_type": "BOOK", "title": "三体", "owner_branch": f"{HOME}-01"},
    HoldWish: {
        "home": HOME, "reader_no": "1", "owner": HOST, "item_no": "2", "pickup_branch": f"{HOST}-01", "placed_ms": NOW,
    },
    DeviceRecord: {"id": "gate1", "branch": f"{HOME}-01", "kind": DeviceKind.GATE},
}  # fmt: skip


def make(kind: type[Any], /, **more: Any) -> Any:
    return kind(**{**RIGHT[kind], **more})


@pytest.mark.parametrize(
    ("kind", "field", "value", "code"),
    [
        (Reader, "home", "", "ENTITY_BOUNDS"),
        (Reader, "home", "251020-01", "ENTITY_BOUNDS"),
        (Reader, "home", "251020\n", "ENTITY_BOUNDS"),
        (Reader, "reader_no", "", "ENTITY_BOUNDS"),
        (Reader, "reader_no", "1" * 65, "ENTITY_BOUNDS"),
        (Reader, "category", "x" * 25, "ENTITY_BOUNDS"),
        (Reader, "valid_to_ms", -1, "ENTITY_BOUNDS"),
        (Reader, "valid_to_ms", 1 << 53, "ENTITY_BOUNDS"),
        (Reader, "lang", "ZH", "ENTITY_BOUNDS"),
        (Reader, "birth_year", 1849, "ENTITY_BOUNDS"),
        (Reader, "age", 151, "ENTITY_BOUNDS"),
        (ShareNotice, "version", 0, "ENTITY_BOUNDS"),
        (ShareNotice, "withdrawn", NOW - 1, "NOTICE_DATES"),
        (Card, "uid", "04A1B2", "ENTITY_BOUNDS"),
        (Card, "uid", "04A1B2C3D", "UID_INVALID"),
        (Card, "uid", "   04   ", "UID_INVALID"),
        (Card, "uid", "04" * 17, "UID_INVALID"),
        (Card, "to_ms", 0, "ENTITY_DATES"),
        (Block, "issuer", "a b", "ENTITY_BOUNDS"),
        (Block, "actions", frozenset(), "BLOCK_ACTIONS"),
        (Block, "to_ms", 0, "ENTITY_DATES"),
        (Block, "reason", "x" * 2_001, "ENTITY_BOUNDS"),
        (Tag, "uid", "xyz", "ENTITY_BOUNDS"),
        (Item, "item_no", "", "ENTITY_BOUNDS"),
        (Item, "owner_branch", HOME, "ENTITY_BOUNDS"),
        (Item, "owner_branch", f"{HOST}-01", "ITEM_BRANCH"),
        (Item, "value", 1 << 31, "ENTITY_BOUNDS"),
        (HoldWish, "expiry_ms", NOW, "ENTITY_DATES"),
        (HoldWish, "pickup_branch", "-01", "ENTITY_BOUNDS"),
        (DeviceRecord, "id", "", "ENTITY_BOUNDS"),
        (DeviceRecord, "cert", "ab", "ENTITY_BOUNDS"),
        (DeviceRecord, "queue_depth", -1, "ENTITY_BOUNDS"),
        (DeviceRecord, "clock_offset_ms", -(1 << 53), "ENTITY_BOUNDS"),
    ],
)
def test_a_value_out_of_its_bounds_is_refused_and_the_field_named(
    kind: type[Any], field: str, value: Any, code: str
) -> None:
    with pytest.raises(EntityError) as wrong:
        make(kind, **{field: value})
    assert (wrong.value.code, wrong.value.field) == (code, field)
    assert str(wrong.value) == f"{field}: {wrong.value.what}"


def test_a_refusal_does_not_repeat_a_number() -> None:
    with pytest.raises(EntityError) as wrong:
        make(Card, uid="04A1B2C3D")
    assert "04A1B2C3D" not in str(wrong.value)
    with pytest.raises(EntityError) as wrong:
        make(Reader, reader_no="271828" * 20)
    assert "271828" not in str(wrong.value)


@pytest.mark.parametrize("kind", RIGHT)
def test_values_are_frozen_slotted_and_equal_by_what_they_say(kind: type[Any]) -> None:
    value = make(kind)
    assert value == make(kind)
    assert not hasattr(value, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(value)[0].name, "x")


def test_bounds_are_included() -> None:
    assert len(make(Reader, reader_no="1" * 64).reader_no) == 64
    assert make(Reader, valid_to_ms=(1 << 53) - 1, age=150, birth_year=1850).age == 150
    assert make(DeviceRecord, clock_offset_ms=1 - (1 << 53)).clock_offset_ms < 0


# --- readers -----------------------------------------------------------------------------------------------------------

NOTICE = ShareNotice(2, NOW, consented=True)


@pytest.mark.parametrize(
    "notice", [dataclasses.replace(NOTICE, consented=False), dataclasses.replace(NOTICE, withdrawn=NOW)]
)
def test_sharing_stands_on_a_notice_that_was_agreed_to(notice: ShareNotice) -> None:
    assert not notice.stands
    with pytest.raises(EntityError) as wrong:
        make(Reader, shared=True, share_notice=notice)
    assert wrong.value.code == "READER_SHARE"
    assert make(Reader, share_notice=notice).shared is False
    assert make(Reader, shared=True, share_notice=NOTICE).shared is True


def test_age_follows_the_year_of_birth_and_else_what_was_said() -> None:
    assert make(Reader, birth_year=2012, age=40).age_in(2026) == 14
    assert make(Reader, birth_year=2030).age_in(2026) == 0
    assert make(Reader, age=40).age_in(2026) == 40
    assert make(Reader).age_in(2026) is None


@pytest.mark.parametrize(
    ("more", "needs"),
    [
        ({"age": 13}, True), ({"age": 14}, False), ({"age": 13, "guardian": True}, False), ({"age": 13, "shared": False}, False),
        ({}, False),
    ],
)  # fmt: skip
def test_a_guardian_agrees_for_a_minor_whose_account_is_shared(more: dict[str, Any], needs: bool) -> None:
    assert make(Reader, **{"shared": True, **more}).needs_guardian(2026) is needs


# --- cards, blocks, items ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("medium", "level"),
    [
        (Medium.MF_CLASSIC, Assurance.LOW), (Medium.CPU, Assurance.HIGH), (Medium.DESFIRE, Assurance.HIGH), (Medium.QR, Assurance.HIGH),
        (Medium.SOCIAL_SECURITY, Assurance.MED), (Medium.ID, Assurance.MED),
    ],
)  # fmt: skip
def test_a_medium_says_how_hard_it_is_to_copy_unless_the_library_does(medium: Medium, level: Assurance) -> None:
    assert make(Card, medium=medium).level is level
    assert make(Card, medium=medium, assurance=Assurance.LOW).level is Assurance.LOW
    assert ASSURANCE_OF.keys() == set(Medium)


def test_a_card_is_its_canonical_bytes_however_it_is_written() -> None:
    assert make(Card, uid="04:a1:b2:C3").canonical == make(Card, uid="04A1 B2C3").canonical == bytes.fromhex("04a1b2c3")


def test_what_decisions_read_of_a_card_and_a_block() -> None:
    card = make(Card, medium=Medium.QR, status=CardStatus.LOST, to_ms=NOW + DAY)
    assert card.facts == CardFacts(CardStatus.LOST, Assurance.HIGH, NOW + DAY)
    block = make(
        Block, scope=BlockScope.CONSORTIUM, kind=BlockKind.FEES, from_ms=NOW, to_ms=NOW + DAY, reason="private"
    )
    assert block.facts == BlockFacts(HOME, "consortium", frozenset({"ENTER"}), "FEES", NOW, NOW + DAY)


def test_an_items_key_is_owner_and_number() -> None:
    assert make(Item).key == ItemKey(HOME, "1")
    assert make(Item, circ_branch=f"{HOST}-01").circ_branch == f"{HOST}-01"
