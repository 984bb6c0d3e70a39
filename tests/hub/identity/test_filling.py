"""A hub that was there before cut card numbers were: its first start writes them down, before anybody is told of a card."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from hub.decide.facts import person_shown
from hub.identity import filling
from hub.identity.keys import Identity
from hub.load import load
from hub.spread.versions import versions_of
from hub.store import schema
from hub.store.engine import Store
from hub.store.migrate import upgrade
from hub.worker import HubWorker
from tests.hub.api import world
from tests.hub.api.hubside import config_at
from tests.hub.api.world import CQU, YLG
from tests.hub.core import COST, Core, running
from tests.hub.identity.test_cut_numbers import ALONE, PEOPLE, TWIN_A, cut, found, replica
from tests.make import NOW

NOWHERE = "mqtt://127.0.0.1:9"


def every_cut(identity: Identity) -> list[str]:
    return [
        token
        for person in PEOPLE
        for card in person["cards"]
        for token in identity.cut_card(person["home"], card["uid"])
    ]


async def forget_cut_numbers(store: Store) -> None:
    """Bring the index to what the version before wrote."""
    async with store.write() as conn:
        tokens = every_cut(Identity(world.MASTER))
        await conn.execute(delete(schema.site_tokens).where(schema.site_tokens.c.token.in_(tokens)))


@asynccontextmanager
async def upgraded(folder: Path) -> AsyncIterator[Core]:
    """A hub's core whose database has the newest schema and the index of the version before."""
    async with running(folder, more={"readers": PEOPLE}) as core:
        await forget_cut_numbers(core.store)
        async with core.store.write() as conn:
            await conn.execute(delete(schema.marks))
        yield core


async def test_a_hub_of_the_version_before_gives_no_twin_for_the_other_once_it_has_started(tmp_path: Path) -> None:
    config = config_at(tmp_path, NOWHERE)
    await upgrade(config.database, "0005")
    store = Store(config.database)
    file = {**world.consortium_file(NOW), "staff": [], "readers": PEOPLE, "open_loans": []}
    await load(store, file, world.MASTER, NOW, policy_key=world.POLICY_KEY, cost=COST)
    await forget_cut_numbers(store)
    await store.close()
    worker = HubWorker(config)
    await worker.start()
    try:
        core = Core(worker.store, tmp_path)
        await core.policy.refresh(worker.store)
        twins = cut(core, CQU, bytes.fromhex(TWIN_A)[-3:])
        assert twins not in await replica(core, CQU)
        assert await found(core, CQU, twins) is None
        assert await found(core, CQU, cut(core, CQU, bytes.fromhex(ALONE)[-3:])) == (CQU, "1")
    finally:
        await worker.stop()


async def test_hub_and_replica_go_on_agreeing_when_one_twin_changes(tmp_path: Path) -> None:
    async with upgraded(tmp_path) as core:
        await core.spread.complete()
        twins = cut(core, CQU, bytes.fromhex(TWIN_A)[-3:])
        async with core.store.write() as conn:
            await core.spread.changed(conn, rids=[core.rids[CQU][1]])
        assert await found(core, CQU, twins) is None
        assert twins not in await replica(core, CQU)


async def test_twins_are_found_though_they_stand_in_different_pages_and_the_log_tells_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "hub.identity")
    monkeypatch.setattr(filling, "_PAGE", 1)
    monkeypatch.setattr(filling, "_TELL", 2)
    async with upgraded(tmp_path) as core:
        caplog.clear()
        await core.spread.complete()
        assert await found(core, CQU, cut(core, CQU, bytes.fromhex(TWIN_A)[-3:])) is None
        assert "2 of 4 cards written down" in caplog.text
        assert f"library {CQU}: 1 cut card numbers" in caplog.text
        assert "AABBCC" not in caplog.text.upper()


async def test_the_index_becomes_what_a_load_writes(tmp_path: Path) -> None:
    async with upgraded(tmp_path) as core:
        await core.spread.complete()
        filled = await core.rows(schema.site_tokens)
    async with running(tmp_path / "new", more={"readers": PEOPLE}) as core:
        assert filled == await core.rows(schema.site_tokens)


async def test_every_library_takes_a_snapshot_afterwards_and_a_second_start_changes_nothing(tmp_path: Path) -> None:
    async with upgraded(tmp_path) as core:
        async with core.store.read() as conn:
            before = await versions_of(conn, core.policy.orgs)
        await core.spread.complete()
        await core.spread.complete()
        async with core.store.read() as conn:
            after = await versions_of(conn, core.policy.orgs)
            steps = (await conn.execute(select(schema.site_deltas).order_by(schema.site_deltas.c.version))).all()
        assert {org: at.version + 1 for org, at in before.items()} == {org: at.version for org, at in after.items()}
        assert {
            row.org for row in steps if row.version == after[row.org].version and row._mapping["rows"] is None
        } == set(after)


async def test_a_new_hub_has_nothing_to_write_down(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hub.identity.filling")
    async with running(tmp_path, more={"readers": PEOPLE}) as core:
        await core.spread.complete()
        assert [row["name"] for row in await core.rows(schema.marks)] == ["cut_numbers"]
        assert [record.name for record in caplog.records if record.name == filling.__name__] == []


async def test_a_card_that_went_to_a_reader_of_another_library_leaves_nothing_behind(tmp_path: Path) -> None:
    async with running(tmp_path, more={"readers": PEOPLE}) as core:
        old = core.identity.cut_card(CQU, ALONE)
        person = next(one for one in PEOPLE if one["home"] == YLG)
        moved = {**person, "cards": [next(card for one in PEOPLE for card in one["cards"] if card["uid"] == ALONE)]}
        file = {**world.consortium_file(NOW), "staff": [], "readers": [moved], "open_loans": []}
        await load(core.store, file, world.MASTER, NOW, policy_key=world.POLICY_KEY, cost=COST)
        for token in old:
            assert await core.store.know(person_shown(CQU, [token], NOW)) is None
        assert await found(core, YLG, core.identity.cut_card(YLG, ALONE)[1]) == (YLG, "1")
        assert not set(old) & set(await replica(core, CQU))
