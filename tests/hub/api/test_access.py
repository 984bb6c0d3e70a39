"""Who gets in at all: tokens, scopes, sessions, throttling; refusals first."""

from __future__ import annotations

import re

import httpx2
import pytest
from sqlalchemy import insert, update

from hub.auth.sessions import COOKIE, Sessions
from hub.auth.staff import StaffRow
from hub.auth.throttle import Throttle
from hub.auth.tokens import token_hash, token_text
from hub.store import schema as t
from tests.hub.api import world
from tests.hub.api.hubside import Hub

pytestmark = pytest.mark.asyncio(loop_scope="session")

LISTS = [
    "libraries", "branches", "agreements", "rules", "readers", "items", "loans", "transits", "visits", "blocks", "decisions",
    "conflicts", "corrections", "charges", "devices", "events", "ils-work", "overview", "stream",
]  # fmt: skip


def is_problem(answer: httpx2.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["code"], body["status"]) == (code, status)
    assert len(body["trace_id"]) == 32


@pytest.mark.parametrize("name", LISTS)
async def test_nobody_is_refused_everywhere(hub: Hub, name: str) -> None:
    answer = await hub.get(f"/api/v1/{name}", token=None)
    is_problem(answer, 401, "TOKEN_NEEDED")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("token", ["tj_unknown" + "x" * 33, "nonsense", "tj_", "tj_" + "é" * 3])
async def test_a_token_nobody_made_is_refused(hub: Hub, token: str) -> None:
    answer = await hub.client.get("/api/v1/loans", headers={"authorization": f"Bearer {token}".encode()})
    is_problem(answer, 401, "TOKEN_INVALID")


async def test_an_expired_token_is_refused(hub: Hub) -> None:
    row = {
        "id": "expired", "name": "x", "token_hash": token_hash("tj_" + "e" * 43), "scopes": ["read"], "library": "*",
        "created_ms": 1, "expires_ms": hub.clock() - 1,
    }  # fmt: skip
    async with hub.worker.store.write() as conn:
        await conn.execute(insert(t.api_tokens), row)
    is_problem(await hub.get("/api/v1/loans", token="tj_" + "e" * 43), 401, "TOKEN_INVALID")


async def test_a_token_without_the_scope_is_refused(hub: Hub) -> None:
    is_problem(await hub.get("/api/v1/loans", token="decides"), 403, "SCOPE_MISSING")
    is_problem(await hub.get("/api/v1/audit", token="reads"), 403, "SCOPE_MISSING")
    is_problem(
        await hub.post("/api/v1/blocks", {"rid": "x", "actions": ["ENTER"]}, token="reads"), 403, "SCOPE_MISSING"
    )
    is_problem(await hub.get("/api/v1/stream", token="decides"), 403, "SCOPE_MISSING")


async def test_a_node_token_opens_no_list(hub: Hub) -> None:
    is_problem(await hub.get("/api/v1/loans", token=world.NODE_TOKENS[world.CQU]), 401, "TOKEN_INVALID")


async def test_a_token_of_the_right_scope_reads(hub: Hub) -> None:
    assert (await hub.get("/api/v1/loans", token="reads")).status_code == 200


async def sign_in(client: httpx2.AsyncClient, password: str = world.STAFF[1], **more: str) -> httpx2.Response:
    return await client.post("/login", data={"username": world.STAFF[0], "password": password, **more})


async def test_a_wrong_password_is_refused_and_says_so(hub: Hub) -> None:
    async with httpx2.AsyncClient(base_url=hub.url) as browser:
        answer = await sign_in(browser, "wrong")
        assert answer.status_code == 401
        assert "用户名或密码不对" in answer.text
        assert COOKIE not in browser.cookies


async def test_many_wrong_passwords_have_to_wait_and_the_right_one_too(hub: Hub) -> None:
    async with httpx2.AsyncClient(base_url=hub.url) as browser:
        body = {"username": "mallory", "password": "x"}
        codes = [(await browser.post("/login", data=body)).status_code for _ in range(6)]
        assert codes == [401] * 5 + [429]
        assert (await browser.post("/login", data=body)).headers["retry-after"].isdigit()


async def test_a_sign_in_from_another_site_is_refused(hub: Hub) -> None:
    async with httpx2.AsyncClient(base_url=hub.url, headers={"origin": "https://elsewhere.example"}) as browser:
        assert (await sign_in(browser)).status_code == 403


@pytest.mark.parametrize(
    "goal", ["//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", "/a\r\nx: y"]
)
async def test_a_sign_in_never_leads_to_another_site(hub: Hub, goal: str) -> None:
    async with httpx2.AsyncClient(base_url=hub.url) as browser:
        answer = await sign_in(browser, next=goal)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_a_session_reads_the_api_and_needs_its_csrf_token_to_write(hub: Hub) -> None:
    async with httpx2.AsyncClient(base_url=hub.url) as browser:
        answer = await sign_in(browser, next="/loans")
        assert answer.headers["location"] == "/loans"
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert (await browser.get("/api/v1/loans")).status_code == 200
        body = {"rid": hub.rids[world.CQU][9], "issuer": world.CQU, "actions": ["BORROW"]}
        is_problem(await browser.post("/api/v1/blocks", json=body), 403, "CSRF")
        page = (await browser.get("/")).text
        found = re.search(r'name="csrf" value="(\w+)"', page)
        assert found is not None
        made = await browser.post("/api/v1/blocks", json=body, headers={"x-csrf-token": found[1]})
        assert made.status_code == 201
        assert (await browser.post("/logout", data={"csrf": "wrong"})).status_code == 403
        assert (await browser.post("/logout", data={"csrf": found[1]})).status_code == 303
        assert (await browser.get("/api/v1/loans")).status_code == 401


async def test_a_changed_password_or_a_cut_cookie_ends_the_session(hub: Hub) -> None:
    async with httpx2.AsyncClient(base_url=hub.url) as browser:
        body = {"username": "desk-ylg", "password": "another password"}
        await browser.post("/login", data=body)
        assert (await browser.get("/api/v1/loans")).status_code == 200
        cookie = browser.cookies[COOKIE]
        cut = {"cookie": f"{COOKIE}={cookie[:-2]}"}
        assert (await hub.client.get("/api/v1/loans", headers=cut)).status_code == 401
        async with hub.worker.store.write() as conn:
            await conn.execute(
                update(t.staff).where(t.staff.c.username == "desk-ylg").values(password_hash="$argon2id$new")
            )
        assert (await browser.get("/api/v1/loans")).status_code == 401


async def test_a_session_ends_after_a_working_day() -> None:
    sessions = Sessions(b"k" * 32)
    cookie, session = sessions.open(StaffRow("a", "h", "viewer", "*"), b"e" * 16, 1_000)
    assert sessions.read(cookie, 1_001) == session
    assert sessions.read(cookie, session.ends_ms) is None
    assert Sessions(b"K" * 32).read(cookie, 1_001) is None


async def test_the_throttle_forgets_after_its_window_and_keeps_a_bounded_number() -> None:
    throttle = Throttle(most=2, window_ms=100, kept=3)
    for at in (0, 10):
        throttle.failed("a", at)
    assert throttle.wait_ms("a", 20) == 80
    assert throttle.wait_ms("a", 100) == 0
    for name in "bcde":
        throttle.failed(name, 20)
    assert throttle.wait_ms("a", 20) == 0


async def test_a_token_text_is_long_and_only_its_hash_is_kept() -> None:
    token = token_text(bytes(32))
    assert token.startswith("tj_")
    assert len(token) == 46
    assert token_hash(token) != token
    with pytest.raises(ValueError, match="32 random bytes"):
        token_text(b"short")
