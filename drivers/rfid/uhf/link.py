"""UHFReader18/288 as a `TagLink`: inventories over the antennas of the pad, words of tags by frames.

What a device refuses is told: which form of inventory it takes is tried at the start, and at an antenna that every device has, so that
a wrong antenna is never mistaken for a wrong form; and an antenna that refuses again and again makes the pad degraded, not empty.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Literal

from drivers.base import DeviceRefused, Fact
from drivers.port import Port
from drivers.rfid.link import TagRefused
from drivers.rfid.uhf.gen2 import Before, Gen2Link, Heard
from drivers.rfid.uhf.line import UhfLine
from drivers.rfid.uhf.memory import Memory
from drivers.rfid.uhf.settings import RSSI_SLACK, UhfSettings
from protocols.frames import LocalFrameError
from protocols.uhf.device_requests import BeepRequest, PowerRequest, ScanTimeRequest
from protocols.uhf.status import LOCKED, OVERRUN, PARAMETER, PASSWORD, StatusError
from protocols.uhf.tag_requests import InventoryRequest, ReadRequest, WriteRequest
from protocols.uhf.target import EPC_BANK, MAX_EPC_WORDS, Mask, Target
from protocols.uhf.uhfreader18 import SeenTag

__all__ = ["REFUSED_AFTER", "Trouble", "UhfLink"]

Trouble = Literal["", "ANTENNA_REFUSED", "INVENTORY_REFUSED"]

SCAN_MS = 300
"""Longest inventory of an antenna where the site says nothing (288 family): 40 tags take about half of it."""
CHUNK = 16
"""Words a command: an UHFReader18 takes frames of at most 96 bytes."""
_EPC_AT = 0x20
"""Bit of the EPC bank where the EPC begins."""
_WRONG_FORM = frozenset({"command-length", "parameter", "illegal-command"})
_WRONG_ANTENNA = frozenset({"antenna", "parameter"})
REFUSED_AFTER = 3
"""Inventories refused in a row after which an antenna is told as refused; until then its tags are not known, and nobody has left."""
_EVERY_DEVICE_HAS = 1
"""The antenna at which the form of an inventory is tried."""


def refusal(error: StatusError) -> TagRefused:
    """Say what a device's refusal means for a tag."""
    if error.tag_error == OVERRUN:
        return TagRefused("TOO_SMALL")
    if error.tag_error == LOCKED or error.status == PASSWORD:
        return TagRefused("LOCKED")
    return TagRefused("NO_TAG" if error.code in ("no-tag", "poor-communication") else "WRITE_ERROR")


class UhfRadio:
    """`drivers.rfid.uhf.memory.Gen2Radio` by the frames of this family."""

    chunk = CHUNK

    def __init__(self, line: UhfLine, password: int) -> None:
        self._line = line
        self._password = password

    async def read_words(self, epc: bytes, bank: int, word: int, count: int) -> bytes:
        """Read words; raises `TagRefused`."""
        try:
            return await self._line.read_words(ReadRequest(self._target(epc), bank, word, count, self._password))
        except StatusError as error:
            raise refusal(error) from error
        except LocalFrameError as error:
            raise TagRefused("TOO_SMALL") from error

    async def write_words(self, epc: bytes, bank: int, word: int, data: bytes) -> None:
        """Write words; raises `TagRefused`."""
        try:
            await self._line.ask(WriteRequest(self._target(epc), bank, word, data, self._password))
        except StatusError as error:
            raise refusal(error) from error
        except LocalFrameError as error:
            raise TagRefused("TOO_SMALL") from error

    def _target(self, epc: bytes) -> Target:
        """By the whole EPC; a longer one than a command can name by a mask, where the family has them."""
        if len(epc) <= MAX_EPC_WORDS * 2:
            return Target(epc)
        if self._line.family == "18":
            raise TagRefused("WRITE_ERROR")
        return Target(mask=Mask(EPC_BANK, _EPC_AT, epc[:31]))


class UhfLink(Gen2Link):
    """One open line to a device, and which EPC is which tag now."""

    def __init__(self, port: Port, settings: UhfSettings, undo: dict[str, Before]) -> None:
        self._settings = settings
        self._line = UhfLine(port, settings.address, settings.family)
        self._form: bool | None = None
        self._refused: dict[int, tuple[int, str]] = {}
        memory = Memory(UhfRadio(self._line, settings.password))
        super().__init__(memory, settings.afi_pair, undo, read_tid=settings.tid != "never")
        self._counts["refused"] = 0

    @property
    def errors(self) -> int:
        """Time-outs, bad frames and refused inventories so far."""
        return self._line.errors + self._counts["refused"]

    def counters(self) -> Mapping[str, int]:
        """The line's, inventories refused, and tags too weak to be on the pad, found half-written, and repaired."""
        return {**self._line.counters(), **self._counts}

    async def begin(self) -> Mapping[str, Fact]:
        """Ask what the device is and set power and scan time where they differ: it keeps them in a memory that wears.

        Of the 288 family also find the fullest form of an inventory that it takes: with FastID, without, as it is set.
        """
        wanted = self._settings
        found = await self._line.information()
        with contextlib.suppress(StatusError):
            if wanted.power_dbm is not None and wanted.power_dbm != found.power_dbm:
                await self._line.ask(PowerRequest(wanted.power_dbm))
                found = await self._line.information()
            if self._line.family == "18" and wanted.scan_ms and wanted.scan_ms != found.scan_100ms * 100:
                await self._line.ask(ScanTimeRequest(max(3, wanted.scan_ms // 100)))
                found = await self._line.information()
        self._line.scan_s = self._scan_ms / 1000 if self._line.family == "288" else max(3, found.scan_100ms) / 10
        if self._line.family == "288":
            self._form = await self._form_taken()
        return {
            "firmware": f"{found.version[0]}.{found.version[1]}",
            "reader_type": found.type,
            "family": self._line.family,
            "power_dbm": found.power_dbm,
        }

    @property
    def _scan_ms(self) -> int:
        return self._settings.scan_ms or SCAN_MS

    async def beep(self, times: int, tenths: int) -> None:
        """Sound so many times; raises `DeviceRefused`."""
        try:
            await self._line.ask(BeepRequest(min(255, tenths * 2), 2, times))
        except StatusError as error:
            raise DeviceRefused("REFUSED", f"the RFID reader answered {error.code}") from error

    async def hear(self) -> Mapping[bytes, Heard]:
        """Every EPC that is strong enough at one of the antennas of this pad.

        Raises `TagRefused` where an antenna refused lately, or all do; one that refuses for good is left out, as `trouble` says.
        """
        heard: dict[bytes, SeenTag] = {}
        for antenna in self._antennas:
            for tag in await self._ask(antenna) or ():
                epc = bytes.fromhex(tag.epc)
                if not epc:
                    continue
                slack = RSSI_SLACK if self.is_named(epc) else 0
                if tag.rssi is not None and tag.rssi < self._settings.rssi_floor - slack:
                    self._counts["weak"] += 1
                    continue
                if epc in heard and heard[epc].tid != tag.tid:
                    self._counts["ambiguous"] += (
                        1  # two chips tell one EPC: of them none is written without its own TID
                    )
                if epc not in heard or (tag.rssi or 0) > (heard[epc].rssi or 0):
                    heard[epc] = tag
        if self.deaf or len(self._refused) > len(self._out()):
            raise TagRefused("WRITE_ERROR")  # else whoever lies at that antenna would seem to have left
        return {epc: Heard(bytes.fromhex(tag.tid)) for epc, tag in heard.items()}

    @property
    def _antennas(self) -> tuple[int, ...]:
        return self._settings.antennas if self._line.family == "288" else (1,)

    async def _form_taken(self) -> bool | None:
        for form in (True, False) if self._settings.tid == "auto" else (False,):
            for antenna in dict.fromkeys((_EVERY_DEVICE_HAS, *self._settings.antennas)):
                try:
                    await self._line.inventory(self._request(form, antenna))
                except StatusError as error:
                    if error.code in _WRONG_FORM:
                        continue
                return form  # taken, or refused for another reason than its form
        return None

    async def _ask(self, antenna: int) -> list[SeenTag] | None:
        """The tags of an antenna; None where it refuses."""
        try:
            if self._form is None and set(self._antennas) != {
                1
            }:  # it would tell the tags of whatever antenna it is set to
                raise StatusError(PARAMETER)
            found = await self._line.inventory(self._request(self._form, antenna))
        except StatusError as error:
            self._counts["refused"] += 1
            times, _ = self._refused.get(antenna, (0, ""))
            self._refused[antenna] = times + 1, error.code
            return None
        self._refused.pop(antenna, None)
        return found

    def _out(self) -> list[str]:
        """Why each antenna refuses that does so for good."""
        return [code for times, code in self._refused.values() if times >= REFUSED_AFTER]

    @property
    def deaf(self) -> bool:
        """Whether no antenna of this pad hears anything, for good."""
        return len(self._out()) == len(self._antennas)

    @property
    def trouble(self) -> Trouble:
        """Why a part of this pad, or all of it, is not heard now; "" = all is heard."""
        out = self._out()
        if not out:
            return ""
        return "ANTENNA_REFUSED" if _WRONG_ANTENNA & set(out) else "INVENTORY_REFUSED"

    def _request(self, form: bool | None, antenna: int) -> InventoryRequest:
        """``form``: with FastID or without; None = nothing but the command, as an 18 and some clones want it."""
        if form is None:
            return InventoryRequest()
        scan = max(1, min(255, self._scan_ms // 100))
        return InventoryRequest(self._settings.q, fast_id=form, antenna=antenna, scan_100ms=scan)
