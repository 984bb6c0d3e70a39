"""The process that talks to pcscd: pyscard's calls block, and its library has been seen to corrupt memory when pcscd dies.

Writes one JSON object a line: ``{"e": "alive"}`` at least every `WAIT_MS`, ``service`` (ok, code), ``cardreader`` (name or null),
``card`` (uid, atr, t), ``unread`` (why) and ``gone``. Ends when nobody reads that any more.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from smartcard import scard

from protocols.pcsc import GET_UID, ApduError, parse_answer

WAIT_MS = 2000
"""How long one wait for a change lasts; a change ends it at once."""
ATTEMPTS = 3
_RETRY_S = 0.03
AGAIN = 10
AGAIN_MS = 400
"""A card that could not be read and still lies there is tried again so often: one exchanged within pcscd's look is no news to it."""
_PLUGGED = "\\\\?PnP?\\Notification"

Say = Callable[[dict[str, Any]], None]


class _ServiceLost(Exception):
    """pcscd is not there or went away; ``code`` is its return code in hex."""


def serve(part: str, say: Say) -> None:
    """Watch the first cardreader whose name has ``part`` in it, for ever."""
    wait_s = 0.2
    while True:
        try:
            code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
            _check(code)
            say({"e": "service", "ok": True})
            wait_s = 0.2
            try:
                _Watch(context, part, say).run()
            finally:
                scard.SCardReleaseContext(context)
        except (_ServiceLost, SystemError) as error:  # SystemError: pyscard on a context whose pcscd died
            say({"e": "service", "ok": False, "code": str(error)[:40]})
        time.sleep(wait_s)
        wait_s = min(wait_s * 2, 2.0)


def _check(code: int, *allowed: int) -> int:
    found = code & 0xFFFFFFFF
    if found and found not in [each & 0xFFFFFFFF for each in allowed]:
        raise _ServiceLost(f"{found:08X}")
    return found


class _Watch:
    """One context's view of one cardreader. ``state`` is what we last knew, in the form pcscd compares with."""

    def __init__(self, context: Any, part: str, say: Say) -> None:
        self._context = context
        self._part = part
        self._say = say
        self._name: str | None = None
        self._told: tuple[str | None] | None = None
        self._state = scard.SCARD_STATE_UNAWARE
        self._present = False
        self._count = 0
        self._left = 0

    def run(self) -> None:
        """Wait for changes; raises `_ServiceLost`."""
        while True:
            names = self._names()
            self._choose(names)
            # pcscd tells of a plugged or pulled cardreader when their number differs from this one.
            states: list[tuple[str, int]] = [(_PLUGGED, len(names) << 16)]
            if self._name is not None:
                states.append((self._name, self._state))
            wait_ms = AGAIN_MS if self._left else WAIT_MS
            code, found = scard.SCardGetStatusChange(self._context, wait_ms, states)
            self._say({"e": "alive"})
            code = _check(code, scard.SCARD_E_TIMEOUT, scard.SCARD_E_UNKNOWN_READER, scard.SCARD_E_READER_UNAVAILABLE)
            if code == scard.SCARD_E_TIMEOUT & 0xFFFFFFFF:
                self._again()
                continue
            if code:
                self._lost()
            elif self._name is not None:
                self._changed(found[-1][1])

    def _names(self) -> Sequence[str]:
        code, names = scard.SCardListReaders(self._context, [])
        return [] if _check(code, scard.SCARD_E_NO_READERS_AVAILABLE) else names

    def _choose(self, names: Sequence[str]) -> None:
        if self._name not in names:
            self._lost()
            self._name = next((name for name in names if self._part in name), None)
        if self._told != (self._name,):
            self._told = (self._name,)
            self._say({"e": "cardreader", "name": self._name and self._name[:128]})

    def _lost(self) -> None:
        self._name, self._state, self._present, self._count = None, scard.SCARD_STATE_UNAWARE, False, 0
        self._left = 0

    def _changed(self, event: int) -> None:
        if event & (scard.SCARD_STATE_UNKNOWN | scard.SCARD_STATE_UNAVAILABLE):
            self._lost()
            return
        present, count = bool(event & scard.SCARD_STATE_PRESENT), event >> 16
        # pcscd counts every insertion and removal: a card exchanged between two looks is a new presentation.
        fresh = present and (not self._present or count != self._count)
        gone = self._present and (not present or fresh)
        self._state, self._present, self._count = event & ~scard.SCARD_STATE_CHANGED, present, count
        if gone:
            self._say({"e": "gone"})
        if not present:
            self._left = 0
        elif fresh:
            self._read("MUTE" if event & scard.SCARD_STATE_MUTE else "")

    def _read(self, why: str) -> None:
        """Read a card that came; ``why`` = what is known to be wrong with it already."""
        for attempt in range(0 if why else ATTEMPTS):
            if attempt:
                time.sleep(_RETRY_S)
            why = self._ask()
            if not why or why == "NO_UID":
                break
        if why:
            self._say({"e": "unread", "why": why})
        self._left = AGAIN if why not in ("", "NO_UID", "MUTE") else 0

    def _again(self) -> None:
        if self._left:
            self._left = 0 if not self._ask() else self._left - 1

    def _ask(self) -> str:
        """Ask the card for its number and tell it; gives why there is none."""
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        code, card, protocol = scard.SCardConnect(self._context, self._name, scard.SCARD_SHARE_SHARED, protocols)
        if code:
            return _why(code)
        try:
            pci = scard.SCARD_PCI_T0 if protocol == scard.SCARD_PROTOCOL_T0 else scard.SCARD_PCI_T1
            code, raw = scard.SCardTransmit(card, pci, list(GET_UID))
            arrived = time.monotonic_ns()
            if code:
                return _why(code)
            answer = parse_answer(bytes(raw))
            if not answer.ok or not 4 <= len(answer.data) <= 16:
                return "NO_UID"
            code, _, _, _, atr = scard.SCardStatus(card)
            shown = bytes(atr).hex() if not code else ""
            self._say({"e": "card", "uid": answer.data.hex(), "atr": shown, "t": arrived})
            return ""
        except ApduError:
            return "BAD_ANSWER"
        finally:
            scard.SCardDisconnect(card, scard.SCARD_LEAVE_CARD)


def _why(code: int) -> str:
    reasons = {
        scard.SCARD_E_SHARING_VIOLATION: "BUSY",
        scard.SCARD_E_NO_SMARTCARD: "PULLED",
        scard.SCARD_W_REMOVED_CARD: "PULLED",
        scard.SCARD_E_NOT_TRANSACTED: "PULLED",
        scard.SCARD_W_UNPOWERED_CARD: "PULLED",
        scard.SCARD_W_UNRESPONSIVE_CARD: "MUTE",
    }
    return {each & 0xFFFFFFFF: why for each, why in reasons.items()}.get(code & 0xFFFFFFFF, "NO_ANSWER")


def main() -> None:
    """Serve on the standard output; libraries that print find another one there."""
    out = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)

    def say(event: dict[str, Any]) -> None:
        try:
            out.write(json.dumps(event) + "\n")
            out.flush()
        except OSError:  # the edge is gone: nobody is left to serve
            os._exit(0)

    serve(sys.argv[1] if len(sys.argv) > 1 else "", say)


if __name__ == "__main__":
    main()
