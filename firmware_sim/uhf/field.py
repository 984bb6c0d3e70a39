"""The tags in front of an antenna, and the operations that place and lift them: shared by every simulated UHF device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from firmware_sim.operated import hex_bytes, number
from firmware_sim.uhf.tags import RESERVED, USER_WORDS, Gen2Tag, tid_for

__all__ = ["MAX_TAGS", "TagField"]

MAX_TAGS = 300
Operation = Mapping[str, Any]


class TagField:
    """Every tag known here by its number (TID, else what it was called first), and which of them lie there now.

    A lifted tag is remembered with all that was written to it, so that it can be placed again. ``changed`` is called after a tag
    came or went.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._known: dict[str, Gen2Tag] = {}
        self._there: dict[str, None] = {}
        self._changed = changed

    @property
    def tags(self) -> list[Gen2Tag]:
        """The tags lying there, in the order they came."""
        return [self._known[name] for name in self._there]

    def put(self, tag: Gen2Tag, name: str = "") -> Gen2Tag:
        """Lay a tag down."""
        name = name or tag.key or tag.told.hex().upper()
        if name not in self._there and len(self._there) >= MAX_TAGS:
            raise ValueError(f"at most {MAX_TAGS} tags lie here")
        self._known[name] = tag
        self._there[name] = None
        self._changed()
        return tag

    def take(self, tag: Gen2Tag) -> None:
        """Pull a tag away."""
        for name in [name for name in self._there if self._known[name] is tag]:
            del self._there[name]
        self._changed()

    def place(self, operation: Operation) -> dict[str, Any]:
        """Operation ``place``: epc, and where wanted pc, tid or uid ("" = the chip tells none), user, rssi, antenna, fast_id,
        access_password, lock (a list of banks). Only ``tid``: a tag known already is laid down as it is."""
        tid = operation.get("tid", operation.get("uid"))
        known = self._known.get(str(tid).upper()) if tid else None
        if known is not None and "epc" not in operation:
            return self.put(known).state()
        epc = hex_bytes(operation["epc"], 2, 62)
        pc = operation.get("pc", -1)
        user = hex_bytes(operation["user"], 0, 1024) if "user" in operation else b""
        tag = Gen2Tag(
            bytearray(epc),
            tid_for(epc) if tid is None else hex_bytes(tid, 0, 24),
            int(pc, 16) if isinstance(pc, str) else int(pc),
            bytearray(user.ljust(USER_WORDS * 2 if "user" not in operation else len(user), b"\0")),
            rssi=int(number(operation.get("rssi", 80), 0, 255)),
            access_password=int(number(operation.get("access_password", 0), 0, 0xFFFFFFFF)),
            fast_id=bool(operation.get("fast_id", True)),
            antenna=int(number(operation.get("antenna", 1), 1, 16)),
        )
        tag.locked = {int(number(bank, RESERVED, 3)) for bank in operation.get("lock", ())}
        return self.put(tag).state()

    def lift(self, operation: Operation) -> dict[str, Any]:
        """Operation ``lift``: by tid or epc; answers with what stands on the tag now."""
        for key in ("tid", "epc", "uid"):
            wanted = str(operation.get(key, "")).upper()
            for tag in self.tags:
                if wanted and wanted in (tag.key, tag.told.hex().upper()):
                    self.take(tag)
                    return {**tag.state(), "found": True}
        return {"found": False}

    def move(self, operation: Operation) -> dict[str, Any]:
        """Operation ``move``: the tag with this tid is now heard with another ``rssi`` or by another ``antenna``."""
        tag = self._known[str(operation["tid"]).upper()]
        tag.rssi = int(number(operation.get("rssi", tag.rssi), 0, 255))
        tag.antenna = int(number(operation.get("antenna", tag.antenna), 1, 16))
        return tag.state()
