"""The one pad driver of all RFID reader families: polls, reads new tags, writes their security and reads it back.

It owns the port, what is believed of the field (two sightings, two misses), the content cache and the retries; the family's
language is a `drivers.rfid.link.TagLink`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable, Mapping

from drivers.base import (
    Backoff,
    Capabilities,
    ConfigurationError,
    DeviceOffline,
    DeviceState,
    Emit,
    Fact,
    PadTag,
    Security,
    SecurityWrite,
    State,
    TagImage,
    TagsOnPad,
    TagWrite,
)
from drivers.port import Parity, Port, open_port, parse_url
from drivers.rfid.link import FOREIGN_TAG, PartOfField, Seen, TagLink, TagRefused
from drivers.rfid.securing import Writing, with_security, write_security, write_whole
from drivers.rfid.sightings import ContentCache, Sightings, Unreadable, bare_tag, is_hf

__all__ = ["PollingPad"]

SETTLE_S = 0.03
"""Next look while a tag is coming or going."""
DROWSY_AFTER_S = 60.0
"""After so long without a change an empty pad is looked at half as often."""
WRITE_TRIES = 3
FILL_AT_ONCE = 4
"""Tags whose security is asked for between two looks, where the inventory did not tell it."""
PAD_EVENTS = frozenset({"TagsOnPad", "DeviceState"})
PAD_COMMANDS = frozenset({"read", "secure", "restore", "write_tag"})
NOISE_S = 1.0
"""How long a fresh reading waits for a look that the air did not spoil."""
READ_LOOKS = 3
"""Looks of a fresh reading where none of them tells the whole field."""
_WINDOW, _NOISY = 40, 5


class PollingPad:
    """A pad over a port, whatever its family; an `drivers.base.Encoder`.

    ``link`` makes the family's line over an open port. ``poll_ms`` (20..5000) is the time between looks: a tag is told after two
    looks that agree, the second of which follows at once. ``events`` and ``commands`` are what a family has beyond every pad's.
    Raises `ConfigurationError` BAD_POLL, BAD_URL.
    """

    def __init__(
        self,
        device: str,
        url: str,
        *,
        kind: str,
        link: Callable[[Port], TagLink],
        baudrate: int,
        parity: Parity = "N",
        poll_ms: int = 250,
        uniform: Callable[[], float] = random.random,
        events: frozenset[str] = frozenset(),
        commands: frozenset[str] = frozenset(),
    ) -> None:
        if not 20 <= poll_ms <= 5000:
            raise ConfigurationError("BAD_POLL", "poll_ms is 20 to 5000")
        parse_url(url, baudrate=baudrate, parity=parity)
        self.kind = kind
        self.device = device
        self.capabilities = Capabilities(PAD_EVENTS | events, PAD_COMMANDS | commands)
        self._url = url
        self._make_link = link
        self._baudrate = baudrate
        self._parity = parity
        self._poll_s = poll_ms / 1000
        self._backoff = Backoff(uniform)
        self._one_at_a_time = asyncio.Lock()
        self._link: TagLink | None = None
        self._emit: Emit = lambda _event: None
        self._state: tuple[State, str] = ("offline", "STARTING")
        self._facts: dict[str, Fact] = {}
        self._sightings = Sightings()
        self._cache = ContentCache()
        self._unread = Unreadable(self._poll_s)
        self._spoilt = False
        self._hidden_by = ""
        self._tags: tuple[PadTag, ...] = ()
        self._unasked: set[str] = set()
        self._filled = False
        self._errors: deque[bool] = deque(maxlen=_WINDOW)
        self._last_frame: float | None = None
        self._totals = {
            "commands": 0, "timeouts": 0, "bad_frames": 0, "opened": 0, "unreadable": 0, "security_writes": 0, "tag_writes": 0,
        }  # fmt: skip

    @property
    def tags(self) -> tuple[PadTag, ...]:
        """The tags told last."""
        return self._tags

    def health(self) -> Mapping[str, Fact]:
        """Give state, tags on the pad, counters since start, ms since the last sound answer (-1 = none), the device's facts."""
        now = self._link.counters() if self._link else {}
        totals = {name: self._totals.get(name, 0) + now.get(name, 0) for name in {**self._totals, **now}}
        age = -1 if self._last_frame is None else int((time.monotonic() - self._last_frame) * 1000)
        state, reason = self._state
        return {
            "state": state, "reason_code": reason, "tags": len(self._tags), "last_frame_ms": age, **totals, **self._facts,
        }  # fmt: skip

    async def run(self, emit: Emit) -> None:
        """Serve the pad until cancelled."""
        self._emit = emit
        try:
            while True:
                await self._attempt()
                await asyncio.sleep(self._backoff.next_s())
        finally:
            self._state = ("offline", "STOPPED")

    async def _attempt(self) -> None:
        port: Port | None = None
        try:
            port = await open_port(self._url, baudrate=self._baudrate, parity=self._parity)
            self._totals["opened"] += 1
            await self._serve(self._make_link(port))
        except DeviceOffline as error:
            self._tell("offline", error.code)
        finally:
            self._lose_link()
            if port is not None:
                await port.close()

    def _lose_link(self) -> None:
        if self._link is not None:
            for name, count in self._link.counters().items():
                self._totals[name] = self._totals.get(name, 0) + count
            self._link = None
        self._sightings.forget()
        self._unread.keep(())
        self._hidden_by = ""
        self._errors.clear()
        if self._tags:  # nobody knows what lies there now
            self._show(())

    async def _serve(self, link: TagLink) -> None:
        self._facts = dict(await link.begin())
        self._link = link
        self._backoff.reset()
        self._heard()
        self._tell("online", "OK")
        loop = asyncio.get_running_loop()
        changed_at = loop.time()
        while True:
            async with self._one_at_a_time:
                errors = link.errors
                settling, changed = await self._look(link)
                await self.attend(link)
                self._judge(self._spoilt or link.errors > errors)
            if not changed and not settling:  # a stack that is still being laid down is looked at first
                changed = await self._fill(link)
            if changed:
                changed_at = loop.time()
            drowsy = not self._tags and loop.time() - changed_at > DROWSY_AFTER_S
            soon = settling or changed or bool(self._unasked)
            await asyncio.sleep(SETTLE_S if soon else self._poll_s * (2 if drowsy else 1))

    async def attend(self, link: TagLink) -> None:
        """Ask after what a family has beyond tags (inputs, temperature) once a look; a family that has it overrides this."""

    def _judge(self, erred: bool) -> None:
        self._errors.append(erred)
        if sum(self._errors) >= _NOISY:
            self._tell("degraded", "NOISY_LINE")
        elif self._hidden_by:
            self._tell("degraded", self._hidden_by)
        elif not any(self._errors) or self._state[1] == FOREIGN_TAG:
            self._tell("online", "OK")

    async def _look(self, link: TagLink) -> tuple[bool, bool]:
        """Take one look; gives whether the picture is still settling and whether it changed."""
        look = await self._inventory(link)
        self._spoilt = look is None
        found = PartOfField({}) if look is None else look
        now = asyncio.get_running_loop().time()
        sure = {uid for uid, seen in found.items() if seen.sure}
        part = isinstance(found, PartOfField)
        settling = (self._sightings.take_part if part else self._sightings.take)(found, sure, now=now)
        self._hidden_by = found.reason if isinstance(found, PartOfField) else ""
        self._unread.keep(self._sightings.stable)
        self._cache.touch(found, now)
        shown = {tag.uid: tag for tag in self._tags}
        known = {
            uid: tag
            for uid, tag in shown.items()
            if not _rewritten(tag, found.get(uid)) and not self._unread.is_bare(uid)
        }
        told = {
            uid: seen.tag for uid, seen in found.items()
            if seen.tag is not None and uid in self._sightings.stable and uid not in known
        }  # fmt: skip
        new = [
            uid for uid in self._sightings.stable
            if uid in found and uid not in known and uid not in told and self._unread.is_due(uid, now)
        ]  # fmt: skip
        read = await self._read(link, [found[uid] for uid in sorted(new)])
        self._unread.forget(read)
        failed = [uid for uid in new if uid not in read]
        self._unread.note(failed, now)
        bare = {uid: bare_tag(found[uid]) for uid in failed if self._unread.is_bare(uid) and is_hf(uid)}
        self._unasked |= {uid for uid, tag in told.items() if _security_unknown(tag)}
        for tag in told.values():
            self._cache.put(tag, now)
        current = {**bare, **shown, **known, **told, **read}
        tags = tuple(current[uid] for uid in sorted(self._sightings.stable) if uid in current)
        settling = settling or any(not self._unread.is_bare(uid) for uid in failed)
        if tags == self._tags:
            return settling, False
        self._show(tags)
        return settling, True

    async def _inventory(self, link: TagLink) -> Mapping[str, Seen] | None:
        try:
            found = await link.inventory()
        except TagRefused:  # the air was noisy: what lies there is not known, and the next look will tell
            return None
        self._heard()
        return found

    async def _read(self, link: TagLink, wanted: list[Seen]) -> Mapping[str, PadTag]:
        if not wanted:
            return {}
        now = asyncio.get_running_loop().time()
        cached = {seen.uid: self._cache.get(seen.uid, now) for seen in wanted}
        read = await link.read(wanted, {uid: tag for uid, tag in cached.items() if tag is not None})
        self._totals["unreadable"] += len(wanted) - len(read)
        for tag in read.values():
            self._cache.put(tag, now)
        return read

    async def _fill(self, link: TagLink) -> bool:
        """Ask for the security of tags told without it, a few at a time; told again when all are known."""
        if not self._unasked:
            return False
        self._unasked &= {tag.uid for tag in self._tags}
        some = sorted(self._unasked)[:FILL_AT_ONCE]
        self._unasked -= set(some)  # asked once: a tag that has neither AFI nor EAS is not asked for ever
        async with self._one_at_a_time:
            known = {tag.uid: tag for tag in self._tags if tag.uid in some}
            read = await link.read([Seen(uid) for uid in known], known)
            self._tags = tuple(read.get(tag.uid, tag) for tag in self._tags)
            self._filled = self._filled or bool(read)
        if self._unasked or not self._filled:
            return False
        self._filled = False
        self._show(self._tags)
        return True

    async def read(self) -> tuple[PadTag, ...]:
        """Take a fresh inventory now, with all security read from the tags.

        A tag that only one of two looks sees is taken as present, as long as it can be read. Raises `DeviceOffline`, with
        FIELD_NOISY where the pad answers and the air lets no look through: an empty pad is claimed of no field that was not seen.
        """
        async with self._one_at_a_time:
            link = self.require_link()
            found = await self._fresh(link)
            whole = {uid: seen.tag for uid, seen in found.items() if seen.tag and not _security_unknown(seen.tag)}
            for seen in found.values():
                if seen.tag is not None:
                    self._cache.put(seen.tag, asyncio.get_running_loop().time())
            read = await self._read(link, [found[uid] for uid in sorted(found) if uid not in whole])
            bare = {uid: bare_tag(seen) for uid, seen in found.items() if self._unread.is_bare(uid) and is_hf(uid)}
            tags = {**bare, **whole, **read}
            return tuple(tags[uid] for uid in sorted(tags))

    async def _fresh(self, link: TagLink) -> dict[str, Seen]:
        """Look until one look tells the whole field and, where it is not what was believed, another one agreed or added."""
        loop = asyncio.get_running_loop()
        found: dict[str, Seen] = {}
        looks, give_up_at = 0, loop.time() + NOISE_S
        while looks < READ_LOOKS and loop.time() < give_up_at:
            look = await self._inventory(link)
            if look is not None:
                looks += 1
                found.update(look)
            if look is None or isinstance(look, PartOfField):
                await asyncio.sleep(SETTLE_S)
            elif looks > 1 or frozenset(found) == self._sightings.stable:
                return found
        if not looks:
            raise DeviceOffline("FIELD_NOISY", "the pad cannot tell what lies on it: the air is noisy")
        # what was believed to lie there is asked as well: what answers is there
        return {**{uid: Seen(uid) for uid in self._sightings.stable}, **found}

    async def secure(self, uid: str, secured: bool) -> SecurityWrite:
        """Switch a tag's security by the site's pair and read it back; up to three attempts, then say what stands on the tag."""
        return await self._write(uid, lambda link, now: link.security_of(secured, now))

    async def restore(self, uid: str, state: Security) -> SecurityWrite:
        """Put back the state a `SecurityWrite` told as ``before``; parts that are None are left alone."""
        return await self._write(uid, lambda _link, _now: state)

    async def _write(self, uid: str, want: Callable[[TagLink, Security], Security]) -> SecurityWrite:
        writing = Writing(uid)
        async with self._one_at_a_time:
            self._totals["security_writes"] += 1
            try:
                link = self.require_link()
                written = await write_security(link, writing, lambda now: want(link, now), WRITE_TRIES)
            except DeviceOffline:
                return writing.offline()
            self._heard()
            self._note(link, uid, written.after)
            return written

    async def read_whole(self, uid: str) -> PadTag | None:
        """Read all of a tag's memory, None where it is not there; raises `DeviceOffline`."""
        async with self._one_at_a_time:
            link = self.require_link()
            for _ in range(WRITE_TRIES):
                with contextlib.suppress(TagRefused):
                    return await link.read_whole(uid)
        return None

    async def write_tag(self, uid: str, image: TagImage) -> TagWrite:
        """Write a whole tag, security last, and read it back; failures are in the answer.

        A tag pulled away midway has its old security still: it is written last. What was told of the tag is told anew; after a
        failure it is not shown until it was seen and read again.
        """
        async with self._one_at_a_time:
            self._totals["tag_writes"] += 1
            tag, reason = None, "OFFLINE"
            try:
                tag, reason = await write_whole(self.require_link(), uid, image, WRITE_TRIES)
            except DeviceOffline:
                pass
            finally:
                if tag is None:
                    self._doubt(uid)
            if tag is not None:
                self._rewrote(tag)
            return TagWrite(uid, tag is not None, reason)

    def _doubt(self, uid: str) -> None:
        """Nobody knows what stands on this tag now: what was told of it is taken back."""
        self._cache.forget(uid)
        self._sightings.drop(uid)
        if any(tag.uid == uid for tag in self._tags):
            self._show(tuple(tag for tag in self._tags if tag.uid != uid))

    def _rewrote(self, tag: PadTag) -> None:
        self._unread.forget((tag.uid,))
        self._cache.put(tag, asyncio.get_running_loop().time())
        if any(shown.uid == tag.uid for shown in self._tags):
            self._show(tuple(tag if shown.uid == tag.uid else shown for shown in self._tags))

    def _note(self, link: TagLink, uid: str, state: Security) -> None:
        self._tags = tuple(with_security(link, tag, state) if tag.uid == uid else tag for tag in self._tags)

    def _show(self, tags: tuple[PadTag, ...]) -> None:
        self._tags = tags
        self._emit(TagsOnPad(self.device, tags))

    def require_link(self) -> TagLink:
        """Give the open line; raises `DeviceOffline` where there is none."""
        if self._link is None:
            raise DeviceOffline("DEVICE_OFFLINE", "the pad does not answer")
        return self._link

    def _heard(self) -> None:
        self._last_frame = time.monotonic()

    def _tell(self, state: State, reason: str) -> None:
        if (state, reason) != self._state:
            self._state = (state, reason)
            self._emit(DeviceState(self.device, state, reason, dict(self._facts)))


def _security_unknown(tag: PadTag) -> bool:
    return tag.afi is None and tag.eas is None and tag.secured is None


def _rewritten(tag: PadTag, seen: Seen | None) -> bool:
    """Whether the inventory itself tells another EPC bank than is known (UHF: a loan rewrites it)."""
    return seen is not None and seen.tag is not None and (seen.tag.pc, seen.tag.epc) != (tag.pc, tag.epc)
