"""One passing is told once, however often the antennas saw the tag."""

from __future__ import annotations

from drivers.base import PadTag
from protocols.feig import TagRecord

__all__ = ["Passings", "tag_of"]

KEPT = 1024
ISO15693 = 0x03


class Passings:
    """Remembers who passed lately: a tag is new when nobody saw it for ``window_s``."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._seen: dict[str, float] = {}

    def is_new(self, uid: str, now: float) -> bool:
        """Take a sighting at ``now`` (monotonic seconds) and say whether it begins a passing."""
        last = self._seen.pop(uid, None)
        self._seen[uid] = now
        while len(self._seen) > KEPT:
            del self._seen[next(iter(self._seen))]
        return last is None or now - last > self._window_s


def tag_of(record: TagRecord, secured: bool | None) -> PadTag | None:
    """The tag of a record; None for one that is no ISO 15693 tag. A gate tells neither DSFID nor AFI: 0 and None."""
    if record.tag_type != ISO15693 or len(record.uid) != 16:
        return None
    return PadTag(record.uid, 0, None, record.data, record.block_size or 4, secured=secured)
