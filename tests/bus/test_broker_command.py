"""`python -m bus.broker`: what it prints, how it ends, and that nothing outlives it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from typing import Any

import pytest

from bus import BrokerMissing, PortTaken, WrongUse
from bus.broker import IotcoreBroker, MosquittoBroker, find_mosquitto, make_broker
from bus.broker.provider import HOST, free_tcp_port, speaks_mqtt

NO_MOSQUITTO = find_mosquitto() is None and os.environ.get("CI") != "true"
KINDS = [
    "iotcore",
    pytest.param("mosquitto", marks=pytest.mark.skipif(NO_MOSQUITTO, reason="mosquitto is not installed")),
]


async def run(*words: str, stdin: int = asyncio.subprocess.PIPE) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bus.broker",
        *words,
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def first_line(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(15):
        answer: dict[str, Any] = json.loads(await process.stdout.readline())
        return answer


async def gone(tcp_port: int) -> None:
    async with asyncio.timeout(10):
        while await speaks_mqtt(HOST, tcp_port):
            await asyncio.sleep(0.02)


async def test_taken_port_is_said_in_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        process = await run("--port", str(taken.getsockname()[1]))
        out, err = await asyncio.wait_for(process.communicate(), 15)
    assert (process.returncode, out) == (2, b"")
    assert err.decode().count("\n") == 1
    assert "in use" in err.decode()


async def test_unknown_kind_is_wrong_usage() -> None:
    process = await run("--kind", "rabbit")
    await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_it_says_where_it_is_and_ends_at_sigterm(kind: str) -> None:
    tcp_port = free_tcp_port()
    process = await run("--kind", kind, "--port", str(tcp_port))
    assert await first_line(process) == {"url": f"mqtt://127.0.0.1:{tcp_port}", "kind": kind}
    assert await speaks_mqtt(HOST, tcp_port)
    process.send_signal(signal.SIGTERM)
    _, err = await asyncio.wait_for(process.communicate(), 10)
    assert (process.returncode, err) == (0, b"")
    assert not await speaks_mqtt(HOST, tcp_port)


@pytest.mark.parametrize("kind", KINDS)
async def test_it_ends_when_its_stdin_closes(kind: str) -> None:
    process = await run("--kind", kind)
    url = (await first_line(process))["url"]
    assert process.stdin is not None
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 10) == 0
    await gone(int(url.rsplit(":", 1)[1]))


@pytest.mark.parametrize("kind", KINDS)
async def test_broker_does_not_outlive_a_killed_parent(kind: str) -> None:
    process = await run("--kind", kind)
    url = (await first_line(process))["url"]
    process.kill()
    await process.wait()
    await gone(int(url.rsplit(":", 1)[1]))


async def test_it_runs_on_without_a_stdin() -> None:
    process = await run(stdin=asyncio.subprocess.DEVNULL)
    url = (await first_line(process))["url"]
    await asyncio.sleep(0.2)
    assert await speaks_mqtt(HOST, int(url.rsplit(":", 1)[1]))
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 10) == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_death_of_the_broker_is_status_1(kind: str) -> None:
    process = await run("--kind", kind)
    await first_line(process)
    children = await asyncio.create_subprocess_exec(
        "ps", "--ppid", str(process.pid), "-o", "pid=", stdout=asyncio.subprocess.PIPE
    )
    listed, _ = await children.communicate()
    os.kill(int(listed.split()[0]), signal.SIGKILL if kind == "iotcore" else signal.SIGTERM)
    _, err = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 1
    assert b"died" in err


async def test_provider_says_which_port_is_taken() -> None:
    first = IotcoreBroker()
    await first.start()
    try:
        with pytest.raises(PortTaken):
            await IotcoreBroker(first.tcp_port).start()
        with pytest.raises(PortTaken):
            await MosquittoBroker(first.tcp_port).start()
    finally:
        await first.stop()


async def test_missing_mosquitto_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.broker.mosquitto.find_mosquitto", lambda: None)
    with pytest.raises(BrokerMissing):
        await MosquittoBroker().start()


async def test_external_broker_is_an_address_and_nothing_is_started() -> None:
    with pytest.raises(WrongUse):
        make_broker("external")
    with pytest.raises(WrongUse):
        make_broker("external", url="redis://h")
    with pytest.raises(WrongUse):
        make_broker("rabbit")
    broker = make_broker("external", url="mqtt://broker.example:1883")
    assert (broker.kind, await broker.start()) == ("external", "mqtt://broker.example:1883")
    await broker.stop()


async def test_embedded_broker_listens_on_the_loopback_alone(broker: Any) -> None:
    listening = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as lines:
            listening += [
                words[1]
                for words in map(str.split, lines)
                if words[3] == "0A" and int(words[1][-4:], 16) == broker.tcp_port
            ]
    assert listening == [f"0100007F:{broker.tcp_port:04X}"]
