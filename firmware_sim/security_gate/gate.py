"""The gate: pushes tags that are carried through and keepalives, counts people, answers questions as an LRB25000 does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from firmware_sim.faults import Faults
from firmware_sim.feig.tags import BLOCK_SIZE
from firmware_sim.operated import FAULT_OPTIONS, Operated, faults_of, hex_bytes, number
from firmware_sim.pty import CallingLine
from firmware_sim.scene import Step
from firmware_sim.simulators import Options, Simulator, refuse_unknown
from protocols.feig import (
    UNKNOWN_COMMAND,
    BadRequest,
    BufferReply,
    ClearBufferRequest,
    ConfigurationReply,
    CpuResetRequest,
    DoneReply,
    Frame,
    Framer,
    InputsReply,
    InputsRequest,
    OutputChange,
    ReadBufferExtendedRequest,
    ReadBufferRequest,
    ReadConfigurationRequest,
    Reply,
    Request,
    SetOutputRequest,
    StatusError,
    TagRecord,
    VersionReply,
    VersionRequest,
    WriteConfigurationRequest,
    addressed_to,
    decode_request,
    encode_reply,
    encode_status,
)
from protocols.feig import gate as wire
from protocols.feig.records import HAS_ANTENNA, HAS_DATA, HAS_ID
from protocols.frames import FrameError
from protocols.iso28560 import DEFAULT_AFI, AfiPair, encode_part3

Operation = Mapping[str, Any]
SILENT = wire.ALARM_OFF[7:]
SOUNDING = bytes.fromhex("0F01000A") + bytes(26)
"""Block 9 as this gate is delivered; its content with alarm differs from site to site (invented)."""
BLOCKS = 9
KINDS = HAS_ID | HAS_DATA | HAS_ANTENNA
TABLE, FRAME_GAP_S, BOOT_S = 100, 0.012, 0.5
MODULUS = 1 << 32
_DEMO_UID, _DEMO_BLOCKS = (
    "E00401500A203FA3", encode_part3("01234567890", "CN-251020", usage=1, parts=1, part=1, size=34).ljust(36, b"\0").hex(),
)  # fmt: skip


class SimSecurityGate(Operated):
    """One gate. ``pushes`` False = it keeps tags in its buffer until it is asked; ``selects`` "secured" = it tells only those.

    Operations: ``pass`` {uid, dsfid, afi, blocks, antenna, direction, times}, ``people`` {came, left}, ``overflow`` (the counters
    stand shortly before their end), ``clock_reset`` (they begin at zero), ``power_cycle``, ``tamper`` {active}, ``input`` {input_no,
    active}, ``set_alarm`` {on}.
    """

    kind = "gate"
    demo = (
        Step(0.0, {"op": "pass", "uid": _DEMO_UID, "afi": 7, "blocks": _DEMO_BLOCKS, "antenna": 1}),
        Step(0.5, {"op": "people", "came": 1, "left": 1}),
        Step(4.9, {"op": "state"}),
    )

    def __init__(
        self,
        url: str,
        *,
        faults: Faults | None = None,
        pushes: bool = True,
        selects: str = "all",
        keepalive_s: float = 5.0,
        pair: AfiPair = DEFAULT_AFI,
        people: bool = True,
        tamper_input: int = 2,
    ) -> None:
        super().__init__(url, faults)
        self._pushes, self._selects, self._keepalive_s, self._pair = pushes, selects, keepalive_s, pair
        self._people, self._tamper_input = people, tamper_input
        self._framer = Framer("advanced")
        self._gap: asyncio.TimerHandle | None = None
        self._deaf = False
        self._block = SOUNDING
        self._counts = [0, 0]
        self._inputs = 0
        self._buffer: list[TagRecord] = []
        self._given, self._overflow = 0, False
        self.outputs: list[tuple[OutputChange, ...]] = []
        self.sounded = self.passed = self.acknowledged = self.requests = 0
        self._acts |= {
            "pass": self._pass, "people": self._count, "overflow": self._wrap, "clock_reset": self._zero,
            "power_cycle": self._power_cycle, "tamper": self._tamper, "input": self._input, "set_alarm": self._set_alarm,
        }  # fmt: skip

    def power(self, on: bool) -> None:
        """Start the keepalive, forget the buffer."""
        self._buffer.clear()
        self._framer = Framer("advanced")
        if on and self._keepalive_s > 0:
            self._keepalive()

    def _keepalive(self) -> None:
        self.later(self._keepalive_s, self._keepalive)
        if self._pushes:
            self._push(Frame(0, wire.KEEPALIVE, bytes(3)))

    def _push(self, frame: Frame) -> None:
        if not self._deaf and self.plugged:
            self.say(frame.to_bytes())

    def state(self) -> dict[str, Any]:
        """Plugged, alarm, what passed and sounded, counters."""
        return {
            "plugged": self.plugged, "alarm": self.alarm, "passed": self.passed, "sounded": self.sounded,
            "in": self._counts[0], "out": self._counts[1], "outputs": len(self.outputs), "requests": self.requests,
            "acknowledged": self.acknowledged, "tamper": bool(self._inputs >> self._tamper_input & 1),
        }  # fmt: skip

    @property
    def alarm(self) -> bool:
        """Whether the gate sounds for a secured tag."""
        return self._block != SILENT

    # --- what people do ---

    def _pass(self, operation: Operation) -> dict[str, Any]:
        uid = hex_bytes(operation["uid"], 8, 8).hex().upper()
        afi = int(number(operation.get("afi", self._pair.secured), 0, 255))
        blocks = hex_bytes(operation.get("blocks", ""), 0, 1024)[: BLOCKS * BLOCK_SIZE]
        blocks = blocks.ljust(BLOCKS * BLOCK_SIZE, b"\0")
        antenna = int(number(operation.get("antenna", 1), 0, 255))
        times = int(number(operation.get("times", 1), 1, 50))
        direction = operation.get("direction", "")
        if direction not in ("IN", "OUT", ""):
            raise ValueError("direction is IN or OUT")
        secured = afi == self._pair.secured
        sounds = secured and self.alarm and not self._deaf
        self.passed += 1
        self.sounded += sounds
        if direction:
            self._add(*((1, 0) if direction == "IN" else (0, 1)))
        if secured or self._selects == "all":
            record = TagRecord(0, 0x03, uid, BLOCKS, BLOCK_SIZE, blocks, antenna)
            for turn in range(times):
                self.later(turn * 0.05, lambda: self._tell(record))
        return {"sounded": sounds}

    def _tell(self, record: TagRecord) -> None:
        if self._deaf:
            return
        if self._pushes:
            self._push(Frame(0, ReadBufferRequest.COMMAND, BufferReply((record,), KINDS).to_body()))
        elif len(self._buffer) < TABLE:
            self._buffer.append(record)
        else:
            self._overflow = True

    def _count(self, operation: Operation) -> dict[str, Any]:
        self._add(int(number(operation.get("came", 0), 0, 10_000)), int(number(operation.get("left", 0), 0, 10_000)))
        return {"in": self._counts[0], "out": self._counts[1]}

    def _add(self, came: int, left: int) -> None:
        self._counts = [(self._counts[0] + came) % MODULUS, (self._counts[1] + left) % MODULUS]

    # --- what goes wrong ---

    def _wrap(self, _: Operation) -> dict[str, Any]:
        self._counts = [MODULUS - 2, MODULUS - 2]
        return {}

    def _zero(self, _: Operation) -> dict[str, Any]:
        self._counts = [0, 0]
        return {}

    def _power_cycle(self, operation: Operation) -> dict[str, Any]:
        seconds = number(operation.get("seconds", BOOT_S), 0, 60)
        self._deaf, self._counts = True, [0, 0]
        self._buffer.clear()
        if isinstance(self.line, CallingLine):
            self.line.forget()
            self.line.unplug()
            self.plugged = False
        self.later(seconds, self._wake)
        return {}

    def _wake(self) -> None:
        self._deaf = False
        self._plug({})

    def _tamper(self, operation: Operation) -> dict[str, Any]:
        return self._input({"input_no": self._tamper_input, "active": operation["active"]})

    def _input(self, operation: Operation) -> dict[str, Any]:
        bit = 1 << int(number(operation["input_no"], 0, 2))
        self._inputs = self._inputs | bit if operation.get("active", True) else self._inputs & ~bit
        return {}

    def _set_alarm(self, operation: Operation) -> dict[str, Any]:
        self._block = SOUNDING if operation["on"] else SILENT
        return {}

    # --- what a host asks ---

    def received(self, data: bytes) -> None:
        """Frames of the host, ended by silence where they are not whole."""
        if self._gap is not None:
            self._gap.cancel()
            self._gap = None
        self._take(self._framer.receive(data))
        if self._framer.pending:
            self._gap = self.later(FRAME_GAP_S, lambda: self._take(self._framer.idle()))

    def _take(self, frames: list[Frame]) -> None:
        for frame in frames:
            if addressed_to(frame, 0) and not self._deaf:
                self.requests += 1
                self.say(self._answer(frame))

    def _answer(self, frame: Frame) -> bytes:
        if frame.command == wire.PIGGYBACK:
            return Frame(0, wire.PIGGYBACK, self._counter(frame.body)).to_bytes()
        try:
            request = decode_request(frame)
            return encode_reply(0, request, self._act(request))
        except BadRequest as error:
            return encode_status(0, frame.command, error.status)
        except StatusError as error:
            return encode_status(0, frame.command, error.status, error.detail)

    def _counter(self, body: bytes) -> bytes:
        try:
            asked = wire.decode_counter(body)
        except FrameError:
            return bytes((0x02,))
        if not self._people or asked.from_device or asked.inner.address != wire.COUNTER_ADDRESS:
            return bytes((UNKNOWN_COMMAND,))
        if asked.inner.command == wire.COUNTER_READ:
            return wire.counter_reply(wire.COUNTER_READ, (self._counts[0], self._counts[1]))
        if asked.inner.command == wire.COUNTER_SET and asked.counts is not None:
            self._counts = list(asked.counts)
            return wire.counter_reply(wire.COUNTER_SET)
        return wire.counter_reply(asked.inner.command, status=UNKNOWN_COMMAND)

    def _act(self, request: Request) -> Reply:
        match request:
            case VersionRequest():
                return VersionReply((2, 6), 0, 0, 0x5B)
            case ReadBufferRequest(sets=sets) | ReadBufferExtendedRequest(sets=sets):
                self._given = min(sets, len(self._buffer))
                more = self._given < len(self._buffer)
                return BufferReply(tuple(self._buffer[: self._given]), KINDS, self._overflow, more)
            case ClearBufferRequest():
                self.acknowledged += 1
                del self._buffer[: self._given]
                self._given, self._overflow = 0, False
                return DoneReply()
            case InputsRequest():
                return InputsReply(self._inputs)
            case SetOutputRequest(outputs=outputs):
                self.outputs.append(outputs)
                return DoneReply()
            case ReadConfigurationRequest(block=wire.ALARM_BLOCK):
                return ConfigurationReply(wire.ALARM_BLOCK, self._block)
            case WriteConfigurationRequest(block=wire.ALARM_BLOCK, data=data) if len(data) == len(SILENT):
                if not self.faults.happens(self.faults.forget):
                    self._block = data
                return DoneReply()
            case CpuResetRequest():
                return DoneReply()
        raise StatusError(UNKNOWN_COMMAND)


_YES_NO = {"0": False, "1": True, "false": False, "true": True}


def simulate(url: str, options: Options) -> Simulator:
    """Make it at ``pty:LINK``, ``tcp:HOST:PORT`` (it listens there) or ``connect:HOST:PORT`` (it calls its host).

    Options: seed, noise, drop, double, bad_crc (0..1), slow_s, push (true), select (all, secured), keepalive_s (5, 0 = never),
    people (true), afi_secured, afi_on_loan. Raises `ValueError`, `firmware_sim.pty.LineError`.
    """
    refuse_unknown(options, (*FAULT_OPTIONS, "push", "select", "keepalive_s", "people", "afi_secured", "afi_on_loan"))
    push, people, select = options.get("push", "true"), options.get("people", "true"), options.get("select", "all")
    if push not in _YES_NO or people not in _YES_NO or select not in ("all", "secured"):
        raise ValueError("push and people are true or false, select is all or secured")
    pair = AfiPair(int(options.get("afi_secured", "7"), 0), int(options.get("afi_on_loan", "0xC2"), 0))
    return SimSecurityGate(
        url, faults=faults_of(options), pushes=_YES_NO[push], selects=select,
        keepalive_s=float(options.get("keepalive_s", "5")), pair=pair, people=_YES_NO[people],
    )  # fmt: skip
