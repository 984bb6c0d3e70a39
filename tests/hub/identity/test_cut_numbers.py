"""What a cutting line leaves of a card's number: known at the card's own library alone, and there only where it is one card's."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from consortium import identity
from consortium.cards import CardProfile
from consortium.identity import TokenKind
from hub.decide.facts import person_shown
from hub.identity.index import reindex
from hub.identity.readers import load_readers
from hub.load import load
from hub.store import schema
from hub.store.engine import Store
from tests.hub.api import world
from tests.hub.api.world import CQU, SCS, YLG
from tests.hub.core import COST, Core, running
from tests.make import NOW

ALONE, TWIN_A, TWIN_B, PARTNERS = "A1B2C3D4", "04112233AABBCC", "5566AABBCC", "E1B2C3D4"
"""Cards of the first library: the twins end with the same three bytes; the partner's ends as the first one does."""


def reader(home: str, number: str, *uids: str) -> dict[str, Any]:
    cards = [
        {
            "uid": uid,
            "medium": "MF_CLASSIC",
            "assurance": "LOW",
            "status": "ACTIVE",
            "to_ms": None,
            "issued_ms": NOW - 1,
        }
        for uid in uids
    ]
    return {
        "home": home, "reader_no": number, "category": "UG", "status": "ACTIVE", "valid_to_ms": NOW + world.DAY, "shared": True,
        "age": 20, "cards": cards, "blocks": [],
    }  # fmt: skip


PEOPLE = [reader(CQU, "1", ALONE), reader(CQU, "2", TWIN_A), reader(CQU, "3", TWIN_B), reader(YLG, "1", PARTNERS)]


def cut(core: Core, org: str, number: bytes) -> str:
    """The token of three bytes as an edge of the library makes it from a Wiegand line."""
    card = CardProfile().canonical(number, 24, "raw")
    assert card.truncated
    return identity.token(core.identity.key(org), card.kind, card.value)


async def found(core: Core, org: str, token: str) -> tuple[str, str] | None:
    """(home, reader_no) of whom a token leads to at a library, asked of the hub."""
    person = await core.store.know(person_shown(org, [token], NOW))
    return None if person is None else (person.record.home, person.record.reader_no)


async def replica(core: Core, org: str) -> dict[str, Any]:
    """Tokens in a library's snapshot of this moment."""
    core.spread._announced.clear()
    core.spread._bodies.clear()
    path = (await core.spread.snapshot(org)).path
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()[1:]]
    return {row[1]: row[2] for row in rows if row[0] == "token"}


async def test_a_cut_number_never_leads_to_a_partners_reader(tmp_path: Path) -> None:
    async with running(tmp_path, more={"readers": PEOPLE}) as core:
        tail = bytes.fromhex(PARTNERS)[1:]
        assert await found(core, CQU, cut(core, CQU, tail)) == (
            CQU,
            "1",
        )  # its own card that ends so, not the partner's
        assert await found(core, YLG, cut(core, YLG, tail)) == (YLG, "1")
        assert await found(core, SCS, cut(core, SCS, tail)) is None
        assert cut(core, SCS, tail) not in await replica(core, SCS)


async def test_a_whole_number_leads_to_the_reader_at_every_library(tmp_path: Path) -> None:
    async with running(tmp_path, more={"readers": PEOPLE}) as core:
        for org in (CQU, YLG):
            assert await found(core, org, core.identity.card(org, PARTNERS)) == (YLG, "1")


async def test_every_cut_form_of_a_card_leads_to_it_at_home_with_the_cards_own_standing(tmp_path: Path) -> None:
    async with running(tmp_path, more={"readers": PEOPLE}) as core:
        rows = await replica(core, CQU)
        key = core.identity.key(CQU)
        for value in (b"T24:\xb2\xc3\xd4", b"H24:\xa1\xb2\xc3", b"N32:\xa1\xb2\xc3\xd4"):
            token = identity.token(key, TokenKind.CARD_NO, value)
            assert await found(core, CQU, token) == (CQU, "1")
            assert rows[token]["assurance"] == "LOW"
            indexed = [row["org"] for row in await core.rows(schema.site_tokens) if row["token"] == token]
            assert indexed == [CQU]


async def test_two_own_cards_left_with_the_same_number_are_neither_and_the_load_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "hub.identity.index")
    async with running(tmp_path, more={"readers": PEOPLE}) as core:
        twins = cut(core, CQU, bytes.fromhex(TWIN_A)[-3:])
        assert await found(core, CQU, twins) is None
        assert twins not in await replica(core, CQU)
        assert await found(core, CQU, core.identity.card(CQU, TWIN_A)) == (CQU, "2")
        assert f"library {CQU}: 1 cut card numbers" in caplog.text
        assert "AABBCC" not in caplog.text.upper()


async def test_a_load_counts_the_cut_numbers_that_are_shared(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'hub.sqlite'}")
    numbers = iter(range(1, 1000))
    file = {**world.consortium_file(NOW), "staff": [], "readers": PEOPLE, "open_loans": []}
    loaded = await load(
        store, file, world.MASTER, NOW, policy_key=world.POLICY_KEY, cost=COST, new_id=lambda: f"{next(numbers):032x}"
    )
    await store.close()
    assert loaded.cut_numbers_shared == {CQU: 1}


async def test_a_card_that_comes_later_takes_the_cut_number_from_the_first_one_also_at_the_edges(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, more={"readers": PEOPLE[:2]}) as core:
        twins = cut(core, CQU, bytes.fromhex(TWIN_A)[-3:])
        assert await found(core, CQU, twins) == (CQU, "2")
        assert twins in await replica(core, CQU)
        await core.spread.publish()
        async with core.store.write() as conn:
            row = {
                "uid": "5566aabbcc",
                "rid": core.rids[CQU][0],
                "medium": "CPU",
                "assurance": "HIGH",
                "status": "ACTIVE",
            }
            await conn.execute(insert(schema.cards).values(**row, to_ms=None, issued_ms=NOW))
            await core.spread.changed(conn, rids=[core.rids[CQU][0]])
        await core.spread.publish()
        assert await found(core, CQU, twins) is None
        assert twins not in await replica(core, CQU)
        told = [row for _, part, data in core.sent if part == "delta" for row in data["rows"]]
        assert ["token", twins, None] in told


async def test_a_shared_number_stays_withheld_when_only_one_of_its_cards_is_written_again(tmp_path: Path) -> None:
    async with running(tmp_path, more={"readers": PEOPLE}) as core:
        twins = cut(core, CQU, bytes.fromhex(TWIN_A)[-3:])
        async with core.store.write() as conn:
            records = await load_readers(conn, [core.rids[CQU][1]], NOW)
            assert await reindex(conn, core.identity, core.policy.orgs, records.values()) == {}
        assert await found(core, CQU, twins) is None


async def test_the_same_card_with_another_reader_is_one_card(tmp_path: Path) -> None:
    async with running(tmp_path, more={"readers": PEOPLE}) as core:
        async with core.store.write() as conn:
            await conn.execute(
                schema.cards.update().where(schema.cards.c.uid == ALONE.lower()).values(rid=core.rids[CQU][2])
            )
            records = await load_readers(conn, [core.rids[CQU][2]], NOW)
            assert await reindex(conn, core.identity, core.policy.orgs, records.values()) == {}
        assert await found(core, CQU, cut(core, CQU, bytes.fromhex(ALONE)[1:])) == (CQU, "3")
