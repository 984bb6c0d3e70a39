"""The Modbus end of a simulated relay board: pymodbus' requests and answers, and the board's own flash registers."""

from __future__ import annotations

import struct

from pymodbus.constants import ExcCodes
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadCoilsResponse,
    ReadDiscreteInputsRequest,
    ReadDiscreteInputsResponse,
    WriteMultipleCoilsRequest,
    WriteMultipleCoilsResponse,
    WriteSingleCoilRequest,
    WriteSingleCoilResponse,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    WriteSingleRegisterRequest,
    WriteSingleRegisterResponse,
)

from firmware_sim.relay.board import Board

__all__ = ["Slave"]

FLASH_ON, FLASH_OFF = 0x0200, 0x0400
IDLE_S = 0.05
"""Silence that ends an unfinished request; 3.5 characters at 9600 baud are 4 ms, a busy machine needs more."""


class Slave:
    """Takes the bytes of a master and gives the answers for one unit; another unit's requests are passed over in silence."""

    def __init__(self, board: Board, *, unit: int, tcp: bool, flash: bool, many: bool, watchdog_register: int) -> None:
        self.board = board
        self._unit = unit
        self._flash = flash
        self._many = many
        self._register = watchdog_register
        self._decoder = DecodePDU(True)
        self._framer = FramerSocket(self._decoder) if tcp else FramerRTU(self._decoder)
        self._buffer = b""
        self._heard_at = 0.0
        self.requests = self.bad = self.flashes = 0

    def receive(self, data: bytes, now: float) -> list[bytes]:
        """Take bytes as they came; gives the answers."""
        if now - self._heard_at > IDLE_S:
            self._buffer = b""
        self._heard_at = now
        self._buffer = (self._buffer + data)[-600:]
        answers = []
        while self._buffer:
            try:
                used, unit, number, body = self._framer.decode(self._buffer)
            except (ModbusException, LookupError, struct.error):  # noise that looks like a function of unknown length
                used, unit, number, body = len(self._buffer), 0, 0, b""
            if not used:
                break
            self._buffer = self._buffer[used:]
            if not body:
                self.bad += 1
            elif unit == self._unit:
                answers.append(self._answer(body, unit, number, now))
        return answers

    def _answer(self, body: bytes, unit: int, number: int, now: float) -> bytes:
        self.requests += 1
        self.board.tick(now)
        self.board.asked_at = now
        if body[0] == 5 and len(body) == 5 and body[3:] not in (b"\xff\x00", b"\x00\x00"):
            if (refusal := self._flashed(body, now)) is None:
                return self._framer.encode(body, unit, number)
            answer: ModbusPDU = refusal
        else:
            request = self._decoder.decode(body)
            answer = (
                ExceptionResponse(body[0] & 0x7F, ExcCodes.ILLEGAL_FUNCTION)
                if request is None
                else self._serve(request, now)
            )
        answer.dev_id, answer.transaction_id = unit, number
        return self._framer.buildFrame(answer)

    def _flashed(self, body: bytes, now: float) -> ExceptionResponse | None:
        address, tenths = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:], "big")
        coil = address & 0xFF
        if not self._flash or address & 0xFF00 not in (FLASH_ON, FLASH_OFF):
            return ExceptionResponse(5, ExcCodes.ILLEGAL_VALUE)
        if coil >= len(self.board.relays) or tenths > 0x7FFF:
            return ExceptionResponse(5, ExcCodes.ILLEGAL_ADDRESS)
        self.flashes += 1
        self.board.flash(coil, address & 0xFF00 == FLASH_ON, tenths, now)
        return None

    def _serve(self, request: ModbusPDU, now: float) -> ModbusPDU:
        code, address, count = request.function_code, request.address, request.count
        # the inputs' request is a kind of the coils' in pymodbus, so it comes first
        if isinstance(request, ReadDiscreteInputsRequest):
            states = self.board.contacts
            if address + count <= len(states):
                return ReadDiscreteInputsResponse(bits=states[address : address + count])
        elif isinstance(request, ReadCoilsRequest):
            states = self.board.states(now)
            if address + count <= len(states):
                return ReadCoilsResponse(bits=states[address : address + count])
        elif isinstance(request, WriteSingleCoilRequest):
            if address < len(self.board.relays):
                self.board.write(address, request.bits[0], now)
                return WriteSingleCoilResponse(address=address, bits=request.bits)
        elif isinstance(request, WriteMultipleCoilsRequest) and self._many:
            if address + count <= len(self.board.relays):
                for coil, on in enumerate(request.bits, address):
                    self.board.write(coil, on, now)
                return WriteMultipleCoilsResponse(address=address, count=count)
        elif isinstance(request, WriteSingleRegisterRequest) and self._register >= 0:
            if address == self._register:
                self.board.watchdog_s = request.registers[0] / 10
                return WriteSingleRegisterResponse(address=address, registers=request.registers)
        elif isinstance(request, ReadHoldingRegistersRequest) and self._register >= 0:
            if (address, count) == (self._register, 1):
                return ReadHoldingRegistersResponse(registers=[round(self.board.watchdog_s * 10)])
        else:
            return ExceptionResponse(code, ExcCodes.ILLEGAL_FUNCTION)
        return ExceptionResponse(code, ExcCodes.ILLEGAL_ADDRESS)
