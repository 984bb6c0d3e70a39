"""One Modbus line to a relay board: a question, its answer, time-outs, and no answer ever taken from another unit.

pymodbus gives requests, answers and their encoding; the bytes go through our own port layer, so that URLs, exclusive opening
and error codes are those of every device. An RTU answer carries no number of its question, so its unit, function, length and,
for a write, its echo must all be right; a Modbus TCP answer must carry the number of the question asked last.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Mapping
from typing import Literal, TypeAlias

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteMultipleCoilsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.register_message import WriteSingleRegisterRequest

from drivers.base import DeviceOffline, DeviceRefused
from drivers.port import Port

__all__ = ["FLASH_OFF", "FLASH_ON", "ORDER_TRIES", "FlashRequest", "Framing", "ModbusLine", "PduRefused"]

Framing: TypeAlias = Literal["rtu", "tcp"]
ANSWER_S = 0.3
"""Wait for an answer: a board answers within 20 ms, 30 bytes take 31 ms at 9600 baud, and converters add their own."""
TRIES = 8
GIVE_UP_S = 1.6
"""A board counts as gone after so long, or so many questions, without one sound answer."""
ORDER_TRIES = 2
"""An order to open that nobody answers is sent so often and no oftener: a converter that hangs works off every one of them later."""
PAUSE_S = 0.004
"""Silence before a question: 3.5 characters at 9600 baud (Modbus over serial line 1.02, 2.5.1.1)."""
QUIET_S = 0.03
"""After a missed answer, silence that says that no late one is under way."""
FLASH_ON, FLASH_OFF = 0x0200, 0x0400
"""First coil address of "on (off) for so long, then back" on boards of the Waveshare kind; the value counts 100 ms, 1..32767."""
_ON = 0xFF00


class PduRefused(DeviceRefused):
    """The board answered with an exception; ``exception_code`` is Modbus' own (2 = no such address), ``code`` MODBUS_EXCEPTION."""

    def __init__(self, exception_code: int) -> None:
        super().__init__("MODBUS_EXCEPTION", f"the relay board refused with Modbus exception {exception_code}")
        self.exception_code = exception_code


class FlashRequest(WriteSingleCoilRequest):
    """Function 05 with a time instead of FF00: relay ``coil`` on, or off, for ``tenths`` of a second, then back by itself."""

    def __init__(self, first: int, coil: int, tenths: int, unit: int) -> None:
        super().__init__(address=first + coil, bits=[True], dev_id=unit)
        self.tenths = tenths

    def encode(self) -> bytes:
        """Address and time."""
        return struct.pack(">HH", self.address, self.tenths)


class ModbusLine:
    """Asks one unit questions over an open port; not re-entrant, the gate holds a lock."""

    def __init__(self, port: Port, unit: int, framing: Framing) -> None:
        self._port = port
        self._unit = unit
        self._framing = framing
        decoder = DecodePDU(False)
        self._decoder = decoder
        self._framer = FramerRTU(decoder) if framing == "rtu" else FramerSocket(decoder)
        self._number = 0
        self._in_step = True
        self._counts = {"commands": 0, "frames": 0, "timeouts": 0, "bad_frames": 0, "noisy": 0}
        self.heard_ns: int | None = None
        """When the last sound answer came (monotonic)."""

    @property
    def errors(self) -> int:
        """Time-outs, bad frames and questions disturbed by stray bytes so far."""
        return self._counts["timeouts"] + self._counts["bad_frames"] + self._counts["noisy"]

    def counters(self) -> Mapping[str, int]:
        """Questions sent, sound answers, time-outs, senseless answers, and ``noisy``: questions before or within whose answer
        there were stray bytes; since the port was opened."""
        return dict(self._counts)

    async def inputs(self, count: int) -> list[bool]:
        """Read discrete inputs 0 to ``count`` - 1 (function 02)."""
        answer = await self._ask(
            ReadDiscreteInputsRequest(address=0, count=count, dev_id=self._unit), 2 + (count + 7) // 8
        )
        return list(answer.bits[:count])

    async def coils(self, count: int) -> list[bool]:
        """Read coils 0 to ``count`` - 1 (function 01)."""
        answer = await self._ask(ReadCoilsRequest(address=0, count=count, dev_id=self._unit), 2 + (count + 7) // 8)
        return list(answer.bits[:count])

    async def write_coil(self, coil: int, on: bool, *, unanswered: int = TRIES) -> None:
        """Switch one coil (function 05), sent ``unanswered`` times at most where nothing comes back."""
        await self._ask(WriteSingleCoilRequest(address=coil, bits=[on], dev_id=self._unit), 5, unanswered)

    async def withdraw(self, coil: int, on: bool) -> None:
        """Send one coil's state behind an order that got no answer, and wait for none: what is late comes in this order."""
        self._in_step = False
        self._counts["commands"] += 1
        self._number = self._number % 0xFFFF + 1
        request = WriteSingleCoilRequest(address=coil, bits=[on], dev_id=self._unit)
        request.transaction_id = self._number
        if self._framing == "rtu":
            await asyncio.sleep(PAUSE_S)
        await self._port.write(self._framer.buildFrame(request))

    async def write_coils(self, states: list[bool]) -> None:
        """Switch coils 0 and up at once (function 15), one by one on a board that does not know it."""
        try:
            await self._ask(WriteMultipleCoilsRequest(address=0, bits=states, dev_id=self._unit), 5)
        except PduRefused as error:
            if error.exception_code != 1:
                raise
            for coil, on in enumerate(states):
                await self.write_coil(coil, on)

    async def flash(self, coil: int, tenths: int, *, on: bool, unanswered: int = TRIES) -> None:
        """Let the board itself switch a coil for 1..32767 tenths of a second and back; ``unanswered`` as in `write_coil`."""
        await self._ask(FlashRequest(FLASH_ON if on else FLASH_OFF, coil, tenths, self._unit), 5, unanswered)

    async def write_register(self, register: int, value: int) -> None:
        """Write one holding register (function 06)."""
        await self._ask(WriteSingleRegisterRequest(address=register, registers=[value], dev_id=self._unit), 5)

    async def _ask(self, request: ModbusPDU, size: int, unanswered: int = TRIES) -> ModbusPDU:
        """Send a question and give its answer of ``size`` bytes, asking again over a bad line (every question may be repeated).

        A spoiled answer says that the question arrived and does not wait anywhere; only silence counts for ``unanswered``.
        Raises `PduRefused`, `DeviceOffline` NO_ANSWER, `PortError`.
        """
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + GIVE_UP_S
        silences = self._counts["timeouts"]
        for _ in range(TRIES):
            if loop.time() >= give_up_at or self._counts["timeouts"] - silences >= unanswered:
                break
            await self._silence()
            answer = await self._exchange(request, size)
            if isinstance(answer, ExceptionResponse):
                raise PduRefused(answer.exception_code)
            if answer is not None:
                return answer
        raise DeviceOffline("NO_ANSWER", "the relay board does not answer")

    async def _silence(self) -> None:
        """Push late answers and noise out of the line before the next question."""
        if self._framing == "rtu":
            await asyncio.sleep(PAUSE_S)
        self._counts["noisy"] += self._port.discard() > 0
        if not self._in_step:
            end = asyncio.get_running_loop().time() + ANSWER_S
            while asyncio.get_running_loop().time() < end:
                try:
                    async with asyncio.timeout(QUIET_S):
                        await self._port.read(4096)
                except TimeoutError:
                    return

    async def _exchange(self, request: ModbusPDU, size: int) -> ModbusPDU | None:
        loop = asyncio.get_running_loop()
        self._number = self._number % 0xFFFF + 1
        request.transaction_id = self._number
        self._counts["commands"] += 1
        self._in_step = False  # until the answer is here; a cancelled question leaves it so
        body = bytes([request.function_code]) + request.encode()
        await self._port.write(self._framer.buildFrame(request))
        deadline, heard = loop.time() + ANSWER_S, bytearray()
        anything = False
        while (left := deadline - loop.time()) > 0:
            try:
                async with asyncio.timeout(left):
                    heard += await self._port.read(4096)
            except TimeoutError:
                break
            anything = True
            found = self._find(bytes(heard), body, size)
            if found is not None and (answer := self._decoder.decode(found)) is not None:
                self._in_step = True
                self._counts["frames"] += 1
                self._counts["noisy"] += len(heard) > len(found) + (3 if self._framing == "rtu" else 7)
                self.heard_ns = time.monotonic_ns()
                return answer
            del heard[:-300]  # longer than any answer: what is older cannot become one
        self._counts["bad_frames" if anything else "timeouts"] += 1
        return None

    def _find(self, heard: bytes, body: bytes, size: int) -> bytes | None:
        """Find the answer to ``body`` in what was heard, wherever it begins; gives its function and data."""
        for at in range(len(heard)):
            found = self._rtu(heard[at:], size) if self._framing == "rtu" else self._tcp(heard[at:])
            if not found:
                continue
            if len(found) == 2 and found[0] == body[0] | 0x80:
                return found
            # a read says how many bytes follow, a write repeats what was asked
            if (
                len(found) == size
                and found[0] == body[0]
                and (found[1] == size - 2 if body[0] in (1, 2) else found == body[:size])
            ):
                return found
        return None

    def _rtu(self, data: bytes, size: int) -> bytes | None:
        if len(data) < 5 or data[0] != self._unit:
            return None
        end = 3 if data[1] & 0x80 else 1 + size
        if len(data) < end + 2 or not FramerRTU.check_CRC(data[:end], int.from_bytes(data[end : end + 2], "big")):
            return None
        return data[1:end]

    def _tcp(self, data: bytes) -> bytes | None:
        if len(data) < 9 or data[:4] != self._number.to_bytes(2, "big") + b"\0\0" or data[6] != self._unit:
            return None
        length = int.from_bytes(data[4:6], "big")
        return data[7 : 6 + length] if 3 <= length <= 254 and len(data) >= 6 + length else None
