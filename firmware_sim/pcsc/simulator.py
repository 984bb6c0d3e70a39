"""A virtual card for ``tongjie sim pcsc`` and the demo: tapped, inserted, removed, and pulled away in the middle of a command.

Operations: ``tap`` {card, medium or atr, seconds}: held until it was read, at most ``seconds`` (2, up to 30); answers with ``read``
and ``ms``. ``insert`` and ``remove`` do the halves of it. ``faults`` {seed, slow_s, silent, pull, error}: every answer that much later,
no answer, the probability that the card is gone instead of answering, and a status word (0 = none) for every command. ``reboot``: the
card's power fails for a moment. ``unplug`` and ``plug``: cards are out of the field meanwhile. ``state``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from firmware_sim.faults import Faults
from firmware_sim.pcsc.card import ATRS, VirtualCard
from firmware_sim.pcsc.daemon import DaemonError, PcscDaemon
from firmware_sim.pcsc.line import open_vpcd
from firmware_sim.pty import LineError
from firmware_sim.scene import Step
from firmware_sim.simulators import Options, Simulator, refuse_unknown
from firmware_sim.stage import StageError

DEMO_CARD = "04A1B2C3D4E580"
MAX_TAP_S = 30.0
BETWEEN_S = 0.9
"""Two polls of pcscd: two cards closer together than this are one card to it."""
_AFTER_BEEP_S = 0.05
_FAULTS = frozenset({"seed", "slow_s", "silent", "pull"})

Operation = Mapping[str, Any]
Result = dict[str, Any]


class PcscSimulator:
    """One place for one card. As `Talker` it answers vpcd for whatever card lies there."""

    kind = "pcsc"
    operations = frozenset({"tap", "insert", "remove", "faults", "reboot", "unplug", "plug", "state"})
    demo = (Step(0.0, {"op": "tap", "card": DEMO_CARD}),)

    def __init__(self, url: str, daemon: PcscDaemon | None = None) -> None:
        self._daemon = daemon
        self._card: VirtualCard | None = None
        self._plugged = True
        self._faults = Faults()
        self._error = 0
        self._commands = self._reads = 0
        self._was_read = asyncio.Event()
        self._removed_at = -BETWEEN_S
        self._turn = asyncio.Lock()
        self._line = open_vpcd(url, self)
        self._acts: dict[str, Callable[[Operation], Awaitable[Result]]] = {
            "tap": self._tap, "insert": self._insert, "remove": self._remove, "faults": self._set_faults,
            "reboot": self._reboot, "unplug": self._unplug, "plug": self._plug, "state": self._state,
        }  # fmt: skip

    @property
    def url(self) -> str:
        """Where vpcd is, or where it finds the card."""
        return self._line.url

    async def start(self) -> None:
        """Start a daemon of our own where one is wanted; else there is nothing to switch on, the cardreader is vpcd's.

        Raises `LineError` with the daemon's code.
        """
        if self._daemon is not None:
            try:
                await self._daemon.start()
            except DaemonError as error:
                raise LineError(error.code, str(error)) from error

    async def stop(self) -> None:
        """Take the card away and leave nothing behind."""
        self._card = None
        await self._line.remove()
        if self._daemon is not None:
            await self._daemon.stop()

    async def do(self, operation: Operation) -> Result:
        """Carry out one operation; raises `StageError`."""
        name = operation.get("op")
        act = self._acts.get(name) if isinstance(name, str) else None
        if act is None:
            raise StageError("BAD_OPERATION", f"op is one of {', '.join(sorted(self._acts))}")
        try:
            async with self._turn:
                return await act(operation)
        except (ValueError, TypeError) as error:
            raise StageError("BAD_OPERATION", f"{name}: {error}") from error
        except KeyError as error:
            raise StageError("BAD_OPERATION", f"{name} needs {error.args[0]}") from error

    # --- what vpcd sees ---

    @property
    def atr(self) -> bytes:
        """The ATR of the card that is there; empty where there is none."""
        return self._card.atr if self._card is not None and self._plugged else b""

    async def answer(self, apdu: bytes) -> bytes | None:
        """The card's answer, with the faults that were asked for."""
        self._commands += 1
        if self._faults.slow_s:
            await asyncio.sleep(self._faults.slow_s)
        if self._faults.silent:
            await asyncio.Event().wait()
        if self._card is None or self._faults.happens(self._faults.pull):
            self._card, self._removed_at = None, time.monotonic()
            return None
        if self._error:
            return self._error.to_bytes(2)
        answer = self._card.answer(apdu)
        if apdu[:2] == b"\xff\xca" and answer.endswith(b"\x90\x00"):
            self._reads += 1
            self._was_read.set()
        return answer

    # --- what a person does ---

    async def _tap(self, operation: Operation) -> Result:
        seconds = float(operation.get("seconds", 2.0))
        if not 0 < seconds <= MAX_TAP_S:
            raise ValueError(f"seconds is up to {MAX_TAP_S:.0f}")
        await self._insert(operation)
        began = time.perf_counter()
        try:
            async with asyncio.timeout(seconds):
                await self._was_read.wait()
            read, took = True, time.perf_counter() - began
            await asyncio.sleep(_AFTER_BEEP_S)
        except TimeoutError:
            read, took = False, seconds
        await self._remove({})
        return {"read": read, "ms": round(took * 1000, 3)}

    async def _insert(self, operation: Operation) -> Result:
        uid = bytes.fromhex(operation["card"])
        if not 4 <= len(uid) <= 10:
            raise ValueError("a card's number has 4 to 10 bytes")
        if operation.get("format", "raw") != "raw" or operation.get("bits", len(uid) * 8) != len(uid) * 8:
            raise ValueError("a PC/SC cardreader gives whole bytes: format raw, eight bits a byte")
        medium = operation.get("medium", "MF_CLASSIC")
        if "atr" not in operation and medium not in ATRS:
            raise ValueError(f"medium is one of {', '.join(ATRS)}")
        atr = bytes.fromhex(operation["atr"]) if "atr" in operation else ATRS[medium]
        if not 2 <= len(atr) <= 33:
            raise ValueError("an ATR has 2 to 33 bytes")
        if self._card is not None:
            await self._remove({})
        await asyncio.sleep(max(0.0, self._removed_at + BETWEEN_S - time.monotonic()))
        self._was_read.clear()
        self._card = VirtualCard(uid, atr)
        if self._plugged:
            await self._line.insert()
        return {}

    async def _remove(self, operation: Operation) -> Result:
        found = self._card is not None
        self._card = None
        await self._line.remove()
        self._removed_at = time.monotonic()
        return {"found": found}

    async def _set_faults(self, operation: Operation) -> Result:
        wanted = {key: value for key, value in operation.items() if key not in ("op", "id", "at_s", "device")}
        if unknown := set(wanted) - _FAULTS - {"error"}:
            raise ValueError(f"there is no fault {', '.join(sorted(unknown))}")
        if not all(isinstance(value, int | float) for value in wanted.values()):
            raise ValueError("faults are numbers")
        error = int(wanted.pop("error", 0))
        if not 0 <= error <= 0xFFFF:
            raise ValueError("error is a status word, 0 to 65535")
        self._error, self._faults = error, Faults(**wanted)
        return {}

    async def _reboot(self, operation: Operation) -> Result:
        card, self._card = self._card, None
        await self._line.remove()
        await asyncio.sleep(BETWEEN_S)
        self._card = card
        if card is not None and self._plugged:
            await self._line.insert()
        return {}

    async def _unplug(self, operation: Operation) -> Result:
        self._plugged = False
        await self._line.remove()
        return {}

    async def _plug(self, operation: Operation) -> Result:
        self._plugged = True
        if self._card is not None:
            await self._line.insert()
        return {}

    async def _state(self, operation: Operation) -> Result:
        return {"pcsc": {"present": bool(self.atr), "commands": self._commands, "reads": self._reads}}


def simulate(url: str, options: Options) -> Simulator:
    """Make it. The URL is ``vpcd:HOST:PORT``, where vpcd listens, or ``vpcd:/PATH``, the socket of a `PcscDaemon`.

    Option: daemon (yes), for ``vpcd:/FOLDER/vpcd.sock``: run a pcscd of one's own in that folder, kept from everybody else.
    """
    refuse_unknown(options, ("daemon",))
    if "daemon" not in options:
        return PcscSimulator(url)
    folder = Path(url.removeprefix("vpcd:")).parent
    if options["daemon"] != "yes" or not folder.is_absolute():
        raise ValueError("daemon=yes wants vpcd:/FOLDER/vpcd.sock")
    try:
        daemon = PcscDaemon(folder)
    except DaemonError as error:
        raise ValueError(str(error)) from error
    if daemon.url != url:
        raise ValueError("the daemon's card is at vpcd:/FOLDER/vpcd.sock")
    return PcscSimulator(url, daemon)
