"""What a late fact changes is told as new records: corrections, and charges that never grow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import select

from consortium.events import Event, Kind, decode, encode
from consortium.identity import chain, srid, subject
from hub.ingest import HubEvent
from hub.ledger.rows import loan_of
from hub.store import schema
from protocols.bus import EventRow
from tests.hub.api.world import BRANCHES, CQU, DAY, HOUR, MASTER, YLG, Edge, item, site_key
from tests.hub.core import Core, running
from tests.hub.ledger.bed import by_hub, in_force, lend, loan
from tests.hub.ledger.test_refold import folded
from tests.make import NOW


async def told(core: Core) -> list[tuple[str, str]]:
    return [(row["change"], row["subject"]) for row in await core.rows(schema.corrections)]


async def test_events_in_their_order_correct_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        ylg.lend(NOW - 9 * HOUR, item(YLG, 0), core.rids[YLG][0], YLG)
        await core.take(ylg)
        ylg.take_back(NOW - 8 * HOUR, item(YLG, 0))
        ylg.lend(NOW - 7 * HOUR, item(YLG, 0), core.rids[YLG][1], YLG)
        await core.take(ylg)
        assert await core.rows(schema.corrections) == []


async def test_a_late_return_is_told_as_what_it_changed_with_its_cause_and_without_readers(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        first, second = core.rids[YLG][0], core.rids[CQU][1]
        cqu, ylg = Edge(CQU), Edge(YLG)
        ylg.lend(NOW - 9 * HOUR, item(YLG, 0), first, YLG)
        ylg.lend(NOW - 2 * HOUR, item(YLG, 0), second, CQU)
        await core.take(ylg)
        cqu.take_back(NOW - 5 * HOUR, item(YLG, 0))
        await core.take(cqu)
        found = await core.rows(schema.corrections)
        cause = f"{cqu.node}/{cqu.epoch}/1"
        assert {row["cause"] for row in found} == {cause}
        assert {row["pos"] for row in found} == {next(r["pos"] for r in await core.heard() if r["node"] == cqu.node)}
        one = f"{ylg.node}/{ylg.epoch}/1"
        change = next(row for row in found if row["subject"] == one)
        assert change["change"] == "LOAN_CHANGED"
        assert change["before"]["end_kind"] == "IMPLIED_RETURN"
        assert change["after"]["end_kind"] == "RETURN"
        assert change["after"]["t_end"] == NOW - 5 * HOUR
        assert {row["change"] for row in found} == {"LOAN_CHANGED", "TRANSIT_OPENED", "CONFLICT_DISSOLVED"}
        assert first not in str(found)
        assert second not in str(found)


async def test_corrections_are_only_added_to(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        cqu, ylg = Edge(CQU), Edge(YLG)
        ylg.lend(NOW - HOUR, item(YLG, 3), core.rids[YLG][0], YLG)
        await core.take(ylg)
        cqu.lend(NOW - 9 * HOUR, item(YLG, 3), core.rids[YLG][1], YLG)
        await core.take(cqu)
        before = await core.rows(schema.corrections)
        cqu.take_back(NOW - 5 * HOUR, item(YLG, 3))
        await core.take(cqu)
        after = await core.rows(schema.corrections)
        assert after[: len(before)] == before
        assert len(after) > len(before)


async def test_an_event_said_again_under_a_new_epoch_counts_once(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        rid = core.rids[YLG][0]
        ylg.lend(NOW - HOUR, item(YLG, 3), rid, YLG)
        ylg.enter(NOW - HOUR, rid, YLG)
        await core.take(ylg)
        again = Edge(YLG, epoch="1795300000001-cd")
        for seq, said in enumerate(ylg.said, start=1):
            body = repeated(said, again.epoch, seq)
            again.last = chain(again.last, body)
            again.rows.append(EventRow(seq, body, again.last, said.salt, said.srid))
        assert (await core.take(again)).rejected == ()
        assert len(await core.rows(schema.loans)) == 1
        assert len(await core.rows(schema.visits)) == 1
        assert [row["kind"] for row in await core.rows(schema.conflicts)] == []
        wanted, stored = await folded(core)
        assert stored == wanted


def repeated(said: EventRow, epoch: str, seq: int) -> str:
    """The same event as its node says it again."""
    one = decode(said.body)
    return encode(
        Event(
            one.node, epoch, seq, one.kind, one.branch, one.device, one.t_dev, one.t_eff, one.t_unc, one.mono, one.boot,
            one.data, subject=one.subject, decision=one.decision, reissue_of=one.name,
        )
    )  # fmt: skip


# --- charges ---------------------------------------------------------------------------------------------------------


async def charged(core: Core) -> list[tuple[int, str]]:
    return [(row["amount"], row["cause"]) for row in await core.rows(schema.charges)]


async def overdue(core: Core, ylg: Edge, *, days: int = 3) -> None:
    """A loan that comes back that many days late."""
    rid = core.rids[YLG][0]
    lend(ylg, NOW - 40 * DAY, item(YLG, 0), rid, YLG, due=NOW - 20 * DAY)
    ylg.take_back(NOW - (20 - days) * DAY, item(YLG, 0))
    await core.take(ylg)


async def test_a_loan_without_a_price_is_not_in_the_ledger(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        ylg.lend(NOW - 40 * DAY, item(YLG, 0), core.rids[YLG][0], YLG, days=2)
        ylg.take_back(NOW - DAY, item(YLG, 0))
        await core.take(ylg)
        assert await charged(core) == []


async def test_an_overdue_return_posts_its_charge_once(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        await overdue(core, ylg)
        (row,) = await core.rows(schema.charges)
        assert (row["amount"], row["cause"]) == (30, f"{ylg.node}/{ylg.epoch}/2")
        assert (row["home"], row["lender"], row["owner"]) == (YLG, YLG, YLG)
        assert row["pos"] == max(r["pos"] for r in await core.heard())
        await core.take(ylg, ylg.said)
        assert len(await charged(core)) == 1


async def test_a_return_on_time_is_posted_as_nothing_and_stays_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg, cqu = Edge(YLG), Edge(CQU)
        await overdue(core, ylg, days=-2)
        assert [amount for amount, _ in await charged(core)] == [0]
        cqu.lend(NOW - 39 * DAY, item(YLG, 0), core.rids[CQU][0], CQU)  # late: what was returned was another loan
        await core.take(cqu)
        assert sum(amount for amount, _ in await charged(core)) == 0


async def test_a_late_event_gives_back_and_never_takes_more(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg, cqu = Edge(YLG), Edge(CQU)
        await overdue(core, ylg, days=5)
        cqu.take_back(NOW - 18 * DAY, item(YLG, 0))  # it had been handed in elsewhere three days before
        await core.take(cqu)
        assert await charged(core) == [(50, f"{ylg.node}/{ylg.epoch}/2"), (-30, f"{cqu.node}/{cqu.epoch}/1")]
        cqu.say(
            Kind.RENEW, NOW - 21 * DAY, {"item": list(item(YLG, 0)), "home": YLG, "due": NOW}, rid=core.rids[YLG][0]
        )
        await core.take(cqu)
        assert sum(amount for amount, _ in await charged(core)) == 0


async def test_a_loan_that_facts_take_back_gives_back_all_that_it_cost(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg, cqu = Edge(YLG), Edge(CQU)
        await overdue(core, ylg)
        lend(cqu, NOW - 41 * DAY, item(YLG, 0), core.rids[YLG][0], YLG, due=NOW - 22 * DAY)
        await core.take(cqu)  # so the loan known so far was a renewal of this one
        rows = await core.rows(schema.charges)
        first, second = f"{ylg.node}/{ylg.epoch}/1", f"{cqu.node}/{cqu.epoch}/1"
        assert sum(row["amount"] for row in rows if row["loan"] == first) == 0
        assert sum(row["amount"] for row in rows if row["loan"] == second) == 30


async def test_terms_and_a_drop_boxs_time_are_kept_with_the_loan(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        lend(ylg, NOW - 40 * DAY, item(YLG, 0), core.rids[YLG][0], YLG, due=NOW - 20 * DAY)
        route = {"action": "SHELVE", "dest": BRANCHES[YLG], "reason": "HOME"}
        data = {"item": list(item(YLG, 0)), "route": route, "code": "RETURN_HOME", "t_credit": NOW - 19 * DAY}
        ylg.say(Kind.RETURN, NOW - 17 * DAY, data)
        await core.take(ylg)
        row = await loan(core, item(YLG, 0)[1])
        assert row["terms"]["fine_per_day"] == 10
        assert row["t_credit"] == NOW - 19 * DAY
        assert [amount for amount, _ in await charged(core)] == [10]


# --- clocks ----------------------------------------------------------------------------------------------------------


def corrected(edge: Edge, first: int, last: int, offset: int) -> dict[str, Any]:
    return {"node": edge.node, "epoch": edge.epoch, "first": first, "last": last, "offset": offset, "unc": 50}


async def test_a_better_clock_folds_every_item_and_visit_of_its_range_again(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg, cqu = Edge(YLG), Edge(CQU)
        rid = core.rids[YLG][0]
        ylg.lend(NOW - 9 * HOUR, item(YLG, 0), rid, YLG)
        cqu.take_back(NOW - 10 * HOUR, item(YLG, 0))  # this clock is two hours slow: it was after the loan
        cqu.enter(NOW - 10 * HOUR, core.rids[CQU][0], CQU)
        cqu.enter(NOW - 9 * HOUR, "f" * 32, CQU)  # nobody knows this one yet
        await core.take(ylg)
        await core.take(cqu)
        assert (await loan(core, item(YLG, 0)[1]))["t_end"] is None
        bodies = [row["body"] for row in await core.heard()]
        name = await by_hub(core, Kind.CLOCK_CORRECTED, corrected(cqu, 1, 3, 2 * HOUR))
        assert (await loan(core, item(YLG, 0)[1]))["t_end"] == NOW - 8 * HOUR
        assert sorted(visit["t_in"] for visit in await core.rows(schema.visits)) == [NOW - 8 * HOUR, NOW - 7 * HOUR]
        assert [row["t_eff"] for row in await core.heard() if row["node"] == cqu.node] == [
            NOW - 8 * HOUR, NOW - 8 * HOUR, NOW - 7 * HOUR,
        ]  # fmt: skip
        assert [row["body"] for row in await core.heard()] == bodies
        ended = [row for row in await core.rows(schema.corrections) if row["change"] == "LOAN_ENDED"]
        assert [row["cause"] for row in ended] == [name]
        assert [row["state"] for row in await core.rows(schema.conflicts)] == ["RESOLVED"]


async def test_an_event_that_comes_after_the_correction_of_its_range_is_taken_at_its_right_time(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg, cqu = Edge(YLG), Edge(CQU)
        await by_hub(core, Kind.CLOCK_CORRECTED, corrected(cqu, 1, 9, 2 * HOUR))
        ylg.lend(NOW - 9 * HOUR, item(YLG, 0), core.rids[YLG][0], YLG)
        cqu.take_back(NOW - 10 * HOUR, item(YLG, 0))
        await core.take(ylg)
        await core.take(cqu)
        assert (await loan(core, item(YLG, 0)[1]))["t_end"] == NOW - 8 * HOUR
        assert [row["t_eff"] for row in await core.heard() if row["node"] == cqu.node] == [NOW - 8 * HOUR]
        assert await core.rows(schema.corrections) == []


async def test_a_correction_that_was_rolled_back_is_forgotten(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        await core.take(ylg)

        class Undone(Exception):
            pass

        born = HubEvent(Kind.CLOCK_CORRECTED, BRANCHES[CQU], "hub", corrected(ylg, 1, 9, HOUR))
        try:
            async with core.store.write() as conn:
                await core.ingest.record(conn, [born])
                raise Undone
        except Undone:
            pass
        ylg.lend(NOW - 9 * HOUR, item(YLG, 0), core.rids[YLG][0], YLG)
        await core.take(ylg)
        assert (await loan(core, item(YLG, 0)[1]))["t_out"] == NOW - 9 * HOUR


# --- strangers -------------------------------------------------------------------------------------------------------


async def register(core: Core, rid: str) -> None:
    """A library registers a reader, later."""
    row = {
        "rid": rid, "home": YLG, "reader_no": "a-new-number", "category": "UG", "status": "ACTIVE", "valid_to_ms": None,
        "shared": True, "age": 20, "lang": "zh", "pin_verifier": None,
    }  # fmt: skip
    async with core.store.write() as conn:
        await conn.execute(schema.readers.insert(), row)
        await core.spread.changed(conn, rids=[rid])
        committed = await core.ingest.record(conn, [])
    core.ingest.tell(committed)


async def test_a_stranger_opens_a_conflict_that_dissolves_when_a_library_registers_them(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        rid = "f" * 32
        ylg.enter(NOW - HOUR, rid, YLG)
        ylg.lend(NOW - HOUR, item(YLG, 0), rid, YLG)
        await core.take(ylg)
        (conflict,) = await core.rows(schema.conflicts)
        assert (conflict["kind"], conflict["state"], conflict["library"]) == ("CF_UNKNOWN_CARD", "OPEN", "*")
        assert (await loan(core, item(YLG, 0)[1]))["rid"].startswith("erased:")
        await register(core, rid)
        (conflict,) = await core.rows(schema.conflicts)
        assert (conflict["state"], conflict["resolution"]) == ("RESOLVED", "facts")
        assert (await loan(core, item(YLG, 0)[1]))["rid"] == rid
        assert [row["rid"] for row in await core.heard()] == [rid, rid]
        assert [row["rid"] for row in await core.rows(schema.visits)] == [rid]
        assert await core.rows(schema.strangers) == []
        changed = await core.rows(schema.corrections)
        assert {"who": "unknown"}.items() <= next(r for r in changed if r["change"] == "LOAN_CHANGED")["before"].items()
        assert rid not in str(changed)
        wanted, stored = await folded(core)
        assert stored == wanted


async def test_an_erased_reader_is_no_stranger(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        ylg.lend(NOW - HOUR, item(YLG, 0), "f" * 32, YLG)
        (said,) = ylg.taken()
        await core.take(ylg, [EventRow(said.seq, said.body, said.hash, None, None)])
        assert await core.rows(schema.conflicts) == []
        assert await core.rows(schema.strangers) == []


async def test_what_waits_above_a_hole_is_folded_with_the_reader_registered_meanwhile(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        rid = "f" * 32
        ylg.leave(NOW - HOUR, core.rids[YLG][0])
        ylg.lend(NOW - HOUR, item(YLG, 0), rid, YLG)
        first, second = ylg.taken()
        await core.take(ylg, [second])
        await register(core, rid)
        assert await core.rows(schema.loans) == []
        await core.take(ylg, [first])
        assert (await loan(core, item(YLG, 0)[1]))["rid"] == rid
        assert await core.rows(schema.conflicts) == []


async def test_a_stored_loan_reads_back_as_the_loan_that_was_folded(tmp_path: Path) -> None:
    async with in_force(tmp_path) as core:
        ylg = Edge(YLG)
        await overdue(core, ylg)
        async with core.store.read() as conn:
            (row,) = (await conn.execute(select(schema.loans))).all()
        found = loan_of(row)
        assert (found.who, found.terms["max_fine"], found.observed, found.open) == (
            core.rids[YLG][0],
            500,
            False,
            False,
        )


def test_the_builders_name_readers_as_edges_do() -> None:
    name = srid(site_key(MASTER, YLG), "f" * 32)
    edge = Edge(YLG)
    edge.leave(NOW, "f" * 32)
    (row,) = edge.taken()
    assert row.srid == name
    assert subject(str(row.salt), name) in row.body
