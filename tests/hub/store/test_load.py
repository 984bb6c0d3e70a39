"""Loading a consortium file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from consortium.bundle import BundleError
from consortium.identity import CHAIN_START, chain
from consortium.seal import SealError
from hub.load import LoadError, load
from hub.store import schema
from tests.hub.api import world
from tests.hub.api.world import CQU, DAY, SCS, YLG, item
from tests.hub.core import COST, Core, running
from tests.make import NOW

LOAN = {
    "owner": CQU, "item_no": item(CQU, 0)[1], "home": CQU, "reader_no": "20000001", "place": "251020-01",
    "t_out": NOW - 5 * DAY, "due": NOW + 20 * DAY,
}  # fmt: skip


async def again(core: Core, more: dict[str, Any]) -> Any:
    return await load(core.store, more, world.MASTER, NOW, policy_key=world.POLICY_KEY, cost=COST)


@pytest.mark.parametrize(
    ("more", "error", "code"),
    [
        ({"reader": []}, LoadError, "LOAD_KEY"),
        ({"bundle": {"version": "x"}}, BundleError, "BUNDLE_INVALID"),
        ({"readers": [{"home": CQU}]}, LoadError, "LOAD_ROW"),
        ({"items": [{"owner": "a b", "item_no": "1"}]}, LoadError, "LOAD_ROW"),
        ({"open_loans": [{**LOAN, "reader_no": "nobody"}]}, LoadError, "LOAD_LOAN"),
    ],
)
async def test_a_file_that_is_wrong_is_named_and_nothing_of_it_is_written(
    tmp_path: Path, more: dict[str, Any], error: type[Exception], code: str
) -> None:
    async with running(tmp_path) as core:
        before = {name: await core.rows(table) for name, table in schema.metadata.tables.items()}
        with pytest.raises(error) as wrong:
            await again(core, {"api_tokens": [{"name": "x", "token": "t", "scopes": [], "library": "*"}], **more})
        assert wrong.value.code == code
        assert {name: await core.rows(table) for name, table in schema.metadata.tables.items()} == before


async def test_a_policy_version_is_never_published_twice_with_two_meanings(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        other = {**world.bundle(NOW), "rules": []}
        with pytest.raises(SealError) as refused:
            await again(core, {"bundle": other})
        assert refused.value.code == "BUNDLE_FORK"


async def test_the_same_file_again_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, more={"open_loans": [LOAN]}) as core:
        before = {name: await core.rows(table) for name, table in schema.metadata.tables.items()}
        told = await load(
            core.store,
            {**world.consortium_file(NOW), "staff": [], "open_loans": [LOAN]},
            world.MASTER,
            NOW + DAY,
            policy_key=world.POLICY_KEY,
            cost=COST,
        )
        assert told.again
        assert {name: await core.rows(table) for name, table in schema.metadata.tables.items()} == before


async def test_another_file_keeps_rids_and_pins_and_does_not_lend_twice(tmp_path: Path) -> None:
    async with running(tmp_path, more={"open_loans": [LOAN]}) as core:
        before = {row["rid"]: row for row in await core.rows(schema.readers)}
        people = [{**row, "category": "PG", "pin": "9999"} for row in world.readers(NOW)]
        told = await again(core, {"readers": people, "items": world.items(), "open_loans": [LOAN]})
        assert (told.again, told.loans) == (False, 0)
        after = {row["rid"]: row for row in await core.rows(schema.readers)}
        assert after.keys() == before.keys()
        assert {row["category"] for row in after.values()} == {"PG"}
        assert all(after[rid]["pin_verifier"] == before[rid]["pin_verifier"] for rid in before)
        assert len(await core.rows(schema.loans)) == 1


async def test_open_loans_are_events_of_the_hubs_own_node(tmp_path: Path) -> None:
    later = {**LOAN, "item_no": item(CQU, 1)[1], "t_out": NOW - 4 * DAY}
    async with running(tmp_path, more={"open_loans": [later, LOAN]}) as core:
        previous = CHAIN_START
        logged = await core.rows(schema.events)
        assert [(row["node"], row["kind"]) for row in logged] == [
            ("hub-1", "POLICY_PUBLISHED"), ("hub-1", "CHECKOUT"), ("hub-1", "CHECKOUT"),
        ]  # fmt: skip
        for row in logged:
            assert row["hash"] == chain(previous, row["body"])
            previous = row["hash"]
        (cursor,) = await core.rows(schema.cursors)
        assert (cursor["upto"], cursor["chain"]) == (3, previous)
        loans = await core.rows(schema.loans)
        assert [(loan["rid"], loan["t_out"], loan["due"], loan["flags"]) for loan in loans] == [
            (core.rids[CQU][1], NOW - 5 * DAY, NOW + 20 * DAY, ["IMPORTED"]),
            (core.rids[CQU][1], NOW - 4 * DAY, NOW + 20 * DAY, ["IMPORTED"]),
        ]


async def test_secrets_are_kept_as_hashes_and_uids_in_one_form(tmp_path: Path) -> None:
    async with running(tmp_path) as core:
        text = str({name: await core.rows(table) for name, table in schema.metadata.tables.items()})
        for token, _, _ in world.TOKENS.values():
            assert token not in text
        for token in world.NODE_TOKENS.values():
            assert token not in text
        assert "104711" not in text
        assert all(row["uid"] == row["uid"].lower() for row in await core.rows(schema.cards))
        assert {
            row["org"]: (row["generation"], row["version"]) for row in await core.rows(schema.sites)
        } == dict.fromkeys((CQU, YLG, SCS), (1, 2))
