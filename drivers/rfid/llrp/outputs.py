"""The outputs of an LLRP reader, whose timed orders are timed here: LLRP 1.0.1 sets an output (GPOWriteData) and knows no time.

An output that was switched for a time must come to rest whatever happens meanwhile: it does when its time is over, when the driver
ends, and where the connection was lost, as soon as the reader is found again. One switched for good stays as it was ordered.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from llrpkit.exceptions import LLRPStatusError

from drivers.base import DeviceOffline, DeviceRefused, SetOutput
from drivers.rfid.llrp.session import LlrpSession

__all__ = ["Outputs"]

AGAIN_S = 1.0
"""An output that could not be put at rest in time is tried again so often."""
END_S = 2.0
"""Longest that the end of a connection is held up to put outputs at rest."""


@dataclass(frozen=True, slots=True, eq=False)
class _Pulse:
    """An output away from rest until ``until`` (loop seconds); ``rest`` is how it is then."""

    until: float
    rest: bool


class Outputs:
    """All outputs of one reader, over all its connections; `begin` and `end` say when there is one."""

    def __init__(self) -> None:
        self._session: LlrpSession | None = None
        self._pulses: dict[int, _Pulse] = {}
        self._timers: dict[int, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()

    async def begin(self, session: LlrpSession) -> None:
        """Put at rest what was away from it when the last connection was lost; raises `DeviceOffline`."""
        self._session = session
        await self._rest()

    async def end(self) -> None:
        """Put at rest what is away from it, as far as the connection still lets; what it does not let, the next one does."""
        with contextlib.suppress(DeviceOffline, TimeoutError):
            async with asyncio.timeout(END_S):
                await self._rest()
        self._session = None

    async def close(self) -> None:
        """Time nothing any more."""
        timers = tuple(self._tasks)
        for timer in timers:
            timer.cancel()
        await asyncio.gather(*timers, return_exceptions=True)

    async def switch(self, order: SetOutput) -> None:
        """Switch an output, for a time where one is given; an earlier time of that output is over. Raises `DeviceRefused` REFUSED,
        `DeviceOffline`; after the latter it may be switched all the same, and comes to rest as if it were."""
        number = order.output_no
        async with self._one_at_a_time:
            before = self._pulses.get(number)
            if order.tenths:
                self._time(order)
            try:
                await self._set(number, order.on)
            except DeviceRefused:
                self._pulses.pop(number, None)
                if before is not None:
                    self._pulses[number] = before
                raise
            if order.tenths:
                self._time(order)  # from when it was switched
            else:
                self._pulses.pop(number, None)

    def _time(self, order: SetOutput) -> None:
        until = asyncio.get_running_loop().time() + order.tenths / 10
        self._pulses[order.output_no] = _Pulse(until, not order.on)
        if order.output_no in self._timers:  # it sleeps, or waits for the lock that is held here
            self._timers[order.output_no].cancel()
        timer = self._timers[order.output_no] = asyncio.create_task(self._end_in_time(order.output_no))
        self._tasks.add(timer)
        timer.add_done_callback(self._tasks.discard)

    async def _end_in_time(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        while (pulse := self._pulses.get(number)) is not None:
            await asyncio.sleep(max(0.0, pulse.until - loop.time()))
            async with self._one_at_a_time:
                if self._pulses.get(number) is not pulse:
                    continue  # ordered anew meanwhile
                try:
                    await self._put_at_rest(number)
                except DeviceOffline:
                    self._pulses[number] = _Pulse(loop.time() + AGAIN_S, pulse.rest)

    async def _rest(self) -> None:
        async with self._one_at_a_time:
            for number in tuple(self._pulses):
                await self._put_at_rest(number)

    async def _put_at_rest(self, number: int) -> None:
        with contextlib.suppress(DeviceRefused):  # a reader with fewer outputs stands there now
            await self._set(number, self._pulses[number].rest)
        del self._pulses[number]

    async def _set(self, number: int, on: bool) -> None:
        if self._session is None:
            raise DeviceOffline("DEVICE_OFFLINE", "the LLRP reader does not answer")
        try:
            await self._session.set_output(number + 1, on)
        except LLRPStatusError as error:
            raise DeviceRefused("REFUSED", "the LLRP reader has no such output") from error
