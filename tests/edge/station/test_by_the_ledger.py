"""Security by the ledger at the station: only what is durable counts, and nothing happens to the item until its tag is written."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from consortium.events import Kind
from consortium.identity import ItemKey
from edge.answers import ItemRef
from edge.station.station import Order, StationRefusal
from tests.edge.bed import Bed, until
from tests.edge.pads import (
    IN_STOCK,
    ON_LOAN,
    Pads,
    blank,
    book,
    edge_over,
    kiosk_of,
    quiet,
    reader,
    seen,
    signed_in,
    uid,
)
from tests.make import HOME

REF = ItemRef(HOME, "1001")


@pytest.fixture
async def pads(tmp_path: Path) -> AsyncIterator[Pads]:
    made = Pads(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def bed(tmp_path: Path, pads: Pads) -> AsyncIterator[Bed]:
    async with edge_over(tmp_path, pads) as running:
        yield running


class Disk:
    """A disk that hangs: what is handed to the outbox is written when it works again."""

    def __init__(self, bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
        self._outbox = bed.agent.outbox
        self._patch = monkeypatch

    def hang(self) -> None:
        """From now on nothing is durable."""
        self._patch.setattr(self._outbox, "_flush", lambda: None)

    def work(self) -> None:
        """Write what waits."""
        self._patch.undo()
        self._outbox._flush()


@pytest.fixture
def disk(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk(bed, monkeypatch)
    yield made
    made.work()


class TestALoanThatIsNotDurable:
    async def test_its_tag_is_left_alone_by_repair_encode_and_convert(self, bed: Bed, pads: Pads, disk: Disk) -> None:
        pads.put(book("1001", 1))
        await seen(bed.agent.pads["pad1"], 1)
        session = await signed_in(bed)
        disk.hang()
        lending = asyncio.create_task(kiosk_of(bed).borrow(session, "zh"))
        key = ItemKey(HOME, "1001")
        await until(lambda: bed.agent.desk.on_loan(key))
        assert bed.agent.desk.should_be_secured(key) is None
        station = bed.agent.tags.station
        async with asyncio.timeout(5):  # nothing may wait for the disk here
            answer = await station.repair("pad1")
        assert [item["done"] for item in answer["items"]] == [None]
        with pytest.raises(StationRefusal, match="ITEM_BUSY"):
            await station.encode("pad1", Order("1001", uid=uid(1)))
        with pytest.raises(StationRefusal, match="ITEM_BUSY"):
            await station.convert("pad1", uid(1), "28560-2", ())
        assert pads.afi(1) == [IN_STOCK]
        assert bed.events(Kind.CHECKOUT) == []
        disk.work()
        assert (await lending)["items"][0]["unsecured"]
        assert pads.afi(1) == [ON_LOAN]

    async def test_a_return_counts_no_sooner(self, bed: Bed, disk: Disk) -> None:
        key = ItemKey(HOME, "1012")  # out to a reader, as the replica has it
        assert bed.agent.facts.should_be_secured(key) is False
        disk.hang()
        returning = asyncio.create_task(bed.agent.desk.give_back(ItemRef(HOME, "1012"), "kiosk9"))
        await until(lambda: not bed.agent.desk.on_loan(key))
        assert bed.agent.facts.should_be_secured(key) is None
        disk.work()
        assert (await returning).ok
        assert bed.agent.facts.should_be_secured(key) is True


class TestWhileThePadIsBusy:
    async def test_a_return_comes_after_the_repair_and_wins(self, bed: Bed, pads: Pads) -> None:
        tags = bed.agent.pads["pad1"]
        await bed.agent.desk.borrow(await reader(bed), [REF], "kiosk9")  # at a machine without a pad of ours
        pads.put(book("1001", 1))
        await seen(tags, 1)
        async with tags.alone():
            repairing = asyncio.create_task(bed.agent.tags.station.repair("pad1"))
            await quiet(0.2)
            returning = asyncio.create_task(kiosk_of(bed).give_back("zh"))
            await quiet(0.3)
        answer = await repairing
        assert (await returning)["items"][0]["secured"]
        assert [item["secured"] for item in answer["items"]] == [False]
        assert pads.afi(1) == [IN_STOCK]

    async def test_what_to_write_is_decided_when_the_pad_is_free(self, bed: Bed, pads: Pads) -> None:
        tags = bed.agent.pads["pad1"]
        pads.put(book("1001", 1, afi=ON_LOAN))
        await seen(tags, 1)
        asked = []
        ledger = tags._ledger

        def told(key: ItemKey) -> bool | None:
            asked.append(key)
            return ledger(key)

        tags._ledger = told
        async with tags.alone():
            repairing = asyncio.create_task(bed.agent.tags.station.repair("pad1"))
            await quiet(0.2)
            assert asked == []
        await repairing
        assert pads.afi(1) == [IN_STOCK]


class TestWhatWasWritten:
    async def test_only_what_is_asked_for_is_read(self, bed: Bed) -> None:
        store = bed.agent.tags.store
        for number in range(5):
            await store.put("written", f"{number:015d}-1", number, {"what": "encode", "n": number})
        await store._write(lambda conn: conn.execute("INSERT INTO kept VALUES('written','0-0',-1,'no json')"))
        listed = await bed.agent.tags.station.written(3)
        assert [row["n"] for row in listed] == [4, 3, 2]

    async def test_a_slow_file_holds_up_nobody_else(self, bed: Bed, pads: Pads) -> None:
        pads.put(blank(1))
        await seen(bed.agent.pads["pad1"], 1)
        await bed.agent.tags.station.encode("pad1", Order("1001"))
        go_on = threading.Event()
        bed.agent.tags.store._thread.submit(go_on.wait, 5)
        asking = asyncio.create_task(bed.agent.tags.station.written(100))
        await quiet(0.05)
        assert not asking.done()  # and this test went on all the while
        go_on.set()
        assert [row["what"] for row in await asking] == ["encode"]
