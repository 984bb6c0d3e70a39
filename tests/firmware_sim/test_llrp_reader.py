"""The simulated LLRP reader, asked by llrpkit's own client: tags with all their memory, inputs, faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from llrpkit import Reader
from llrpkit.exceptions import LLRPError

from firmware_sim.llrp import LlrpSimulator, simulate
from firmware_sim.stage import StageError
from protocols.crc import crc_gen2

EPC, PC = "141CC04FC70BADB5C6E2DA1DED4DD319", "45C2"


@pytest.fixture
async def sim() -> AsyncIterator[LlrpSimulator]:
    made = simulate("tcp:127.0.0.1:0", {"reads": "500"})
    assert isinstance(made, LlrpSimulator)
    await made.start()
    yield made
    await made.stop()


def client(sim: LlrpSimulator) -> Reader:
    return Reader("127.0.0.1", sim.reader.port, response_timeout=1.0)


@pytest.mark.parametrize("url", ["pty:/x", "tcp:5084", "tcp:127.0.0.1:99999", "serial:/x"])
def test_a_reader_is_found_over_the_network_only(url: str) -> None:
    with pytest.raises(ValueError, match="network only"):
        simulate(url, {})


@pytest.mark.parametrize("options", [{"reads": "0"}, {"antennas": "17"}, {"baud": "9600"}])
def test_options_that_make_no_sense_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"reads|no option"):
        simulate("tcp:127.0.0.1:0", options)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "place"},
        {"op": "gpi", "input_no": 4, "active": True},
        {"op": "antenna", "antenna": 9, "connected": False},
        {"op": "faults", "bad_crc": 0.1},
        {"op": "faults", "tear": -1},
        {"op": "dance"},
    ],
)
async def test_an_operation_that_makes_no_sense_is_refused(sim: LlrpSimulator, operation: dict[str, object]) -> None:
    with pytest.raises(StageError):
        await sim.do(operation)


async def test_banks_are_read_and_the_crc_is_the_chips(sim: LlrpSimulator) -> None:
    """Vector B2: PC 45C2, CRC 4723."""
    placed = await sim.do({"op": "place", "epc": EPC, "pc": PC, "user": "0601C05308AB"})
    async with client(sim) as reader:
        bank = await reader.read_memory(bank="epc", word_count=3, target_epc=EPC)
        assert bank.data == bytes.fromhex("4723" + PC + EPC[:4])
        assert (await reader.read_memory(bank="tid", word_count=6, target_epc=EPC)).data == bytes.fromhex(placed["tid"])
        assert (await reader.read_memory(bank="user", target_epc=EPC)).data == bytes.fromhex("0601C05308AB")
        assert not (await reader.read_memory(bank="user", word_count=4, target_epc=EPC)).ok


async def test_a_pc_is_written_and_the_crc_follows(sim: LlrpSimulator) -> None:
    placed = await sim.do({"op": "place", "epc": EPC, "pc": PC})
    async with client(sim) as reader:
        assert (await reader.write_memory(bank="epc", word_pointer=1, data="4507", target_epc=EPC)).ok
        crc = (await reader.read_memory(bank="epc", word_count=1, target_epc=EPC)).data
        locked = await reader.write_memory(bank="tid", data="0000", target_epc=EPC)
        assert locked.status == "Tag_Memory_Locked_Error"
        over = await reader.write_memory(bank="user", word_pointer=40, data="0000", target_epc=EPC)
        assert over.status == "Tag_Memory_Overrun_Error"
    assert crc == crc_gen2(bytes.fromhex("4507" + EPC)).to_bytes(2, "big")
    assert (await sim.do({"op": "lift", "tid": placed["tid"]}))["pc"] == "4507"


async def test_reports_tell_the_chips_own_number_and_only_tags_that_lie_there(sim: LlrpSimulator) -> None:
    placed = await sim.do({"op": "place", "epc": EPC, "pc": PC})
    async with client(sim) as reader:
        seen = [tag async for tag in reader.inventory(include_tid=True, max_tags=3)]
        assert {(tag.epc_hex.upper(), tag.tid) for tag in seen} == {(EPC, bytes.fromhex(placed["tid"]))}
        assert (await sim.do({"op": "lift", "epc": EPC}))["found"]
        assert [tag async for tag in reader.inventory(duration=0.2)] == []


async def test_a_silent_reader_answers_nothing_and_noise_ends_the_connection(sim: LlrpSimulator) -> None:
    async with client(sim) as reader:
        await sim.do({"op": "faults", "silent": 1})
        with pytest.raises(LLRPError):
            await reader.get_config()
        await sim.do({"op": "faults"})
        await reader.get_config()
        await sim.do({"op": "noise", "bytes": 5000})
        async with asyncio.timeout(5):
            while reader.client.connected:
                await asyncio.sleep(0.01)


async def test_inputs_and_exceptions_reach_the_client(sim: LlrpSimulator) -> None:
    async with client(sim) as reader:
        await sim.do({"op": "gpi", "input_no": 2, "active": True})
        edge = await asyncio.wait_for(anext(reader.gpi_events()), 3)
        assert (edge.port, edge.high) == (3, True)
        await sim.do({"op": "exception", "message": "fan"})
        await asyncio.wait_for(anext(reader.events()), 3)
