"""An LLRP reader as a `TagLink`: its reports are the inventory, access operations are the words of a tag."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from drivers.base import Fact, PadTag
from drivers.rfid.link import Seen, TagRefused
from drivers.rfid.llrp.session import LlrpSession
from drivers.rfid.llrp.settings import LlrpSettings
from drivers.rfid.uhf.gen2 import Before, Gen2Link, Heard
from drivers.rfid.uhf.memory import EpcBank, Memory, wants_user
from protocols.uhf.target import EPC_BANK, TID_BANK, USER_BANK

__all__ = ["LlrpLink"]

CHUNK = 16
AT_ONCE = 8
"""New tags named in one look: as many access operations as run side by side."""
RSSI_SLACK_DB = 6
"""A tag already on the pad may be so much weaker than the floor before it counts as gone."""
_Place = tuple[bytes, int, int, int]


class LlrpRadio:
    """`drivers.rfid.uhf.memory.Gen2Radio` by access operations.

    An operation waits until the inventory comes to its tag, so what a look will ask of many tags is fetched side by side first;
    it is believed during that look only.
    """

    chunk = CHUNK

    def __init__(self, session: LlrpSession) -> None:
        self._session = session
        self._fetched: dict[_Place, bytes] = {}

    async def fetch(self, places: Sequence[_Place]) -> None:
        """Read all these places at once; what a tag does not give is asked again by whoever needs it."""
        await asyncio.gather(*(self._fetch(place) for place in places if place not in self._fetched))

    async def _fetch(self, place: _Place) -> None:
        with contextlib.suppress(TagRefused):
            self._fetched[place] = await self._session.read_words(*place)

    def told(self, epc: bytes, pc: int) -> None:
        """Take PC and EPC from a report of this look."""
        self._fetched[(epc, EPC_BANK, 1, 1 + len(epc) // 2)] = pc.to_bytes(2, "big") + epc

    def fetched(self, place: _Place) -> bytes | None:
        """What was fetched in this look."""
        return self._fetched.get(place)

    def forget(self) -> None:
        """The look is over."""
        self._fetched.clear()

    async def read_words(self, epc: bytes, bank: int, word: int, count: int) -> bytes:
        """Read words; raises `TagRefused`."""
        found = self._fetched.get((epc, bank, word, count))
        return found if found is not None else await self._session.read_words(epc, bank, word, count)

    async def write_words(self, epc: bytes, bank: int, word: int, data: bytes) -> None:
        """Write words; raises `TagRefused`. A tag whose EPC changed is no longer there under the old one."""
        self._fetched.clear()
        await self._session.write_words(epc, bank, word, data)
        if bank == EPC_BANK:
            self._session.seen.pop(epc, None)


class LlrpLink(Gen2Link):
    """One connection, and which EPC is which tag now."""

    def __init__(self, session: LlrpSession, settings: LlrpSettings, undo: dict[str, Before]) -> None:
        self._session = session
        self._settings = settings
        self._radio = LlrpRadio(session)
        super().__init__(Memory(self._radio), settings.afi_pair, undo, read_tid=settings.read_tid)

    @property
    def errors(self) -> int:
        """Time-outs and the reader's own exceptions so far."""
        return self._session.counts["timeouts"] + self._session.counts["exceptions"]

    def counters(self) -> Mapping[str, int]:
        """The session's, and tags too weak, found half-written, and repaired."""
        return {**self._session.counts, **self._counts}

    async def begin(self) -> Mapping[str, Fact]:
        """Tell what the reader said of itself."""
        reader = self._session.reader
        facts: dict[str, Fact] = {"firmware": reader.firmware, "model": reader.model_number}
        facts["antennas"] = reader.max_antennas
        degrees = await self._session.temperature()
        return facts if degrees is None else {**facts, "temperature_c": round(degrees)}

    async def hear(self) -> Mapping[bytes, Heard]:
        """The tags reported within ``gone_ms`` and strong enough."""
        await self._session.check()
        now = asyncio.get_running_loop().time()
        heard: dict[bytes, Heard] = {}
        for epc, seen in list(self._session.seen.items()):
            if now - seen.last_at > self._settings.gone_ms / 1000:
                del self._session.seen[epc]
                continue
            slack = RSSI_SLACK_DB if self.is_named(epc) else 0
            if seen.rssi_dbm is not None and seen.rssi_dbm < self._settings.rssi_floor_dbm - slack:
                self._counts["weak"] += 1
                continue
            heard[epc] = Heard(seen.tid, seen.pc, sure=seen.times > 1)
        return heard

    async def _content(self, bank: EpcBank, epc: bytes, known: PadTag | None) -> bytes:
        if self._settings.gate:  # who walks through does not stop for the user bank
            return b""
        return await super()._content(bank, epc, known)

    async def inventory(self) -> Mapping[str, Seen]:
        """Every tag in the reports; what naming the new ones takes is fetched side by side."""
        heard = dict(await self.hear())
        if self._settings.read_tid:
            new = [epc for epc, tag in heard.items() if not tag.tid and not self.is_named(epc)]
            for epc in new[AT_ONCE:]:
                del heard[epc]  # named in the next look, so that the first ones are told soon
            await self._radio.fetch([(epc, TID_BANK, 0, 6) for epc in new[:AT_ONCE]])
        try:
            return await self.look(heard)
        finally:
            self._radio.forget()

    async def read(self, wanted: Sequence[Seen], known: Mapping[str, PadTag]) -> Mapping[str, PadTag]:
        """As any Gen2 link, with all tags asked side by side."""
        uids = {seen.uid for seen in wanted}
        epcs = [epc for epc, name in self._names.items() if name.uid in uids]
        banks = {epc: (epc, EPC_BANK, 1, 1 + len(epc) // 2) for epc in epcs}
        for epc in epcs:
            seen = self._session.seen.get(epc)
            if seen is not None and seen.pc is not None and seen.pc >> 11 == len(epc) // 2:
                self._radio.told(epc, seen.pc)
        await self._radio.fetch(list(banks.values()))
        content = []
        for epc in epcs:
            bank = self._radio.fetched(banks[epc])
            uid = self._names[epc].uid
            if (
                not self._settings.gate
                and bank is not None
                and uid not in known
                and wants_user(int.from_bytes(bank[:2], "big"), epc)
            ):
                content.append((epc, USER_BANK, 0, CHUNK))
        await self._radio.fetch(content)
        try:
            return await super().read(wanted, known)
        finally:
            self._radio.forget()
