"""The players' cards and books: tags that any reader of the standard can decode, and no book in two places."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.consortium import BRANCHES, build
from firmware_sim.players.stats import Stats, quantiles
from firmware_sim.players.world import World
from protocols.iso28560 import decode_tag
from protocols.iso28560.uhf import decode_uhf
from tests.make import NOW
from tongjie.demo.tags import tag_of, uid_map


def plan(data: dict[str, Any]) -> dict[str, Any]:
    """A plan as the demo writes it, without machines."""
    return {
        "branches": [{"id": branch} for branch in BRANCHES],
        "readers": [
            {
                "library": row["home"],
                "card": row["cards"][0]["uid"],
                **{k: row[k] for k in ("reader_no", "pin", "case")},
            }
            for row in data["readers"]
            if not row["free"]
        ],
        "items": [
            {
                "owner": row["owner"],
                "item_no": row["item_no"],
                "type": row["item_type"],
                "branch": row["owner_branch"],
                "tag": tag_of(row["owner"], row["item_no"]),
            }
            for row in data["items"]
            if not row["free"]
        ],
    }


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return plan(build(1, NOW))


@pytest.fixture
def world(plain: dict[str, Any]) -> World:
    return World(plain, random.Random(1))


def books(world: World) -> list[Any]:
    return [book for branch in BRANCHES for book in world.shelves[branch]]


def test_tags_of_every_format_decode_back_to_item_and_owner(world: World) -> None:
    formats = set()
    for book in books(world):
        image = book.tag.image(book.item_no)
        if image.tech == "UHF":
            assert image.pc is not None
            tag = decode_uhf(image.pc, image.epc, user=image.data, tid=book.tag.uid)
        else:
            tag = decode_tag(image.data, dsfid=image.dsfid, afi=book.afi, uid=book.tag.uid)
        written = book.tag.owner.replace("-", "") if tag.format == "28560-3" else book.tag.owner
        assert (tag.format, tag.pii, tag.owner) == (book.tag.form, book.item_no, written)
        assert tag.divergences == ()
        formats.add(tag.format)
    assert formats == {"28560-2", "28560-3", "28560-4", "gaoxiao", "3m"}


def test_some_tags_of_one_member_name_no_owner_and_its_list_of_chips_does(world: World) -> None:
    nameless = [book for book in books(world) if not book.tag.owner]
    assert {book.owner for book in nameless} == {"990001"}
    listed = uid_map({"owner": book.owner, "item_no": book.item_no} for book in books(world)).splitlines()
    assert sorted(listed) == sorted(f"{book.tag.uid},{book.owner},{book.item_no}" for book in nameless)


def test_chips_are_unique_and_numbered_as_their_makers_do(world: World) -> None:
    tags = [book.tag for book in books(world)]
    assert len({tag.uid for tag in tags}) == len(tags) >= 2000
    assert all(tag.uid.startswith("E280" if tag.uhf else "E00401") for tag in tags)


def test_a_pad_is_given_no_book_that_it_cannot_read(world: World) -> None:
    everything = world.take(BRANCHES[1], 10_000, for_pad=True)
    assert everything
    assert not any(book.tag.uhf for book in everything)


def test_a_book_taken_is_on_no_shelf_until_it_is_put_back(world: World) -> None:
    before = len(books(world))
    taken = world.take(BRANCHES[0], 3)
    assert len(books(world)) == before - 3
    assert all(book.item_type == "BOOK" and book.at is None for book in taken)
    world.shelve(taken[0], BRANCHES[1])
    assert taken[0] in world.shelves[BRANCHES[1]]


def test_an_empty_shelf_gives_what_it_has(world: World) -> None:
    world.shelves[BRANCHES[0]] = world.shelves[BRANCHES[0]][:1]
    assert len(world.take(BRANCHES[0], 3, ordinary=False)) == 1
    assert world.take(BRANCHES[0], 3) == []


def test_the_courier_brings_a_book_when_it_is_due_and_once(world: World) -> None:
    (book,) = world.take(BRANCHES[0], 1)
    world.send(book, BRANCHES[2], due=100.0)
    assert world.arrived(BRANCHES[2], 99.0, 5) == []
    assert world.arrived(BRANCHES[1], 101.0, 5) == []
    assert world.arrived(BRANCHES[2], 101.0, 5) == [book]
    assert world.arrived(BRANCHES[2], 101.0, 5) == []


def test_those_who_stand_for_a_refusal_come_each_in_turn(world: World) -> None:
    cases = {person.case for person in world.people if person.case}
    assert {world.somebody(1.0).case for _ in range(len(cases))} == cases
    assert all(world.somebody(0.0).case == "" for _ in range(50))


def test_one_seed_plays_one_day(plain: dict[str, Any]) -> None:
    def day(seed: int) -> list[str]:
        world = World(plain, random.Random(seed))
        return [world.somebody(0.3).reader_no for _ in range(20)] + [b.item_no for b in world.take(BRANCHES[0], 10)]

    assert day(7) == day(7) != day(8)


def test_quantiles_of_nothing_and_of_something() -> None:
    assert quantiles([]) == {"n": 0, "p50": 0.0, "p99": 0.0, "max": 0.0}
    assert quantiles([3.0, 1.0, 2.0]) == {"n": 3, "p50": 2.0, "p99": 3.0, "max": 3.0}


def test_stats_are_written_whole_and_bounded(tmp_path: Path) -> None:
    stats = Stats(tmp_path / "players.json")
    stats.counts["taps"] += 2
    stats.denied["AGR_NONE"] += 1
    for number in range(25_000):
        stats.tap_ms.append(float(number))
        stats.surprises.append(str(number))
    stats.save()
    found = json.loads((tmp_path / "players.json").read_text("utf-8"))
    assert (found["counts"], found["denied"]) == ({"taps": 2}, {"AGR_NONE": 1})
    assert (found["tap_at_gate_ms"]["n"], len(found["surprises"])) == (20_000, 50)
    assert [path.name for path in tmp_path.iterdir()] == ["players.json"]
