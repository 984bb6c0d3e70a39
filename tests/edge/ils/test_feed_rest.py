"""The REST poll against a real HTTP server: bounded in size and time, TLS verified, and a feed that fails is asked less and less."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edge.ils.feed_follow import FeedFollower, make_feed
from edge.ils.feed_rest import MAX_BODY
from edge.ils.feeds import FeedError
from tests.edge.bed import until
from tests.edge.ils.feed_bed import Ils, Side, rest_table

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def server(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A plain HTTP server that answers by hand; gives its address."""

    async def serve(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            request = await source.readuntil(b"\r\n\r\n")
            await answer(request.decode(), sink)
        sink.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"


def says(body: bytes, status: str = "200 OK", more: str = "") -> Answer:
    async def answer(_request: str, sink: asyncio.StreamWriter) -> None:
        sink.write(
            f"HTTP/1.1 {status}\r\n{more}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
        )
        await sink.drain()

    return answer


def feed(address: str, folder: Path, scheme: str = "http", **more: Any) -> Any:
    (folder / "token").write_text("secret\n")
    table = {"kind": "rest", "url": f"{scheme}://{address}/c", "token_file": "token", "timeout_s": 1, **more}
    return make_feed(table, zone="Asia/Shanghai", base=folder)


async def refused(asked: Any) -> str:
    """The code that a poll raises."""
    with pytest.raises(FeedError) as error:
        await asked.poll("7", 10)
    await asked.close()
    return error.value.code


@pytest.mark.parametrize("url", ["http://ils.example.org/c", "ftp://127.0.0.1/c", "https:///c", "file:///etc/passwd"])
def test_an_address_in_the_clear_to_another_machine_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(FeedError) as error:
        make_feed({"kind": "rest", "url": url, "token_file": "token"}, zone="UTC", base=tmp_path)
    assert error.value.code == "FEED_CONFIG"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (says(b"", "401 Unauthorized"), "FEED_TOKEN"),
        (says(b"", "302 Found", "Location: http://127.0.0.1:9/\r\n"), "FEED_HTTP"),
        (says(b"", "500 Oops"), "FEED_HTTP"),
        (says(b"no json"), "FEED_ANSWER"),
        (says(b"[" * 200_000), "FEED_ANSWER"),
        (says(b'{"changes": 3}'), "FEED_ANSWER"),
        (says(b'{"changes": [3]}'), "FEED_ANSWER"),
        (says(b'{"rows": []}'), "FEED_ANSWER"),
        (says(b'{"changes": [{"what": "LOAN"}]}'), "FEED_CURSOR"),
        (says(b'{"changes": [{"id": 7, "what": "LOAN"}]}'), "FEED_CURSOR"),
    ],
)
async def test_an_answer_that_cannot_be_used_is_an_error_with_a_code(answer: Answer, code: str, tmp_path: Path) -> None:
    async with server(answer) as address:
        assert await refused(feed(address, tmp_path)) == code


async def test_an_answer_without_end_is_cut_off_and_a_silent_one_is_not_waited_for(tmp_path: Path) -> None:
    sent = 0

    async def endless(_request: str, sink: asyncio.StreamWriter) -> None:
        nonlocal sent
        sink.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while sent < 4 * MAX_BODY:
            sink.write(b" " * 65_536)
            await sink.drain()
            sent += 65_536

    async def silent(_request: str, _sink: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    async with server(endless) as address:
        assert await refused(feed(address, tmp_path, timeout_s=20)) == "FEED_TOO_LONG"
    assert sent < 2 * MAX_BODY
    async with server(silent) as address:
        assert await refused(feed(address, tmp_path)) == "FEED_TIMEOUT"
    assert await refused(feed("127.0.0.1:9", tmp_path)) == "FEED_HTTP"


async def test_a_certificate_nobody_vouches_for_is_refused_and_a_named_one_is_taken(tmp_path: Path) -> None:
    words = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 -addext"
    )
    subprocess.run([*words.split(), "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "k", "-out", tmp_path / "c"], check=True,
                   capture_output=True)  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c", tmp_path / "k")
    async with server(says(b'{"changes": []}'), context) as address:
        assert await refused(feed(address, tmp_path, "https")) == "FEED_HTTP"
        asked = feed(address, tmp_path, "https", ca="c")
        assert (await asked.poll("7", 10)).cursor == "7"
        await asked.close()


async def test_the_cursor_and_the_token_go_along_and_bad_rows_are_set_aside(tmp_path: Path) -> None:
    asked_for: list[str] = []

    async def answer(request: str, sink: asyncio.StreamWriter) -> None:
        asked_for.append(request)
        rows = b'{"changes": [{"ID": 8, "what": "RETURN", "barcode": "1001"}, {"id": 9, "what": "SALE"}]}'
        await says(rows)(request, sink)

    async with server(answer) as address:
        asked = feed(address, tmp_path)
        found = await asked.poll("7", 10)
        assert (
            [c.item_no for c in found.changes] == ["1001"]
            and [b.code for b in found.bad] == ["ROW_WHAT"]
            and found.cursor == "9"
        )
        assert "after=7&limit=10" in asked_for[0] and "Bearer secret" in asked_for[0]
        (tmp_path / "token").unlink()
        assert await refused(asked) == "FEED_TOKEN"


async def test_a_broken_feed_is_shown_asked_less_often_and_goes_on_where_it_stood(tmp_path: Path) -> None:
    with Ils(tmp_path, "--rest-port", "0") as ils:
        ils.do("lend", number="R1", item_no="1001")
        async with Side(tmp_path / "edge") as side:
            table = rest_table(ils, tmp_path)
            (tmp_path / "token").write_text("wrong")
            follower = FeedFollower(make_feed(table, zone="UTC", base=tmp_path), side.observer, table, now=side.now)
            await follower.start()
            await until(lambda: follower.public()["state"] == "FAILING")
            shown = follower.public()
            assert (shown["code"], shown["errors"], shown["last_ok"]) == ("FEED_TOKEN", 1, None)
            (tmp_path / "token").write_text("feed-token")
            await until(lambda: follower.public()["state"] == "OK", 10)
            assert list(side.loans()) == ["1001"] and follower.public()["code"] == ""
            await follower.stop()
