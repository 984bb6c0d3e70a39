"""Which tags really lie on a pad: two sightings to believe, two misses to give up, content cached by UID.

A look that the air spoiled is no miss; what nobody saw for `UNSEEN_S` is given up all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from drivers.base import PadTag
from drivers.rfid.link import Seen

PASSES = 2
UNSEEN_S = 5.0
"""How long a tag is believed to lie there while no look tells the whole field."""
BARE_AFTER = 3
"""Readings that fail before a tag is told without content."""
PAUSE_MOST_S = 2.0
KEEP_S = 30.0
"""How long the content of a lifted tag is believed: long enough for "put it back", too short to re-encode a tag."""
CACHE_LIMIT = 1024


class Sightings:
    """Counts sightings and misses by UID; a tag at the edge of the field flickers and must not make the page flicker."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._missed: dict[str, int] = {}
        self._seen_at: dict[str, float] = {}
        self.stable: frozenset[str] = frozenset()

    def take(self, uids: Iterable[str], sure: Collection[str] = (), *, now: float = 0.0) -> bool:
        """Take one inventory at ``now`` (monotonic seconds); True while the picture is not settled: the next look should come soon.

        ``sure`` are those of ``uids`` that the RFID reader itself has seen more than once: one sighting of them is enough.
        """
        here = frozenset(uids)
        self._seen = {uid: self._seen.get(uid, 0) + (PASSES if uid in sure else 1) for uid in here}
        self._seen_at = {
            **{uid: at for uid, at in self._seen_at.items() if uid in self.stable},
            **dict.fromkeys(here, now),
        }
        self._missed = {uid: self._missed.get(uid, 0) + 1 for uid in self.stable - here}
        come = {uid for uid, times in self._seen.items() if times >= PASSES}
        gone = {uid for uid, times in self._missed.items() if times >= PASSES}
        self.stable = (self.stable | come) - gone
        return self.stable != here

    def take_part(self, uids: Iterable[str], sure: Collection[str] = (), *, now: float) -> bool:
        """Take an inventory that may lack tags: those not in it were neither seen nor missed, for `UNSEEN_S` at most.

        True while what was seen is not yet believed.
        """
        here = frozenset(uids)
        self._seen_at.update(dict.fromkeys(here, now))
        self._seen_at = {uid: at for uid, at in self._seen_at.items() if now - at <= UNSEEN_S}
        self._seen = {uid: times for uid, times in self._seen.items() if uid in self._seen_at}
        for uid in here:
            self._seen[uid] = self._seen.get(uid, 0) + (PASSES if uid in sure else 1)
            self._missed.pop(uid, None)
        come = {uid for uid, times in self._seen.items() if times >= PASSES}
        self.stable = frozenset((self.stable | come) & self._seen_at.keys())
        return not here <= self.stable

    def drop(self, uid: str) -> None:
        """Forget one tag, so that it must be seen anew."""
        for told in (self._seen, self._missed):
            told.pop(uid, None)
        self._seen_at.pop(uid, None)
        self.stable -= {uid}

    def forget(self) -> None:
        """Nothing is known any more: the port was lost."""
        self._seen, self._missed, self._seen_at, self.stable = {}, {}, {}, frozenset()


class Unreadable:
    """Tags that are there and cannot be read: asked again at once `BARE_AFTER` times, then ever less often.

    ``pause_s`` is the shortest time between two of those later readings; it doubles up to `PAUSE_MOST_S`.
    """

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._failed: dict[str, tuple[int, float]] = {}

    def note(self, failed: Iterable[str], now: float) -> None:
        """These could not be read at ``now`` (monotonic seconds)."""
        for uid in failed:
            times = self._failed.get(uid, (0, 0.0))[0] + 1
            pause = min(self._pause_s * 2 ** min(times - BARE_AFTER, 16), PAUSE_MOST_S) if times >= BARE_AFTER else 0.0
            self._failed[uid] = (times, now + pause)

    def is_due(self, uid: str, now: float) -> bool:
        """Whether a reading of this tag may be tried at ``now``."""
        return uid not in self._failed or now >= self._failed[uid][1]

    def is_bare(self, uid: str) -> bool:
        """Whether it failed so often that it is told without content."""
        return self._failed.get(uid, (0, 0.0))[0] >= BARE_AFTER

    def forget(self, uids: Iterable[str]) -> None:
        """These were read."""
        for uid in uids:
            self._failed.pop(uid, None)

    def keep(self, uids: Collection[str]) -> None:
        """Only these lie there still."""
        self._failed = {uid: failed for uid, failed in self._failed.items() if uid in uids}


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


def bare_tag(seen: Seen) -> PadTag:
    """A tag that is there and gives nothing of itself: no content, no AFI."""
    return PadTag(seen.uid, seen.dsfid or 0, None, b"", 4)


def is_hf(uid: str) -> bool:
    """Whether this is a UID of ISO 15693."""
    return len(uid) == 16 and uid.startswith("E0")
