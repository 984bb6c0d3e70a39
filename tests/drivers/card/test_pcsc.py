"""The PC/SC driver against the real pcscd, vpcd and pyscard; the card is ours, and once it is another project's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from drivers.base import CardRead, ConfigurationError, DeviceEvent, DeviceState, load
from drivers.card.pcsc import PcscCardreader, build, driver
from firmware_sim.pcsc import PcscDaemon, simulate
from tests.drivers.card.pcsc_bed import absent, daemon

CARD = "04A1B2C3D4E580"
WAIT_S = 15.0


@dataclass
class Heard:
    """A running driver and what it told."""

    driver: PcscCardreader
    events: list[DeviceEvent] = field(default_factory=list)

    @property
    def cards(self) -> list[CardRead]:
        return [event for event in self.events if isinstance(event, CardRead)]

    @property
    def states(self) -> list[DeviceState]:
        return [event for event in self.events if isinstance(event, DeviceState)]

    async def until(self, true: Callable[[], Any]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not true():
                await asyncio.sleep(0.01)

    async def reason(self, code: str) -> None:
        await self.until(lambda: self.states and self.states[-1].reason_code == code)


@asynccontextmanager
async def driven(socket: str, part: str = "00 00") -> AsyncIterator[Heard]:
    heard = Heard(build("desk", f"pcsc:{part}", {"socket": socket}))
    running = asyncio.create_task(heard.driver.run(heard.events.append))
    try:
        yield heard
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "options", "code"),
    [
        ("serial:/dev/ttyS0", {}, "BAD_URL"),
        ("pcsc", {}, "BAD_URL"),
        ("pcsc:" + "x" * 200, {}, "BAD_URL"),
        ("pcsc:a\nb", {}, "BAD_URL"),
        ("pcsc:", {"baudrate": 9600}, "UNKNOWN_OPTION"),
        ("pcsc:", {"socket": 5}, "BAD_OPTION"),
        ("pcsc:", {"socket": "x" * 200}, "BAD_OPTION"),
    ],
)
def test_what_cannot_be_a_cardreader_is_refused(url: str, options: dict[str, Any], code: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load("pcsc")("desk", url, options)
    assert refused.value.code == code


def test_without_pyscard_the_driver_says_what_to_install() -> None:
    script = """
import sys; sys.modules["smartcard"] = None
from drivers.base import ConfigurationError
from drivers.card.pcsc import build
try: build("desk", "pcsc:", {})
except ConfigurationError as error: print(error.code, error)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True).stdout
    assert said.startswith("PCSC_MISSING") and "tongjie[pcsc]" in said


async def test_without_a_daemon_the_cardreader_is_offline_and_its_process_goes_on() -> None:
    async with driven("/nonexistent/pcscd.comm") as heard:
        await heard.reason("NO_SERVICE")
        await asyncio.sleep(1.0)
        assert [state.reason_code for state in heard.states] == ["NO_SERVICE"]
        assert heard.driver.health()["restarts"] == 0
        assert heard.driver.health()["last_frame_ms"] == -1


async def test_a_daemon_without_the_cardreader_is_told_from_no_daemon() -> None:
    async with daemon() as pcscd, driven(pcscd.socket, "no such model") as heard:
        await heard.reason("PORT_MISSING")
        assert heard.cards == []


async def test_a_card_that_gives_no_number_is_counted_and_is_no_card() -> None:
    async with daemon() as pcscd, driven(pcscd.socket) as heard:
        card = simulate(pcscd.url, {})
        await card.do({"op": "faults", "error": 0x6A81})
        await card.do({"op": "insert", "card": CARD})
        await heard.until(lambda: heard.driver.health()["unread_cards"] == 1)
        assert heard.states[-1].facts["unread"] == "NO_UID"
        assert heard.cards == []
        await card.stop()


async def test_a_card_pulled_away_in_the_middle_of_a_command_is_no_card_and_the_next_one_is() -> None:
    async with daemon() as pcscd, driven(pcscd.socket) as heard:
        card = simulate(pcscd.url, {})
        await card.do({"op": "faults", "pull": 1})
        await card.do({"op": "insert", "card": CARD})
        await heard.until(lambda: heard.driver.health()["unread_cards"] == 1)
        assert heard.states[-1].facts["unread"] == "PULLED"
        await card.do({"op": "faults"})
        assert (await card.do({"op": "tap", "card": CARD, "seconds": 5}))["read"]
        await heard.until(lambda: len(heard.cards) == 1)
        assert heard.states[-1].facts["unread"] == ""


async def test_a_random_number_is_reported_and_never_told_as_a_card() -> None:
    async with daemon() as pcscd, driven(pcscd.socket) as heard:
        card = simulate(pcscd.url, {})
        for uid in ("08A1B2C3", "08D4E5F6"):
            assert (await card.do({"op": "tap", "card": uid, "medium": "DESFIRE", "seconds": 5}))["read"]
        await heard.until(lambda: heard.driver.health()["random_uids"] == 2)
        assert heard.states[-1].facts["random_uids"] == 2
        assert heard.cards == []


async def test_a_hung_daemon_is_told_and_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "SILENT_S", 3.0)
    async with daemon() as pcscd, driven(pcscd.socket) as heard:
        await heard.reason("OK")
        (inside,) = children(pcscd.pid)
        os.kill(inside, signal.SIGSTOP)
        try:
            await heard.reason("NO_ANSWER")
        finally:
            os.kill(inside, signal.SIGCONT)
        await heard.reason("OK")
        assert heard.driver.health()["timeouts"] >= 1


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found]


# --- what works ------------------------------------------------------------------------------------------------------


async def test_a_card_is_read_once_each_time_it_is_presented() -> None:
    async with daemon() as pcscd, driven(pcscd.socket) as heard:
        await heard.reason("OK")
        card = simulate(pcscd.url, {})
        await card.do({"op": "insert", "card": CARD, "medium": "DESFIRE"})
        await heard.until(lambda: heard.cards)
        await asyncio.sleep(1.2)  # it stays: nothing more is told
        assert len(heard.cards) == 1
        await card.do({"op": "tap", "card": CARD, "medium": "MF_CLASSIC", "seconds": 5})
        await card.do({"op": "tap", "card": "A1B2C3D4", "seconds": 5})
        await heard.until(lambda: len(heard.cards) == 3)
        assert [(read.raw.hex().upper(), read.bits, read.format, read.medium) for read in heard.cards] == [
            (CARD, 56, "raw", "DESFIRE"),
            (CARD, 56, "raw", "MF_CLASSIC"),
            ("A1B2C3D4", 32, "raw", "MF_CLASSIC"),
        ]
        assert all(0 <= time.monotonic_ns() - read.t_mono_ns < 30e9 for read in heard.cards)
        assert CARD not in repr(heard.events) + repr(heard.driver.health())
        assert heard.states[-1].facts["model"] == "Virtual PCD 00 00"
        assert heard.driver.health()["last_frame_ms"] >= 0


async def test_a_card_that_lies_there_at_the_start_is_read_and_a_power_failure_reads_it_again() -> None:
    async with daemon() as pcscd:
        card = simulate(pcscd.url, {})
        await card.do({"op": "insert", "card": CARD})
        async with driven(pcscd.socket) as heard:
            await heard.until(lambda: len(heard.cards) == 1)
            await card.do({"op": "reboot"})
            await heard.until(lambda: len(heard.cards) == 2)
        await card.stop()


async def test_a_slow_card_is_still_a_card() -> None:
    async with daemon() as pcscd, driven(pcscd.socket) as heard:
        card = simulate(pcscd.url, {})
        await card.do({"op": "faults", "slow_s": 1.0})
        assert (await card.do({"op": "tap", "card": CARD, "seconds": 10}))["ms"] > 1000
        await heard.until(lambda: len(heard.cards) == 1)


async def test_a_daemon_that_is_stopped_and_started_and_its_cardreader_pulled_and_plugged_are_found_again() -> None:
    async with daemon() as pcscd, driven(pcscd.socket) as heard:
        await heard.reason("OK")
        await pcscd.stop()
        await heard.reason("NO_SERVICE")
        await pcscd.start(cardreader=False)
        await heard.reason("PORT_MISSING")
        await pcscd.stop()
        await pcscd.start()
        await heard.reason("OK")
        card = simulate(pcscd.url, {})
        assert (await card.do({"op": "tap", "card": CARD, "seconds": 10}))["read"]
        await heard.until(lambda: len(heard.cards) == 1)
        assert heard.driver.health()["restarts"] == 0


async def test_a_killed_process_is_replaced() -> None:
    async with daemon() as pcscd, driven(pcscd.socket) as heard:
        await heard.reason("OK")
        mine = [pid for pid in children(os.getpid()) if b"pcsc.child" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(mine[0], signal.SIGKILL)
        await heard.reason("DRIVER_CRASHED")
        await heard.reason("OK")
        assert heard.driver.health()["restarts"] == 1


async def test_no_process_outlives_the_driver() -> None:
    async with daemon() as pcscd:
        async with driven(pcscd.socket) as heard:
            await heard.reason("OK")
        left = [pid for pid in children(os.getpid()) if b"pcsc.child" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert left == []


# --- a card that is not ours -----------------------------------------------------------------------------------------


VICC = Path("/usr/bin/vicc")
VICC_MODULES = "/usr/lib/python3/site-packages/virtualsmartcard"
"""Where Debian 12 puts them, on no Python's path."""


@asynccontextmanager
async def vicc(pcscd: PcscDaemon) -> AsyncIterator[None]:
    """The card emulator of the vsmartcard project (GPL, a program of its own) in the daemon's network."""
    if not VICC.exists() or shutil.which("nsenter") is None:
        absent("vicc is not installed: apt-get install vsmartcard-vpicc util-linux")
    path = os.pathsep.join(filter(None, (VICC_MODULES, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path}
    trial = (sys.executable, "-c", "import Crypto.Cipher, virtualsmartcard.VirtualSmartcard")
    if subprocess.run(trial, env=environment, capture_output=True, timeout=30, check=False).returncode:
        absent("vicc needs the package pycryptodome beside Debian's vsmartcard-vpicc")
    user = () if os.geteuid() == 0 else ("--user", "--preserve-credentials")
    words = ("nsenter", f"--target={pcscd.pid}", *user, "--net", sys.executable, str(VICC), "--hostname", "127.0.0.1")
    out = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *words, env=environment, stdin=asyncio.subprocess.PIPE, stdout=out, stderr=out
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_foreign_card_that_breaks_off_at_our_command_is_no_card_and_the_next_one_is() -> None:
    """vicc 3.3 ends with an error of its own when it is asked for a number: a card that fails in the middle, and not by our hand."""
    async with daemon() as pcscd, driven(pcscd.socket) as heard:
        await heard.reason("OK")
        async with vicc(pcscd):
            await heard.until(lambda: heard.driver.health()["unread_cards"] == 1)
            assert heard.states[-1].facts["unread"] in ("PULLED", "NO_ANSWER")
        assert heard.cards == []
        card = simulate(pcscd.url, {})
        assert (await card.do({"op": "tap", "card": CARD, "seconds": 10}))["read"]
        await heard.until(lambda: len(heard.cards) == 1)
