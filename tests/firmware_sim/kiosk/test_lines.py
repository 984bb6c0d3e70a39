"""The simulated kiosk over TLS and a serial pty, and in every accent, each against the real server."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.selfcheck import (
    Account,
    CheckinResult,
    CheckoutResult,
    EndResult,
    ItemResult,
    KioskSession,
    Listener,
    ReaderResult,
    RenewAllResult,
    Reply,
    Sip2Server,
    StatusResult,
    TlsFiles,
    refusal,
)
from firmware_sim.kiosk import ACCENTS, KioskOffline, SimKiosk, accent_of, place_of
from firmware_sim.kiosk_simulator import simulate
from protocols.sip2 import Message, requests
from tests.firmware_sim.kiosk.certificates import files

NOW = datetime(2026, 11, 22, 19, 37, 11, tzinfo=UTC)
TITLE = "紅樓夢 東方質量"


class Library:
    """Lends anything; keeps what the server understood of each request."""

    def __init__(self) -> None:
        self.understood: list[Message] = []

    async def handle(self, session: KioskSession, request: Message) -> Reply:
        self.understood.append(request)
        result = {
            "99": StatusResult(online=True),
            "23": ReaderResult(valid=True),
            "63": ReaderResult(valid=True, charged_count=1, charged=["0001"]),
            "17": ItemResult(circulation_status="03", title=TITLE),
            "11": CheckoutResult(ok=True, desensitize=True, title=TITLE, due="2026-12-22"),
            "29": CheckoutResult(ok=True, renewal_ok=True),
            "65": RenewAllResult(ok=True, renewed=["0001"]),
            "09": CheckinResult(ok=True),
            "35": EndResult(),
        }[request.code]
        return result.reply(session, request, NOW)

    def on_timeout(self, session: KioskSession, request: Message) -> Reply:
        return refusal(session, request, NOW, ["OUT_OF_SERVICE"])


@asynccontextmanager
async def serving(library: Library, *listeners: Listener) -> AsyncIterator[Sip2Server]:
    server = Sip2Server(
        {"kiosk1": Account("kiosk1", "secret", "251020")}, library, clock=lambda: NOW, listeners=listeners
    )
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def session_of(kiosk: SimKiosk) -> list[Message]:
    """A whole visit: from the status to the reader's leaving."""
    await kiosk.connect()
    reader = await kiosk.session("R1", "1234")
    return [
        await reader.status(),
        await reader.information("charged"),
        await reader.item("0001"),
        await reader.checkout("0001"),
        await reader.renew("0001"),
        await kiosk.ask(requests.renew_all("251020", "R1", "1234", NOW)),
        await reader.end(),
        await kiosk.checkin("0001"),
    ]


CODES = ["24", "64", "18", "12", "30", "66", "36", "10"]


# --- accents


@pytest.mark.parametrize("name", sorted(ACCENTS))
async def test_a_whole_visit_in_every_accent(name: str) -> None:
    library = Library()
    async with serving(library, Listener("tcp://127.0.0.1:0", "hall")) as server:
        kiosk = SimKiosk(*server.addresses["hall"], "kiosk1", "secret", "251020", accent=accent_of(name))
        assert kiosk.accent.name == name
        replies = await session_of(kiosk)
        assert [reply.code for reply in replies] == CODES
        wanted = "ok" if kiosk.accent.error_detection else "none"
        assert {reply.checksum for reply in replies} == {wanted}
        learned = server.kiosks[0].dialect
        assert learned.terminator == kiosk.accent.terminator
        await kiosk.close()
    assert [(request.get("AA"), request.get("AB")) for request in library.understood if request.code == "11"] == [
        ("R1", "0001")
    ]


async def test_titles_arrive_in_the_kiosks_encoding() -> None:
    for name in ("gbk-noaz", "lf-gb18030", "plain"):
        async with serving(Library(), Listener("tcp://127.0.0.1:0", "hall")) as server:
            kiosk = SimKiosk(
                *server.addresses["hall"], "kiosk1", "secret", "251020", accent=accent_of(name), location="東館質量"
            )
            await kiosk.connect()
            assert (await kiosk.item("0001")).get("AJ") == TITLE, name
            await kiosk.close()


def test_an_accent_that_nobody_has() -> None:
    with pytest.raises(ValueError, match="there are plain, 3m"):
        accent_of("martian")


# --- tls


async def test_tls_is_refused_to_a_kiosk_that_does_not_trust_the_server(tmp_path: Path) -> None:
    _, certificate, key = files(tmp_path)
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    other, _, _ = files(stranger)
    async with serving(Library(), Listener("tls://127.0.0.1:0", "tls", tls=TlsFiles(certificate, key))) as server:
        tcp_port = server.addresses["tls"][1]
        kiosk = SimKiosk.at(
            place_of(f"tls:127.0.0.1:{tcp_port}", ca=other), "kiosk1", "secret", "251020", patience_s=0.2
        )
        with pytest.raises(KioskOffline):
            await kiosk.connect()
        plain = SimKiosk("127.0.0.1", tcp_port, "kiosk1", "secret", "251020", patience_s=0.2, timeout_s=1.0)
        with pytest.raises(KioskOffline):
            await plain.connect()
        assert server.stats.logins == 0


async def test_a_whole_visit_over_tls(tmp_path: Path) -> None:
    ca, certificate, key = files(tmp_path)
    async with serving(Library(), Listener("tls://127.0.0.1:0", "tls", tls=TlsFiles(certificate, key))) as server:
        url = f"tls:127.0.0.1:{server.addresses['tls'][1]}"
        kiosk = SimKiosk.at(place_of(url, ca=ca), "kiosk1", "secret", "251020")
        assert kiosk.url == url
        assert [reply.code for reply in await session_of(kiosk)] == CODES
        await kiosk.close()


# --- a serial line


async def test_a_whole_visit_over_a_serial_pty(tmp_path: Path) -> None:
    link = tmp_path / "kiosk3"
    kiosk = SimKiosk.at(
        place_of(f"pty:{link}"), "kiosk1", "secret", "251020", accent=accent_of("old-1.00"), timeout_s=1.0
    )
    connecting = asyncio.create_task(session_of(kiosk))
    while not link.exists():
        await asyncio.sleep(0.01)
    async with serving(Library(), Listener(f"serial:{link}", "desk")):
        assert [reply.code for reply in await connecting] == CODES
    await kiosk.close()
    assert not link.exists()


async def test_a_server_that_comes_back_is_found_on_the_same_line(tmp_path: Path) -> None:
    link = tmp_path / "kiosk3"
    library = Library()
    kiosk = SimKiosk.at(place_of(f"pty:{link}"), "kiosk1", "secret", "251020", timeout_s=0.3, patience_s=20.0)
    connecting = asyncio.create_task(kiosk.connect())
    while not link.exists():
        await asyncio.sleep(0.01)
    async with serving(library, Listener(f"serial:{link}", "desk")):
        await connecting
        assert (await kiosk.checkin("0001")).fixed["ok"] == "1"
    asking = asyncio.create_task(kiosk.checkin("0002"))
    await asyncio.sleep(0.5)
    async with serving(library, Listener(f"serial:{link}", "desk")):
        assert (await asking).fixed["ok"] == "1"
    await kiosk.close()


# --- tongjie sim


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("udp:127.0.0.1:1", {}),
        ("tcp:127.0.0.1", {}),
        ("tcp:127.0.0.1:70000", {}),
        ("tcp:127.0.0.1:1", {"accent": "martian"}),
        ("tcp:127.0.0.1:1", {"encoding": "klingon"}),
        ("tls:127.0.0.1:1", {"ca": "/nowhere/ca.pem"}),
        ("tcp:127.0.0.1:1", {"colour": "green"}),
    ],
)
def test_a_simulated_kiosk_says_what_it_cannot_use(url: str, options: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        simulate(url, options)


@pytest.mark.parametrize("scheme", ["tls", "pty"])
async def test_the_sim_command_borrows_over_tls_and_a_serial_line(scheme: str, tmp_path: Path) -> None:
    ca, certificate, key = files(tmp_path)
    link, scene = tmp_path / "kiosk3", tmp_path / "scene.json"
    scene.write_text('[{"at_s": 0, "op": "checkout", "reader_no": "R1", "pin": "1234", "item_no": "0001"}]')
    listener = (
        Listener("tls://127.0.0.1:0", "door", tls=TlsFiles(certificate, key))
        if scheme == "tls"
        else Listener(f"serial:{link}", "door")
    )
    async with serving(Library(), listener) as server:
        url = f"tls:127.0.0.1:{server.addresses['door'][1]}" if scheme == "tls" else f"pty:{link}"
        more = ["--set", f"ca={ca}"] if scheme == "tls" else ["--set", "accent=gbk-noaz"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tongjie", "sim", "kiosk", url, "--scene", str(scene), "--for", "3",
            "--set", "user=kiosk1", "--set", "institution=251020", *more,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "TONGJIE_SIP2_PASSWORD": "secret"},
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, err.decode()
        assert '"op": "checkout"' in out.decode()
        assert '"ok": "1"' in out.decode()
    assert not link.exists()
