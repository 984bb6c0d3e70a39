"""The store: schema by migration, one writer, commits that are on disk."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert as plain_insert
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from hub.store.chunks import chunks
from hub.store.connect import make_engine
from hub.store.engine import Store, execute_rows, insert, insert_new, upsert
from hub.store.migrate import upgrade
from hub.store.schema import api_tokens, devices, imports, items, metadata, sites


def url(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder / 'hub.sqlite'}"


async def test_a_folder_that_is_not_there_is_an_error_not_a_hang(tmp_path: Path) -> None:
    with pytest.raises(OperationalError):
        await Store.open(url(tmp_path / "nowhere"))
    await asyncio.sleep(0.1)  # the driver's thread says goodbye to this loop a moment later


async def test_the_migrations_make_exactly_the_schema(tmp_path: Path) -> None:
    await upgrade(url(tmp_path))
    engine = make_engine(url(tmp_path), pooled=False)
    async with engine.connect() as conn:
        differences = await conn.run_sync(lambda sync: compare_metadata(MigrationContext.configure(sync), metadata))
    await engine.dispose()
    assert differences == [], "the schema changed: write a migration"


async def test_upgrading_twice_changes_nothing(tmp_path: Path) -> None:
    await upgrade(url(tmp_path))
    await upgrade(url(tmp_path))


async def test_sqlite_commits_to_disk_and_does_not_block_readers(tmp_path: Path) -> None:
    store = await Store.open(url(tmp_path))
    async with store.write() as conn:
        pragmas = [
            (await conn.execute(text(f"PRAGMA {name}"))).scalar_one() for name in ("journal_mode", "synchronous")
        ]
        assert pragmas == ["wal", 2]
        await conn.execute(plain_insert(imports), {"digest": "a", "t": 1})
        async with store.read() as other:
            assert (await other.execute(select(imports))).all() == []
    async with store.read() as conn:
        assert len((await conn.execute(select(imports))).all()) == 1
    await store.close()


async def test_a_body_that_raises_leaves_nothing(tmp_path: Path) -> None:
    store = await Store.open(url(tmp_path))

    async def half() -> None:
        async with store.write() as conn:
            await conn.execute(plain_insert(imports), {"digest": "a", "t": 1})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await half()
    async with store.read() as conn:
        assert (await conn.execute(select(imports))).all() == []
    await store.close()


async def test_writers_take_turns_and_a_read_sees_one_moment(tmp_path: Path) -> None:
    store = await Store.open(url(tmp_path))

    async def add(name: str) -> int:
        async with store.write() as conn:
            known = len((await conn.execute(select(imports))).all())
            await asyncio.sleep(0.005)
            await conn.execute(plain_insert(imports), {"digest": name, "t": known})
            return known

    assert sorted(await asyncio.gather(*(add(str(n)) for n in range(10)))) == list(range(10))
    async with store.read() as conn:
        before = len((await conn.execute(select(imports))).all())
        await add("more")
        assert len((await conn.execute(select(imports))).all()) == before
    await store.close()


async def test_rows_by_the_short_way_are_stored_as_sqlalchemy_would(tmp_path: Path) -> None:
    store = await Store.open(url(tmp_path))
    token = {
        "id": "1",
        "name": "n",
        "token_hash": "h",
        "scopes": ["read", "décide"],
        "library": "*",
        "created_ms": 1,
        "expires_ms": None,
    }
    item = {"owner": "251020", "item_no": "1", "item_type": "BOOK", "title": "红楼梦", "owner_branch": "251020-01"}
    async with store.write() as conn:
        await execute_rows(conn, insert(conn, api_tokens), [])
        await execute_rows(conn, insert(conn, api_tokens), [token])
        await conn.execute(plain_insert(api_tokens), {**token, "id": "2", "token_hash": "i"})
        await execute_rows(conn, insert(conn, items), [item])
        first, second = (await conn.execute(select(api_tokens).order_by(api_tokens.c.id))).all()
        assert first[3:] == second[3:]
        assert (
            await conn.execute(text("SELECT scopes FROM api_tokens WHERE id='1'"))
        ).scalar_one() == '["read","décide"]'
        stored = (await conn.execute(select(items))).one()
        assert (stored.title, stored.value, stored.shareable, stored.reference) == ("红楼梦", 0, True, False)
    await store.close()


async def test_upsert_replaces_insert_new_leaves_and_newer_decides(tmp_path: Path) -> None:
    store = await Store.open(url(tmp_path))
    site = {"org": "251020", "generation": 1, "version": 1}
    device = {
        "id": "gate1",
        "node": "e",
        "branch": "b",
        "kind": "gate",
        "state": "online",
        "since": 5,
        "last_seen": 5,
        "facts": {},
    }
    async with store.write() as conn:
        await execute_rows(conn, insert_new(conn, sites), [site, {**site, "version": 9}])
        assert (await conn.execute(select(sites.c.version))).scalar_one() == 1
        await execute_rows(conn, upsert(conn, sites), [{**site, "version": 9}])
        assert (await conn.execute(select(sites.c.version))).scalar_one() == 9
        await execute_rows(conn, upsert(conn, sites, keep=("version",)), [{**site, "generation": 2}])
        assert (await conn.execute(select(sites.c.generation, sites.c.version))).one() == (2, 9)
        newer = upsert(conn, devices, newer="since")
        for since, state in ((5, "online"), (9, "offline"), (7, "online")):
            await execute_rows(conn, newer, [{**device, "since": since, "state": state}])
        assert (await conn.execute(select(devices.c.state))).scalar_one() == "offline"
        with pytest.raises(IntegrityError):
            await execute_rows(conn, insert(conn, sites), [site])
    await store.close()


def test_keys_come_in_pieces_in_order() -> None:
    assert [list(part) for part in chunks(list(range(5)), 2)] == [[0, 1], [2, 3], [4]]
    assert list(chunks([])) == []
