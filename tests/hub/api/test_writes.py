"""Writes: blocks, tokens, their idempotency and audit; and decisions asked for without effect."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from hub.auth.tokens import token_hash
from hub.store import schema as t
from tests.hub.api import world
from tests.hub.api.hubside import Hub
from tests.hub.api.test_access import is_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def how_many(hub: Hub, table: Any, *where: Any) -> int:
    async with hub.worker.store.read() as conn:
        return int((await conn.execute(select(func.count()).select_from(table).where(*where))).scalar_one())


def a_block(hub: Hub, n: int, **more: Any) -> dict[str, Any]:
    return {"rid": hub.rids[world.YLG][n], "actions": ["BORROW"], "reason": "two lost items", **more}


# --- blocks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"actions": []}, 422, "FIELDS_INVALID"), ({"actions": ["DANCE"]}, 422, "FIELDS_INVALID"),
        ({"colour": "red"}, 422, "FIELDS_INVALID"), ({"rid": None}, 422, "FIELDS_INVALID"),
        ({"to_time": "2020-01-01T00:00:00Z"}, 422, "TIME_PAST"), ({"to_time": "soon"}, 422, "TIME_INVALID"),
        ({"issuer": world.CQU}, 403, "ISSUER_FOREIGN"), ({"scope": "consortium"}, 403, "SCOPE_CONSORTIUM"),
        ({"rid": "f" * 32}, 404, "READER_NOT_FOUND"),
    ],
)  # fmt: skip
async def test_a_block_that_may_not_be_set_is_refused_and_leaves_nothing(
    hub: Hub, change: dict[str, Any], status: int, code: str
) -> None:
    before = await how_many(hub, t.blocks), await how_many(hub, t.events), await how_many(hub, t.audit)
    is_problem(await hub.post("/api/v1/blocks", {**a_block(hub, 0), **change}, token="ylg"), status, code)
    assert before == (await how_many(hub, t.blocks), await how_many(hub, t.events), await how_many(hub, t.audit))


async def test_a_reader_the_library_never_met_cannot_be_blocked_by_it(hub: Hub) -> None:
    body = a_block(hub, 0, rid=hub.rids[world.SCS][0])
    is_problem(await hub.post("/api/v1/blocks", body, token="ylg"), 404, "READER_NOT_FOUND")
    guest = a_block(hub, 0, rid=hub.rids[world.CQU][1])
    assert (await hub.post("/api/v1/blocks", guest, token="ylg")).status_code == 201


async def test_a_refused_field_is_named_and_never_sent_back(hub: Hub) -> None:
    body = {"reader": {"library": world.YLG, "reader_no": "SECRET-NUMBER-7" * 9}, "actions": ["BORROW"]}
    answer = await hub.post("/api/v1/blocks", body, token="ylg")
    is_problem(answer, 422, "FIELDS_INVALID")
    assert answer.json()["errors"][0]["field"] == "body.reader.reader_no"
    assert "SECRET-NUMBER" not in answer.text


async def test_a_block_is_row_event_replica_step_and_audit_in_one(hub: Hub) -> None:
    rid = hub.rids[world.YLG][1]
    async with hub.worker.store.read() as conn:
        version = (await conn.execute(select(t.sites.c.version).where(t.sites.c.org == world.YLG))).scalar_one()
    answer = await hub.post("/api/v1/blocks", a_block(hub, 1, kind="FEES"), token="ylg")
    assert answer.status_code == 201, answer.text
    block = answer.json()
    assert (block["rid"], block["issuer"], block["in_force"], block["reason"]) == (
        rid,
        world.YLG,
        True,
        "two lost items",
    )
    async with hub.worker.store.read() as conn:
        event = (
            await conn.execute(select(t.events).where(t.events.c.kind == "BLOCK_SET").order_by(t.events.c.pos.desc()))
        ).first()
        after = (await conn.execute(select(t.sites.c.version).where(t.sites.c.org == world.YLG))).scalar_one()
        audit = (await conn.execute(select(t.audit).where(t.audit.c.object == block["id"]))).one()
    assert event is not None
    assert event.rid == rid
    assert "two lost items" not in event.body
    assert after > version
    assert audit.action == "block.set"
    asked = {"function": "borrow", "branch": "990001-01", "reader": {"library": world.YLG, "reader_no": "01000001"}}
    asked |= {"item": {"owner": world.YLG, "item_no": world.item(world.YLG, 15)[1]}}
    assert (await hub.post("/api/v1/decisions", asked, token="ylg")).json()["codes"] == ["BLOCK_FEES"]


async def test_the_reason_of_a_block_is_its_issuers_alone(hub: Hub) -> None:
    body = a_block(hub, 2, scope="consortium", issuer=world.YLG)
    block = (await hub.post("/api/v1/blocks", body)).json()
    assert (await hub.get(f"/api/v1/blocks/{block['id']}", token="ylg")).json()["reason"] == "two lost items"
    assert (await hub.get(f"/api/v1/blocks/{block['id']}")).json()["reason"] is None
    is_problem(await hub.get(f"/api/v1/blocks/{block['id']}", token="cqu"), 404, "NOT_FOUND")
    is_problem(await hub.delete(f"/api/v1/blocks/{block['id']}", token="ylg"), 403, "ISSUER_FOREIGN")


async def test_a_block_set_again_with_its_key_is_set_once(hub: Hub) -> None:
    key = {"idempotency-key": "once-1"}
    first = await hub.post("/api/v1/blocks", a_block(hub, 3), token="ylg", headers=key)
    again = await hub.post("/api/v1/blocks", a_block(hub, 3), token="ylg", headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert await how_many(hub, t.blocks, t.blocks.c.rid == hub.rids[world.YLG][3]) == 1
    is_problem(await hub.post("/api/v1/blocks", a_block(hub, 4), token="ylg", headers=key), 409, "IDEMPOTENCY_CONFLICT")
    elsewhere = {**a_block(hub, 3), "issuer": world.YLG}
    assert (
        await hub.post("/api/v1/blocks", elsewhere, headers=key)
    ).status_code == 201  # another caller's key is another key


async def test_a_lifted_block_stops_nothing_and_is_lifted_once(hub: Hub) -> None:
    block = (await hub.post("/api/v1/blocks", a_block(hub, 5), token="ylg")).json()
    is_problem(await hub.delete(f"/api/v1/blocks/{block['id']}", token="cqu"), 404, "NOT_FOUND")
    before = await how_many(hub, t.events, t.events.c.kind == "BLOCK_LIFTED")
    for _ in range(2):
        assert (await hub.delete(f"/api/v1/blocks/{block['id']}", token="ylg")).status_code == 204
    assert await how_many(hub, t.events, t.events.c.kind == "BLOCK_LIFTED") == before + 1
    assert (await hub.get(f"/api/v1/blocks/{block['id']}", token="ylg")).json()["in_force"] is False
    is_problem(await hub.delete("/api/v1/blocks/unknown", token="ylg"), 404, "NOT_FOUND")


# --- decisions -----------------------------------------------------------------------------------------------------


def card_of(org: str, n: int) -> str:
    first = {world.CQU: 10, world.YLG: 40, world.SCS: 70}[org]
    return f"04{first + n:02X}A1B2C3D480"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"function": "enter", "branch": "990001-01"}, 422, "FIELDS_INVALID"),
        ({"function": "enter", "branch": "nowhere-1", "card": "04AABBCC"}, 422, "BRANCH_UNKNOWN"),
        ({"function": "enter", "branch": "990001-01", "card": "not hexes"}, 422, "UID_INVALID"),
        ({"function": "borrow", "branch": "990001-01", "card": "04AABBCC"}, 422, "FIELDS_INVALID"),
        ({"function": "enter", "branch": "251020-01", "card": card_of(world.SCS, 1)}, 404, "NOT_FOUND"),
    ],
)
async def test_a_question_that_cannot_be_asked_is_refused(
    hub: Hub, body: dict[str, Any], status: int, code: str
) -> None:
    is_problem(await hub.post("/api/v1/decisions", body, token="ylg"), status, code)


@pytest.mark.parametrize(
    ("branch", "card", "outcome", "code", "last"),
    [
        ("990001-01", card_of(world.CQU, 2), "ALLOW", "OK", "capacity: ok"),
        ("990001-01", card_of(world.CQU, 11), "DENY", "READER_NOT_SHARED", "reader: READER_NOT_SHARED"),
        ("990002-01", card_of(world.CQU, 2), "DENY", "AGR_NONE", "agreement: AGR_NONE"),
        ("990001-01", "04FFFFFFFFFFFF", "DENY", "CARD_UNKNOWN", "card: CARD_UNKNOWN"),
    ],
)
async def test_entering_is_decided_with_its_trace(
    hub: Hub, branch: str, card: str, outcome: str, code: str, last: str
) -> None:
    answer = (await hub.post("/api/v1/decisions", {"function": "enter", "branch": branch, "card": card})).json()
    assert (answer["outcome"], answer["primary_code"], answer["trace"][-1]) == (outcome, code, last)


async def test_borrowing_is_decided_without_any_effect(hub: Hub) -> None:
    events, held = await how_many(hub, t.events), len(hub.worker.reservations)
    body = {"function": "borrow", "branch": "990001-01", "card": card_of(world.CQU, 6)}
    answer = (await hub.post("/api/v1/decisions", {**body, "item": {"item_no": "10000015"}}, token="ylg")).json()
    assert (answer["outcome"], answer["item"]) == ("ALLOW", {"owner": world.YLG, "item_no": "10000015"})
    assert answer["basis"][0] == "cqu-ylg@2"
    assert answer["due"].endswith("Z")
    unknown = {**body, "item": {"item_no": "no such item"}}
    assert (await hub.post("/api/v1/decisions", unknown)).json()["codes"] == ["ITEM_UNKNOWN"]
    assert (await how_many(hub, t.events), len(hub.worker.reservations)) == (events, held)


async def test_what_a_foreign_block_is_about_is_not_told_to_the_home_library(hub: Hub) -> None:
    rid = hub.rids[world.CQU][3]
    await hub.post("/api/v1/blocks", {"rid": rid, "actions": ["ENTER"], "kind": "FEES"}, token="ylg")
    body = {"function": "enter", "branch": "990001-01", "card": card_of(world.CQU, 3)}
    assert (await hub.post("/api/v1/decisions", body, token="ylg")).json()["codes"] == ["BLOCK_FEES"]
    assert (await hub.post("/api/v1/decisions", body, token="cqu")).json()["codes"] == ["BLOCK_HERE"]


# --- API tokens ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"library": world.YLG}, 403, "GRANT_TOO_WIDE"), ({"library": "*"}, 403, "GRANT_TOO_WIDE"),
        ({"scopes": ["everything"]}, 422, "FIELDS_INVALID"), ({"expires": "2020-01-01T00:00:00Z"}, 422, "TIME_PAST"),
    ],
)  # fmt: skip
async def test_a_token_that_would_reach_too_far_is_not_made(
    hub: Hub, change: dict[str, Any], status: int, code: str
) -> None:
    body = {"name": "report", "scopes": ["read"], **change}
    is_problem(await hub.post("/api/v1/api-tokens", body, token="cqu"), status, code)


async def test_a_token_is_shown_once_works_and_is_revoked(hub: Hub) -> None:
    key = {"idempotency-key": "token-1"}
    body = {"name": "report", "scopes": ["read"], "expires": "2096-01-01T00:00:00Z"}
    made = await hub.post("/api/v1/api-tokens", body, token="cqu", headers=key)
    assert made.status_code == 201, made.text
    found = made.json()
    assert (found["library"], found["scopes"], found["expires"]) == (world.CQU, ["read"], "2096-01-01T00:00:00.000Z")
    again = (await hub.post("/api/v1/api-tokens", body, token="cqu", headers=key)).json()
    assert again == {**found, "token": None}
    assert await how_many(hub, t.api_tokens, t.api_tokens.c.token_hash == token_hash(found["token"])) == 1
    assert found["token"] not in (await hub.get("/api/v1/api-tokens", token="cqu")).text
    assert (await hub.get("/api/v1/loans", token=found["token"])).status_code == 200
    is_problem(await hub.delete(f"/api/v1/api-tokens/{found['id']}", token="ylg"), 403, "SCOPE_MISSING")
    assert (await hub.delete(f"/api/v1/api-tokens/{found['id']}", token="cqu")).status_code == 204
    is_problem(await hub.get("/api/v1/loans", token=found["token"]), 401, "TOKEN_INVALID")
    actions = [row["action"] for row in (await hub.get(f"/api/v1/audit?object={found['id']}")).json()["items"]]
    assert actions == ["api_token.revoke", "api_token.create"]
