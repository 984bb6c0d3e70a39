"""The simulated security gate, asked and heard by raw bytes."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from firmware_sim.pty import LineError
from firmware_sim.security_gate import SimSecurityGate, simulate
from firmware_sim.stage import StageError
from protocols.feig import BufferReply, Frame, Framer

UID = "E00401500A203FA3"


async def read(host: int, seconds: float = 1.0) -> bytes:
    async with asyncio.timeout(seconds):
        while True:
            try:
                return os.read(host, 4096)
            except BlockingIOError:
                await asyncio.sleep(0.005)


def opened(folder: Path) -> int:
    return os.open(folder / "gate", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)


@pytest.mark.parametrize("options", [{"push": "maybe"}, {"select": "none"}, {"colour": "red"}, {"noise": "x"}])
def test_options_that_make_no_sense_are_refused(options: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        simulate(f"pty:{tmp_path}/gate", options)


def test_a_place_to_call_must_be_named() -> None:
    with pytest.raises(LineError):
        simulate("connect:127.0.0.1", {})


@pytest.mark.parametrize(
    "operation",
    [{"op": "pass"}, {"op": "pass", "uid": "E0"}, {"op": "pass", "uid": UID, "afi": 256}, {"op": "people", "came": -1},
     {"op": "pass", "uid": UID, "direction": "UP"}, {"op": "fly"}],
)  # fmt: skip
async def test_operations_that_make_no_sense_are_refused(operation: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(StageError):
        await simulate(f"pty:{tmp_path}/gate", {}).do(operation)


async def test_a_counter_asked_in_a_frame_with_a_wrong_inner_crc_does_not_answer_with_people(tmp_path: Path) -> None:
    gate = SimSecurityGate(f"pty:{tmp_path}/gate", keepalive_s=0)
    await gate.start()
    host = opened(tmp_path)
    os.write(host, Frame(0xFF, 0x9F, bytes.fromhex("000D02020008017700EE03")).to_bytes())
    assert Frame.from_bytes(await read(host)).body == b"\x02"
    os.close(host)
    await gate.stop()


async def test_the_vectors_of_counter_and_alarm_are_understood(tmp_path: Path) -> None:
    """Vectors F6a, F6c, F4e, F4d."""
    gate = SimSecurityGate(f"pty:{tmp_path}/gate", keepalive_s=0)
    await gate.start()
    host = opened(tmp_path)
    await gate.do({"op": "people", "came": 555, "left": 524})
    os.write(host, bytes.fromhex("020012FF9F000D02020008017700EE024431"))
    assert (await read(host)).hex().upper() == "020020009F0002001801770000000000000000000000022B0000020C9F4E81A3"
    os.write(host, bytes.fromhex("02002CFF8B020101011E00090F" + "00" * 29 + "7759"))
    assert (await read(host)).hex().upper() == "020008008B009A8D"
    assert not gate.alarm
    os.close(host)
    await gate.stop()


async def test_it_sounds_for_a_secured_tag_with_the_alarm_on_and_for_nothing_else(tmp_path: Path) -> None:
    gate = SimSecurityGate(f"pty:{tmp_path}/gate", keepalive_s=0)
    await gate.start()
    passed = {"op": "pass", "uid": UID}
    assert await gate.do({**passed, "afi": 0xC2}) == {"sounded": False}
    assert await gate.do({**passed, "afi": 7}) == {"sounded": True}
    await gate.do({"op": "set_alarm", "on": False})
    assert await gate.do({**passed, "afi": 7}) == {"sounded": False}
    assert (await gate.do({"op": "state"}))["sounded"] == 1
    await gate.stop()


async def test_it_calls_its_host_pushes_tags_and_shows_that_it_lives() -> None:
    heard = asyncio.Queue[Frame]()
    framer = Framer("advanced")

    async def host(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(4096):
            for frame in framer.receive(data):
                heard.put_nowait(frame)
        sink.close()

    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
    gate = SimSecurityGate(f"connect:127.0.0.1:{number}", keepalive_s=0.2)
    await gate.start()
    await asyncio.sleep(0.1)  # nobody listens yet: it calls again
    server = await asyncio.start_server(host, "127.0.0.1", number)
    async with asyncio.timeout(5):
        assert (await heard.get()).command == 0x6E
        await gate.do({"op": "pass", "uid": UID, "antenna": 3})
        while (frame := await heard.get()).command != 0x22:
            pass
    (record,) = BufferReply.from_frame(frame).records
    assert (record.uid, record.antenna) == (UID, 3)
    await gate.stop()
    server.close()
