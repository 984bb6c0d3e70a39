"""The simulated branch as the players drive it: one process, a control port, real devices on ptys."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drivers.base import CardRead, DeviceEvent
from drivers.gate.osdp import OsdpGate
from drivers.rfid.feig import FeigPad
from firmware_sim.branch import SimBranch
from firmware_sim.branch_client import SimBranchClient, SimBranchError
from firmware_sim.control import MAX_LINE
from firmware_sim.scene import SceneError, load_scene, play

KEY = bytes(range(16))
UID = "E004010012345678"
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def branch(tmp_path: Path) -> AsyncIterator[tuple[SimBranch, SimBranchClient]]:
    made = SimBranch(str(tmp_path / "gate"), str(tmp_path / "pad"), key=KEY, baudrate=None)
    client = SimBranchClient(await made.start())
    await client.connect()
    yield made, client
    await client.close()
    await made.stop()


async def spawn(tmp_path: Path, *more: str) -> asyncio.subprocess.Process:
    words = ["--osdp-link", f"{tmp_path}/gate", "--feig-link", f"{tmp_path}/pad", *more]
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "firmware_sim.branch", *words, stdin=-1, stdout=-1, stderr=-1, cwd=ROOT
    )


@pytest.mark.parametrize(
    "asked",
    [
        {"op": "rob"},
        {"op": 5},
        {},
        {"op": "tap"},
        {"op": "tap", "card": "xyz"},
        {"op": "tap", "card": ""},
        {"op": "tap", "card": "00" * 65},
        {"op": "tap", "card": 4},
        {"op": "tap", "card": "04A1", "direction": "UP"},
        {"op": "tap", "card": "04A1", "bits": 17},
        {"op": "place", "uid": "short"},
        {"op": "place", "uid": UID, "afi": 256, "blocks": ""},
        {"op": "place", "uid": UID, "blocks": "zz"},
        {"op": "lift"},
        {"op": "faults", "seed": "x"},
        {"op": "faults", "gravity": 1},
        {"op": "unplug", "device": "door"},
    ],
)
async def test_an_operation_that_makes_no_sense_is_refused_and_the_line_lives(
    branch: tuple[SimBranch, SimBranchClient], asked: dict[str, Any]
) -> None:
    _, client = branch
    arguments = {key: value for key, value in asked.items() if key != "op"}
    with pytest.raises(SimBranchError) as refused:
        await client.do(asked.get("op"), **arguments)  # type: ignore[arg-type]
    assert refused.value.code == "BAD_OPERATION"
    assert await client.pad() == []


async def test_lines_that_are_no_json_object_are_answered_and_a_long_one_ends_the_connection(
    branch: tuple[SimBranch, SimBranchClient],
) -> None:
    _, client = branch
    source, sink = await asyncio.open_connection(*client._address)
    for line in (b"hello", b"[1]", b"\xff\xfe", b"{"):
        sink.write(line + b"\n")
        assert json.loads(await source.readline())["error"] == "BAD_LINE"
    sink.write(b'{"op":"' + b"x" * MAX_LINE * 3)
    assert json.loads(await source.readline())["error"] == "LINE_TOO_LONG"
    assert await source.read() == b""
    sink.close()
    assert await client.pad() == []


async def test_a_tap_that_nobody_hears_opens_nothing(branch: tuple[SimBranch, SimBranchClient]) -> None:
    tap = await branch[1].tap("04A1B2C3")
    assert (tap.opened, tap.denied, tap.heard) == (False, False, False)


async def test_a_tap_is_heard_by_the_driver_and_opens_while_tags_are_moved(
    branch: tuple[SimBranch, SimBranchClient],
) -> None:
    made, client = branch
    events: list[DeviceEvent] = []
    gate = OsdpGate("gate", made.gate.line.url, scbk=KEY)
    pad = FeigPad("pad", made.pad.line.url, poll_ms=20)
    opening: list[asyncio.Task[None]] = []

    def emit(event: DeviceEvent) -> None:
        events.append(event)
        if isinstance(event, CardRead):
            opening.append(asyncio.create_task(gate.open(10)))

    tasks = [asyncio.create_task(gate.run(emit)), asyncio.create_task(pad.run(emit))]
    async with asyncio.timeout(5):
        while not made.gate.secure:
            await asyncio.sleep(0.01)
    tap, other, afi = await asyncio.gather(
        client.tap("04A1B2C3", "IN"), client.tap("04A1B2C4", "OUT"), client.place(UID, dsfid=0x3E, afi=7, blocks="00")
    )
    assert tap.opened and other.opened and afi == 7
    assert [e.direction for e in events if isinstance(e, CardRead)] == ["IN", "OUT"]
    async with asyncio.timeout(5):
        while not pad.tags:
            await asyncio.sleep(0.01)
    assert (await pad.secure(UID, False)).ok
    assert await client.pad() == [{"uid": UID, "dsfid": 0x3E, "afi": 0xC2}]
    assert await client.lift(UID) == 0xC2
    assert await client.lift(UID) is None
    assert await client.place(UID) == 0xC2
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_players_hear_at_once_when_the_branch_is_gone(branch: tuple[SimBranch, SimBranchClient]) -> None:
    made, client = branch
    await made.stop()
    with pytest.raises(SimBranchError) as gone:
        await client.pad()
    assert gone.value.code == "GONE"


async def test_the_process_says_where_it_is_and_ends_with_its_standard_input(tmp_path: Path) -> None:
    process = await spawn(tmp_path, "--osdp-key", KEY.hex())
    assert process.stdin and process.stdout
    ready = json.loads(await process.stdout.readline())
    assert ready["kind"] == "branch"
    assert ready["url"] == f"tcp:127.0.0.1:{ready['control']}"
    assert os.path.exists(tmp_path / "gate") and os.path.exists(tmp_path / "pad")
    client = SimBranchClient(ready["control"])
    await client.connect()
    assert (await client.do("state"))["gate"]["secure"] is False
    await client.close()
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 5) == 0
    assert os.listdir(tmp_path) == []


async def test_a_terminated_process_removes_its_links_and_says_nothing(tmp_path: Path) -> None:
    process = await spawn(tmp_path)
    assert process.stdout and process.stderr
    await process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 5) == 0
    assert await process.stderr.read() == b""
    assert os.listdir(tmp_path) == []


async def test_more_devices_come_from_a_list_and_are_found_by_name(tmp_path: Path) -> None:
    listed = [
        {"name": "gate2", "kind": "osdp", "url": f"pty:{tmp_path}/gate2", "options": {"key": KEY.hex()}},
        {"name": "pad2", "kind": "feig", "url": f"pty:{tmp_path}/pad2"},
    ]
    (tmp_path / "devices.json").write_text(json.dumps(listed))
    process = await spawn(tmp_path, "--devices", str(tmp_path / "devices.json"))
    assert process.stdin and process.stdout
    ready = json.loads(await process.stdout.readline())
    assert ready["devices"]["pad2"] == f"pty:{tmp_path}/pad2"
    client = SimBranchClient(ready["control"])
    await client.connect()
    await client.place(UID, device="pad2")
    assert [tag["uid"] for tag in await client.pad(device="pad2")] == [UID]
    assert await client.pad(device="pad") == []
    assert set(await client.do("state")) - {"id"} == {"gate", "pad", "gate2", "pad2"}
    with pytest.raises(SimBranchError) as unknown:
        await client.do("pad", device="pad3")
    assert unknown.value.code == "BAD_OPERATION"
    await client.close()
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 5) == 0
    assert os.listdir(tmp_path) == ["devices.json"]


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[",
        '[{"name": "a", "kind": "osdp"}]',
        '[{"name": "a", "kind": "lion", "url": "pty:/x"}]',
        '[{"name": "a", "kind": "osdp", "url": "pty:/x", "options": {"colour": "red"}}]',
        '[{"name": "a", "kind": "osdp", "url": "pty:/x", "options": 3}]',
        '[{"name": "a", "kind": "feig", "url": "pty:/x"}, {"name": "a", "kind": "feig", "url": "pty:/y"}]',
    ],
)
async def test_a_list_of_devices_that_cannot_be_used_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "devices.json").write_text(text)
    process = await spawn(tmp_path, "--devices", str(tmp_path / "devices.json"))
    assert process.stderr
    said = (await process.stderr.read()).decode()
    assert await process.wait() == 2
    assert said.count("\n") == 1
    assert os.listdir(tmp_path) == ["devices.json"]


async def test_a_taken_control_port_or_link_is_one_sentence_and_nothing_stays(
    tmp_path: Path, branch: tuple[SimBranch, SimBranchClient]
) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    process = await spawn(folder, "--control-port", str(branch[1]._address[1]))
    assert await asyncio.wait_for(process.wait(), 10) == 2
    assert process.stderr
    assert (await process.stderr.read()).decode().count("\n") == 1
    assert os.listdir(folder) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", "{}"),
        ("a.json", "["),
        ("a.json", '[{"op": "tap"}]'),
        ("a.json", '[{"at_s": -1, "op": "tap"}]'),
        ("a.json", '[{"at_s": true, "op": "tap"}]'),
        ("a.json", '[{"at_s": 1, "op": "fly"}]'),
        ("a.json", '[[1, "tap", 3]]'),
        ("a.toml", "step = 3"),
        ("a.toml", "[[step]\n"),
    ],
)
def test_a_scene_that_cannot_be_played_says_why(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SceneError):
        load_scene(tmp_path / name, {"tap"})


def test_a_scene_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="cannot read"):
        load_scene(tmp_path / "none.json", {"tap"})


async def test_a_scene_plays_in_order_of_time(tmp_path: Path, branch: tuple[SimBranch, SimBranchClient]) -> None:
    made, _ = branch
    (tmp_path / "a.json").write_text(
        json.dumps([[0.1, "lift", {"uid": UID}], {"at_s": 0, "op": "place", "uid": UID}, [0.05, "pad"]])
    )
    (tmp_path / "a.toml").write_text(f'[[step]]\nat_s = 0.0\nop = "place"\nuid = "{UID}"\n')
    seen: list[tuple[float, str, Any]] = []
    began = asyncio.get_running_loop().time()
    steps = load_scene(tmp_path / "a.json", made.place.operations)
    await play(steps, made.place.do, lambda step, result: seen.append((step.at_s, step.operation["op"], result)))
    assert [(at, op) for at, op, _ in seen] == [(0, "place"), (0.05, "pad"), (0.1, "lift")]
    assert len(seen[1][2]["tags"]) == 1
    assert asyncio.get_running_loop().time() - began >= 0.1
    assert len(load_scene(tmp_path / "a.toml", made.place.operations)) == 1
