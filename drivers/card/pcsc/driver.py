"""A PC/SC cardreader as a driver: a process of its own waits at pcscd, this side watches over the process."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from drivers.base import Backoff, Capabilities, CardRead, ConfigurationError, DeviceState, Emit, Fact, State
from protocols.pcsc import AtrError, parse_atr

log = logging.getLogger(__name__)

SILENT_S = 10.0
"""A process that has not said anything for so long hangs in pcscd or in a card; it speaks every 2 s."""

_MISSING = "PC/SC needs pyscard: install tongjie[pcsc]; it compiles against libpcsclite (Debian: pcscd libpcsclite-dev swig gcc)"
_RANDOM_UID = 0x08
"""First byte of a four-byte number that the card makes up anew each time (ISO 14443-3 §6.5.4)."""


class PcscCardreader:
    """One cardreader of the system's PC/SC service.

    ``url`` is ``pcsc:`` or ``pcsc:PART``. A card's UID is read once each time it is presented. pcscd looks for cards every 400 ms, so
    that a card is read 0 to 400 ms after it arrives, whoever asks. ``socket`` chooses another pcscd (PCSCLITE_CSOCK_NAME).

    States: online OK; offline NO_SERVICE (pcscd does not run), PORT_MISSING (no such cardreader), NO_ANSWER (pcscd or a card hangs),
    DRIVER_CRASHED. Facts: ``model`` as pcscd names it, ``random_uids`` (cards whose number is made up
    at each reading; they are never told as `CardRead`), ``unread`` with why the last card could not be read: PULLED, MUTE, BUSY
    (another program holds it), NO_UID (a contact card, or a chip that gives none), NO_ANSWER, BAD_ANSWER, or "" after a good one.
    """

    kind = "pcsc"
    capabilities = Capabilities(events=frozenset({"CardRead", "DeviceState"}), isolation="process")

    def __init__(
        self, device: str, url: str, *, socket: str = "", uniform: Callable[[], float] = random.random
    ) -> None:
        scheme, colon, part = url.partition(":")
        if scheme != "pcsc" or not colon or len(part) > 128 or not part.isprintable():
            raise ConfigurationError("BAD_URL", "a PC/SC cardreader is pcsc: or pcsc:PART-OF-ITS-NAME")
        if importlib.util.find_spec("smartcard") is None:
            raise ConfigurationError("PCSC_MISSING", _MISSING)
        self.device = device
        self._part = part
        self._socket = socket
        self._uniform = uniform
        self._emit: Emit | None = None
        self._told: tuple[State, str] = ("offline", "STARTING")
        self._facts: dict[str, Fact] = {}
        self._last_ns = -1
        self._counts = dict.fromkeys(
            ("opened", "frames", "bad_frames", "timeouts", "cards", "random_uids", "unread_cards", "restarts"), 0
        )

    async def run(self, emit: Emit) -> None:
        """Serve the cardreader until cancelled."""
        self._emit = emit
        backoff = Backoff(self._uniform)
        while True:
            opened = self._counts["opened"]
            reason = await self._once()
            if self._counts["opened"] > opened:
                backoff.reset()
            self._counts["restarts"] += 1
            self._tell("offline", reason)
            await asyncio.sleep(backoff.next_s())

    def health(self) -> Mapping[str, Fact]:
        """Give state and counters; ``last_frame_ms`` is the age of the last card that was read, -1 = none yet."""
        state, reason_code = self._told
        age = -1 if self._last_ns < 0 else (time.monotonic_ns() - self._last_ns) // 1_000_000
        return {"state": state, "reason_code": reason_code, "last_frame_ms": age, **self._counts, **self._facts}

    async def _once(self) -> str:
        """Run one process until it ends, hangs or is of no more use; gives why."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TONGJIE_")}
        if self._socket:
            environment["PCSCLITE_CSOCK_NAME"] = self._socket
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "drivers.card.pcsc.child", self._part,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env=environment,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            while True:
                async with asyncio.timeout(SILENT_S):
                    line = await process.stdout.readline()
                if not line:
                    log.warning("the PC/SC process of %s ended", self.device)
                    return "DRIVER_CRASHED"
                self._heard(line)
        except TimeoutError:
            self._counts["timeouts"] += 1
            return "NO_ANSWER"
        except ValueError:  # a line longer than any the process writes
            self._counts["bad_frames"] += 1
            return "DRIVER_CRASHED"
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _heard(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            kind = event["e"]
        except (ValueError, KeyError, TypeError):
            self._counts["bad_frames"] += 1
            return
        if kind == "service" and not event["ok"]:
            self._tell("offline", "NO_SERVICE")
        elif kind == "cardreader":
            self._cardreader(event["name"])
        elif kind == "card":
            self._card(event)
        elif kind == "unread":
            self._counts["unread_cards"] += 1
            self._fact("unread", str(event["why"]))

    def _cardreader(self, name: str | None) -> None:
        if name is None:
            self._tell("offline", "PORT_MISSING")
        else:
            self._counts["opened"] += 1
            self._facts["model"] = name
            self._tell("online", "OK")

    def _card(self, event: Mapping[str, Any]) -> None:
        uid = bytes.fromhex(event["uid"])
        now = time.monotonic_ns()
        self._last_ns = min(int(event["t"]), now)
        self._counts["frames"] += 1
        self._fact("unread", "")
        if len(uid) == 4 and uid[0] == _RANDOM_UID:
            self._counts["random_uids"] += 1
            self._fact("random_uids", self._counts["random_uids"])
            return
        self._counts["cards"] += 1
        if self._emit is not None:
            medium = _medium(event["atr"])
            self._emit(CardRead(self.device, 0, "", "raw", len(uid) * 8, uid, self._last_ns, medium))

    def _fact(self, name: str, value: Fact) -> None:
        if self._facts.get(name, "") != value:
            self._facts[name] = value
            self._say()

    def _tell(self, state: State, reason_code: str) -> None:
        if self._told != (state, reason_code):
            self._told = (state, reason_code)
            self._say()

    def _say(self) -> None:
        if self._emit is not None:
            self._emit(DeviceState(self.device, *self._told, dict(self._facts)))


def _medium(atr: str) -> str:
    """What the ATR says of the chip; "" where there is none that can be read."""
    try:
        return parse_atr(bytes.fromhex(atr)).medium
    except AtrError:
        return ""
