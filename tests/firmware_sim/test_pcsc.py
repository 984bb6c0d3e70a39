"""The virtual card against the cardreader's end of vpcd, written out byte by byte over a real socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.pcsc import ATRS, DaemonError, PcscDaemon, VirtualCard, simulate
from firmware_sim.pty import LineError
from firmware_sim.simulators import Simulator
from firmware_sim.stage import StageError
from protocols.pcsc import parse_atr

CARD = "04A1B2C3D4E580"
ASK_ATR, GET_UID = b"\x00\x01\x04", b"\x00\x05\xff\xca\x00\x00\x00"
WAIT_S = 5.0


class Vpcd:
    """The cardreader's side of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    async def ask(self, frame: bytes) -> bytes | None:
        """The answer's payload; None where the card broke off."""
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(self._connection, frame)
        except OSError:
            return None
        head = await self._exactly(2)
        return None if head is None else await self._exactly(int.from_bytes(head))

    async def _exactly(self, count: int) -> bytes | None:
        data = b""
        while len(data) < count:
            async with asyncio.timeout(WAIT_S):
                piece = await asyncio.get_running_loop().sock_recv(self._connection, count - len(data))
            if not piece:
                return None
            data += piece
        return data


@asynccontextmanager
async def listening(family: int, folder: Path) -> AsyncIterator[tuple[str, socket.socket]]:
    """A place where vpcd listens, and the URL of a card for it."""
    listener = socket.socket(family)
    if family == socket.AF_UNIX:
        listener.bind(str(folder / "s"))
        url = f"vpcd:{folder / 's'}"
    else:
        listener.bind(("127.0.0.1", 0))
        url = f"vpcd:127.0.0.1:{listener.getsockname()[1]}"
    listener.listen(2)
    listener.setblocking(False)
    try:
        yield url, listener
    finally:
        listener.close()


async def accepted(listener: socket.socket) -> Vpcd:
    async with asyncio.timeout(WAIT_S):
        connection, _ = await asyncio.get_running_loop().sock_accept(listener)
    connection.setblocking(False)
    return Vpcd(connection)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Simulator, socket.socket]]:
    async with listening(socket.AF_INET, tmp_path) as (url, listener):
        card = simulate(url, {})
        await card.start()
        yield card, listener
        await card.stop()


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["pty:/tmp/x", "vpcd:", "vpcd:35963", "vpcd:host:0", "vpcd:host:66000", "vpcd:/" + "x" * 100, "tcp:127.0.0.1:0"],
)
def test_a_place_where_no_card_can_be_is_refused(url: str) -> None:
    with pytest.raises(LineError):
        simulate(url, {})


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="gravity"):
        simulate("vpcd:127.0.0.1:1", {"gravity": "1"})


@pytest.mark.parametrize(
    "operation",
    [
        {},
        {"op": "fly"},
        {"op": "tap"},
        {"op": "tap", "card": 5},
        {"op": "tap", "card": "04A1"},
        {"op": "tap", "card": "zz"},
        {"op": "tap", "card": CARD, "medium": "PAPER"},
        {"op": "tap", "card": CARD, "atr": "3B"},
        {"op": "tap", "card": CARD, "seconds": 0},
        {"op": "tap", "card": CARD, "seconds": 99},
        {"op": "tap", "card": CARD, "bits": 26},
        {"op": "tap", "card": CARD, "format": "wiegand"},
        {"op": "faults", "gravity": 1},
        {"op": "faults", "slow_s": "long"},
        {"op": "faults", "error": 70000},
    ],
)
async def test_nonsense_is_refused_with_a_code(
    pair: tuple[Simulator, socket.socket], operation: dict[str, Any]
) -> None:
    with pytest.raises(StageError) as refused:
        await pair[0].do(operation)
    assert refused.value.code == "BAD_OPERATION"


def test_a_folder_too_deep_for_a_socket_is_refused() -> None:
    with pytest.raises(DaemonError):
        PcscDaemon(Path("/" + "x" * 90))


async def test_where_nobody_listens_a_tap_is_not_read_and_ends(unused_tcp_port_url: str) -> None:
    card = simulate(unused_tcp_port_url, {})
    assert (await card.do({"op": "tap", "card": CARD, "seconds": 0.3}))["read"] is False


@pytest.fixture
def unused_tcp_port_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"vpcd:127.0.0.1:{probe.getsockname()[1]}"


async def test_a_cardreader_that_breaks_the_protocol_loses_the_card_and_finds_it_again(
    pair: tuple[Simulator, socket.socket],
) -> None:
    card, listener = pair
    await card.do({"op": "insert", "card": CARD})
    assert await (await accepted(listener)).ask(b"\x00\x00") is None
    assert await (await accepted(listener)).ask(GET_UID) == bytes.fromhex(CARD) + b"\x90\x00"


# --- a card ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
async def test_a_card_answers_while_it_is_there_and_is_gone_when_removed(family: int, tmp_path: Path) -> None:
    async with listening(family, tmp_path) as (url, listener):
        card = simulate(url, {})
        await card.do({"op": "insert", "card": CARD, "medium": "DESFIRE"})
        vpcd = await accepted(listener)
        assert await vpcd.ask(ASK_ATR) == ATRS["DESFIRE"]
        assert await vpcd.ask(b"\x00\x01\x01" + ASK_ATR) == ATRS["DESFIRE"]  # power on has no answer
        assert await vpcd.ask(GET_UID) == bytes.fromhex(CARD) + b"\x90\x00"
        assert await card.do({"op": "state"}) == {"pcsc": {"present": True, "commands": 1, "reads": 1}}
        assert await card.do({"op": "remove"}) == {"found": True}
        assert await vpcd.ask(ASK_ATR) is None
        assert (await card.do({"op": "state"}))["pcsc"]["present"] is False


async def test_a_tap_ends_when_the_card_was_read(pair: tuple[Simulator, socket.socket]) -> None:
    card, listener = pair
    tap = asyncio.create_task(card.do({"op": "tap", "card": CARD, "seconds": 5}))
    vpcd = await accepted(listener)
    await vpcd.ask(GET_UID)
    told = await tap
    assert told["read"] is True and told["ms"] < 5000
    assert await vpcd.ask(ASK_ATR) is None


async def test_faults_are_slow_wrong_and_gone(pair: tuple[Simulator, socket.socket]) -> None:
    card, listener = pair
    await card.do({"op": "insert", "card": CARD})
    vpcd = await accepted(listener)
    await card.do({"op": "faults", "error": 0x6F00})
    assert await vpcd.ask(GET_UID) == b"\x6f\x00"
    await card.do({"op": "faults", "slow_s": 0.2})
    began = asyncio.get_running_loop().time()
    await vpcd.ask(GET_UID)
    assert asyncio.get_running_loop().time() - began >= 0.2
    await card.do({"op": "faults", "pull": 1.0, "seed": 3})
    assert await vpcd.ask(GET_UID) is None
    assert (await card.do({"op": "state"}))["pcsc"]["present"] is False


async def test_an_unplugged_field_sees_no_card_until_it_is_plugged(pair: tuple[Simulator, socket.socket]) -> None:
    card, listener = pair
    await card.do({"op": "unplug"})
    await card.do({"op": "insert", "card": CARD})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await asyncio.get_running_loop().sock_accept(listener)
    await card.do({"op": "plug"})
    assert await (await accepted(listener)).ask(ASK_ATR) == ATRS["MF_CLASSIC"]


def test_blocks_are_written_and_read_and_what_is_unknown_has_a_status_word() -> None:
    card = VirtualCard(bytes.fromhex("A1B2C3D4"), ATRS["MF_CLASSIC"])
    data = bytes(range(16))
    assert card.answer(b"\xff\xd6\x00\x04\x10" + data) == b"\x90\x00"
    assert card.answer(b"\xff\xb0\x00\x04\x10") == data + b"\x90\x00"
    assert card.answer(b"\xff\xb0\x00\x40\x10") == b"\x6a\x82"
    assert card.answer(b"\xff\xd6\x00\x04\x0f" + data) == b"\x67\x00"
    assert card.answer(b"\xff\xd6\x00\x40\x10" + data) == b"\x6a\x82"
    assert card.answer(b"\xff\xca\x01\x00\x00") == b"\x6a\x81"
    assert card.answer(b"\xff\xca\x00\x00\x02") == b"\x6c\x04"
    assert card.answer(b"\xff\x00\x00\x00") == b"\x6d\x00"
    assert card.answer(b"\x00\xa4\x04\x00\x00") == b"\x6e\x00"
    assert card.answer(b"\xff\xca") == b"\x67\x00"


def test_the_atrs_say_what_they_are_named_for() -> None:
    assert {name: parse_atr(atr).medium for name, atr in ATRS.items()} == {name: name for name in ATRS}
