"""Work for members' ILS: what is noted, once, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from consortium.events import Kind
from hub.console.words import LANGS, words
from hub.ils import work
from hub.store import schema
from tests.hub.api.world import CQU, DAY, HOUR, YLG, Edge, item
from tests.hub.core import Core, running
from tests.hub.ils.bed import keeping
from tests.make import NOW


async def jobs(core: Core) -> list[dict[str, Any]]:
    return sorted(await core.rows(schema.ils_work), key=lambda row: row["t"])


def said(edge: Edge, at: int, what: str, of: str, key: tuple[str, str], status: str = "CHECKOUT") -> None:
    edge.say(Kind.ILS_OBSERVED, at, {"what": what, "as_of": at, "item": list(key), "ref": of, "status": status})


async def test_nothing_is_noted_where_no_library_keeps_an_ils(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        cqu = Edge(CQU)
        cqu.lend(NOW - HOUR, item(YLG, 0), core.rids[CQU][0], CQU)
        await core.take(cqu)
        assert await jobs(core) == []


async def test_what_the_librarys_own_branch_did_is_its_own_to_book(tmp_path: Path) -> None:
    async with keeping(tmp_path) as core:
        ylg = Edge(YLG)
        ylg.lend(NOW - HOUR, item(YLG, 0), core.rids[YLG][0], YLG)
        ylg.lend(NOW - HOUR + 1, item(CQU, 0), core.rids[CQU][0], CQU)
        ylg.take_back(NOW - HOUR + 2, item(YLG, 0))
        await core.take(ylg)
        assert await jobs(core) == []


async def test_what_happened_elsewhere_is_work_for_the_owners_ils_once(tmp_path: Path) -> None:
    async with keeping(tmp_path) as core:
        heard: list[set[str]] = []
        core.ingest.on_work = heard.append
        cqu = Edge(CQU)
        cqu.lend(NOW - HOUR, item(YLG, 0), core.rids[CQU][0], CQU, days=20)
        cqu.say(
            Kind.RENEW,
            NOW - HOUR + 1,
            {"item": list(item(YLG, 0)), "home": CQU, "due": NOW + 40 * DAY},
            rid=core.rids[CQU][0],
        )
        cqu.take_back(NOW - HOUR + 2, item(YLG, 0))
        cqu.lend(NOW - HOUR + 3, item(CQU, 0), core.rids[CQU][0], CQU)
        rows = cqu.taken()
        await core.take(cqu, rows)
        await core.take(cqu, rows)
        found = await jobs(core)
        assert [row["task"] for row in found] == ["CHECKOUT", "RENEW", "CHECKIN"]
        first = found[0]
        assert (first["org"], first["of"], first["home"], first["state"]) == (
            YLG,
            f"{cqu.node}/{cqu.epoch}/1",
            CQU,
            "WAITING",
        )
        assert (first["t"], first["due"]) == (NOW - HOUR, NOW - HOUR + 20 * DAY)
        assert (found[2]["home"], found[2]["due"]) == ("", None)
        assert heard == [{YLG}]


async def test_loans_imported_at_joining_are_no_work(tmp_path: Path) -> None:
    async with keeping(tmp_path) as core:
        cqu = Edge(CQU)
        cqu.lend(NOW - HOUR, item(YLG, 0), core.rids[CQU][0], CQU, flags=("IMPORTED",))
        await core.take(cqu)
        assert await jobs(core) == []


async def test_what_is_issued_again_under_another_epoch_is_the_same_work(tmp_path: Path) -> None:
    async with keeping(tmp_path) as core:
        cqu = Edge(CQU)
        cqu.lend(NOW - HOUR, item(YLG, 0), core.rids[CQU][0], CQU)
        await core.take(cqu)
        again = Edge(CQU, epoch="1795300000001-ab")
        data = {"item": list(item(YLG, 0)), "type": "BOOK", "home": CQU, "due": NOW + 30 * DAY}
        again.say(Kind.CHECKOUT, NOW - HOUR, data, rid=core.rids[CQU][0], reissue_of=f"{cqu.node}/{cqu.epoch}/1")
        ack = await core.take(again)
        assert ack.rejected == ()
        assert [row["of"] for row in await jobs(core)] == [f"{cqu.node}/{cqu.epoch}/1"]


async def test_an_outcome_is_taken_from_the_library_itself_and_the_last_one_stands(tmp_path: Path) -> None:
    async with keeping(tmp_path) as core:
        cqu, ylg = Edge(CQU), Edge(YLG)
        for n in range(2):
            cqu.lend(NOW - HOUR + n, item(YLG, n), core.rids[CQU][0], CQU)
        await core.take(cqu)
        first, second = (row["of"] for row in await jobs(core))
        said(cqu, NOW, "BOOKED", first, item(YLG, 0))  # not CQU's to say
        await core.take(cqu)
        assert {row["state"] for row in await jobs(core)} == {"WAITING"}
        said(ylg, NOW, "REFUSED", first, item(YLG, 0))
        said(ylg, NOW + 1, "BOOKED", second, item(YLG, 1))
        await core.take(ylg)
        assert [(row["state"], row["node"]) for row in await jobs(core)] == [
            ("REFUSED", ylg.node),
            ("BOOKED", ylg.node),
        ]
        (conflict,) = [row for row in await core.rows(schema.conflicts) if row["kind"] == "CF_ILS_REFUSED"]
        assert (conflict["library"], conflict["state"], first in conflict["events"]) == (YLG, "OPEN", True)
        said(ylg, NOW + 2, "BOOKED", first, item(YLG, 0))
        await core.take(ylg)
        assert {row["state"] for row in await jobs(core)} == {"BOOKED"}


async def test_taken_work_is_sent_again_after_a_day_and_done_work_never(tmp_path: Path) -> None:
    async with keeping(tmp_path) as core:
        cqu, ylg = Edge(CQU), Edge(YLG)
        for n in range(3):
            cqu.lend(NOW - HOUR + n, item(YLG, n), core.rids[CQU][0], CQU)
        await core.take(cqu)
        names = [row["of"] for row in await jobs(core)]
        said(ylg, NOW, "BOOKED", names[2], item(YLG, 2))
        await core.take(ylg)
        async with core.store.write() as conn:
            assert [job.of for job in await work.to_send(conn, YLG, NOW, most=9)] == names[:2]
            await work.take(conn, [(YLG, names[0], ylg.node), (YLG, names[2], ylg.node), (CQU, names[1], "x")], NOW)
            assert [job.of for job in await work.to_send(conn, YLG, NOW, most=9)] == names[1:2]
            later = NOW + work.RETAKE_MS + 1
            assert [job.of for job in await work.to_send(conn, YLG, later, most=9)] == names[:2]
            assert await work.waiting_for(conn, NOW) == [YLG]
            assert await work.counts(conn) == {"WAITING": 1, "TAKEN": 1, "BOOKED": 1, "REFUSED": 0}


async def test_a_difference_found_at_night_is_a_conflict_of_the_lenders_with_words(tmp_path: Path) -> None:
    async with keeping(tmp_path) as core:
        cqu, ylg = Edge(CQU), Edge(YLG)
        cqu.lend(NOW - HOUR, item(YLG, 0), core.rids[CQU][0], CQU)
        await core.take(cqu)
        (loan,) = await core.rows(schema.loans)
        said(ylg, NOW, "DIFFERS", loan["id"], item(YLG, 0), "ONLY_OURS")
        await core.take(ylg)
        (conflict,) = await core.rows(schema.conflicts)
        assert (conflict["kind"], conflict["library"], conflict["state"]) == ("CF_ILS_DIFFERS", CQU, "OPEN")
        for lang in LANGS:
            assert {f"cf.{conflict['kind']}", f"settle.{conflict['default_resolution']}", "device.ils"} <= words(
                lang
            ).keys()
