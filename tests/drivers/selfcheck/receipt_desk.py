"""What the tests of the receipt printer share: receipts, and a simulated printer with its driver running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from drivers.base import DeviceEvent, DeviceState, Receipt, ReceiptLine
from drivers.selfcheck.receipt import PrinterError, ReceiptPrinter
from firmware_sim.printer import PrinterSimulator

ZH = Receipt(
    (
        ReceiptLine("借书凭条", bold=True, align="center", size=2),
        ReceiptLine("《百年孤独》 加西亚·马尔克斯"),
        ReceiptLine("应还日期: 2026-12-24", align="right"),
    ),
    qr="https://example.org/r/1?a=b",
)
LONG = Receipt(tuple(ReceiptLine(f"line {number}") for number in range(60)))


class Desk:
    """A simulated printer, its driver running, and what the driver told."""

    def __init__(self, printer: ReceiptPrinter, sim: PrinterSimulator) -> None:
        self.printer = printer
        self.sim = sim
        self.events: list[DeviceEvent] = []
        self._task = asyncio.create_task(printer.run(self.events.append))

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(e.state, e.reason_code) for e in self.events if isinstance(e, DeviceState)]

    async def do(self, op: str, **more: Any) -> dict[str, Any]:
        return await self.sim.do({"op": op, **more})

    async def taken(self) -> list[dict[str, Any]]:
        return list((await self.do("take"))["receipts"])

    async def until(self, what: Callable[[], bool], seconds: float = 8.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.005)

    async def is_(self, state: str, reason: str) -> None:
        await self.until(lambda: bool(self.states) and self.states[-1] == (state, reason))

    async def refused(self, receipt: Receipt) -> PrinterError:
        with pytest.raises(PrinterError) as caught:
            await self.printer.print_receipt(receipt)
        return caught.value

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.sim.stop()
