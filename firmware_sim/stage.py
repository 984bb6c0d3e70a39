"""What a person does at a branch's simulated devices, as operations with plain JSON arguments.

Scenes, the control channel and `tongjie sim` all say the same words: tap, tamper, reboot, place, lift, pad, faults,
unplug, plug, state. An operation that cannot be done raises `StageError`, whose ``code`` is stable.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields
from typing import Any

from firmware_sim.feig import Faults, SimPad, SimTag
from firmware_sim.osdp import OsdpCardreader
from protocols.iso28560 import DEFAULT_AFI

Operation = Mapping[str, Any]
Result = dict[str, Any]
READER_OF = {"IN": 0, "OUT": 1}
"""Reading face of the cardreader by direction."""
MAX_TAP_S = 30.0
_OF_GATE = {"tap", "tamper", "reboot"}
_OF_PAD = {"place", "lift", "pad", "faults"}


class StageError(Exception):
    """An operation that cannot be done; ``code`` is BAD_OPERATION or NO_DEVICE."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Stage:
    """The devices of one place; either may be missing."""

    def __init__(self, *, gate: OsdpCardreader | None = None, pad: SimPad | None = None) -> None:
        self._gate = gate
        self._pad = pad
        self._operations: dict[str, Callable[[Operation], Awaitable[Result]]] = {
            "tap": self._tap,
            "tamper": self._tamper,
            "reboot": self._reboot,
            "place": self._place,
            "lift": self._lift,
            "pad": self._list,
            "faults": self._faults,
            "unplug": self._unplug,
            "plug": self._plug,
            "state": self._state,
        }

    @property
    def operations(self) -> frozenset[str]:
        """The names `do` takes as "op", for the devices that are here."""
        absent = (_OF_GATE if self._gate is None else set()) | (_OF_PAD if self._pad is None else set())
        return frozenset(self._operations.keys() - absent)

    async def do(self, operation: Operation) -> Result:
        """Carry out one operation; raises `StageError`."""
        name = operation.get("op")
        act = self._operations.get(name) if isinstance(name, str) else None
        if act is None:
            raise StageError("BAD_OPERATION", f"op is one of {', '.join(sorted(self._operations))}")
        try:
            return await act(operation)
        except (ValueError, TypeError) as error:
            raise StageError("BAD_OPERATION", f"{name}: {error}") from error
        except KeyError as error:
            raise StageError("BAD_OPERATION", f"{name} needs {error.args[0]}") from error

    @property
    def gate(self) -> OsdpCardreader:
        """The cardreader; raises `StageError` NO_DEVICE."""
        if self._gate is None:
            raise StageError("NO_DEVICE", "there is no cardreader here")
        return self._gate

    @property
    def pad(self) -> SimPad:
        """The pad; raises `StageError` NO_DEVICE."""
        if self._pad is None:
            raise StageError("NO_DEVICE", "there is no pad here")
        return self._pad

    async def _tap(self, operation: Operation) -> Result:
        raw = _hex(operation["card"], 1, 64)
        direction = operation.get("direction", "IN")
        if direction not in READER_OF:
            raise ValueError("direction is IN or OUT")
        timeout = min(float(operation.get("timeout_s", 3.0)), MAX_TAP_S)
        form = operation.get("format", "wiegand")
        if form not in ("raw", "wiegand"):
            raise ValueError("format is raw or wiegand")
        bits = int(operation.get("bits", len(raw) * 8))
        if not 1 <= bits <= len(raw) * 8:
            raise ValueError("bits are at most eight a byte")
        heard = self.gate.listening
        seen = await self.gate.tap(raw, bits, reader_no=READER_OF[direction], form=form, timeout=timeout)
        return {"opened": seen.opened, "denied": seen.denied, "ms": round(seen.ms, 3), "heard": heard}

    async def _tamper(self, operation: Operation) -> Result:
        self.gate.tamper(bool(operation["active"]))
        return {}

    async def _reboot(self, operation: Operation) -> Result:
        self.gate.reboot()
        return {}

    async def _place(self, operation: Operation) -> Result:
        uid = str(operation["uid"]).upper()
        tag = self.pad.store.get(uid)
        blocks = operation.get("blocks")
        if tag is None or blocks is not None:
            memory = bytearray(_hex(blocks, 0, 1024)) if blocks is not None else bytearray()
            tag = SimTag(uid, int(operation.get("dsfid", 0x3E)), int(operation.get("afi", 0x07)), memory)
            tag.eas = bool(operation.get("eas", tag.afi != DEFAULT_AFI.on_loan))
        elif "afi" in operation:
            tag.afi = int(operation["afi"]) & 0xFF
        self.pad.place(tag)
        return {"uid": uid, "afi": tag.afi}

    async def _lift(self, operation: Operation) -> Result:
        tag = self.pad.remove(str(operation["uid"]).upper())
        return {"afi": tag.afi if tag else None, "eas": tag.eas if tag else None, "found": tag is not None}

    async def _list(self, operation: Operation) -> Result:
        return {"tags": [{"uid": tag.uid, "dsfid": tag.dsfid, "afi": tag.afi} for tag in self.pad.tags]}

    async def _faults(self, operation: Operation) -> Result:
        wanted = {key: value for key, value in operation.items() if key not in ("op", "id", "at_s")}
        if unknown := set(wanted) - {field.name for field in fields(Faults) if field.init}:
            raise ValueError(f"there is no fault {', '.join(sorted(unknown))}")
        if not all(isinstance(value, int | float) for value in wanted.values()):
            raise ValueError("faults are numbers")
        self.pad.faults = Faults(**wanted)
        return {}

    def _device(self, operation: Operation) -> OsdpCardreader | SimPad:
        name = operation.get("device", "pad" if self._gate is None else "gate")
        if name not in ("gate", "pad"):
            raise ValueError("device is gate or pad")
        return self.gate if name == "gate" else self.pad

    async def _unplug(self, operation: Operation) -> Result:
        self._device(operation).stop()
        return {}

    async def _plug(self, operation: Operation) -> Result:
        device = self._device(operation)
        device.stop()
        device.start()
        return {}

    async def _state(self, operation: Operation) -> Result:
        found: Result = {}
        if self._gate is not None:
            found["gate"] = {"secure": self._gate.secure, "opened": len(self._gate.outputs)}
        if self._pad is not None:
            found["pad"] = {"tags": len(self._pad.tags), "requests": self._pad.requests}
        return found


def _hex(text: object, least: int, most: int) -> bytes:
    if not isinstance(text, str):
        raise TypeError("bytes are written as hex digits")
    raw = bytes.fromhex(text)
    if not least <= len(raw) <= most:
        raise ValueError(f"{least} to {most} bytes are meant")
    return raw
