"""A security gate: silent for loans, loud for what nobody borrowed, and quiet about what is nobody's business."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bus.broker import IotcoreBroker
from consortium.events import Kind
from drivers.base import DoorAlarm, PadTag
from edge.easgate import KEPT, MOST_PER_MINUTE, Note
from tests.edge.bed import Bed, Hub, standard_rows, until, write_replica
from tests.edge.entrance.doors import Hall, book
from tests.make import HOME, HOST


@pytest.fixture
def hall() -> Hall:
    """An empty hall."""
    return Hall()


@pytest.fixture
async def bed(tmp_path: Path, hall: Hall) -> AsyncIterator[Bed]:
    """An edge with a security gate whose hub is away. Item 1012 is on loan."""
    write_replica(tmp_path, standard_rows())
    async with hall.bed(tmp_path, ("eas1", "eas", {})) as running:
        await until(lambda: running.agent.devices.records["eas1"].state == "online")
        yield running


def notes(bed: Bed) -> list[Note]:
    """What staff see."""
    return list(bed.agent.gates.alarms.notes)


def passed(bed: Bed, code: str) -> float:
    """How many tags came to that."""
    return bed.agent.metrics.tags_passed.labels(HOME, "eas1", code)._value.get()


class TestAlarm:
    async def test_a_book_that_nobody_borrowed(self, bed: Bed, hall: Hall) -> None:
        hall.at["eas1"].carry(book("1001"), antenna=2)
        (event,) = await bed.settled(Kind.GATE_ALARM)
        assert (event.device, event.data) == (
            "eas1", {"code": "NOT_LENT", "item": [HOME, "1001"], "antenna": 2, "sounded": 1},
        )  # fmt: skip
        (note,) = notes(bed)
        assert (note.level, note.title, note.owner, note.item_no) == ("alarm", "书名 1001", HOME, "1001")

    async def test_what_is_published_of_a_gate_names_no_book(self, bed: Bed, hall: Hall) -> None:
        hall.at["eas1"].carry(book("1001"))
        facts = bed.agent.devices.records["eas1"].facts
        assert (facts["alarms"], facts["last_alarm"]) == (1, "NOT_LENT")
        async with httpx2.AsyncClient(base_url=await bed.serve(), timeout=10) as http:
            assert "1001" not in (await http.get("/state")).text
        assert "1001" not in str(bed.agent.devices.public())

    @pytest.mark.parametrize("data", [b"", bytes(112)])
    async def test_a_secured_tag_that_could_not_be_read(self, bed: Bed, hall: Hall, data: bytes) -> None:
        hall.at["eas1"].carry(book("1001", data=data))
        (event,) = await bed.settled(Kind.GATE_ALARM)
        assert event.data == {"code": "NOT_READABLE", "antenna": 2, "sounded": 1}
        assert notes(bed)[0].level == "alarm"

    async def test_the_gates_own_word_counts_more_than_the_afi(self, bed: Bed, hall: Hall) -> None:
        tag = book("1001", afi=0xC2)
        secured = PadTag(tag.uid, tag.dsfid, tag.afi, tag.data, 4, secured=True)
        hall.at["eas1"].carry(secured)
        (event,) = await bed.settled(Kind.GATE_ALARM)
        assert event.data["code"] == "NOT_LENT"

    async def test_a_door_forced_open(self, bed: Bed, hall: Hall) -> None:
        hall.at["eas1"].tell(DoorAlarm("eas1", "FORCED_OPEN", "", 0))
        (event,) = await bed.settled(Kind.GATE_ALARM)
        assert event.data == {"code": "FORCED_OPEN", "antenna": 0}
        hall.at["eas1"].tell(DoorAlarm("eas1", "SOMETHING_NEW", "", 0))
        assert notes(bed)[-1].code == "DEVICE"


class TestSilence:
    async def test_an_item_on_loan_leaves_without_a_word(self, bed: Bed, hall: Hall) -> None:
        hall.at["eas1"].carry(book("1012", afi=0xC2), sounded=False)
        assert (notes(bed), passed(bed, "OK")) == ([], 1)

    async def test_an_item_on_loan_whose_tag_says_otherwise_is_for_repair(self, bed: Bed, hall: Hall) -> None:
        hall.at["eas1"].carry(book("1012"))
        (event,) = await bed.settled(Kind.GATE_ALARM)
        assert event.data["code"] == "SECURED_LOAN"
        assert notes(bed)[0].level == "note"
        assert "alarms" not in bed.agent.devices.records["eas1"].facts

    async def test_a_strangers_book_is_only_listed(self, bed: Bed, hall: Hall) -> None:
        hall.at["eas1"].carry(book("1001", owner="CN-777777"))
        (event,) = await bed.settled(Kind.GATE_ALARM)
        assert "item" not in event.data
        assert (notes(bed)[0].code, notes(bed)[0].level) == ("FOREIGN", "quiet")

    async def test_an_empty_chip_is_only_counted(self, bed: Bed, hall: Hall) -> None:
        hall.at["eas1"].carry(book("1001", afi=0x00, data=bytes(112)))
        assert (notes(bed), passed(bed, "BLANK")) == ([], 1)

    async def test_tags_of_other_devices_are_passed_by(self, bed: Bed, hall: Hall) -> None:
        hall.at["eas1"].device = "kiosk1"
        hall.at["eas1"].carry(book("1001"))
        assert notes(bed) == []


class TestDatabase:
    @pytest.mark.parametrize(("option", "level"), [(False, "note"), (True, "alarm")])
    async def test_an_item_in_stock_with_an_unsecured_tag(
        self, tmp_path: Path, hall: Hall, option: bool, level: str
    ) -> None:
        write_replica(tmp_path, standard_rows())
        async with hall.bed(tmp_path, ("eas1", "eas", {"database_alarm": option})) as bed:
            await until(lambda: bed.agent.devices.records["eas1"].state == "online")
            hall.at["eas1"].carry(book("1001", afi=0xC2), sounded=False)
            (event,) = await bed.settled(Kind.GATE_ALARM)
            assert (event.data["code"], event.data["sounded"], notes(bed)[0].level) == ("NOT_SECURED", 0, level)


class TestPartnersItem:
    """An item that stands in nobody's replica here."""

    @pytest.fixture
    async def asking(self, tmp_path: Path, hall: Hall, broker: IotcoreBroker, hub: Hub) -> AsyncIterator[Bed]:
        """An edge whose hub answers."""
        write_replica(tmp_path, standard_rows())
        async with hall.bed(tmp_path, ("eas1", "eas", {}), broker_url=broker.url) as running:
            await until(lambda: running.agent.devices.records["eas1"].state == "online" and running.agent.link.online)
            yield running

    @staticmethod
    def answer(**more: Any) -> dict[str, Any]:
        """The hub's answer about an item."""
        row = {"type": "BOOK", "owner_branch": f"{HOST}-01", "title": "外馆书", "value": 1, "shareable": True,
               "reference": False, "status": "SHELVED", "branch": f"{HOST}-01", "loan_srid": None, "due": None,
               "transit_to": None, "hold_srid": None, **more}  # fmt: skip
        return {"found": True, "owner": HOST, "item": row}

    async def test_with_the_hub_away_staff_are_called(self, bed: Bed, hall: Hall) -> None:
        hall.at["eas1"].carry(book("5555", owner=f"CN-{HOST}"))
        (event,) = await bed.settled(Kind.GATE_ALARM)
        assert event.data["code"] == "UNKNOWN"
        assert event.data["item"] == [HOST, "5555"]

    async def test_with_a_hub_that_does_not_answer_in_time_too(self, asking: Bed, hall: Hall, hub: Hub) -> None:
        hub.thinks_s = 0.35
        hub.answers["item"] = lambda data: self.answer()
        hall.at["eas1"].carry(book("5555", owner=f"CN-{HOST}"))
        (event,) = await asking.settled(Kind.GATE_ALARM)
        assert event.data["code"] == "UNKNOWN"

    async def test_what_the_hub_knows_to_be_in_stock_is_an_alarm(self, asking: Bed, hall: Hall, hub: Hub) -> None:
        hub.answers["item"] = lambda data: self.answer()
        hall.at["eas1"].carry(book("5555", owner=f"CN-{HOST}"))
        await until(lambda: notes(asking))
        assert (notes(asking)[0].code, notes(asking)[0].title) == ("NOT_LENT", "外馆书")

    async def test_what_the_hub_knows_to_be_lent_is_none(self, asking: Bed, hall: Hall, hub: Hub) -> None:
        hub.answers["item"] = lambda data: self.answer(status="ON_LOAN")
        hall.at["eas1"].carry(book("5555", owner=f"CN-{HOST}"))
        await until(lambda: notes(asking))
        assert notes(asking)[0].code == "SECURED_LOAN"

    async def test_nobody_asks_for_an_unsecured_one(self, asking: Bed, hall: Hall, hub: Hub) -> None:
        hall.at["eas1"].carry(book("5555", owner=f"CN-{HOST}", afi=0xC2), sounded=False)
        await asyncio.sleep(0.05)
        assert (notes(asking), hub.asked) == ([], [])


async def test_a_trolley_of_books_fills_no_outbox(bed: Bed, hall: Hall) -> None:
    for n in range(KEPT + 100):
        hall.at["eas1"].carry(book(str(3000 + n), owner="CN-777777"))
    assert len(notes(bed)) == KEPT
    assert passed(bed, "FOREIGN") == KEPT + 100
    await asyncio.sleep(0.3)
    assert len(bed.events(Kind.GATE_ALARM)) <= 2 * MOST_PER_MINUTE
