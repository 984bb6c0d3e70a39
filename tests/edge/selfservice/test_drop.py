"""A book drop: everything once, routed and secured, with the hub away; what nobody can take is listed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consortium.events import Kind
from consortium.identity import ItemKey
from edge.replica.rows import ReplicaInvalid
from edge.selfservice.drop import FAULTS_TOLD, GONE_S, DropBox
from tests.edge.bed import BRANCH, Bed, until
from tests.edge.pads import IN_STOCK, ON_LOAN, Pads, blank, book, edge_over, kiosk_of, quiet, reader, seen, signed_in
from tests.make import HOME, HOST

OPTIONS = {"drop1": {"role": "drop"}}


@pytest.fixture
async def pads(tmp_path: Path) -> AsyncIterator[Pads]:
    made = Pads(tmp_path, ("pad1", "drop1"))
    yield made
    made.close()


@pytest.fixture
async def bed(tmp_path: Path, pads: Pads) -> AsyncIterator[Bed]:
    async with edge_over(tmp_path, pads, pad_options=OPTIONS) as running:
        yield running


def drop_of(bed: Bed) -> DropBox:
    return bed.agent.tags.drops["drop1"]


async def test_the_kiosk_is_not_the_drop(tmp_path: Path) -> None:
    pads = Pads(tmp_path, ("drop1", "pad1"))
    try:
        async with edge_over(tmp_path, pads, pad_options=OPTIONS) as bed:
            assert kiosk_of(bed).device == "pad1"
    finally:
        pads.close()


async def test_what_is_no_item_goes_to_the_exceptions_once(bed: Bed, pads: Pads) -> None:
    pads.put(blank(1), book("5", 2, owner="DE-123"), book("77", 3, owner=""), book("R1", 4, usage=8), pad="drop1")
    await until(lambda: len(drop_of(bed).rows()) == 3)
    await quiet(0.3)
    assert drop_of(bed).counts() == {
        "taken": 0, "by_dest": {}, "exceptions": {"BLANK": 1, "FOREIGN": 1, "ASK_OWNER": 1},
    }  # fmt: skip
    assert bed.events(Kind.RETURN) == []


async def test_a_box_without_a_disc_is_taken_and_shown_until_the_disc_comes(bed: Bed, pads: Pads) -> None:
    pads.put(book("1001", 1, parts=2, part=1, afi=ON_LOAN), pad="drop1")
    await until(lambda: drop_of(bed).counts()["exceptions"] == {"ITEM_INCOMPLETE": 1})
    await until(lambda: [note.code for note in bed.agent.tags.notes.rows()] == ["PARTS_MISSING"])
    pads.put(book("1001", 2, parts=2, part=2, afi=ON_LOAN), pad="drop1")
    await until(lambda: drop_of(bed).counts()["exceptions"] == {})
    assert pads.afi(1, 2) == [IN_STOCK, IN_STOCK]
    await until(lambda: bed.agent.tags.notes.rows() == ())
    assert len(bed.events(Kind.RETURN)) == 1


async def test_a_fault_ends_nothing_lets_others_pass_and_is_told_to_staff(
    bed: Bed, pads: Pads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.selfservice.drop.AGAIN_S", 0.1)
    facts = bed.agent.facts
    real = facts.give_back

    def broken(item: ItemKey | None, *more: object, **named: object) -> object:
        if item == ItemKey(HOME, "1001"):
            raise ReplicaInvalid("REPLICA_DAMAGED", "a row that cannot be read")
        return real(item, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(facts, "give_back", broken)
    pads.put(book("1001", 1, afi=ON_LOAN), book("1002", 2, afi=ON_LOAN), pad="drop1")
    await until(lambda: [row.key for row in drop_of(bed).rows()] == [ItemKey(HOME, "1002")])
    await until(lambda: [note.code for note in bed.agent.tags.notes.rows()] == ["DROP_FAILS"])
    assert drop_of(bed).faults >= FAULTS_TOLD
    monkeypatch.setattr(facts, "give_back", real)
    await until(lambda: drop_of(bed).counts()["taken"] == 2)
    await until(lambda: bed.agent.tags.notes.rows() == ())
    assert pads.afi(1, 2) == [IN_STOCK, IN_STOCK]
    assert len(bed.events(Kind.RETURN)) == 2


async def test_everything_is_returned_once_secured_and_counted_by_where_it_goes(bed: Bed, pads: Pads) -> None:
    who = await reader(bed)
    pads.put(book("1001", 1), pad="pad1")
    await seen(bed.agent.pads["pad1"], 1)
    await kiosk_of(bed).borrow(await signed_in(bed), "zh")
    pads.take(1)
    pads.put(
        pads.store.get("E004010000000001"),  # type: ignore[arg-type]
        book("2002", 2, owner=f"CN-{HOST}", afi=ON_LOAN),
        pad="drop1",
    )
    await until(lambda: drop_of(bed).counts()["taken"] == 2)
    await quiet(0.3)
    assert drop_of(bed).counts()["by_dest"] == {BRANCH: 1, f"{HOST}-01": 1}
    assert len(bed.events(Kind.RETURN)) == 2
    assert pads.afi(1, 2) == [IN_STOCK, IN_STOCK]
    assert bed.agent.desk.loans_of(who.srid) == []
    assert not any(who.srid in str(row) for row in drop_of(bed).rows())


async def test_an_item_laid_down_again_is_returned_again_but_not_after_a_broken_line(bed: Bed, pads: Pads) -> None:
    tags = bed.agent.pads["drop1"]
    pads.put(book("1001", 1, afi=ON_LOAN), pad="drop1")
    await until(lambda: drop_of(bed).counts()["taken"] == 1)
    pads.cut("drop1")
    await until(lambda: not tags.online)
    await quiet(GONE_S + 0.3)
    pads.mend("drop1")
    await until(lambda: tags.online and len(tags.read) == 1)
    await quiet(0.3)
    assert len(bed.events(Kind.RETURN)) == 1
    pads.take(1, pad="drop1")
    await until(lambda: not drop_of(bed)._placed)
    pads.put(pads.store.get("E004010000000001"), pad="drop1")  # type: ignore[arg-type]
    await until(lambda: drop_of(bed).counts()["taken"] == 2)


async def test_the_batch_survives_a_restart_and_ends_when_the_drop_is_emptied(tmp_path: Path, pads: Pads) -> None:
    async with edge_over(tmp_path, pads, pad_options=OPTIONS) as bed:
        pads.put(book("1001", 1, afi=ON_LOAN), pad="drop1")
        await until(lambda: drop_of(bed).counts()["taken"] == 1)
        pads.take(1, pad="drop1")
        await seen(bed.agent.pads["drop1"], 0)
    async with edge_over(tmp_path, pads, pad_options=OPTIONS) as bed:
        assert [row.key for row in drop_of(bed).rows()] == [ItemKey(HOME, "1001")]
        assert (await drop_of(bed).empty())["taken"] == 1
        assert drop_of(bed).rows() == ()
