"""The trace over HTTP: who may see it, what stands in it, live and as a file."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import httpx2
import pytest

from edge.trace.access import Access
from tests.edge.trace.conftest import NUMBER, PASSWORD, PIN, TOKEN, Site, site

KIOSK = "251020-01-kiosk1"
PATHS = ("/trace", f"/trace/{KIOSK}", "/trace/api/kiosks", f"/trace/api/lines?kiosk={KIOSK}", "/trace/api/stream",
         f"/trace/api/download?kiosk={KIOSK}")  # fmt: skip


async def status(found: httpx2.AsyncClient, path: str) -> tuple[int, str]:
    async with found.stream("GET", path) as answer:
        return answer.status_code, "" if answer.status_code == 200 else (await answer.aread()).decode()


async def borrow(one: Site) -> None:
    kiosk = one.kiosk()
    await kiosk.connect()
    reader = await kiosk.session(NUMBER, PIN)
    await reader.checkout("0012345678")
    await kiosk.close()


# --- refusals


@pytest.mark.parametrize("path", PATHS)
async def test_an_edge_that_listens_further_out_shows_nothing_without_a_token(path: str) -> None:
    async with site(host="0.0.0.0") as one, one.client() as browser:
        code, said = await status(browser, path)
        assert code == 403
        assert json.loads(said)["code"] == "TOKEN_NOT_CONFIGURED"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers", [{"Host": "rebound.example.org"}, {"X-Forwarded-For": "198.51.100.7"}, {"Forwarded": "for=198.51.100.7"}]
)
async def test_another_sites_name_and_a_proxy_are_refused(path: str, headers: dict[str, str]) -> None:
    async with site() as one, one.client(**headers) as browser:
        code, said = await status(browser, path)
        assert code == 403
        assert json.loads(said)["code"] == "LOOPBACK_ONLY"


@pytest.mark.parametrize("path", PATHS)
async def test_with_a_token_configured_even_this_machine_needs_it(path: str) -> None:
    async with site(token=TOKEN) as one:
        async with one.client() as browser:
            assert (await status(browser, path))[0] == 401
        async with one.client(Authorization="Bearer wrong") as browser:
            assert (await status(browser, path))[0] == 401
        async with one.client(Authorization=f"Bearer {TOKEN}") as browser:
            assert (await status(browser, path))[0] == 200


async def test_guessing_the_token_is_slowed_down() -> None:
    async with site(token=TOKEN) as one, one.client() as browser:
        for _ in range(10):
            assert (await browser.post("/trace/sign-in", data={"token": "guess"})).status_code == 401
        assert (await browser.post("/trace/sign-in", data={"token": TOKEN})).status_code == 429


def test_a_short_token_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="24 characters"):
        Access("short", "127.0.0.1")


async def test_a_page_of_another_site_cannot_sign_in() -> None:
    async with site(token=TOKEN) as one, one.client(**{"Sec-Fetch-Site": "cross-site"}) as browser:
        assert (await browser.post("/trace/sign-in", data={"token": TOKEN})).status_code == 403


async def test_a_kiosk_that_does_not_exist() -> None:
    async with site() as one, one.client() as browser:
        for path in ("/trace/nobody", "/trace/api/lines?kiosk=nobody", "/trace/api/stream?kiosk=nobody"):
            assert (await status(browser, path))[0] == 404
        assert (await status(browser, f"/trace/api/lines?kiosk={KIOSK}&after=-1"))[0] == 422


# --- what is shown


async def test_signing_in_gives_a_cookie_that_no_script_and_no_other_site_can_use() -> None:
    async with site(token=TOKEN) as one, one.client(Accept="text/html") as browser:
        turned = await browser.get("/trace")
        assert (turned.status_code, turned.headers["location"]) == (303, "/trace/sign-in")
        assert (await browser.get("/trace/sign-in")).status_code == 200
        done = await browser.post("/trace/sign-in", data={"token": TOKEN})
        cookie = done.headers["set-cookie"].lower()
        assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/trace"))
        assert TOKEN not in cookie
        assert (await browser.get("/trace")).status_code == 200


async def test_the_list_shows_each_kiosk_configured_or_learned() -> None:
    async with site() as one, one.client() as browser:
        kiosk = one.kiosk(terminator=b"\r\n")
        await kiosk.connect()
        await kiosk.item("0012345678")
        found = {row["kiosk"]: row for row in (await browser.get("/trace/api/kiosks")).json()["kiosks"]}
        assert found[KIOSK]["connections"][0]["dialect"]["terminator"] == "CRLF"
        assert found[KIOSK]["connections"][0]["dialect"]["error_detection"] is True
        assert found[KIOSK]["lines"] >= 4
        assert found["251020-01-sorter1"]["configured"]["encoding"] == "gb18030"
        assert found["251020-01-sorter1"]["connections"] == []
        assert [name for name in found if name.startswith("(")]
        await kiosk.close()


async def test_no_secret_of_a_session_is_in_any_page_or_file() -> None:
    async with site() as one, one.client() as browser:
        await borrow(one)
        refused = one.kiosk(password="guessed-password")
        with pytest.raises(PermissionError):
            await refused.connect()
        names = [row["kiosk"] for row in (await browser.get("/trace/api/kiosks")).json()["kiosks"]]
        texts = [(await browser.get("/trace")).text, (await browser.get("/trace/api/kiosks")).text]
        for name in names:
            for path in (f"/trace/{name}", f"/trace/api/lines?kiosk={name}", f"/trace/api/download?kiosk={name}"):
                answer = await browser.get(path)
                assert answer.status_code == 200, path
                texts.append(answer.text)
        everything = "".join(texts)
        assert not [word for word in (NUMBER, PIN, PASSWORD, "guessed-password") if word in everything]
        assert "0012345678" in everything


async def test_the_file_for_support_says_what_it_is_and_what_is_masked() -> None:
    async with site() as one, one.client() as browser:
        await borrow(one)
        answer = await browser.get("/trace/api/download", params={"kiosk": KIOSK})
        assert answer.headers["content-disposition"] == f'attachment; filename="sip2-trace-{KIOSK}.txt"'
        assert answer.headers["cache-control"] == "no-store"
        text = answer.text
        assert "software     0.1.0" in text
        assert "Masked (***): reader numbers AA CY" in text
        assert "configured   encoding=auto, terminator=auto, checksum=auto" in text
        checkout = next(row for row in text.splitlines() if " > 11" in row)
        assert "AA***|AB0012345678|AC***|AD***|" in checkout
        answer_row = next(row for row in text.splitlines() if " < 12" in row)
        assert " ms]" in answer_row


async def test_the_stream_brings_new_lines_and_nothing_twice() -> None:
    async with site() as one, one.client() as browser:
        await borrow(one)
        kept = (await browser.get("/trace/api/lines", params={"kiosk": KIOSK})).json()["lines"]
        after = kept[1]["n"]
        seen: list[int] = []
        async with browser.stream("GET", "/trace/api/stream", params={"kiosk": KIOSK, "after": after}) as answer:
            lines = answer.aiter_lines()

            async def until(count: int) -> None:
                async with asyncio.timeout(5):
                    while len(seen) < count:
                        text = await anext(lines)
                        if text.startswith("id: "):
                            seen.append(int(text[4:]))

            await until(len(kept) - 2)
            await borrow(one)
            await until(len(kept) - 2 + 4)
        assert seen[: len(kept) - 2] == [line["n"] for line in kept[2:]]
        assert len(seen) == len(set(seen))
        assert seen == sorted(seen)


async def test_only_so_many_may_follow_at_once() -> None:
    async with site() as one:
        for _ in range(16):
            one.book.follow()
        async with one.client() as browser:
            assert (await status(browser, "/trace/api/stream"))[0] == 503


# --- the command


async def run_trace(*words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tongjie", "sip2", "trace", *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_command_says_what_is_wrong() -> None:
    assert (await run_trace("ftp://x"))[0] == 2
    code, _, said = await run_trace("http://127.0.0.1:9")
    assert (code, said.strip()) == (1, "No edge answers at http://127.0.0.1:9.")
    async with site(token=TOKEN) as one:
        code, _, said = await run_trace(one.url, "--for", "1")
        assert code == 1
        assert said.startswith("TOKEN_NEEDED: ")


async def test_the_command_follows_a_kiosk() -> None:
    async with site() as one:
        following = asyncio.create_task(run_trace(one.url, "--kiosk", KIOSK, "--for", "6", "--json"))
        while not one.book.followers:
            assert not following.done()
            await asyncio.sleep(0.05)
        await borrow(one)
        code, out, err = await following
        assert (code, err) == (0, "")
        lines = [json.loads(row) for row in out.splitlines()]
        assert [line["code"] for line in lines][-2:] == ["11", "12"]
        assert lines[-1]["ms"] > 0
        assert not [word for word in (NUMBER, PIN, PASSWORD) if word in out]
