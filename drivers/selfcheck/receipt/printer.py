"""The receipt printer as a driver: a bounded queue, one receipt at a time, and an honest word about what came of it.

A receipt counts as printed when the printer answers a question sent behind it, which it does only once everything before is
on paper. That answer is one byte without a check value, and 00 is also what a line reads when it breaks: it is asked for twice, and
believed only from a printer that tells its sensors right after. Whatever goes wrong after the first byte is uncertain: the error
says so, the printer's buffers are cleared so that the rest never comes out later, and nothing is printed again by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from drivers.base import (
    Backoff,
    Capabilities,
    DeviceOffline,
    DeviceState,
    DriverError,
    Emit,
    Fact,
    Receipt,
    State,
)
from drivers.port import Port
from drivers.selfcheck.receipt.rendering import Cut, render
from drivers.selfcheck.receipt.status import ASK_TURN, CANCEL, STATUS_QUESTIONS, PrinterStatus, is_realtime, is_turn
from drivers.selfcheck.receipt.transport import line_speed, open_printer, parse_printer_url

__all__ = ["PrinterError", "ReceiptPrinter"]

QUEUE = 8
"""Receipts waiting; more means that the printer stands and readers should be told so."""
PRINT_S = 10.0
"""A receipt of 200 lines takes 7 s at 150 mm/s; what a serial line takes to carry it comes on top."""
PROOFS = 2
"""Answers in its turn after which a receipt counts: one stray byte is none."""
BITS_PER_BYTE = 10
"""8N1: start, eight data bits, stop."""
WAIT_S = 10.0
"""A receipt that could not begin in this time is not wanted any more: its reader has gone."""
ANSWER_S = 0.6
GLANCE_S = 0.5
"""While a receipt is under way the sensors are asked so often."""
MISSES = 5
"""Questions unanswered in a row after which the printer counts as gone; some may be lost on a bad line."""
MOST_ANSWERS = 4
"""Answers that may lie on the line together, where some were late."""
PAUSE_S = 0.05
PIECE = 1024
"""Bytes of one write, less where the line carries less in a second: a write has a deadline of its own."""


class PrinterError(DriverError):
    """A receipt that was not printed: PAPER_OUT, COVER_OPEN, PRINTER_FAULT, DEVICE_OFFLINE or QUEUE_FULL.

    ``uncertain`` False: nothing of it is on paper. True: some or all of it may be, and whoever prints it again risks a double.
    """

    retry = True

    def __init__(self, code: str, message: str, *, uncertain: bool = False) -> None:
        super().__init__(code, message)
        self.uncertain = uncertain


@dataclass(slots=True, eq=False)
class _Job:
    receipt: Receipt
    done: asyncio.Future[None]
    begun: bool = False


@dataclass(slots=True)
class _Counts:
    opened: int = 0
    commands: int = 0
    frames: int = 0
    bad_frames: int = 0
    timeouts: int = 0
    printed: int = 0
    failed: int = 0
    uncertain: int = 0
    replaced_chars: int = 0


@dataclass(slots=True)
class _Line:
    """An open way to the printer and what it told last."""

    port: Port
    status: PrinterStatus = field(default_factory=PrinterStatus)
    misses: int = 0


class ReceiptPrinter:
    """An ESC/POS printer; ``two_way`` False where its port gives no answers (then a receipt sent counts as printed).

    ``encoding`` is "gbk" or one of `drivers.selfcheck.receipt.rendering.CODE_PAGES`. Rendering runs in a thread.
    """

    kind = "printer"
    capabilities = Capabilities(
        events=frozenset({"DeviceState"}), commands=frozenset({"print_receipt"}), isolation="thread"
    )

    def __init__(
        self,
        device: str,
        url: str,
        *,
        encoding: str = "gbk",
        cut: Cut = "full",
        two_way: bool = True,
        poll_s: float = 2.0,
        baudrate: int = 19200,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self.device = device
        self._where = parse_printer_url(url)
        self._encoding = encoding
        self._cut: Cut = cut
        self._two_way = two_way and self._where.way != "file"
        self._poll_s = poll_s
        self._baudrate = baudrate
        self._bits_per_s = line_speed(self._where, baudrate)
        self._backoff = Backoff(uniform)
        self._emit: Emit = lambda _event: None
        self._told: tuple[State, str, PrinterStatus] = ("offline", "STARTING", PrinterStatus())
        self._jobs: deque[_Job] = deque()
        self._wake = asyncio.Event()
        self._online = False
        self._unclean = False
        self._last_frame: float | None = None
        self._counts = _Counts()

    def health(self) -> Mapping[str, Fact]:
        """Give state, paper, cover, receipts waiting, counters since start, ms since the last answer (-1 = none yet)."""
        state, reason, status = self._told
        age = -1 if self._last_frame is None else int((asyncio.get_running_loop().time() - self._last_frame) * 1000)
        counts = {name: getattr(self._counts, name) for name in _Counts.__slots__}
        return {
            "state": state, "reason_code": reason, "last_frame_ms": age, "waiting": len(self._jobs), **_facts(status), **counts,
        }  # fmt: skip

    async def print_receipt(self, receipt: Receipt) -> None:
        """Print and cut; at most 20 s, of which 10 waiting, and as long as a serial line takes to carry it (42 kB at 19200 baud: 22 s).

        Raises `PrinterError`; nothing is printed twice by itself.

        Cancelled before its turn it is withdrawn; cancelled later it comes out all the same.
        """
        if not self._online:
            raise PrinterError("DEVICE_OFFLINE", "the printer does not answer")
        self._jobs = deque(job for job in self._jobs if not job.done.done())
        if len(self._jobs) >= QUEUE:
            raise PrinterError("QUEUE_FULL", f"{QUEUE} receipts wait already")
        loop = asyncio.get_running_loop()
        job = _Job(receipt, loop.create_future())
        self._jobs.append(job)
        self._wake.set()
        given_up = loop.call_later(WAIT_S, _give_up, job)
        try:
            await job.done
        except PrinterError as error:
            self._counts.failed += 1
            self._counts.uncertain += error.uncertain
            raise
        finally:
            given_up.cancel()

    async def run(self, emit: Emit) -> None:
        """Serve the printer until cancelled."""
        self._emit = emit
        try:
            while True:
                await self._attempt()
                await asyncio.sleep(self._backoff.next_s())
        finally:
            self._lose()
            self._told = ("offline", "STOPPED", PrinterStatus())

    async def _attempt(self) -> None:
        port: Port | None = None
        try:
            port = await open_printer(self._where, self._baudrate)
            self._counts.opened += 1
            await self._serve(_Line(port))
        except DeviceOffline as error:
            self._tell("offline", error.code, PrinterStatus())
        finally:
            self._lose()
            if port is not None:
                await port.close()

    def _lose(self) -> None:
        self._online = False
        while self._jobs:
            _fail(self._jobs.popleft(), PrinterError("DEVICE_OFFLINE", "the printer was lost before its turn"))

    async def _serve(self, line: _Line) -> None:
        if self._unclean:  # what was under way when the line was lost must not come out now
            await self._write(line, CANCEL + b"\x1b@")
            self._unclean = False
        while True:
            await self._look(line)
            self._backoff.reset()
            self._online = True
            self._show(line.status)
            self._wake.clear()
            if not self._jobs:
                with contextlib.suppress(TimeoutError):
                    # not wait_for, which in Python 3.11 may swallow a cancellation
                    async with asyncio.timeout(self._poll_s):
                        await self._wake.wait()
            while self._jobs:
                job = self._jobs.popleft()
                if not job.done.done():
                    await self._print(line, job)

    # --- status -------------------------------------------------------------------------------------------------------

    async def _look(self, line: _Line) -> None:
        """Ask cover and paper; raises `DeviceOffline` NO_ANSWER after `MISSES` looks without one."""
        if not self._two_way:
            return
        while True:
            if await self._ask_all(line):
                return
            if line.misses >= MISSES:
                raise DeviceOffline("NO_ANSWER", "the printer does not answer")

    async def _ask_all(self, line: _Line) -> bool:
        for question in STATUS_QUESTIONS:
            status = await self._ask(line, question)
            if status is not None and status != line.status:
                # a byte has no check value: what is new is believed when it is told twice
                status = status if status == await self._ask(line, question) else None
            if status is None:
                line.misses += 1
                return False
            line.misses = 0
            line.status = status
        return True

    async def _ask(self, line: _Line, question: bytes) -> PrinterStatus | None:
        line.port.discard()
        self._counts.commands += 1
        await self._write(line, question)
        answer = await self._hear(line, is_realtime, ANSWER_S)
        if answer is None:
            self._counts.timeouts += 1
            return None
        return line.status.told(question, answer)

    async def _write(self, line: _Line, data: bytes) -> None:
        """Send a few bytes; raises `DeviceOffline` NO_ANSWER where the printer takes none."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await line.port.write(data)
        except TimeoutError as error:
            raise DeviceOffline("NO_ANSWER", "the printer takes no bytes") from error

    async def _hear(self, line: _Line, wanted: Callable[[int], bool], seconds: float) -> int | None:
        """Wait for a byte of the wanted kind; among noise there is none, because an answer has no check value: ask again."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(loop.time() + seconds):
                while True:
                    data = await line.port.read(256)
                    found = {byte for byte in data if wanted(byte)}
                    if (
                        len(data) > MOST_ANSWERS
                        or len(found) > 1
                        or not all(is_realtime(b) or is_turn(b) for b in data)
                    ):
                        self._counts.bad_frames += 1
                        await asyncio.sleep(PAUSE_S)
                        return None
                    if found:
                        self._counts.frames += 1
                        self._last_frame = loop.time()
                        return found.pop()
        return None

    def _show(self, status: PrinterStatus) -> None:
        if status.paper == "out":
            self._tell("offline", "PAPER_OUT", status)
        elif status.cover_open:
            self._tell("offline", "COVER_OPEN", status)
        elif status.error:
            self._tell("offline", "PRINTER_FAULT", status)
        elif status.paper == "near_end":
            self._tell("degraded", "PAPER_LOW", status)
        else:
            self._tell("online", "OK", status)

    def _tell(self, state: State, reason: str, status: PrinterStatus) -> None:
        if (state, reason, status) != self._told:
            self._told = (state, reason, status)
            self._emit(DeviceState(self.device, state, reason, _facts(status)))

    # --- printing -----------------------------------------------------------------------------------------------------

    async def _print(self, line: _Line, job: _Job) -> None:
        job.begun = True
        rendered = await asyncio.to_thread(render, job.receipt, encoding=self._encoding, cut=self._cut)
        await self._look_for(line, job)
        if (why := _trouble(line.status)) is not None:
            self._show(line.status)
            _fail(job, PrinterError(*why))
            return
        self._unclean = True
        try:
            async with asyncio.timeout(PRINT_S + self._carry_s(len(rendered.data))):
                piece = min(PIECE, (self._bits_per_s or PIECE * BITS_PER_BYTE) // BITS_PER_BYTE)
                for at in range(0, len(rendered.data), piece):
                    await line.port.write(rendered.data[at : at + piece])
                await self._confirm(line)
        except TimeoutError:
            await self._broken(line, job, ("DEVICE_OFFLINE", "the printer did not finish in time"))
        except PrinterError as error:
            await self._broken(line, job, (error.code, str(error)))
        except (DeviceOffline, asyncio.CancelledError):
            _fail(job, PrinterError("DEVICE_OFFLINE", "the printer was lost while printing", uncertain=True))
            raise
        else:
            self._unclean = False
            self._counts.printed += 1
            self._counts.replaced_chars += rendered.replaced
            if not job.done.done():
                job.done.set_result(None)

    async def _look_for(self, line: _Line, job: _Job) -> None:
        try:
            await self._look(line)
        except (DeviceOffline, asyncio.CancelledError):
            _fail(job, PrinterError("DEVICE_OFFLINE", "the printer does not answer"))
            raise

    def _carry_s(self, count: int) -> float:
        return count * BITS_PER_BYTE / self._bits_per_s if self._bits_per_s else 0.0

    async def _confirm(self, line: _Line) -> None:
        """Wait until everything is on paper; raises `PrinterError` as soon as the sensors say that it cannot be."""
        if not self._two_way:
            return
        line.port.discard()
        proofs = 0
        while True:
            await self._write(line, ASK_TURN)  # asking again prints nothing
            answered = await self._hear(line, is_turn, GLANCE_S) is not None
            alive = await self._ask_all(line)
            if (why := _trouble(line.status)) is not None:
                raise PrinterError(*why)
            proofs += answered and alive  # a printer that loses power breaks its line: that reads 00, and then nothing
            if proofs >= PROOFS:
                return

    async def _broken(self, line: _Line, job: _Job, why: tuple[str, str]) -> None:
        try:
            await self._write(line, CANCEL + b"\x1b@")
            self._unclean = False
        finally:
            _fail(job, PrinterError(why[0], f"{why[1]}; the receipt may be printed in part", uncertain=True))
        self._show(line.status)


def _trouble(status: PrinterStatus) -> tuple[str, str] | None:
    if status.paper == "out":
        return "PAPER_OUT", "the printer has no paper"
    if status.cover_open:
        return "COVER_OPEN", "the printer's cover is open"
    if status.error:
        return "PRINTER_FAULT", "the printer reports a fault of its own; switch it off and on"
    return None


def _fail(job: _Job, error: PrinterError) -> None:
    if not job.done.done():
        job.done.set_exception(error)


def _give_up(job: _Job) -> None:
    if not job.begun:
        _fail(job, PrinterError("DEVICE_OFFLINE", "the printer did not get to it in time"))


def _facts(status: PrinterStatus) -> dict[str, Fact]:
    return {"paper": status.paper, "cover": "open" if status.cover_open else "closed"}
