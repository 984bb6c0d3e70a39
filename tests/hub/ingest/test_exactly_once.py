"""Ingest: refusals first, then exactly once whatever the network does."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from consortium.events import Kind
from consortium.identity import CHAIN_START, chain
from hub.ingest import IngestFailed, IngestRefused
from hub.ledger import project as projecting
from hub.store import schema
from protocols.bus import EventRow
from tests.hub.api.world import CQU, DAY, HOUR, MINUTE, SCS, YLG, Edge, a_day, item
from tests.hub.core import Core, edges, running
from tests.make import NOW


def said(core: Core) -> tuple[Edge, list[EventRow]]:
    """Three plain loans of one edge."""
    edge = Edge(CQU)
    for n in range(3):
        edge.lend(NOW - HOUR + n * MINUTE, item(CQU, n), core.rids[CQU][n], CQU)
    return edge, edge.taken()


async def test_a_stranger_is_refused_whole_and_nothing_is_written(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        edge, rows = said(core)
        with pytest.raises(IngestRefused) as refused:
            await core.ingest.batch("edge-000000-09", edge.epoch, rows)
        assert refused.value.code == "NODE_UNKNOWN"
        assert await core.heard() == []


def broken(row: EventRow, body: str, previous: str) -> EventRow:
    """The row with another body, honestly hashed."""
    return EventRow(row.seq, body, chain(previous, body), row.salt, row.srid)


BAD_BODIES = {
    "EVENT_NOT_JSON": lambda body: body[:-1],
    "EVENT_VERSION": lambda body: body.replace('"v":1', '"v":9'),
    "EVENT_KIND": lambda body: body.replace('"kind":"CHECKOUT"', '"kind":"NONSENSE"'),
    "EVENT_NODE": lambda body: body.replace("edge-251020-01", "edge-990001-01"),
    "EVENT_BRANCH": lambda body: body.replace('"branch":"251020-01"', '"branch":"990001-01"'),
    "EVENT_NOT_CANONICAL": lambda body: body.replace('{"boot"', '{ "boot"'),
    "EVENT_DATA": lambda body: body.replace('"type":"BOOK"', '"type":"' + "B" * 25 + '"'),
    "EVENT_TIME": lambda body: body.replace('"t_dev":179', '"t_dev":-79'),
    "EVENT_FUTURE": lambda body: body.replace('"t_eff":179', '"t_eff":979'),
    "EVENT_REISSUE": lambda body: body[:-1].replace(',"seq"', ',"reissue_of":["x"],"seq"') + "}",
    "EVENT_SUBJECT": lambda body: body.replace('"subject":"', '"subject":"0')[:-2] + body[-1:],
}


@pytest.mark.parametrize("code", sorted(BAD_BODIES))
async def test_poison_goes_to_quarantine_byte_for_byte_and_stalls_nothing(tmp_path: Path, code: str) -> None:
    async with running(tmp_path) as core:
        edge, rows = said(core)
        bad = broken(rows[1], BAD_BODIES[code](rows[1].body), rows[0].hash)
        after = EventRow(3, rows[2].body, chain(bad.hash, rows[2].body), rows[2].salt, rows[2].srid)
        ack = await core.take(edge, [rows[0], bad, after])
        assert ack.upto == 3
        assert [seq for seq, _ in ack.rejected] == [2]
        (kept,) = await core.rows(schema.quarantine)
        assert kept["body"] == bad.body
        assert kept["code"] == ack.rejected[0][1]
        if code != "EVENT_SUBJECT":
            assert kept["code"] == code
        assert [row["seq"] for row in await core.heard()] == [1, 3]
        assert len(await core.rows(schema.loans)) == 2


async def test_identity_beside_the_body_must_be_the_one_inside(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        edge, rows = said(core)
        other = replace(rows[1], srid=rows[0].srid)
        ack = await core.take(edge, [rows[0], other, rows[2]])
        assert ack.rejected == ((2, "EVENT_SUBJECT"),)


async def test_an_erased_identity_is_taken_and_its_loan_is_nobodys(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        edge, rows = said(core)
        ack = await core.take(edge, [replace(rows[0], salt=None, srid=None)])
        assert ack.rejected == ()
        (loan,) = await core.rows(schema.loans)
        assert loan["rid"].startswith("erased:")


async def test_the_same_id_with_another_story_is_a_fork_and_never_replaces(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        edge, rows = said(core)
        await core.take(edge, rows)
        before = await core.rows(schema.events)
        other = Edge(CQU)
        for n in (7, 8, 9):
            other.lend(NOW - HOUR, item(CQU, n), core.rids[CQU][n], CQU)
        ack = await core.take(other)
        assert ack.rejected == tuple((seq, "CF_EVENT_FORK") for seq in (1, 2, 3))
        assert ack.upto == 3
        assert ack.chain == rows[2].hash
        assert await core.rows(schema.events) == before
        assert len(await core.rows(schema.quarantine)) == 3


async def test_a_row_that_does_not_link_costs_only_itself(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        edge, rows = said(core)
        lie = replace(rows[1], hash=chain(CHAIN_START, rows[1].body))
        after = replace(rows[2], hash=chain(lie.hash, rows[2].body))  # the chain goes on from what was stated
        ack = await core.take(edge, [rows[0], lie, after])
        assert ack.rejected == ((2, "EVENT_CHAIN"),)
        assert (ack.upto, ack.chain) == (3, after.hash)


async def test_what_was_rejected_is_said_again_when_it_is_sent_again(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        edge, rows = said(core)
        bad = broken(rows[0], "{}", CHAIN_START)
        first = await core.take(edge, [bad])
        assert first.rejected == (await core.take(edge, [bad])).rejected == ((1, "EVENT_VERSION"),)
        assert len(await core.rows(schema.quarantine)) == 1


async def test_rows_above_a_hole_are_logged_and_wait_until_it_is_filled(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        edge, rows = said(core)
        ack = await core.take(edge, rows[2:])
        assert (ack.upto, ack.chain) == (0, CHAIN_START)
        assert len(await core.heard()) == 1
        assert await core.rows(schema.loans) == []
        assert (await core.take(edge, rows[:1])).upto == 1
        ack = await core.take(edge, rows[1:2])
        assert (ack.upto, ack.chain) == (3, rows[2].hash)
        assert [loan["item_no"] for loan in await core.rows(schema.loans)] == [item(CQU, n)[1] for n in range(3)]


async def test_an_island_that_does_not_link_to_what_fills_the_hole_moves_to_quarantine(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        edge, rows = said(core)
        stray = Edge(CQU, seq=2, last="1" * 64)
        stray.lend(NOW - HOUR, item(CQU, 9), core.rids[CQU][9], CQU)
        await core.take(stray)
        ack = await core.take(edge, rows[:2])
        assert ack.upto == 3
        assert [row["code"] for row in await core.rows(schema.quarantine)] == ["EVENT_CHAIN"]
        assert [row["seq"] for row in await core.heard()] == [1, 2]


async def test_a_failed_commit_leaves_nothing_and_acknowledges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as core:
        edge, rows = said(core)
        before = await core.rows(schema.sites)

        async def disk_full(*_: Any) -> None:
            raise OperationalError("INSERT", {}, OSError("disk full"))

        with monkeypatch.context() as patched:
            patched.setattr(projecting, "_devices", disk_full)  # the last thing a transaction does before its versions
            with pytest.raises(IngestFailed):
                await core.take(edge, rows)
        for table in (schema.events, schema.cursors, schema.loans, schema.item_state, schema.site_deltas):
            found = [
                row for row in await core.rows(table) if row.get("node") != "hub-1" and row.get("rows", "") is not None
            ]
            assert found == []
        assert await core.rows(schema.sites) == before
        assert (await core.take(edge, rows)).upto == 3


async def test_one_batch_that_cannot_be_committed_does_not_cost_the_others_of_its_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    async with running(tmp_path) as core:
        edge, rows = said(core)
        poison = Edge(YLG)
        poison.lend(NOW - HOUR, item(YLG, 0), core.rids[YLG][0], YLG)
        real = core.ingest.apply

        async def apply(conn: Any, batches: Any) -> Any:
            if any(batch.node == poison.node for batch in batches):
                raise RuntimeError("a fold that nobody thought of")
            return await real(conn, batches)

        monkeypatch.setattr(core.ingest, "apply", apply)
        async with core.store.write():  # both wait for the writer and are grouped
            ahead = asyncio.create_task(core.take(edge, rows[:1]))
            await asyncio.sleep(0.05)
            both = [asyncio.create_task(core.take(poison)), asyncio.create_task(core.take(edge, rows[1:]))]
            await asyncio.sleep(0.05)
        assert (await ahead).upto == 1
        failed, taken = await asyncio.gather(*both, return_exceptions=True)
        assert isinstance(failed, IngestFailed)
        assert taken.upto == 3  # type: ignore[union-attr]


def plain(core: Core) -> dict[str, list[EventRow]]:
    """A day of three edges, with clocks that disagree: their events interleave."""
    three = edges()
    a_day(three, core.rids, NOW)
    three[SCS].take_back(NOW - 20 * MINUTE, item(YLG, 9))
    three[YLG].lend(NOW - 35 * DAY, item(YLG, 1), core.rids[CQU][5], CQU)  # late by a month: a refold
    three[YLG].leave(NOW - 3 * HOUR - MINUTE, core.rids[YLG][0])
    three[YLG].enter(NOW - 5 * HOUR, core.rids[YLG][0], YLG)
    return {org: edge.taken() for org, edge in three.items()}


async def straight(core: Core) -> dict[str, Any]:
    three = edges()
    for org, rows in plain(core).items():
        ack = await core.take(three[org], rows)
        assert ack.rejected == ()
    return await core.projections()


@pytest.mark.parametrize("seed", range(6))
async def test_doubled_lost_and_shuffled_batches_give_the_same_ledger_exactly_once(tmp_path: Path, seed: int) -> None:
    chaos = random.Random(seed)
    async with running(tmp_path / "a") as core:
        wanted = await straight(core)
        logged = sorted((r["node"], r["seq"], r["hash"]) for r in await core.rows(schema.events))
    async with running(tmp_path / "b") as core:
        three = edges()
        said_rows = plain(core)
        while True:
            uptos = {org: (await core.take(three[org], rows[:1])).upto for org, rows in said_rows.items()}
            left = {org: rows for org, rows in said_rows.items() if uptos[org] < len(rows)}
            if not left:
                break
            batches = []
            for org, rows in left.items():
                for _ in range(chaos.randrange(1, 5)):
                    first = chaos.randrange(len(rows))
                    batches.append((org, rows[first : first + chaos.randrange(1, 9)]))
                batches.append((org, rows[uptos[org] : uptos[org] + 4]))  # the resend that makes it end
            batches += chaos.sample(batches, len(batches) // 2)
            chaos.shuffle(batches)
            for org, rows in batches:
                assert (await core.take(three[org], rows)).rejected == ()
        assert await core.projections() == wanted
        assert sorted((r["node"], r["seq"], r["hash"]) for r in await core.rows(schema.events)) == logged
        positions = [row["pos"] for row in await core.rows(schema.events)]
        assert positions == sorted(set(positions))


async def test_no_event_row_names_a_reader_number_or_card(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await straight(core)
        said_text = "".join(row["body"] for row in await core.rows(schema.events))
        for reader in await core.rows(schema.readers):
            assert reader["reader_no"] not in said_text
            assert reader["rid"] not in said_text
        for card in await core.rows(schema.cards):
            assert card["uid"].lower() not in said_text.lower()


async def test_every_checkout_consumes_its_reservation(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        asked = {
            "branch": "990001-01",
            "device": "kiosk1",
            "token": core.card(YLG, 0, CQU),
            "pin": True,
            "items": [{"owner": YLG, "item_no": item(YLG, 0)[1]}],
        }
        answer = (await core.decider.borrow(core.node(YLG), asked))["answers"][0]
        assert len(core.reservations) == 1
        edge = Edge(YLG)
        data = {
            "item": [YLG, item(YLG, 0)[1]], "type": "BOOK", "home": CQU, "due": answer["due"], "basis": answer["basis"],
            "flags": [], "reservation": answer["reservation"],
        }  # fmt: skip
        edge.say(Kind.CHECKOUT, NOW, data, rid=core.rids[CQU][0], decision=answer["record"])
        assert (await core.take(edge)).rejected == ()
        assert len(core.reservations) == 0
