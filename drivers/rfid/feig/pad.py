"""A FEIG ISO 15693 pad as a driver: polls, reads new tags, writes AFIs and reads them back."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from drivers.base import (
    AfiWrite,
    Backoff,
    Capabilities,
    ConfigurationError,
    DeviceOffline,
    DeviceState,
    Emit,
    Fact,
    PadTag,
    State,
    TagsOnPad,
)
from drivers.port import Port, open_port, parse_url
from drivers.rfid.feig.line import FeigLine
from drivers.rfid.feig.tags import ContentCache, Sightings
from protocols.feig import (
    ISO15693_ERROR,
    WRITE_ERROR,
    InventoryRequest,
    InventoryTag,
    ReadBlocksRequest,
    StatusError,
    SystemInformationRequest,
    VersionRequest,
    WriteAfiRequest,
)
from protocols.iso28560 import DEFAULT_AFI, AfiPair

MAX_TAGS = 256
MAX_BLOCKS = 28
"""Blocks read of a tag: the 112 bytes of the usual library chip; larger chips keep their item data there too."""
FIRST_BLOCKS = 9
"""The basic block of ISO 28560-3 and the first length byte after it; the rest is fetched where that is not 0."""
SETTLE_S = 0.03
"""Next look while a tag is coming or going."""
DROWSY_AFTER_S = 60.0
"""After so long without a change an empty pad is looked at half as often."""
WRITE_TRIES = 3
_WINDOW, _NOISY = 40, 5
_DSFID_PART3 = 0x3E
_LOCKED = 0x12
"""ISO 15693-3 error 12: the block (here the AFI) is locked."""


class FeigPad:
    """FEIG CPR/MR/LR pad over a port (38400 8E1 unless the URL says otherwise).

    ``afi_pair`` is what the site calls secured and on loan. ``poll_ms`` (20..5000) is the time between looks: a tag is
    told after two looks that agree, the second of which follows at once.
    """

    kind = "feig"
    capabilities = Capabilities(
        events=frozenset({"TagsOnPad", "DeviceState"}), commands=frozenset({"read", "write_afi"})
    )

    def __init__(
        self,
        device: str,
        url: str,
        *,
        afi_pair: AfiPair = DEFAULT_AFI,
        poll_ms: int = 250,
        address: int = 0xFF,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        if not 20 <= poll_ms <= 5000:
            raise ConfigurationError("BAD_POLL", "poll_ms is 20 to 5000")
        if not 0 <= address <= 0xFF:
            raise ConfigurationError("BAD_ADDRESS", "a FEIG address is 0 to 255")
        parse_url(url)
        self.device = device
        self.afi_pair = afi_pair
        self._url = url
        self._address = address
        self._poll_s = poll_ms / 1000
        self._backoff = Backoff(uniform)
        self._one_at_a_time = asyncio.Lock()
        self._line: FeigLine | None = None
        self._emit: Emit = lambda _event: None
        self._state: tuple[State, str] = ("offline", "STARTING")
        self._facts: dict[str, Fact] = {}
        self._sightings = Sightings()
        self._cache = ContentCache()
        self._tags: tuple[PadTag, ...] = ()
        self._errors: deque[bool] = deque(maxlen=_WINDOW)
        self._totals = {"commands": 0, "timeouts": 0, "bad_frames": 0, "opened": 0, "unreadable": 0, "afi_writes": 0}

    @property
    def tags(self) -> tuple[PadTag, ...]:
        """The tags told last."""
        return self._tags

    def health(self) -> Mapping[str, Fact]:
        """Give state, number of tags on the pad, and counters since start."""
        now = self._line.counters() if self._line else {}
        totals = {name: count + now.get(name, 0) for name, count in self._totals.items()}
        state, reason = self._state
        return {"state": state, "reason_code": reason, "tags": len(self._tags), **totals}

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
            port = await open_port(self._url, baudrate=38400, parity="E")
            self._totals["opened"] += 1
            await self._serve(FeigLine(port, self._address))
        except DeviceOffline as error:
            self._tell("offline", error.code)
        finally:
            self._lose_line()
            if port is not None:
                await port.close()

    def _lose_line(self) -> None:
        if self._line is not None:
            for name, count in self._line.counters().items():
                self._totals[name] += count
            self._line = None
        self._sightings.forget()
        self._errors.clear()
        if self._tags:  # nobody knows what lies there now
            self._tags = ()
            self._emit(TagsOnPad(self.device, ()))

    async def _serve(self, line: FeigLine) -> None:
        with contextlib.suppress(StatusError):
            version = await line.ask(VersionRequest())
            self._facts = {
                "software": f"{version.software[0]}.{version.software[1]}",
                "reader_type": version.reader_type,
            }
        self._line = line
        self._backoff.reset()
        self._tell("online", "OK")
        loop = asyncio.get_running_loop()
        changed_at = loop.time()
        while True:
            async with self._one_at_a_time:
                errors = line.errors
                settling, changed = await self._look(line)
                self._judge(line.errors > errors)
            if changed:
                changed_at = loop.time()
            drowsy = not self._tags and loop.time() - changed_at > DROWSY_AFTER_S
            await asyncio.sleep(SETTLE_S if settling else self._poll_s * (2 if drowsy else 1))

    def _judge(self, erred: bool) -> None:
        self._errors.append(erred)
        if sum(self._errors) >= _NOISY:
            self._tell("degraded", "NOISY_LINE")
        elif not any(self._errors):
            self._tell("online", "OK")

    async def _look(self, line: FeigLine) -> tuple[bool, bool]:
        """Take one look; gives whether the picture is still settling and whether it changed."""
        found = await self._inventory(line)
        settling = self._sightings.take(found)
        now = asyncio.get_running_loop().time()
        self._cache.touch(found, now)
        known = {tag.uid: tag for tag in self._tags}
        tags = []
        for uid in sorted(self._sightings.stable):
            tag = known.get(uid)
            if tag is None and uid in found:
                tag = await self._read_tag(line, found[uid])
                settling = settling or tag is None
            if tag is not None:
                tags.append(tag)
        if tuple(tags) == self._tags:
            return settling, False
        self._tags = tuple(tags)
        self._emit(TagsOnPad(self.device, self._tags))
        return settling, True

    async def _inventory(self, line: FeigLine) -> dict[str, InventoryTag]:
        found: dict[str, InventoryTag] = {}
        more = False
        while len(found) < MAX_TAGS:
            try:
                reply = await line.ask(InventoryRequest(more))
            except StatusError as error:
                if error.retry:
                    break  # the air was noisy: the next look will tell
                raise DeviceOffline("DEVICE_FAULT", f"the pad answered {error.code} to an inventory") from error
            found.update((tag.uid, tag) for tag in reply.tags)
            more = reply.more and bool(reply.tags)
            if not more:
                break
        return found

    async def _read_tag(self, line: FeigLine, seen: InventoryTag) -> PadTag | None:
        """Read AFI and content; None where the tag left meanwhile. The AFI is never taken from the cache."""
        now = asyncio.get_running_loop().time()
        afi: int | None = None
        blocks = MAX_BLOCKS
        try:
            try:
                info = await line.ask(SystemInformationRequest(seen.uid))
                afi, blocks = info.afi, min(MAX_BLOCKS, info.block_count)
            except StatusError as error:
                if error.status != ISO15693_ERROR:  # a tag may lack this command; it then has no AFI to speak of
                    raise
            cached = self._cache.get(seen.uid, now)
            if cached is not None and cached.dsfid == seen.dsfid:
                tag = replace(cached, afi=afi)
            else:
                data, size = await self._read_blocks(line, seen, blocks)
                tag = PadTag(seen.uid, seen.dsfid, afi, data, size)
        except StatusError:
            self._totals["unreadable"] += 1
            return None
        self._cache.put(tag, now)
        return tag

    async def _read_blocks(self, line: FeigLine, seen: InventoryTag, blocks: int) -> tuple[bytes, int]:
        """Read as much of the user memory as the format says is used: at 38400 baud every block costs 1.4 ms."""
        first = min(FIRST_BLOCKS, blocks) if seen.dsfid == _DSFID_PART3 else blocks
        content = await line.ask(ReadBlocksRequest(seen.uid, 0, first))
        data = content.data
        # byte 34 begins the next block; 33 is the same byte on tags that store every block reversed
        if first < blocks and any(data[33:35]):
            data += (await line.ask(ReadBlocksRequest(seen.uid, first, blocks - first))).data
        return data, content.block_size

    async def read(self) -> tuple[PadTag, ...]:
        """Take a fresh inventory now, with every AFI read from its tag; raises `DeviceOffline`.

        A tag that only one of two looks sees is taken as present, as long as it can be read.
        """
        async with self._one_at_a_time:
            line = self._require_line()
            found = await self._inventory(line)
            if frozenset(found) != self._sightings.stable:
                found.update(await self._inventory(line))
            tags = [await self._read_tag(line, found[uid]) for uid in sorted(found)]
            return tuple(tag for tag in tags if tag is not None)

    async def write_afi(self, uid: str, afi: int) -> AfiWrite:
        """Write a tag's AFI (0..255) and read it back; up to three attempts, then say what stands on the tag.

        Reasons: NO_TAG (not on the pad), WRITE_ERROR (the tag refused), LOCKED, NOT_VERIFIED (read back otherwise),
        OFFLINE. A tag that already has the AFI is left alone.
        """
        before: int | None = None
        reason = "NO_TAG"
        async with self._one_at_a_time:
            self._totals["afi_writes"] += 1
            try:
                line = self._require_line()
                for _ in range(WRITE_TRIES):
                    try:
                        found = await self._afi_of(line, uid)
                        if before is None:
                            before = found
                        if found != afi:
                            await line.ask(WriteAfiRequest(uid, afi))
                            found = await self._afi_of(line, uid)
                    except StatusError as error:
                        reason = _why(error)
                        continue
                    if found == afi:
                        self._note_afi(uid, afi)
                        return AfiWrite(uid, before, found, True, "")
                    reason = "NOT_VERIFIED"
                after: int | None = None
                with contextlib.suppress(StatusError):
                    after = await self._afi_of(line, uid)
            except DeviceOffline:
                return AfiWrite(uid, before, None, False, "OFFLINE")
        return AfiWrite(uid, before, after, False, reason)

    async def _afi_of(self, line: FeigLine, uid: str) -> int:
        return (await line.ask(SystemInformationRequest(uid))).afi

    async def secure(self, uid: str) -> AfiWrite:
        """Write the site's AFI for "in stock": the security gate alarms."""
        return await self.write_afi(uid, self.afi_pair.secured)

    async def unsecure(self, uid: str) -> AfiWrite:
        """Write the site's AFI for "on loan"."""
        return await self.write_afi(uid, self.afi_pair.on_loan)

    def _note_afi(self, uid: str, afi: int) -> None:
        self._tags = tuple(replace(tag, afi=afi) if tag.uid == uid else tag for tag in self._tags)

    def _require_line(self) -> FeigLine:
        if self._line is None:
            raise DeviceOffline("DEVICE_OFFLINE", "the pad does not answer")
        return self._line

    def _tell(self, state: State, reason: str) -> None:
        if (state, reason) != self._state:
            self._state = (state, reason)
            self._emit(DeviceState(self.device, state, reason, dict(self._facts)))


def _why(error: StatusError) -> str:
    if error.iso_error == _LOCKED:
        return "LOCKED"
    return "WRITE_ERROR" if error.status in (WRITE_ERROR, ISO15693_ERROR) else "NO_TAG"
