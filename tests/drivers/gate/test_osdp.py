"""The OSDP driver against a libosdp cardreader over a real pty: keys, cards, outputs, loss and return."""

from __future__ import annotations

import asyncio
import binascii
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import ClassVar

import pytest

from drivers.base import (
    BadCommand,
    CardRead,
    ConfigurationError,
    DeviceEvent,
    DeviceOffline,
    DeviceState,
    Gate,
    OpenGate,
    ShowDenied,
    Tamper,
    load,
)
from drivers.gate.osdp import OsdpGate, build
from firmware_sim.osdp import OsdpCardreader
from firmware_sim.pty import PtyLine, TcpLine

KEY = bytes(range(16))
OTHER = bytes(range(16, 32))
CARD = bytes.fromhex("04A1B2C3D4E580")


class Entrance:
    """A cardreader, its driver running, and what the driver told."""

    def __init__(self, gate: OsdpGate, cardreader: OsdpCardreader) -> None:
        self.gate = gate
        self.cardreader = cardreader
        self.events: list[DeviceEvent] = []
        self.on_card: Callable[[CardRead], None] | None = None
        self._task = asyncio.create_task(gate.run(self._hear))
        self._commands: set[asyncio.Task[None]] = set()

    def _hear(self, event: DeviceEvent) -> None:
        self.events.append(event)
        if isinstance(event, CardRead) and self.on_card:
            self.on_card(event)

    def opens(self, tenths: int = 30) -> None:
        """From now on the driver's owner lets everybody in."""
        self.on_card = lambda _card: self._start(self.gate.open(tenths))

    def denies(self) -> None:
        self.on_card = lambda card: self._start(self.gate.execute(ShowDenied(card.reader_no)))

    def _start(self, command: object) -> None:
        task = asyncio.create_task(command)  # type: ignore[arg-type]
        self._commands.add(task)

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(e.state, e.reason_code) for e in self.events if isinstance(e, DeviceState)]

    @property
    def cards(self) -> list[CardRead]:
        return [e for e in self.events if isinstance(e, CardRead)]

    @property
    def tampers(self) -> list[bool]:
        return [e.active for e in self.events if isinstance(e, Tamper)]

    async def until(self, what: Callable[[], bool], seconds: float = 6.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.01)

    async def online(self) -> None:
        await self.until(lambda: bool(self.states) and self.states[-1] == ("online", "OK"))

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, *self._commands, return_exceptions=True)
        self.cardreader.stop()


@pytest.fixture
async def entrance(tmp_path: Path) -> AsyncIterator[Callable[..., Entrance]]:
    made: list[Entrance] = []

    def make(
        *, device_key: bytes | None = KEY, scbk: bytes | None = KEY, commission: bool = False, url: str = ""
    ) -> Entrance:
        line = TcpLine("127.0.0.1", 0) if url == "tcp" else PtyLine(str(tmp_path / "gate"))
        cardreader = OsdpCardreader(line, key=device_key)
        cardreader.start()
        gate = OsdpGate("gate-1", line.url, scbk=scbk, commission=commission, uniform=lambda: 0.0)
        made.append(Entrance(gate, cardreader))
        return made[-1]

    yield make
    for one in made:
        await one.close()


def test_a_driver_without_a_key_is_refused_outside_commissioning() -> None:
    with pytest.raises(ConfigurationError) as refused:
        OsdpGate("gate-1", "pty:/x", scbk=None)
    assert refused.value.code == "SCBK_MISSING"


@pytest.mark.parametrize("known", [bytes(16), bytes(range(0x30, 0x40))], ids=["zeros", "SCBK-D"])
def test_a_key_that_everybody_knows_is_refused(known: bytes) -> None:
    with pytest.raises(ConfigurationError) as refused:
        OsdpGate("gate-1", "pty:/x", scbk=known, commission=True)
    assert refused.value.code == "SCBK_WEAK"


@pytest.mark.parametrize(
    "options",
    [
        {"key": "00"},
        {"key": "not hex"},
        {"key": KEY.hex(), "address": 127},
        {"key": KEY.hex(), "refresh_ms": 0},
        {"key": KEY.hex(), "output_no": "first"},
        {"key": KEY.hex(), "colour": "red"},
        {},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, str | int]) -> None:
    with pytest.raises(ConfigurationError):
        build("gate-1", "pty:/x", options)


def test_the_driver_is_found_by_kind_and_is_a_gate() -> None:
    driver = load("osdp")("gate-1", "pty:/x", {"key": KEY.hex()})
    assert isinstance(driver, Gate)
    with pytest.raises(ConfigurationError, match="osdp"):
        load("telepathy")


@pytest.mark.parametrize("tenths", [0, -1, 65536])
def test_a_gate_opens_neither_for_no_time_nor_for_ever(tenths: int) -> None:
    with pytest.raises(BadCommand):
        OpenGate(tenths)


async def test_a_cardreader_with_another_key_gets_nothing_and_says_nothing(entrance: Callable[..., Entrance]) -> None:
    place = entrance(device_key=OTHER)
    await place.until(lambda: place.states == [("offline", "KEY_REFUSED")])
    assert not (await place.cardreader.tap(CARD, timeout=0.3)).opened
    with pytest.raises(DeviceOffline) as offline:
        await place.gate.open(30)
    assert offline.value.code == "DEVICE_OFFLINE"
    assert place.cards == []
    assert not place.cardreader.outputs


async def test_a_cardreader_on_the_default_key_is_refused_outside_commissioning(
    entrance: Callable[..., Entrance],
) -> None:
    place = entrance(device_key=None)
    await place.until(lambda: place.states == [("offline", "KEY_REFUSED")])
    place.cardreader.present(CARD)
    await asyncio.sleep(0.3)
    assert place.cards == []
    assert place.cardreader.key is None


class PlainCardreader:
    """Somebody on the cable who claims to know no encryption and shows a card at every poll: bytes by hand."""

    ANSWERS: ClassVar[dict[int, bytes]] = {
        0x61: b"\x45" + bytes.fromhex("CAFEBA0101DEADBEEF010101"),
        0x62: b"\x46" + bytes.fromhex("0301010801000900000E0101"),
        0x60: b"\x50" + bytes((0, 1, len(CARD) * 8, 0)) + CARD,
    }
    """PDID, PDCAP with communication security 0, and a raw card to a poll; anything else is acknowledged."""

    def __init__(self, link: str) -> None:
        self.line = PtyLine(link)
        self.polls = 0
        self._pending = b""

    def start(self) -> None:
        self.line.plug(self._received)

    def stop(self) -> None:
        self.line.unplug()

    def _received(self, data: bytes) -> None:
        self._pending += data
        while (start := self._pending.find(b"\x53")) >= 0 and len(self._pending) >= start + 4:
            length = int.from_bytes(self._pending[start + 2 : start + 4], "little")
            if len(self._pending) < start + length:
                return
            packet, self._pending = self._pending[start : start + length], self._pending[start + length :]
            self._answer(packet)

    def _answer(self, packet: bytes) -> None:
        address, control, command = packet[1], packet[4], packet[5]
        self.polls += command == 0x60
        body = self.ANSWERS.get(command, b"\x40")
        size = (7 + len(body)).to_bytes(2, "little")
        reply = bytes((0x53, address | 0x80)) + size + bytes((control & 0x07,)) + body
        self.line.write(b"\xff" + reply + binascii.crc_hqx(reply, 0x1D0F).to_bytes(2, "little"))


@pytest.mark.parametrize(
    ("scbk", "commission"), [(KEY, False), (KEY, True), (None, True)], ids=["key", "commissioning", "plain"]
)
async def test_a_device_that_claims_to_know_no_encryption_lets_nobody_in(
    tmp_path: Path, scbk: bytes | None, commission: bool
) -> None:
    impostor = PlainCardreader(str(tmp_path / "gate"))
    impostor.start()
    events: list[DeviceEvent] = []
    gate = OsdpGate("gate-1", impostor.line.url, scbk=scbk, commission=commission)
    task = asyncio.create_task(gate.run(events.append))
    await asyncio.sleep(1.2)
    cards = [event for event in events if isinstance(event, CardRead)]
    states = {event.state for event in events if isinstance(event, DeviceState)}
    if scbk is None:  # only here may it speak: somebody asked for plain text, and it is told as degraded
        assert cards and cards[0].raw == CARD
        assert states == {"degraded"}
    else:
        assert cards == []
        assert states == {"offline"}
        with pytest.raises(DeviceOffline):
            await gate.open(30)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    impostor.stop()


async def test_commissioning_sets_the_key_which_then_holds_without_it(entrance: Callable[..., Entrance]) -> None:
    place = entrance(device_key=None, commission=True)
    await place.online()
    assert place.cardreader.key == KEY
    assert place.cardreader.secure
    place.cardreader.reboot()
    await place.until(lambda: len(place.states) >= 3)
    await place.online()
    assert not place.gate._panel._install  # type: ignore[union-attr]


async def test_without_a_key_commissioning_only_listens_and_is_degraded(entrance: Callable[..., Entrance]) -> None:
    place = entrance(device_key=None, scbk=None, commission=True)
    await place.until(lambda: place.states == [("degraded", "INSTALL_MODE")])
    place.opens()
    assert (await place.cardreader.tap(CARD)).opened
    assert place.cardreader.key is None


async def test_a_card_is_read_over_the_secure_channel_and_the_gate_opens(entrance: Callable[..., Entrance]) -> None:
    place = entrance()
    await place.online()
    state = next(e for e in place.events if isinstance(e, DeviceState))
    assert state.facts["sc_active"] == 1
    place.opens(tenths=25)
    seen = await place.cardreader.tap(CARD, reader_no=0)
    assert seen.opened
    assert 0 < seen.ms < 1000
    card = place.cards[0]
    assert (card.device, card.reader_no, card.direction, card.format, card.bits) == ("gate-1", 0, "IN", "wiegand", 56)
    assert card.raw == CARD
    output = place.cardreader.outputs[0]
    assert (output.output_no, output.on, output.tenths) == (0, True, 25)
    assert "A1B2C3" not in repr(card).upper()
    assert "a1b2c3" not in str(dict(place.gate.health()))


@pytest.mark.parametrize(
    ("raw", "bits", "form", "reader_no", "direction"),
    [
        (bytes.fromhex("DEADBE80"), 26, "wiegand", 0, "IN"),
        (bytes.fromhex("04A1B2C3"), 32, "raw", 1, "OUT"),
        (b"\x01", 1, "raw", 0, "IN"),
        (bytes(range(32)), 256, "raw", 1, "OUT"),
    ],
)
async def test_card_bytes_and_bits_arrive_as_presented(
    entrance: Callable[..., Entrance], raw: bytes, bits: int, form: str, reader_no: int, direction: str
) -> None:
    place = entrance()
    await place.online()
    assert place.cardreader.present(raw, bits, reader_no=reader_no, form=form)
    await place.until(lambda: len(place.cards) == 1)
    card = place.cards[0]
    assert (card.raw, card.bits, card.format, card.direction) == (raw, bits, form, direction)


async def test_a_denial_shows_red_and_sounds_and_opens_nothing(entrance: Callable[..., Entrance]) -> None:
    place = entrance()
    await place.online()
    place.denies()
    seen = await place.cardreader.tap(CARD)
    assert (seen.opened, seen.denied) == (False, True)
    await place.until(lambda: len(place.cardreader.beeps) == 1)
    assert place.cardreader.beeps[0]["rep_count"] == 2
    assert not place.cardreader.outputs
    await place.until(lambda: place.gate.health()["denied"] == 1)


async def test_tamper_is_told_at_the_start_at_every_change_and_after_a_return(
    entrance: Callable[..., Entrance],
) -> None:
    place = entrance()
    await place.online()
    await place.until(lambda: place.tampers == [False])
    place.cardreader.tamper(True)
    await place.until(lambda: place.tampers == [False, True])
    place.cardreader.reboot()
    await place.until(lambda: place.tampers[2:].count(True) == 1)


async def test_a_silent_cardreader_is_offline_and_found_again(entrance: Callable[..., Entrance]) -> None:
    place = entrance()
    await place.online()
    place.cardreader.power_off()
    await place.until(lambda: place.states[-1] == ("offline", "NO_ANSWER"))
    with pytest.raises(DeviceOffline):
        await place.gate.open(30)
    await asyncio.sleep(1.7)
    place.cardreader.reboot()
    await place.online()
    place.opens()
    assert (await place.cardreader.tap(CARD)).opened


async def test_an_unplugged_cardreader_on_a_new_pty_is_found_without_restart(
    entrance: Callable[..., Entrance],
) -> None:
    place = entrance()
    await place.online()
    place.cardreader.stop()
    await place.until(lambda: ("offline", "PORT_MISSING") in place.states)
    with pytest.raises(DeviceOffline):
        await place.gate.open(30)
    place.cardreader.start()
    await place.online()
    place.opens()
    assert (await place.cardreader.tap(CARD)).opened
    assert place.gate.health()["opened"] == 2


async def test_a_card_shown_while_nobody_listens_opens_nothing_later(entrance: Callable[..., Entrance]) -> None:
    place = entrance(device_key=OTHER)
    place.opens()
    await place.until(lambda: bool(place.states))
    assert (await place.cardreader.tap(CARD, timeout=0.2)).opened is False
    place.cardreader.key = KEY
    place.cardreader.reboot()
    await place.online()
    await asyncio.sleep(0.3)
    assert place.cards == []


async def test_a_card_that_the_panel_did_not_fetch_in_time_is_not_shown_to_the_next(
    entrance: Callable[..., Entrance],
) -> None:
    place = entrance()
    await place.online()
    place._task.cancel()
    await asyncio.gather(place._task, return_exceptions=True)
    assert place.cardreader.listening
    assert not (await place.cardreader.tap(CARD, timeout=0.1)).opened
    again = Entrance(OsdpGate("gate-1", place.cardreader.line.url, scbk=KEY), place.cardreader)
    await again.online()
    await asyncio.sleep(0.3)
    assert again.cards == []
    await again.close()


async def test_osdp_over_tcp(entrance: Callable[..., Entrance]) -> None:
    place = entrance(url="tcp")
    await place.online()
    place.opens()
    assert (await place.cardreader.tap(CARD)).opened


async def test_a_cancelled_driver_leaves_no_thread_and_frees_the_port(
    entrance: Callable[..., Entrance],
) -> None:
    place = entrance()
    await place.online()
    place._task.cancel()
    await asyncio.gather(place._task, return_exceptions=True)
    assert not [thread for thread in threading.enumerate() if thread.name == "osdp-gate-1"]
    assert place.gate.health()["state"] == "offline"
    again = Entrance(OsdpGate("gate-1", place.cardreader.line.url, scbk=KEY), place.cardreader)
    await again.online()
    await again.close()
