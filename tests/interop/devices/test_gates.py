"""Gates against implementations that are not ours, each a process: an OSDP panel, Modbus masters and slaves, a ZKTeco client."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.base import DeviceEvent, DeviceState, Passage
from drivers.gate.relay import RelayGate, build
from firmware_sim.operated import Operated
from firmware_sim.osdp import OsdpCardreader
from firmware_sim.pty import PtyLine, TcpLine
from firmware_sim.relay import RelaySimulator
from firmware_sim.relay import simulate as simulate_relay
from firmware_sim.zkteco import ZkSimulator
from firmware_sim.zkteco import simulate as simulate_zkteco
from tests.interop.devices.prepare import interpreter

HERE = Path(__file__).parent
CARD = bytes.fromhex("04A1B2C3")
MASTER_KEY = bytes(range(100, 116))


async def _session(script: str, given: dict[str, Any], seconds: float = 40.0) -> dict[str, Any]:
    """What a session says last."""
    process = await asyncio.create_subprocess_exec(
        interpreter(), "-E", str(HERE / script),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate(json.dumps(given).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = [line for line in out.decode().splitlines() if line.startswith("{")]
    assert process.returncode == 0 and lines, err.decode()[-2000:]
    return json.loads(lines[-1])  # type: ignore[no-any-return]


# --- OSDP: their panel, our cardreader ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "url"), [(b"", "pty"), (MASTER_KEY, "pty"), (MASTER_KEY, "tcp")], ids=["plain", "secure", "secure-tcp"]
)
async def test_a_panel_that_is_not_ours_reads_a_card_and_opens_the_gate(tmp_path: Path, key: bytes, url: str) -> None:
    line = PtyLine(str(tmp_path / "gate")) if url == "pty" else TcpLine("127.0.0.1", 0)
    cardreader = OsdpCardreader(line)
    cardreader.start()
    where = (
        {"port": str(tmp_path / "gate")}
        if url == "pty"
        else {"tcp": [line.url.split(":")[1], int(line.url.split(":")[2])]}
    )
    given = {**where, "address": 0, "master_key": key.hex(), "seconds": 25}
    session = asyncio.create_task(_session("session_osdp_panel.py", given))
    while not session.done():
        if cardreader.secure if key else cardreader.online:
            if not key or cardreader.key is not None:
                cardreader.present(CARD, 32)
            await asyncio.sleep(0.5)
        await asyncio.sleep(0.05)
    found = await session
    cardreader.stop()
    assert [0, 32, CARD.hex()] in found["cards"]
    assert found["opened"]
    assert [(output.on, output.tenths) for output in cardreader.outputs] == [(True, 25)]
    if key:
        assert found["secure"] and found["default_key"]
        assert cardreader.key not in (None, bytes(range(0x30, 0x40)))


# --- Modbus: their master, our board ------------------------------------------------------------------------------------


@pytest.fixture
def mbpoll() -> str:
    found = shutil.which("mbpoll")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("mbpoll is not installed")
        pytest.skip("mbpoll is not installed (apt install mbpoll)")
    return found


async def _mbpoll(program: str, board: Operated, *options: str, value: str = "") -> str:
    scheme, _, rest = board.url.partition(":")
    if scheme == "tcp":
        host, _, number = rest.rpartition(":")
        where = ["-m", "tcp", "-p", number, host]
    else:
        where = ["-m", "rtu", "-b", "9600", "-P", "none", rest]
    process = await asyncio.create_subprocess_exec(
        program, "-1", "-q", "-o", "2", *options, *where, *filter(None, [value]),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(15):
        out, _ = await process.communicate()
    return out.decode()


@pytest.fixture(params=["pty", "tcp"])
async def board(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RelaySimulator]:
    url = f"pty:{tmp_path}/board" if request.param == "pty" else "tcp:127.0.0.1:0"
    made = simulate_relay(url, {"watchdog_register": "256"})
    assert isinstance(made, RelaySimulator)
    await made.start()
    yield made
    await made.stop()


async def test_a_master_that_is_not_ours_switches_and_reads_our_board(mbpoll: str, board: RelaySimulator) -> None:
    assert "Written 1 references" in await _mbpoll(mbpoll, board, "-a", "1", "-t", "0", "-r", "3", value="1")
    assert (await board.do({"op": "state"}))["coils"][2]
    await board.do({"op": "push_input", "input": 1, "active": True})
    read = await _mbpoll(mbpoll, board, "-a", "1", "-t", "1", "-r", "1", "-c", "8")
    assert "[2]: \t1" in read and "[1]: \t0" in read
    assert "[3]: \t1" in await _mbpoll(mbpoll, board, "-a", "1", "-t", "0", "-r", "1", "-c", "8")
    assert "Written 1 references" in await _mbpoll(mbpoll, board, "-a", "1", "-t", "4", "-r", "257", value="50")
    assert "[257]: \t50" in await _mbpoll(mbpoll, board, "-a", "1", "-t", "4", "-r", "257", "-c", "1")


async def test_a_master_that_is_not_ours_is_told_what_the_board_has_not(mbpoll: str, board: RelaySimulator) -> None:
    assert "Illegal data address" in await _mbpoll(mbpoll, board, "-a", "1", "-t", "0", "-r", "9", value="1")
    assert "timed out" in (await _mbpoll(mbpoll, board, "-a", "9", "-t", "0", "-r", "1", "-c", "1")).lower()


# --- Modbus: their slave, our driver ------------------------------------------------------------------------------------


@asynccontextmanager
async def _slave(tmp_path: Path, kind: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    process = await asyncio.create_subprocess_exec(
        interpreter(), "-E", str(HERE / "session_modbus_slave.py"),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin and process.stdout
    near, far = PtyLine(str(tmp_path / "near")), PtyLine(str(tmp_path / "far"))
    if kind == "rtu":  # a cable: two ptys, back to back
        near.plug(far.write)
        far.plug(near.write)
        given: dict[str, Any] = {"port": far.link}
        url = near.url
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            given = {"tcp_port": free.getsockname()[1]}
        url = f"tcp:127.0.0.1:{given['tcp_port']}"
    process.stdin.write(json.dumps(given).encode() + b"\n")
    async with asyncio.timeout(15):
        await process.stdout.readline()
    try:
        yield url, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        near.unplug()
        far.unplug()


@pytest.mark.parametrize("kind", ["rtu", "tcp"])
async def test_our_driver_opens_and_sees_people_at_a_slave_that_is_not_ours(tmp_path: Path, kind: str) -> None:
    async with _slave(tmp_path, kind) as (url, process):
        gate = build("gate-1", url, {"flash": "none", "passage_in": 0})
        assert isinstance(gate, RelayGate)
        events: list[DeviceEvent] = []
        task = asyncio.create_task(gate.run(events.append))
        async with asyncio.timeout(15):
            while not any(isinstance(event, DeviceState) and event.state == "online" for event in events):
                await asyncio.sleep(0.02)
            await gate.open(10)
            while not any(isinstance(event, Passage) for event in events):
                await asyncio.sleep(0.02)
        await asyncio.sleep(1.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        out, _ = await process.communicate(b"")
    log = json.loads(out.decode().splitlines()[-1])["log"]
    assert [on for on, _ in log] == [1, 0]
    assert 0.8 < log[1][1] - log[0][1] < 2.0
    assert [event.direction for event in events if isinstance(event, Passage)] == ["IN"]


# --- ZKTeco: their client, our controller -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, {"log": "text"}, {"session": "no"}, {"password": "secret"}],
    ids=["binary", "text", "no-session", "password"],
)
async def test_a_client_that_is_not_ours_reads_the_log_and_opens_a_door(options: dict[str, str]) -> None:
    controller = simulate_zkteco("tcp:127.0.0.1:0", options)
    assert isinstance(controller, ZkSimulator)
    await controller.start()
    await controller.do({"op": "tap", "card": CARD.hex(), "direction": "OUT", "timeout_s": 0})
    _, host, number = controller.url.split(":")
    given = {"host": host, "tcp_port": int(number), "password": options.get("password", ""), "polls": 8}
    found = await _session("session_c3_client.py", given)
    opened = controller.controller.openings
    await controller.stop()
    assert found["connected"] and found["locks"] == 2 and found["session"] == (options != {"session": "no"})
    assert found["firmware"] == "AC Ver 4.1.9 simulated"
    assert found["events"][0] == [27, 1, int.from_bytes(CARD, "big"), 3]
    assert [8, 1, 0, 2] in found["events"]
    assert found["sensors"] == [1, 1]
    assert opened == 1


async def test_a_client_with_a_wrong_password_is_refused() -> None:
    controller = simulate_zkteco("tcp:127.0.0.1:0", {"password": "right"})
    await controller.start()
    _, host, number = controller.url.split(":")
    given = {"host": host, "tcp_port": int(number), "password": "wrong", "polls": 1}
    assert not (await _session("session_c3_client.py", given))["connected"]
    await controller.stop()
