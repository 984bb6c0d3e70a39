"""Simulated gates: what they refuse, what they show by themselves, what a person can do at them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from firmware_sim.scene import play
from firmware_sim.simulators import Simulator, load
from firmware_sim.stage import StageError

KINDS = ("osdp", "relay", "wiegand485", "zkteco")


def _make(kind: str, tmp_path: Path, **options: str) -> Simulator:
    url = "tcp:127.0.0.1:0" if kind == "zkteco" else f"pty:{tmp_path}/line"
    return load(kind)(url, options)


@pytest.mark.parametrize("kind", KINDS)
def test_an_option_that_nobody_knows_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="colour"):
        _make(kind, tmp_path, colour="red")


@pytest.mark.parametrize(
    ("kind", "options"),
    [("osdp", {"key": "00"}), ("osdp", {"active_low": "perhaps"}), ("relay", {"coils": "many"}), ("relay", {"active_low": "8"}),
     ("wiegand485", {"dialect": "morse"}), ("wiegand485", {"address": "256"}), ("zkteco", {"doors": "5"}), ("zkteco", {"cards": "x"})],
)  # fmt: skip
def test_an_option_that_makes_no_sense_is_refused(kind: str, options: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        _make(kind, tmp_path, **options)


@pytest.mark.parametrize(
    ("kind", "operation"),
    [(kind, operation) for kind in KINDS for operation in ({"op": "dance"}, {"op": "faults", "rain": 1}, {"op": 3})]
    + [("relay", {"op": "push_input"}), ("relay", {"op": "push_input", "input": 8}), ("relay", {"op": "pass", "direction": "UP"}),
       ("relay", {"op": "stuck", "coil": 0, "state": "welded"}), ("relay", {"op": "tailgate", "count": 1000}),
       ("wiegand485", {"op": "tap", "card": "xx"}), ("wiegand485", {"op": "tap", "card": "00", "bits": 26}),
       ("wiegand485", {"op": "noise", "bytes": 10**9}), ("zkteco", {"op": "tap", "card": "00" * 9}),
       ("zkteco", {"op": "door", "door": 3, "open": True}),
       ("osdp", {"op": "push_input", "input": 99}), ("osdp", {"op": "tap"})],
)  # fmt: skip
async def test_an_operation_that_makes_no_sense_is_refused_by_code(
    kind: str, operation: dict[str, object], tmp_path: Path
) -> None:
    simulator = _make(kind, tmp_path)
    await simulator.start()
    try:
        with pytest.raises(StageError) as refused:
            await simulator.do(operation)
        assert refused.value.code == "BAD_OPERATION"
    finally:
        await simulator.stop()


@pytest.mark.parametrize("kind", KINDS)
async def test_it_shows_something_within_five_seconds_and_tells_its_state(kind: str, tmp_path: Path) -> None:
    simulator = _make(kind, tmp_path)
    await simulator.start()
    done = []
    async with asyncio.timeout(5):
        await play(simulator.demo, simulator.do, lambda step, result: done.append((step, result)))
    assert done
    assert {step.operation["op"] for step, _ in done} <= simulator.operations
    assert isinstance(await simulator.do({"op": "state"}), dict)
    await simulator.stop()


@pytest.mark.parametrize("kind", KINDS)
async def test_unplugged_twice_and_plugged_twice_it_is_where_it_was(kind: str, tmp_path: Path) -> None:
    simulator = _make(kind, tmp_path)
    await simulator.start()
    url = simulator.url
    for operation in ("unplug", "unplug", "plug", "plug"):
        await simulator.do({"op": operation})
    assert simulator.url == url
    if kind != "zkteco":
        assert (tmp_path / "line").is_symlink()
    await simulator.stop()
    assert not (tmp_path / "line").is_symlink()


async def test_a_turnstile_is_locked_until_its_coil_acts_and_counts_who_follows(tmp_path: Path) -> None:
    simulator = _make("relay", tmp_path, coil_out="1")
    await simulator.start()
    assert await simulator.do({"op": "tailgate", "count": 2}) == {"passed": 0}
    assert await simulator.do({"op": "pass", "force": True}) == {"passed": 1}
    await simulator.do({"op": "stuck", "coil": 0, "state": True})
    assert await simulator.do({"op": "tailgate", "count": 3}) == {"passed": 3}
    assert (await simulator.do({"op": "pass", "direction": "OUT"})) == {"passed": 0}
    assert (await simulator.do({"op": "state"}))["passed"] == {"IN": 4, "OUT": 0}
    await simulator.stop()
