"""The pad itself: takes frames from its line, acts on the tags that lie on it, answers as the device does."""

from __future__ import annotations

import asyncio
from typing import Literal

from firmware_sim.faults import Faults
from firmware_sim.feig.air import air_s
from firmware_sim.feig.scanner import Scanner
from firmware_sim.feig.tags import SimTag, TagStore
from firmware_sim.feig.tagwork import TagWork
from firmware_sim.pty import Line
from protocols.feig import (
    NOT_AVAILABLE,
    UNKNOWN_COMMAND,
    BadRequest,
    ClearBufferRequest,
    CpuResetRequest,
    DoneReply,
    Frame,
    Framer,
    ReadBufferExtendedRequest,
    ReadBufferRequest,
    Reply,
    Request,
    RfOutputRequest,
    StatusError,
    addressed_to,
    decode_request,
    encode_reply,
    encode_status,
)

FRAME_GAP_S = 0.012
"""Silence that ends an unfinished request (H20800)."""
BITS_PER_BYTE = 11
"""8E1: start, eight data bits, parity, stop."""
BOOT_S = 0.3
"""How long a pad is deaf after power came back."""
_TO_TAGS = frozenset({0xB0, 0xB1})


class SimPad:
    """One pad on a line. ``baudrate`` paces it like the wire and the air (None = at once); ``store`` may be shared.

    ``scans`` = buffered read mode: it finds ``scan_blocks`` blocks of every tag by itself, each again after ``valid_s``, and
    refuses host commands with 82 unless held in host mode. ``custom`` False = a CPR without maker's commands, ``old`` = a pad that
    takes outputs as masks only. ``form`` = the
    frames it understands, None both.
    """

    def __init__(
        self,
        line: Line,
        *,
        store: TagStore | None = None,
        address: int = 0,
        baudrate: int | None = None,
        faults: Faults | None = None,
        scans: bool = False,
        scan_blocks: int = 9,
        valid_s: float = 1.0,
        custom: bool = True,
        old: bool = False,
        form: Literal["standard", "advanced"] | None = None,
    ) -> None:
        self.line = line
        self.store = store if store is not None else TagStore()
        self.work = TagWork(faults if faults is not None else Faults(), custom=custom, old=old)
        self.requests = 0
        self.overlaps = 0
        """Requests that came before the answer to the one before: a host must not do that."""
        self.held = False
        self.scans = scans
        self._scanner = Scanner(
            lambda: self.work.on_pad.values(), blocks=scan_blocks, valid_s=valid_s, paced=baudrate is not None
        )
        self._address = address
        self._baudrate = baudrate
        self._form: Literal["standard", "advanced"] | None = form
        self._framer = Framer(form)
        self._gap: asyncio.TimerHandle | None = None
        self._free_at = 0.0
        self._deaf_until = 0.0

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        return self.work.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.work.faults = faults

    @property
    def tags(self) -> tuple[SimTag, ...]:
        """The tags lying on the pad."""
        return tuple(self.work.on_pad.values())

    def start(self) -> None:
        """Switch on and plug in."""
        self._framer = Framer(self._form)
        self._boot()
        self.line.plug(self._received)

    def stop(self) -> None:
        """Pull the plug; the tags stay where they lie."""
        self.line.unplug()
        if self._gap is not None:
            self._gap.cancel()

    def power_cycle(self, seconds: float = BOOT_S) -> None:
        """Lose power for a moment: deaf for ``seconds``, and nothing remembered but what is stored."""
        self._deaf_until = asyncio.get_running_loop().time() + seconds
        self._boot()

    def _boot(self) -> None:
        self.held = False
        self._scanner.reset(asyncio.get_running_loop().time())

    def place(self, tag: SimTag) -> SimTag:
        """Lay a tag on the pad."""
        self._scan()
        self.work.on_pad[tag.uid] = self.store.put(tag)
        return tag

    def remove(self, uid: str) -> SimTag | None:
        """Lift a tag and give it, with the AFI it has now; None where it does not lie here."""
        self._scan()
        return self.work.on_pad.pop(uid, None)

    def _scan(self) -> None:
        if self.scans:
            now = asyncio.get_running_loop().time()
            if self.held:
                self._scanner.skip(now)
            else:
                self._scanner.advance(now)

    def _received(self, data: bytes) -> None:
        if self._gap is not None:
            self._gap.cancel()
            self._gap = None
        self._take(self._framer.receive(data), len(data))
        if self._framer.pending:
            self._gap = asyncio.get_running_loop().call_later(FRAME_GAP_S, self._quiet)

    def _quiet(self) -> None:
        self._gap = None
        self._take(self._framer.idle(), 0)

    def _take(self, frames: list[Frame], received: int) -> None:
        now = asyncio.get_running_loop().time()
        for frame in frames:
            if addressed_to(frame, self._address) and now >= self._deaf_until:
                self.requests += 1
                self.overlaps += now < self._free_at
                self._scan()
                answer, request = self._answer(frame)
                self._send(answer, received, air_s(request, len(self.work.on_pad)))

    def _answer(self, frame: Frame) -> tuple[bytes, Request | None]:
        request: Request | None = None
        try:
            request = decode_request(frame)
            return encode_reply(self._address, request, self._act(request), frame.form), request
        except BadRequest as error:
            return encode_status(self._address, frame.command, error.status, frame=frame.form), request
        except StatusError as error:
            return encode_status(self._address, frame.command, error.status, error.detail, frame.form), request

    def _act(self, request: Request) -> Reply:
        self.work.check(request)
        match request:
            case ReadBufferRequest(sets=sets) | ReadBufferExtendedRequest(sets=sets):
                if not self.scans:
                    raise StatusError(UNKNOWN_COMMAND)
                return self._scanner.read(sets)
            case ClearBufferRequest():
                self._scanner.clear()
                return DoneReply()
            case RfOutputRequest(hold=hold):
                self.held = hold
                return DoneReply()
            case CpuResetRequest():
                self._boot()
                return DoneReply()
        if self.scans and not self.held and request.COMMAND in _TO_TAGS:
            raise StatusError(NOT_AVAILABLE)
        return self.work.act(request)

    def _send(self, answer: bytes, received: int, air_s: float) -> None:
        loop = asyncio.get_running_loop()
        delay = self.faults.slow_s
        if self._baudrate is not None:
            delay += (received + len(answer)) * BITS_PER_BYTE / self._baudrate + air_s
        at = max(loop.time(), self._free_at) + delay
        for piece in self.faults.spoil(answer):
            if at <= loop.time():
                self.line.write(piece)
            else:
                loop.call_at(at, self.line.write, piece)
            if self.faults.split:
                at = max(at, loop.time()) + 0.001
        self._free_at = at
