"""`tongjie sip2 call` over the client: TCP, TLS by address, and what it says when nobody answers."""

from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner

from tests.drivers.selfcheck.client_acs import DATE, Acs
from tongjie.commands.sip2 import app


async def run(*words: str) -> tuple[int, str]:
    """The command in a thread of its own, as it makes its own loop: exit status and everything it printed."""
    done = await asyncio.to_thread(CliRunner().invoke, app, ["call", *words])
    return done.exit_code, done.output


@pytest.mark.parametrize("server", ["sip2://", "sip2s://h:0", "serial:", "nonsense", "127.0.0.1:x"])
async def test_what_is_no_address_is_wrong_usage(server: str) -> None:
    code, said = await run(server, "9900802.00")
    assert code == 2
    assert repr(server) in said


async def test_nobody_there() -> None:
    acs = await Acs().start()
    await acs.stop()
    assert (await run("--json", acs.url, "9900802.00"))[0] == 1


async def test_a_refused_login() -> None:
    async with Acs(login="940") as acs:
        code, said = await run(acs.url, "--user", "u", "--password", "p", "9900802.00")
        assert code == 1
        assert "refused" in said


@pytest.mark.parametrize("scheme", ["", "sip2://"])
async def test_an_address_with_and_without_its_scheme(scheme: str) -> None:
    async with Acs() as acs:
        code, said = await run(
            "--json", f"{scheme}127.0.0.1:{acs.port}", "--user", "u", "--password", "p", f"17{DATE}AB7|"
        )
        assert code == 0
        assert json.loads(said)["fields"][0] == ["AB", "7"]
        assert acs.received == ["9300CNu|COp|", f"17{DATE}AB7|"]


async def test_a_message_without_a_date_is_not_sent_twice_when_the_line_is_lost() -> None:
    async with Acs() as acs:

        async def way(peer: object, text: str, sequence: str | None) -> None:
            if text.startswith("37"):
                peer.hang_up()
            else:
                await acs.by_the_book(peer, text, sequence)  # type: ignore[arg-type]

        acs.way = way
        code, _ = await run(acs.url, "9900802.00", f"37{DATE}0100CNYBV1.00|AO990001|AA1|")
        assert code == 1
        assert len(acs.asked("37")) == 1
