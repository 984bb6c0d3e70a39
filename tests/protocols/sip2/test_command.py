"""`tongjie sip2` as a person uses it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from drivers.selfcheck import Account, ItemResult, KioskSession, Reply, Sip2Server, refusal
from protocols.sip2 import Message
from tongjie.commands.sip2 import app

NOW = datetime(2026, 11, 22, 19, 37, 11, tzinfo=UTC)
DATE = "20261122    193711"


class Library:
    async def handle(self, session: KioskSession, request: Message) -> Reply:
        return ItemResult(circulation_status="03", title="红楼梦").reply(session, request, NOW)

    def on_timeout(self, session: KioskSession, request: Message) -> Reply:
        return refusal(session, request, NOW)


@pytest.fixture
def server() -> Iterator[str]:
    """A server on a loop of its own: the command runs one itself."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    found = Sip2Server({"kiosk1": Account("kiosk1", "secret", "251020")}, Library(), clock=lambda: NOW)
    host, port = asyncio.run_coroutine_threadsafe(found.start(), loop).result(5)
    yield f"{host}:{port}"
    asyncio.run_coroutine_threadsafe(found.close(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


def run(*words: str, stdin: bytes | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words), input=stdin)
    return result.exit_code, result.output


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1:", ":6101", "127.0.0.1:0", "127.0.0.1:70000", "a:b"])
def test_an_address_that_is_none_is_wrong_usage(address: str) -> None:
    code, output = run("call", address, "9900802.00")
    assert code == 2
    assert "HOST:PORT" in output


def test_a_user_without_password_is_wrong_usage() -> None:
    assert run("call", "127.0.0.1:6101", "9900802.00", "--user", "kiosk1")[0] == 2


def test_an_unknown_encoding_is_wrong_usage() -> None:
    assert run("decode", "--encoding", "klingon", stdin=b"")[0] == 2


def test_a_refused_login_is_a_no(server: str) -> None:
    code, output = run("call", server, "9900802.00", "--user", "kiosk1", "--password", "wrong", "--json")
    assert code == 1
    assert json.loads(output)["error"] == "login_refused"


def test_a_call_prints_each_reply_as_json(server: str) -> None:
    messages = [f"17{DATE}AO251020|AB{number}|" for number in (1, 2)]
    code, output = run("call", server, *messages, "--user", "kiosk1", "--password", "secret", "--json")
    found = [json.loads(line) for line in output.splitlines()]
    assert code == 0
    assert [(one["code"], one["fields"][0], one["checksum"]) for one in found] == [
        ("18", ["AB", "1"], "ok"),
        ("18", ["AB", "2"], "ok"),
    ]


def test_a_call_without_login_shows_what_the_server_says(server: str) -> None:
    code, output = run("call", server, "9900802.00")
    assert code == 0
    assert "98 ACS Status" in output and "on_line_status: 'N'" in output


def test_decode_is_readable_and_names_errors() -> None:
    code, output = run("decode", stdin=f"17{DATE}AO理工分馆|AB1|AY1AZ0000\rnonsense\r\n".encode())
    assert code == 1
    assert "17 Item Information (checksum bad, AY 1)" in output
    assert "AO institution id: 理工分馆" in output
    assert "not_a_message:" in output


@pytest.mark.parametrize("command", ["call", "decode"])
def test_help_has_an_example(command: str) -> None:
    assert "Example:" in run(command, "--help")[1]
