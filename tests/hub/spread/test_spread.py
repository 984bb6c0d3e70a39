"""Replicas out: what a library is told, when, and what it is never told."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update

from consortium.bundle import from_plain
from consortium.events import Kind as EventKind
from hub.ingest import HubEvent
from hub.policy.publish import publish
from hub.spread import service
from hub.spread.versions import MAX_ROWS_BYTES, pieces
from hub.store import schema
from protocols.bus import MAX_MESSAGE, Envelope, Kind, encode, message_type, rfc3339
from tests.hub.api import world
from tests.hub.api.world import BRANCHES, CQU, HOUR, SCS, YLG, Edge, item
from tests.hub.core import Core, running
from tests.make import NOW

Rows = dict[tuple[str, str], Any]


def read(path: Path) -> tuple[dict[str, Any], Rows]:
    """A snapshot's head and its rows by (kind, key)."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    rows = [json.loads(line) for line in lines[1:]]
    found = {(row[0], row[1]): row[2] for row in rows}
    assert len(found) == len(rows)
    return json.loads(lines[0]), found


async def replica(core: Core, org: str) -> Rows:
    """What a snapshot of this moment holds."""
    core.spread._announced.clear()
    core.spread._bodies.clear()
    return read((await core.spread.snapshot(org)).path)[1]


def deltas(core: Core, org: str) -> list[dict[str, Any]]:
    return [data for node, part, data in core.sent if part == "delta" and node == f"edge-{BRANCHES[org]}"]


def applied(rows: Rows, steps: list[dict[str, Any]]) -> Rows:
    out = dict(rows)
    for step in steps:
        for kind, key, value in step["rows"]:
            if value is None:
                out.pop((kind, key), None)
            else:
                out[kind, key] = value
    return out


async def test_a_library_is_not_told_of_readers_it_has_no_business_with(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        rows = await replica(core, YLG)
        srids = {key for kind, key in rows if kind == "reader"}
        own = {core.identity.srid(YLG, rid) for rid in core.rids[YLG]}
        shared = {core.identity.srid(YLG, rid) for rid in core.rids[CQU][:11]}
        assert srids == own | shared  # not the partner's reader who did not activate sharing, nor anybody of the third
        assert {value["srid"] for (kind, _), value in rows.items() if kind == "token"} == srids


def texts(value: Any) -> list[str]:
    """Every text in a JSON value, keys too."""
    if isinstance(value, dict):
        return [*value, *(text for one in value.values() for text in texts(one))]
    if isinstance(value, list):
        return [text for one in value for text in texts(one)]
    return [value] if isinstance(value, str) else []


async def test_no_row_says_a_uid_a_number_a_name_or_a_rid(tmp_path: Path) -> None:
    people = [{**row, "reader_no": f"nr{row['reader_no']}"} for row in world.readers(NOW)]
    async with running(tmp_path, more={"readers": people}) as core:
        await core.spread.publish()
        ylg = Edge(YLG)
        ylg.lend(NOW - HOUR, item(YLG, 0), core.rids[CQU][0], CQU)
        await core.take(ylg)
        await core.spread.publish()
        said = texts([data for _, _, data in core.sent])
        assert said
        for org in BRANCHES:
            raw = gzip.decompress((await core.spread.snapshot(org)).path.read_bytes()).decode()
            said += texts([json.loads(line) for line in raw.splitlines()])
        told = "\n".join(said).lower()
        for row in await core.rows(schema.cards):
            assert row["uid"] not in told
        for row in await core.rows(schema.readers):
            assert row["reader_no"] not in told
            assert row["rid"] not in told


async def test_a_pin_verifier_goes_to_the_home_library_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        at_host, at_home = await replica(core, YLG), await replica(core, CQU)
        srid = core.identity.srid
        assert at_host["reader", srid(YLG, core.rids[CQU][0])]["pin"] is None
        assert at_home["reader", srid(CQU, core.rids[CQU][0])]["pin"].startswith("$argon2id$")


async def test_a_block_says_what_it_is_about_to_its_issuer_only(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        rid = core.rids[CQU][0]
        block = {
            "rid": rid,
            "issuer": CQU,
            "scope": "issuer",
            "kind": "FEES",
            "actions": ["BORROW"],
            "from_ms": 0,
            "reason": "lost item",
        }
        async with core.store.write() as conn:
            await conn.execute(insert(schema.blocks), {**block, "id": "b1"})
            await conn.execute(insert(schema.blocks), {**block, "id": "b2", "issuer": SCS, "kind": "OVERDUE"})
        at_home = (await replica(core, CQU))["reader", core.identity.srid(CQU, rid)]["blocks"]
        at_host = (await replica(core, YLG))["reader", core.identity.srid(YLG, rid)]["blocks"]
        assert [(one["issuer"], one["kind"]) for one in at_home] == [(CQU, "FEES")]
        assert [(one["issuer"], one["kind"]) for one in at_host] == [(CQU, "")]
        assert "lost item" not in str(at_home)


async def test_tokens_lead_from_card_and_number_to_the_reader(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        rows = await replica(core, YLG)
        name = {"srid": core.identity.srid(YLG, core.rids[CQU][2])}
        standing = {"status": "ACTIVE", "assurance": "HIGH", "to_ms": None}
        for token in (
            core.card(YLG, 2, CQU),
            core.identity.number(YLG, f"{CQU}:20000002"),
            core.identity.number(YLG, "20000002"),
        ):
            assert rows["token", token] == name | standing


async def test_a_number_that_two_libraries_gave_means_the_own_reader_or_nobody(tmp_path: Path) -> None:
    people = [replace_reader(0, CQU, "777"), replace_reader(1, SCS, "777"), replace_reader(2, YLG, "888")]
    async with running(tmp_path, more={"readers": people}) as core:
        bare = core.identity.number
        assert ("token", bare(YLG, "777")) not in await replica(core, YLG)
        own = (await replica(core, CQU))["token", bare(CQU, "777")]
        assert own["srid"] == core.identity.srid(CQU, core.rids[CQU][0])


def replace_reader(n: int, home: str, number: str) -> dict[str, Any]:
    return {**world.readers(NOW)[n], "home": home, "reader_no": number}


async def test_a_loan_reaches_every_library_that_knows_reader_or_item(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        before = {org: await replica(core, org) for org in BRANCHES}
        await core.spread.publish()
        ylg = Edge(YLG)
        ylg.lend(NOW - HOUR, item(CQU, 0), core.rids[CQU][0], CQU)
        await core.take(ylg)
        await core.spread.publish()
        (at_host,), (at_home,) = deltas(core, YLG), deltas(core, CQU)
        assert deltas(core, SCS) == []
        assert at_host["includes"] == {"epoch": ylg.epoch, "upto": 1}
        assert at_home["includes"] == {"epoch": "", "upto": 0}
        assert at_host["version"] == 3
        rows = applied(before[YLG], deltas(core, YLG))
        lent = rows["item", f"{CQU}/{item(CQU, 0)[1]}"]
        assert (lent["status"], lent["branch"]) == ("ON_LOAN", BRANCHES[YLG])
        assert lent["loan_srid"] == core.identity.srid(YLG, core.rids[CQU][0])
        assert rows["number", item(CQU, 0)[1]] == CQU
        assert rows["reader", core.identity.srid(YLG, core.rids[CQU][0])]["open_loans"] == [[YLG, "BOOK", 1, 1]]
        for org in BRANCHES:
            assert applied(before[org], deltas(core, org)) == await replica(core, org)


async def test_deltas_applied_in_order_are_the_snapshot_through_a_whole_day(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        before = {org: await replica(core, org) for org in BRANCHES}
        await core.spread.publish()
        three = {org: Edge(org) for org in BRANCHES}
        world.a_day(three, core.rids, NOW)
        for edge in three.values():
            rows = edge.taken()
            for first in range(0, len(rows), 5):
                await core.take(edge, rows[first : first + 5])
                await core.spread.publish()
        for org in BRANCHES:
            steps = deltas(core, org)
            assert [step["version"] for step in steps] == list(range(3, 3 + len(steps)))
            assert applied(before[org], steps) == await replica(core, org)


async def test_an_item_that_went_home_leaves_the_replica_it_was_a_guest_of(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        cqu, scs = Edge(CQU), Edge(SCS)
        scs.take_back(NOW - HOUR, item(CQU, 0))
        await core.take(scs)
        key = ("item", f"{CQU}/{item(CQU, 0)[1]}")
        assert (await replica(core, SCS))[key]["transit_to"] == BRANCHES[CQU]
        await core.spread.publish()
        cqu.receive(NOW, item(CQU, 0))
        await core.take(cqu)
        await core.spread.publish()
        (step,) = [step for step in deltas(core, SCS) if step["version"] == 4]
        assert [*key, None] in step["rows"]
        assert key not in await replica(core, SCS)


async def test_revoked_sharing_takes_reader_and_tokens_out_of_the_partners_replica(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        before = await replica(core, YLG)
        await core.spread.publish()
        rid = core.rids[CQU][0]
        async with core.store.write() as conn:
            await conn.execute(update(schema.readers).where(schema.readers.c.rid == rid).values(shared=False))
            await core.spread.changed(conn, rids=[rid])
        await core.spread.publish()
        rows = applied(before, deltas(core, YLG))
        assert rows == await replica(core, YLG)
        assert ("token", core.card(YLG, 0, CQU)) not in rows


async def test_a_change_that_is_rolled_back_sends_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await core.spread.publish()
        rid = core.rids[CQU][0]
        try:
            async with core.store.write() as conn:
                await core.spread.changed(conn, rids=[rid])
                raise RuntimeError
        except RuntimeError:
            pass
        await core.spread.publish()
        assert core.sent == []


async def test_what_is_too_much_for_one_message_is_several_steps_and_only_the_last_includes_the_events(
    tmp_path: Path,
) -> None:
    long = [{**row, "title": "A long title 长题名 " * 60} for row in world.items()]
    async with running(tmp_path, more={"items": long}) as core:
        ylg = Edge(YLG)
        ylg.lend(NOW - HOUR, item(YLG, 0), core.rids[YLG][0], YLG)
        await core.take(ylg)
        before = await replica(core, YLG)
        await core.spread.publish()
        for n in range(1, 20):
            ylg.lend(NOW - HOUR + n, item(YLG, n), core.rids[YLG][n % 11], YLG)
        await core.take(ylg)
        await core.spread.publish()
        steps = deltas(core, YLG)
        assert [step["version"] for step in steps] == [4, 5, 6]
        assert [step["includes"]["upto"] for step in steps] == [1, 1, 20]
        assert applied(before, steps) == await replica(core, YLG)
        for step in steps:
            text = encode(
                Envelope(
                    id="1" * 40, source="hub", type=message_type(Kind.REPLICA, "delta"), time=rfc3339(NOW), data=step, sig="s" * 88,
                    keyid="hub-1", counter=1,
                )
            )  # fmt: skip
            assert len(text) <= MAX_MESSAGE


def test_a_row_that_fits_no_message_needs_a_snapshot() -> None:
    assert pieces([["item", "x", "y" * MAX_ROWS_BYTES]]) is None
    assert [len(part) for part in pieces([["item", str(n), "y" * 6000] for n in range(5)]) or []] == [2, 2, 1]


async def test_a_snapshot_is_what_its_manifest_says_and_stands_while_it_is_fetched(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        ylg.lend(NOW - HOUR, item(YLG, 0), core.rids[YLG][0], YLG)
        await core.take(ylg)
        found = await core.spread.snapshot(YLG, ylg.node)
        raw = found.path.read_bytes()
        assert found.manifest["sha256"] == hashlib.sha256(raw).hexdigest()
        assert found.manifest["size"] == len(raw)
        head, _ = read(found.path)
        assert head["includes"] == found.manifest["includes"] == {"epoch": ylg.epoch, "upto": 1}
        ylg.lend(NOW, item(YLG, 1), core.rids[YLG][1], YLG)
        await core.take(ylg)
        again = await core.spread.snapshot(YLG, ylg.node)  # a second Range request must meet the same bytes
        assert again.path.read_bytes() == raw
        await core.hello.hello(
            core.node(YLG), {"epoch": ylg.epoch, "acked": 2, "chain": ylg.last, "next_seq": 3, "replica": head}
        )
        assert [(part, data["version"]) for _, part, data in core.sent] == [("delta", head["version"] + 1)]


async def test_a_new_policy_sends_every_branch_a_manifest(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await core.spread.publish()
        plain = {**world.bundle(NOW), "version": 4, "agreements": []}
        plain["rules"] = [rule for rule in plain["rules"] if "agreement" not in rule]
        async with core.store.write() as conn:
            await publish(conn, from_plain(plain), world.POLICY_KEY, NOW)
            await core.spread.changed(conn, policy=True)
        await core.policy.refresh(core.store)
        await core.spread.publish()
        assert sorted((node, part) for node, part, _ in core.sent) == [
            (f"edge-{branch}", "manifest") for branch in sorted(BRANCHES.values())
        ]
        rows = await replica(core, YLG)
        assert {key for kind, key in rows if kind == "policy"} == {"4"}
        assert not {key for kind, key in rows if kind == "reader"} & {
            core.identity.srid(YLG, rid) for rid in core.rids[CQU]
        }


async def test_a_watermark_names_the_version_and_the_events_in_it(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        await core.spread.publish()
        ylg = Edge(YLG)
        ylg.enter(NOW - HOUR, core.rids[YLG][0], YLG)  # changes no row, but the edge may forget it
        await core.take(ylg)
        await core.spread.watermark()
        said = {node: data for node, part, data in core.sent if part == "watermark"}
        assert said[ylg.node] == {
            "generation": 1, "version": 2, "asof_ms": core.now, "includes": {"epoch": ylg.epoch, "upto": 1},
        }  # fmt: skip
        assert len(said) == 3


async def test_steps_are_forgotten_in_time_and_a_node_behind_them_gets_a_snapshot(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        ylg = Edge(YLG)
        ylg.lend(NOW - HOUR, item(YLG, 0), core.rids[YLG][0], YLG)
        await core.take(ylg)
        core.now += service.KEEP_DELTAS_MS + 1
        await core.spread.watermark()
        assert await core.rows(schema.site_deltas) == []
        _, manifest = await core.spread.catch_up(ylg.node, YLG, 1, 2)
        assert manifest is not None


async def test_a_hub_born_block_reaches_the_gates(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        before = await replica(core, YLG)
        await core.spread.publish()
        rid = core.rids[CQU][0]
        block = {
            "id": "b1",
            "rid": rid,
            "issuer": CQU,
            "scope": "consortium",
            "kind": "",
            "actions": ["ENTER"],
            "from_ms": 0,
            "reason": "",
        }
        async with core.store.write() as conn:
            await conn.execute(insert(schema.blocks), block)
            data = {name: block[name] for name in ("actions", "issuer", "scope", "kind", "from_ms")} | {"block": "b1"}
            committed = await core.ingest.record(conn, [HubEvent(EventKind.BLOCK_SET, BRANCHES[CQU], "hub", data, rid)])
            await core.spread.changed(conn, loans_of=[rid])
        core.ingest.tell(committed)
        await core.spread.publish()
        rows = applied(before, deltas(core, YLG))
        assert rows["reader", core.identity.srid(YLG, rid)]["blocks"][0]["scope"] == "consortium"
        logged = (await core.rows(schema.events))[-1]
        assert (logged["kind"], logged["rid"], f"hub-1/{core.ingest.epoch}/1") == ("BLOCK_SET", rid, committed.ids[0])
        assert rid not in logged["body"]
