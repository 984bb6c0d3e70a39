"""Security gates go by the site's own pair of AFIs, whatever other sites have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from consortium.events import Kind
from drivers.base import PadTag
from edge.config import DeviceConfig
from protocols.iso28560.part2 import encode_part2
from tests.edge.bed import standard_rows, until, write_replica
from tests.edge.entrance.doors import Hall, book
from tests.make import HOME

SECURED, ON_LOAN = 0xD7, 0xDA
PAIR = {"afi_secured": SECURED, "afi_on_loan": ON_LOAN}
OF_NO_LIBRARY = {"afi_secured": 0x44, "afi_on_loan": 0x45}


def pad(**options: Any) -> DeviceConfig:
    """A pad that nobody answers on: its options are what counts."""
    return DeviceConfig("pad1", "feig", "tcp:127.0.0.1:9", options)


async def judged(tmp_path: Path, tag: PadTag, *devices: Any) -> list[str]:
    """What staff see of a tag that is carried through."""
    hall = Hall()
    write_replica(tmp_path, standard_rows())
    async with hall.bed(tmp_path, *devices) as bed:
        await until(lambda: bed.agent.devices.records["eas1"].state == "online")
        hall.at["eas1"].carry(tag, sounded=None)
        if bed.agent.gates.alarms.notes:
            await bed.settled(Kind.GATE_ALARM)
        return [note.code for note in bed.agent.gates.alarms.notes]


@pytest.mark.parametrize(
    "pair",
    [
        {"afi_secured": 7, "afi_on_loan": 7},
        {"afi_secured": 0xC2},
        {"afi_secured": 256},
        {"afi_secured": "07"},
        {"afi_on_loan": True},
    ],
)
async def test_a_pair_that_cannot_be_meant_leaves_that_gate_out(tmp_path: Path, pair: dict[str, Any]) -> None:
    write_replica(tmp_path, standard_rows())
    async with Hall().bed(tmp_path, ("eas1", "eas", pair)) as bed:
        assert bed.agent.devices.records["eas1"].reason_code == "BAD_OPTION"


async def test_a_device_that_has_to_do_with_no_tag_has_no_such_option(tmp_path: Path) -> None:
    write_replica(tmp_path, standard_rows())
    async with Hall().bed(tmp_path, ("reader1", "reader", PAIR)) as bed:
        assert bed.agent.devices.records["reader1"].reason_code == "UNKNOWN_OPTION"


SAID = [("eas1", "eas", PAIR)]
OF_THE_PADS = [("eas1", "eas", {}), pad(**PAIR)]
AGAINST_THE_PADS = [("eas1", "eas", PAIR), pad()]


@pytest.mark.parametrize("devices", [SAID, OF_THE_PADS, AGAINST_THE_PADS])
@pytest.mark.parametrize(
    ("item_no", "afi", "told"),
    [("1001", SECURED, ["NOT_LENT"]), ("1001", ON_LOAN, ["NOT_SECURED"]), ("1012", SECURED, ["SECURED_LOAN"]), ("1012", ON_LOAN, [])],
)  # fmt: skip
async def test_a_tag_is_judged_by_the_gates_pair_else_by_that_of_the_pads(
    tmp_path: Path, devices: list[Any], item_no: str, afi: int, told: list[str]
) -> None:
    assert await judged(tmp_path, book(item_no, afi=afi), *devices) == told


async def test_a_format_that_is_known_by_its_afi_alone_is_read_under_the_sites_own(tmp_path: Path) -> None:
    tag = PadTag("E004010000001001", 0x06, 0x44, encode_part2({1: "1001", 3: f"CN-{HOME}"}), 4)
    assert await judged(tmp_path, tag, ("eas1", "eas", OF_NO_LIBRARY)) == ["NOT_LENT"]
