"""The coils of a relay board: who is open until when, and how a pulse ends when nobody is there to end it.

On a board with its own timer a pulse is written once, or in slices (a lease) where it is longer, each renewed while we live; on
one without, the coil is written on and off. Either way a coil that should be at rest and is not is put there again.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable

from drivers.base import DeviceOffline, DeviceRefused, DriverError
from drivers.gate.relay.line import ORDER_TRIES, ModbusLine, PduRefused
from drivers.gate.relay.settings import RelaySettings

__all__ = ["Coils", "NoFlash"]

GRACE_S = 0.3
"""A board's timer counts in 100 ms and from the moment it understood; so long after the end a coil may still be on."""
DOUBT_S = 30.0
"""An order that got no answer may still arrive for so long; until then every look reads the coils back."""
RENEW_TRIES = 4
"""A slice is renewed at half time: there is time to send it again over a line that loses some."""
PROOF_TENTHS = 2
_NO_SUCH_ADDRESS = (1, 2, 3)
"""Modbus exceptions of a board that does not know the flash registers: function, address or value."""


class NoFlash(DeviceRefused):
    """The board was to end pulses itself and cannot; ``code`` is FLASH_UNSUPPORTED."""

    def __init__(self) -> None:
        super().__init__(
            "FLASH_UNSUPPORTED", "the relay board does not end a pulse by itself; correct the option flash"
        )


class Coils:
    """The coils of one open line; the caller holds the line's lock around every coroutine here, `due` and `rest` excepted."""

    def __init__(
        self,
        line: ModbusLine,
        settings: RelaySettings,
        clock: Callable[[], float],
        *,
        doubtful_until: float = -math.inf,
    ) -> None:
        self._line = line
        self._set = settings
        self._clock = clock
        self._until: dict[int, float] = {}
        self._board_until: dict[int, float] = {}
        self._resume: dict[int, tuple[float, float]] = {}
        self.doubtful_until = doubtful_until
        """Until then (``clock``) an order told as failed may still be carried out, on this line or one before."""
        self.repaired = 0
        """Coils found on without reason, or off at rest, and put right."""
        self.proven = False

    async def begin(self) -> None:
        """Put every coil at rest and see that the board ends pulses itself where it is to; raises `DriverError`."""
        await self._line.write_coils(self._set.rest())
        if self._set.watchdog_register >= 0:
            await self._line.write_register(self._set.watchdog_register, self._set.watchdog_value)
        if self._set.flash == "waveshare" and self._set.proof_coil >= 0:
            await self._prove(self._set.proof_coil)

    async def _prove(self, coil: int) -> None:
        """Pulse a harmless coil: on, and off again without our doing."""
        await self._flash(coil, PROOF_TENTHS)
        if not self._acting(coil, await self._line.coils(self._set.coils)):
            raise NoFlash
        await asyncio.sleep(PROOF_TENTHS / 10 + GRACE_S)
        if self._acting(coil, await self._line.coils(self._set.coils)):
            await self._line.write_coils(self._set.rest())
            raise NoFlash
        self.proven = True

    async def act(self, coil: int, seconds: float) -> None:
        """Let a coil act for ``seconds`` (inf = until `stop`) from now, or longer where it was to act longer already.

        Raises `DriverError`; then the order is withdrawn, and should it be carried out late, the coil is put at rest again.
        """
        now = self._clock()
        until = max(self._until.get(coil, 0.0), now + seconds)
        try:
            if self._set.flash == "waveshare":
                await self._slice(coil, until, ORDER_TRIES)
            else:
                await self._line.write_coil(coil, coil not in self._set.active_low, unanswered=ORDER_TRIES)
        except DeviceOffline:
            self.doubtful_until = self._clock() + DOUBT_S
            if self._until.get(coil, 0.0) <= self._clock():  # else somebody else's opening is under way
                with contextlib.suppress(DeviceOffline):
                    await self._line.withdraw(coil, coil in self._set.active_low)
            raise
        self._until[coil] = until

    async def pause(self, coil: int, seconds: float) -> None:
        """Put a coil at rest for ``seconds`` (inf = for good); then it acts on where it was to act longer."""
        now = self._clock()
        until = self._until.get(coil, 0.0)
        await self.stop(coil)
        if until > now + seconds:
            self._resume[coil] = (now + seconds, until)

    async def stop(self, coil: int) -> None:
        """Put a coil at rest now."""
        await self._line.write_coil(coil, coil in self._set.active_low)
        for times in (self._until, self._board_until, self._resume):
            times.pop(coil, None)

    @property
    def doubtful(self) -> bool:
        """Whether an order told as failed may still be carried out."""
        return self._clock() < self.doubtful_until

    async def _slice(self, coil: int, until: float, unanswered: int) -> None:
        tenths = min(
            math.ceil((until - self._clock()) * 10 - 0.01) if until < math.inf else math.inf, self._set.lease_tenths
        )
        await self._flash(coil, max(1, int(tenths)), unanswered)

    async def _flash(self, coil: int, tenths: int, unanswered: int = RENEW_TRIES) -> None:
        try:
            await self._line.flash(coil, tenths, on=coil not in self._set.active_low, unanswered=unanswered)
        except PduRefused as error:
            if error.exception_code in _NO_SUCH_ADDRESS:
                raise NoFlash from error
            raise
        self._board_until[coil] = self._clock() + tenths / 10

    def due(self) -> bool:
        """Whether `tend` has something to do now: a pulse or a pause has ended, or a slice is half used."""
        now = self._clock()
        return any(self._next(coil) <= now for coil in self._until) or any(at <= now for at, _ in self._resume.values())

    def _next(self, coil: int) -> float:
        until = self._until[coil]
        if self._set.flash != "waveshare":
            return until
        board = self._board_until.get(coil, 0.0)
        return until + GRACE_S if board >= until else board - self._set.lease_tenths / 20

    async def tend(self) -> None:
        """End pulses and pauses that are over and renew slices that are half used."""
        for coil, (at, until) in tuple(self._resume.items()):
            if at <= self._clock():
                del self._resume[coil]
                await self.act(coil, until - self._clock())
        for coil in [coil for coil in self._until if self._next(coil) <= self._clock()]:
            if self._until[coil] > self._clock():
                await self._slice(coil, self._until[coil], RENEW_TRIES)
            elif self._set.flash == "waveshare":
                del self._until[coil]  # the board has ended it; `check` looks
            else:
                await self.stop(coil)

    async def check(self) -> bool:
        """Read the coils back and put right those that should be at rest; True where every coil then is as it should be."""
        if not self._wrong(await self._line.coils(self._set.coils)):
            return True
        for coil in self._wrong(await self._line.coils(self._set.coils)):
            self.repaired += 1
            await self._line.write_coil(coil, coil in self._set.active_low)
        return not self._wrong(await self._line.coils(self._set.coils))

    def _wrong(self, states: list[bool]) -> list[int]:
        now = self._clock()
        return [
            coil
            for coil in range(self._set.coils)
            if self._acting(coil, states)
            and max(self._until.get(coil, 0.0), self._board_until.get(coil, 0.0) + GRACE_S) <= now
        ]

    def _acting(self, coil: int, states: list[bool]) -> bool:
        return states[coil] != (coil in self._set.active_low)

    async def rest(self) -> None:
        """Put every coil at rest for the last time; a line that is gone is left to the board."""
        try:
            async with asyncio.timeout(1.0):
                await self._line.write_coils(self._set.rest())
        except (DriverError, TimeoutError):
            return
