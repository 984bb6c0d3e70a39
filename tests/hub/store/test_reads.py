"""Reads of the decision path: as fresh and as typed as SQLAlchemy's, one moment for all, no rows changed, one fault one question."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, func, insert, select

from hub.store.engine import Store
from hub.store.reads import LocalReads, Need, Query, ask
from hub.store.schema import blocks, imports, items

BY_DIGEST = Query(select(imports.c.digest, imports.c.t).where(imports.c.digest == bindparam("digest")))
COUNT = Query(select(func.count()).select_from(imports))
BROKEN = Query(select(func.json_extract(imports.c.digest, "$.x")))


def t_of(digest: str) -> Need[int | None]:
    return Need([BY_DIGEST(digest=digest)], lambda found: found[0][0][1] if found[0] else None)


def count() -> Need[int]:
    return Need([COUNT()], lambda found: int(found[0][0][0]))


async def opened(folder: Path) -> Store:
    return await Store.open(f"sqlite+aiosqlite:///{folder / 'hub.sqlite'}")


async def put(store: Store, digest: str, t: int) -> None:
    async with store.write() as conn:
        await conn.execute(insert(imports), {"digest": digest, "t": t})


async def test_a_parameter_that_is_missing_is_an_error_not_a_null(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    with pytest.raises(KeyError):
        await store.know(Need([BY_DIGEST()], lambda found: found))
    await store.close()


async def test_one_broken_question_does_not_spoil_the_others(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await put(store, "no json", 1)
    answers = await asyncio.gather(
        store.know(count()),
        store.know(t_of("no json"), Need([BROKEN()], lambda found: found)),
        store.know(t_of("no json")),
        return_exceptions=True,
    )
    assert answers[0] == 1
    assert isinstance(answers[1], sqlite3.OperationalError)
    assert answers[2] == 1
    await put(store, "later", 2)
    assert await store.know(count()) == 2  # the failed one holds no old moment
    await store.close()


async def test_a_read_changes_no_rows(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    reads = LocalReads(str(tmp_path / "hub.sqlite"), store.dialect)
    with pytest.raises(sqlite3.OperationalError):
        reads._conn.execute("DELETE FROM imports")
    reads.close()
    await store.close()


async def test_each_question_gets_its_own_answer(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for n in range(20):
        await put(store, f"d{n}", n)
    answers = await asyncio.gather(*(store.know(t_of(f"d{n}"), count(), t_of("none")) for n in range(20)))
    assert answers == [(n, 20, None) for n in range(20)]
    await store.close()


async def test_what_is_committed_is_known_at_once_and_what_is_not_is_not(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    assert await store.know(count()) == 0
    async with store.write() as conn:
        await conn.execute(insert(imports), {"digest": "a", "t": 7})
        assert await store.know(t_of("a"), count()) == (None, 0)
    assert await store.know(t_of("a"), count()) == (7, 1)
    await store.close()


async def test_values_have_their_columns_types_as_by_sqlalchemy(tmp_path: Path) -> None:
    folder = tmp_path / "a folder? of 50% #1"  # names that mean something in a URI
    folder.mkdir()
    store = await opened(folder)
    block: dict[str, Any] = {
        "id": "1",
        "rid": "r",
        "issuer": "251020",
        "scope": "issuer",
        "actions": ["ENTER", "décide"],
    }
    item = {"owner": "251020", "item_no": "1", "item_type": "BOOK", "title": "红楼梦", "owner_branch": "251020-01"}
    async with store.write() as conn:
        await conn.execute(insert(blocks), block)
        await conn.execute(insert(items), {**item, "shareable": False})
    whole = Need(
        [Query(select(table))() for table in (blocks, items)], lambda found: [tuple(rows[0]) for rows in found]
    )
    there = await store.know(whole)
    async with store.read() as conn:
        assert await ask(conn, whole) == there
    assert ["ENTER", "décide"] in there[0]
    assert [value for value in there[1] if isinstance(value, bool)] == [False, False]
    await store.close()
