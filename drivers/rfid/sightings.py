"""Which tags really lie on a pad: two sightings to believe, two misses to give up, content cached by UID."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from drivers.base import PadTag

PASSES = 2
KEEP_S = 30.0
"""How long the content of a lifted tag is believed: long enough for "put it back", too short to re-encode a tag."""
CACHE_LIMIT = 1024


class Sightings:
    """Counts sightings and misses by UID; a tag at the edge of the field flickers and must not make the page flicker."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._missed: dict[str, int] = {}
        self.stable: frozenset[str] = frozenset()

    def take(self, uids: Iterable[str], sure: Collection[str] = ()) -> bool:
        """Take one inventory; True while the picture is not settled, so that the next look should come soon.

        ``sure`` are those of ``uids`` that the RFID reader itself has seen more than once: one sighting of them is enough.
        """
        now = frozenset(uids)
        self._seen = {uid: self._seen.get(uid, 0) + (PASSES if uid in sure else 1) for uid in now}
        self._missed = {uid: self._missed.get(uid, 0) + 1 for uid in self.stable - now}
        come = {uid for uid, times in self._seen.items() if times >= PASSES}
        gone = {uid for uid, times in self._missed.items() if times >= PASSES}
        self.stable = (self.stable | come) - gone
        return self.stable != now

    def forget(self) -> None:
        """Nothing is known any more: the port was lost."""
        self._seen, self._missed, self.stable = {}, {}, frozenset()


class ContentCache:
    """User blocks by UID, for tags on the pad and for `KEEP_S` seconds after."""

    def __init__(self) -> None:
        self._tags: dict[str, tuple[PadTag, float]] = {}

    def get(self, uid: str, now: float) -> PadTag | None:
        """Give the content read last, where it is still to be believed at ``now`` (monotonic seconds)."""
        found = self._tags.get(uid)
        if found is None or now - found[1] > KEEP_S:
            return None
        return found[0]

    def put(self, tag: PadTag, now: float) -> None:
        """Remember what was read; the tag seen longest ago makes room."""
        self._tags.pop(tag.uid, None)
        self._tags[tag.uid] = (tag, now)
        while len(self._tags) > CACHE_LIMIT:
            del self._tags[next(iter(self._tags))]

    def touch(self, uids: Iterable[str], now: float) -> None:
        """Say that these tags are on the pad at ``now``."""
        for uid in uids:
            found = self._tags.pop(uid, None)
            if found is not None:
                self._tags[uid] = (found[0], now)

    def forget(self, uid: str) -> None:
        """Believe nothing about this tag any more: a write to it went wrong midway."""
        self._tags.pop(uid, None)

    def clear(self) -> None:
        """Forget everything."""
        self._tags.clear()
