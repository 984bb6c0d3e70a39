"""The players as the demo runs them: a process that says when it plays, survives broken machines, and ends when told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.branch import SimBranch
from firmware_sim.place import DeviceSpec
from firmware_sim.players.branch import BranchLife, code_of
from firmware_sim.players.kiosk_page import KioskPage, KioskPageError
from firmware_sim.players.stats import Stats
from firmware_sim.players.world import World
from protocols.sip2 import Message
from tongjie.demo.tags import tag_of

ROOT = Path(__file__).parents[3]
KEY = bytes(range(16))


def machines(folder: Path) -> tuple[DeviceSpec, ...]:
    return (
        DeviceSpec("gate1", "osdp", f"pty:{folder}/gate", {"key": KEY.hex()}),
        DeviceSpec("pad1", "feig", f"pty:{folder}/pad", {"line_speed": "0"}),
    )


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Players:
    """A players' process over a small plan: one branch whose kiosk and edge do not answer."""

    def __init__(self, folder: Path, control: int, edge: int = 0) -> None:
        self.stats_file = folder / "players.json"
        nobody = closed_port()
        kiosk = {"url": f"tcp:127.0.0.1:{nobody}", "password": "p", "institution": "251020", "accent": "plain"}
        serial = {**kiosk, "url": f"pty:{folder / 'kiosk3'}", "accent": "gbk-noaz"}
        plan = {
            "seed": 1, "speed": 50.0, "stats": str(self.stats_file),
            "branches": [
                {
                    "id": "251020-01", "library": "251020", "control": control, "edge": f"http://127.0.0.1:{edge or nobody}",
                    "devices": ["gate1", "pad1"], "gates": [{"device": "gate1", "how": "osdp"}],
                    "kiosks": [{**kiosk, "user": "k"}, {**serial, "user": "k3"}], "sorter": {**kiosk, "user": "s"},
                }
            ],
            "readers": [
                {"library": "251020", "reader_no": "1", "pin": "0000", "card": "04A1B2C3D4E5F6", "case": ""},
            ],
            "items": [
                {"owner": "251020", "item_no": f"C{number}", "type": "BOOK", "branch": "251020-01",
                 "tag": tag_of("251020", f"C{number}")} for number in range(20)
            ],
        }  # fmt: skip
        self.plan_file = folder / "plan.json"
        self.plan_file.write_text(json.dumps(plan), "utf-8")

    async def start(self) -> dict[str, Any]:
        words = ["-m", "firmware_sim.players", "--plan", str(self.plan_file)]
        self.process = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT, stdin=-1, stdout=-1)
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(await asyncio.wait_for(self.process.stdout.readline(), 20))
        return found

    def stats(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.stats_file.read_text("utf-8"))
        except FileNotFoundError:
            return {"counts": {}}
        return found

    async def until(self, holds: Callable[[dict[str, Any]], bool]) -> None:
        deadline = time.monotonic() + 15
        while not holds(self.stats()["counts"]):
            assert self.process.returncode is None, "the players gave up"
            assert time.monotonic() < deadline, f"it did not come true: {self.stats()}"
            await asyncio.sleep(0.1)

    async def ended(self) -> int:
        return await asyncio.wait_for(self.process.wait(), 10)


@pytest.fixture
async def branch(tmp_path: Path) -> AsyncIterator[tuple[SimBranch, Players]]:
    devices = SimBranch(more=machines(tmp_path))
    players = Players(tmp_path, await devices.start())
    yield devices, players
    if players.process.returncode is None:
        players.process.kill()
        await players.process.wait()
    await devices.stop()


async def test_players_go_on_when_the_devices_vanish(branch: tuple[SimBranch, Players]) -> None:
    devices, players = branch
    assert await players.start() == {"kind": "players", "branches": 1, "readers": 1}
    await players.until(lambda counts: counts.get("taps", 0) > 0)
    await devices.stop()
    await players.until(lambda counts: counts.get("trouble_gate", 0) > 1)
    assert all(len(surprise) <= 200 for surprise in players.stats()["surprises"])


async def test_players_end_when_told_and_have_written_what_they_saw(branch: tuple[SimBranch, Players]) -> None:
    _, players = branch
    await players.start()
    cable = players.plan_file.parent / "kiosk3"
    await players.until(lambda counts: counts.get("taps", 0) > 0 and cable.is_symlink())
    before = players.stats()["counts"]["taps"]
    players.process.send_signal(signal.SIGTERM)
    assert await players.ended() == 0
    assert not cable.is_symlink()
    assert players.stats()["counts"]["taps"] >= before


async def test_players_end_with_whoever_holds_their_standard_input(branch: tuple[SimBranch, Players]) -> None:
    _, players = branch
    await players.start()
    assert players.process.stdin is not None
    players.process.stdin.close()
    assert await players.ended() == 0


async def test_players_end_though_everything_around_them_ends_first(tmp_path: Path) -> None:
    pressed = asyncio.Event()

    async def hang(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        pressed.set()
        await source.read()
        sink.close()

    edge = await asyncio.start_server(hang, "127.0.0.1", 0)
    devices = SimBranch(more=machines(tmp_path))
    players = Players(tmp_path, await devices.start(), edge=edge.sockets[0].getsockname()[1])
    await players.start()
    await asyncio.wait_for(pressed.wait(), 15)  # books lie on the pad, and somebody waits for the kiosk
    await devices.stop()
    await asyncio.sleep(0.2)
    players.process.send_signal(signal.SIGTERM)
    assert await players.ended() == 0
    edge.close()


# --- no book is lost ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("holding", [0, 2])
async def test_books_stay_with_whoever_had_them_when_a_machine_breaks(tmp_path: Path, holding: int) -> None:
    players = Players(tmp_path, closed_port())
    plan = json.loads(players.plan_file.read_text("utf-8"))
    world = World(plan, random.Random(1))
    life = BranchLife(plan["branches"][0], world, Stats(tmp_path / "stats.json"), speed=1e6)
    (person,) = world.people
    person.bag.extend(world.take(life.id, holding))
    for _ in range(20):
        with contextlib.suppress(OSError):
            await life.pad_kiosk()
        assert (len(world.shelves[life.id]), len(person.bag)) == (20 - holding, holding)


# --- what a kiosk says -------------------------------------------------------------------------------------------------


async def _pressed(answer: bytes) -> dict[str, Any]:
    """What pressing a button gives where the kiosk answers with these bytes."""

    async def serve(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        await source.readuntil(b"\r\n\r\n")
        sink.write(answer)
        sink.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        return await KioskPage(f"http://127.0.0.1:{port}", timeout_s=5).press("POST", "borrow", {"session": "x"})
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1", b"HTTP/1.1 200 OK\r\n\r\n<html>", b"HTTP/1.1 200 OK\r\n\r\n[1]", b"x y\r\n\r\n{}"]
)
async def test_what_is_no_answer_of_a_kiosk_is_trouble(answer: bytes) -> None:
    with pytest.raises(KioskPageError):
        await _pressed(answer)


async def test_a_kiosk_that_says_nothing_is_given_up() -> None:
    async def serve(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        await source.read()
        sink.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    page = KioskPage(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_s=0.2)
    with pytest.raises(TimeoutError):
        await page.press("GET", "pad")
    server.close()


async def test_a_refusal_of_a_kiosk_keeps_its_status_and_code() -> None:
    found = await _pressed(b'HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\n\r\n{"code": "PIN_WRONG"}')
    assert found == {"status": 409, "code": "PIN_WRONG"}


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        ([], "OK"),
        (["谢谢"], "OK"),
        (["密码错误 Wrong PIN (PIN_WRONG)"], "PIN_WRONG"),
        (["Hello", "Overdue items (BLOCK_OVERDUE) "], "BLOCK_OVERDUE"),
        (["(not a code)"], "OK"),
    ],
)
def test_the_reason_code_is_read_off_the_screen(texts: list[str], code: str) -> None:
    assert code_of(Message("12", {}, tuple(("AF", text) for text in texts))) == code
