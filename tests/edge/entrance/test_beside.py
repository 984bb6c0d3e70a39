"""Cardreaders that stand beside a gate of another device: ways, profiles, what cannot be a card, what is worth less."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from consortium.cards import short_forms
from consortium.events import Kind
from consortium.identity import TokenKind, token
from drivers.base import Signal
from tests.edge.bed import KEY, Bed, Rows, srid_of, standard_rows, until, write_replica
from tests.edge.entrance.doors import Hall
from tests.make import HOME, HOST

OWN, PARTNER = "04A1B2C3", "04D1D2D3"


@pytest.fixture
def hall() -> Hall:
    """An empty hall."""
    return Hall()


async def there(bed: Bed) -> Bed:
    """The edge once its devices are there."""
    await until(lambda: all(bed.agent.devices.records[name].state == "online" for name in bed.agent.devices.drivers))
    return bed


def reads(bed: Bed, result: str) -> float:
    """How many reads came to that."""
    return bed.agent.metrics.card_reads.labels(HOME, "reader1", result)._value.get()


class TestConfiguration:
    @pytest.mark.parametrize(
        ("options", "code"),
        [
            ({"gate": "nowhere"}, "NO_SUCH_GATE"),
            ({"gate": "reader1"}, "NO_SUCH_GATE"),
            ({"gate": "gate1", "direction": "UP"}, "BAD_OPTION"),
            ({"gate": "gate1", "direction_1": "in"}, "BAD_OPTION"),
            ({"gate": "gate1", "card": "w27"}, "CARD_PROFILE"),
            ({"gate": "gate1", "card": {"radix": 5}}, "CARD_PROFILE"),
        ],
    )
    async def test_what_cannot_be_meant_leaves_that_device_out_and_says_why(
        self, tmp_path: Path, hall: Hall, options: dict[str, Any], code: str
    ) -> None:
        write_replica(tmp_path, standard_rows())
        devices = ("gate1", "door", {}), ("reader1", "reader", options), ("reader2", "reader", {"gate": "gate1"})
        async with hall.bed(tmp_path, *devices) as bed:
            await until(lambda: bed.agent.devices.records["reader2"].state == "online")
            record = bed.agent.devices.records["reader1"]
            assert (record.state, record.reason_code) == ("offline", code)
            assert hall.at["reader1"].starts == 0

    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            ("turnstile", {"open_tenths": 0}),
            ("turnstile", {"open_tenths": "5"}),
            ("door", {"free_exit": "yes"}),
            ("eas", {"database_alarm": 1}),
            ("eas", {"compared_with": "nowhere"}),
        ],
    )
    async def test_a_gate_whose_options_cannot_be_meant_is_left_out(
        self, tmp_path: Path, hall: Hall, kind: str, options: dict[str, Any]
    ) -> None:
        write_replica(tmp_path, standard_rows())
        async with hall.bed(tmp_path, ("gate1", kind, options)) as bed:
            assert bed.agent.devices.records["gate1"].reason_code == "BAD_OPTION"


class TestRefusals:
    @pytest.fixture
    async def bed(self, tmp_path: Path, hall: Hall) -> AsyncIterator[Bed]:
        """A reader of Wiegand 26 frames beside a door."""
        own = token(KEY, TokenKind.CARD_NO, short_forms(bytes.fromhex(OWN))[0])
        rows = [
            *standard_rows(),
            ["token", own, {"srid": srid_of("R1"), "status": "ACTIVE", "assurance": "LOW", "to_ms": None}],
        ]
        theirs = token(KEY, TokenKind.CARD_NO, short_forms(bytes.fromhex(PARTNER))[0])
        rows.append(["token", theirs, {"srid": srid_of("P1"), "status": "ACTIVE", "assurance": "LOW", "to_ms": None}])
        write_replica(tmp_path, rows)
        reader = ("reader1", "reader", {"gate": "gate1", "card": {"wiegand": 26}})
        async with hall.bed(tmp_path, ("gate1", "door", {}), reader) as running:
            yield await there(running)

    async def test_a_frame_with_wrong_parity_shows_red_and_leaves_no_event(self, bed: Bed, hall: Hall) -> None:
        hall.at["reader1"].tap(frame(PARTNER, wrong=True), wiegand=True)
        await until(lambda: hall.at["gate1"].done)
        assert hall.at["gate1"].done == [("deny", 0)]
        assert reads(bed, "NOT_A_CARD") == 1
        await asyncio.sleep(0.05)
        assert bed.events(Kind.REFUSED, Kind.ENTRY) == []

    async def test_a_cut_number_is_never_a_partners_card(self, bed: Bed, hall: Hall) -> None:
        hall.at["reader1"].tap(frame(PARTNER), wiegand=True)
        (event,) = await bed.settled(Kind.REFUSED)
        assert event.data == {"function": "enter", "codes": ["NOT_DECIDABLE_OFFLINE"]}
        assert bed.subjects(Kind.REFUSED) == [None]

    async def test_a_cut_number_is_an_own_readers_card(self, bed: Bed, hall: Hall) -> None:
        hall.at["reader1"].tap(frame(OWN), wiegand=True)
        await bed.settled(Kind.ENTRY)
        assert bed.subjects(Kind.ENTRY) == [srid_of("R1")]


class TestNobodysCard:
    async def test_a_phone_with_another_number_each_time_opens_outwards_alone(self, tmp_path: Path, hall: Hall) -> None:
        write_replica(tmp_path, standard_rows())
        async with hall.bed(tmp_path, ("gate1", "door", {}), ("reader1", "reader", {"gate": "gate1"})) as bed:
            await there(bed)
            hall.at["reader1"].tap("08A1B2C3")
            await until(lambda: hall.at["gate1"].done == [("deny", 0)])
            hall.at["reader1"].tap("08A1B2C3", direction="OUT")
            (event,) = await bed.settled(Kind.EXIT)
            assert (event.data, event.subject) == ({"passage": "assumed"}, None)
            assert hall.at["gate1"].done[1:] == [("open", 50, "OUT")]
            hall.at["reader1"].tap("00000000", direction="OUT")
            await until(lambda: len(hall.at["gate1"].done) == 3)
            assert hall.at["gate1"].done[2] == ("deny", 0)


class TestWays:
    @pytest.mark.parametrize(
        ("options", "tap", "way"),
        [
            ({}, {}, "IN"),
            ({}, {"direction": "OUT"}, "OUT"),
            ({"direction": "OUT"}, {}, "OUT"),
            ({"direction": "OUT"}, {"direction": "IN"}, "OUT"),
            ({"direction": "OUT", "direction_1": "IN"}, {"reader_no": 1}, "IN"),
            ({"direction_1": "OUT"}, {"reader_no": 1}, "OUT"),
            ({"direction_1": "OUT"}, {"reader_no": 1, "direction": "IN"}, "OUT"),
            ({"direction_1": "OUT"}, {"reader_no": 0}, "IN"),
        ],
    )
    async def test_the_face_then_the_place_then_the_read_say_the_way(
        self, tmp_path: Path, hall: Hall, options: dict[str, Any], tap: dict[str, Any], way: str
    ) -> None:
        write_replica(tmp_path, standard_rows())
        reader = ("reader1", "reader", {"gate": "gate1", **options})
        async with hall.bed(tmp_path, ("gate1", "door", {"open_tenths": 7}), reader) as bed:
            await there(bed)
            hall.at["reader1"].tap(OWN, **tap)
            await until(lambda: hall.at["gate1"].done)
            assert hall.at["gate1"].done == [("open", 7, way)]

    async def test_each_cardreader_has_its_own_profile(self, tmp_path: Path, hall: Hall) -> None:
        write_replica(tmp_path, standard_rows())
        devices = (
            ("gate1", "door", {}),
            ("reader1", "reader", {"gate": "gate1", "card": "uid-reversed"}),
            ("reader2", "reader", {"gate": "gate1"}),
        )
        async with hall.bed(tmp_path, *devices) as bed:
            await there(bed)
            hall.at["reader1"].tap(bytes.fromhex(PARTNER)[::-1].hex())
            hall.at["reader2"].tap(PARTNER)
            await bed.settled(Kind.ENTRY, 2)
            assert bed.subjects(Kind.ENTRY) == [srid_of("P1")] * 2

    async def test_a_cardreader_that_is_a_gate_itself_shows_red_itself(self, tmp_path: Path, hall: Hall) -> None:
        write_replica(tmp_path, standard_rows())
        devices = ("gate1", "door", {}), ("face1", "face", {"gate": "gate1"})
        async with hall.bed(tmp_path, *devices) as bed:
            await there(bed)
            hall.at["face1"].tap("0499999999", reader_no=1)
            await bed.settled(Kind.REFUSED)
            assert hall.at["face1"].done == [("deny", 1)]
            hall.at["face1"].tap(OWN)
            await until(lambda: len(hall.at["face1"].done) == 2)
            assert hall.at["face1"].done[1] == Signal("green", 10, 1, 0)
            assert hall.at["gate1"].done == [("open", 50, "IN")]


class TestWorth:
    @pytest.mark.parametrize(
        ("medium", "known", "kept"),
        [("MF_CLASSIC", "HIGH", "LOW"), ("DESFIRE", "HIGH", "HIGH"), ("DESFIRE", "LOW", "LOW"), ("", "HIGH", "HIGH")],
    )
    async def test_a_card_is_worth_no_more_than_how_it_was_read(
        self, tmp_path: Path, hall: Hall, medium: str, known: str, kept: str
    ) -> None:
        rows = [*standard_rows(), *Rows.reader("P7", home=HOST, card="04777777", token_more={"assurance": known})]
        write_replica(tmp_path, rows)
        devices = ("gate1", "door", {}), ("reader1", "reader", {"gate": "gate1"})
        async with hall.bed(tmp_path, *devices) as bed:
            await there(bed)
            hall.at["reader1"].tap("04777777", medium=medium)
            (event,) = await bed.settled(Kind.ENTRY)
            assert event.decision is not None
            assert f'"{kept}"' in str(event.decision).replace("'", '"')
            assert reads(bed, "WEAKER_MEDIUM") == (kept != known)


def frame(card: str, *, wrong: bool = False) -> str:
    """A Wiegand 26 frame of a chip's last three bytes, parity bits around them, as hex of the bits from the left."""
    number = int.from_bytes(short_forms(bytes.fromhex(card))[0][-3:], "big")
    left, right = number >> 12, number & 0xFFF
    even, odd = left.bit_count() & 1, 1 - (right.bit_count() & 1)
    bits = (even << 25 | number << 1 | odd) ^ int(wrong)
    return (bits << 6).to_bytes(4, "big").hex()
