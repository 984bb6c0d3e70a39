"""Rows of a consortium file: what is wrong with one is a sentence with its place, and nothing else of it is shown."""

from __future__ import annotations

from typing import Any

import pytest

from consortium.entities import Medium
from consortium.facts import Assurance
from firmware_sim.consortium import build
from hub.load_rows import MAX_BLOCKS, MAX_CARDS, LoadError, read_people, read_stock
from tests.hub.api.world import CQU, DAY, items, readers
from tests.make import NOW

CARD = {"uid": "04A1B2C3D48001"}
ITEM = {"owner": CQU, "item_no": "1", "item_type": "BOOK", "title": "三体", "owner_branch": f"{CQU}-01"}


def person(**more: Any) -> dict[str, Any]:
    return {"home": CQU, "reader_no": "1", "category": "UG", **more}


def refused(read: Any, rows: Any) -> str:
    with pytest.raises(LoadError) as wrong:
        read(rows)
    assert wrong.value.code == "LOAD_ROW"
    assert "\n" not in str(wrong.value)
    return str(wrong.value)


@pytest.mark.parametrize(
    ("row", "place"),
    [
        (3, "readers[1]: "),
        ({}, "readers[1]: object missing required field `home`"),
        (person(category=5), "readers[1].category: "),
        (person(category=""), "readers[1].category: "),
        (person(category="x" * 25), "readers[1].category: "),
        (person(home="a b"), "readers[1].home: this is not a code of a library"),
        (person(home="251020\n"), "readers[1].home: this is not a code of a library"),
        (person(reader_no=7), "readers[1].reader_no: "),
        (person(status="GONE"), "readers[1].status: invalid enum value 'GONE'"),
        (person(valid_to_ms=-1), "readers[1].valid_to_ms: "),
        (person(valid_to_ms=1.5), "readers[1].valid_to_ms: "),
        (person(age=-1), "readers[1].age: "),
        (person(shared="yes"), "readers[1].shared: "),
        (person(lang="chinese"), "readers[1].lang: this is not a language tag"),
        (person(pin=4711), "readers[1].pin: "),
        (person(pin="4" * 65), "readers[1].pin: "),
        (person(cards={}), "readers[1].cards: this is a list of rows"),
        (person(cards=[CARD] * (MAX_CARDS + 1)), "readers[1].cards: there are more than 32"),
        (person(cards=[{}]), "readers[1].cards[0]: "),
        (person(cards=[CARD, {"uid": "xx"}]), "readers[1].cards[1].uid: this is not a chip number"),
        (person(cards=[{"uid": "04A1B2C3D"}]), "readers[1].cards[0].uid: a UID is written in hex digits"),
        (person(cards=[{**CARD, "medium": "PAPER"}]), "readers[1].cards[0].medium: "),
        (person(cards=[{**CARD, "to_ms": 5, "issued_ms": 5}]), "readers[1].cards[0].to_ms: it ends before it begins"),
        (person(cards=[CARD, {"uid": "04:a1:b2:c3:d4:80:01"}]), "readers[1].cards[1].uid: the file has this card already"),
        (person(blocks=[{"issuer": CQU, "actions": ["EAT"]}]), "readers[1].blocks[0].actions[0]: "),
        (person(blocks=[{"issuer": CQU, "actions": []}]), "readers[1].blocks[0].actions: a block stops at least one"),
        (person(blocks=[{"issuer": CQU, "actions": ["ENTER"]}] * (MAX_BLOCKS + 1)), "readers[1].blocks: there are more"),
        (person(shared=True, share_notice={"version": 1, "t": 5}), "readers[1].shared: sharing is active but"),
    ],
)  # fmt: skip
def test_a_reader_that_is_none_is_named_by_its_place(row: Any, place: str) -> None:
    assert refused(read_people, [person(reader_no="0"), row]).startswith(place)


@pytest.mark.parametrize(
    ("row", "place"),
    [
        ({**ITEM, "owner": "a b"}, "items[1].owner: this is not a code of a library"),
        ({**ITEM, "owner_branch": "251020"}, "items[1].owner_branch: this is not a library code, hyphen, place"),
        ({**ITEM, "owner_branch": "990001-01"}, "items[1].owner_branch: 990001-01 is no branch of 251020"),
        ({**ITEM, "item_no": "1" * 65}, "items[1].item_no: "),
        ({**ITEM, "value": -1}, "items[1].value: "),
        ({key: value for key, value in ITEM.items() if key != "title"}, "items[1]: object missing required field `title`"),
        ({key: value for key, value in ITEM.items() if key != "item_type"}, "items[1]: object missing required field `item_type`"),
        ({**ITEM, "tag": {"uid": "zz"}}, "items[1].tag.uid: this is not a chip number"),
    ],
)  # fmt: skip
def test_an_item_that_is_none_is_named_by_its_place(row: Any, place: str) -> None:
    assert refused(read_stock, [ITEM, row]).startswith(place)


@pytest.mark.parametrize("rows", [{}, "abc", 3, None])
def test_what_is_no_list_of_rows_is_told(rows: Any) -> None:
    assert refused(read_people, rows) == "readers: this is a list of rows"
    assert refused(read_stock, rows) == "items: this is a list of rows"


def test_a_pin_stands_in_no_text_of_the_value() -> None:
    (found,) = read_people([person(pin="271828")])
    assert found.pin == "271828"
    assert "271828" not in repr(found)


def test_a_card_without_words_is_one_that_anybody_can_copy() -> None:
    (found,) = read_people(
        [person(cards=[CARD, {"uid": "01020304", "medium": "CPU"}, {"uid": "01020305", "medium": "ID"}])]
    )
    assert [(card.medium, card.level) for card in found.cards] == [
        (Medium.MF_CLASSIC, Assurance.LOW), (Medium.CPU, Assurance.HIGH), (Medium.ID, Assurance.MED),
    ]  # fmt: skip


def test_an_age_comes_from_the_year_of_birth_where_that_is_known() -> None:
    by_year, by_age, unknown = read_people(
        [person(birth_year=2010, age=99), person(reader_no="2", age=30), person(reader_no="3")]
    )
    assert (by_year.age(NOW), by_age.age(NOW), unknown.age(NOW)) == (16, 30, None)


def test_type_stands_for_item_type() -> None:
    row = {key: value for key, value in ITEM.items() if key != "item_type"}
    assert read_stock([{**row, "type": "MAP"}])[0].item_type == "MAP"
    assert read_stock([{**ITEM, "type": "MAP"}])[0].item_type == "BOOK"


def test_the_rows_of_the_demo_and_of_the_tests_are_read_whole() -> None:
    demo = build(1, NOW)
    assert len(read_people(demo["readers"])) == len(demo["readers"])
    assert len(read_stock(demo["items"])) == len(demo["items"])
    assert len(read_people(readers(NOW))) == 36
    assert len(read_stock(items())) == 60
    (first, *_) = read_people(readers(NOW))
    assert (first.reader.valid_to_ms, first.cards[0].issued_ms) == (NOW + 300 * DAY, NOW - 50 * DAY)
