"""docs/devices.md names every kind of device that there is, and docs/reference/devices.md tells each as its driver is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drivers.base import load
from firmware_sim.simulators import discover as simulators
from tongjie.reference import devices

DOCS = Path(__file__).parents[2] / "docs"
ROWS = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", (DOCS / "devices.md").read_text("utf-8"), re.MULTILINE))


def test_every_kind_has_its_row_and_no_row_is_of_another_kind() -> None:
    assert set(ROWS) == devices.kinds() == set(devices.EXAMPLES)


@pytest.mark.parametrize("kind", sorted(devices.kinds()))
def test_a_row_says_what_the_driver_tells_and_takes(kind: str) -> None:
    url, options = devices.EXAMPLES[kind]
    able = load(kind)("device", url, options).capabilities
    tells, takes = (set(re.findall(r"`(\w+)`", cell)) for cell in ROWS[kind].split(" | ")[1:3])
    assert tells == able.events - {"DeviceState"}
    assert takes == able.commands


def test_every_kind_has_a_twin_on_the_wire() -> None:
    assert devices.kinds() <= set(simulators())
