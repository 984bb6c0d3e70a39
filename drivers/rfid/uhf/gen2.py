"""Gen2 tags behind any UHF RFID reader: names them by TID, reads what an EPC does not tell, writes so that nothing is left half.

What a family adds is a `Gen2Radio`: hear EPCs, read and write words of a tag addressed by the EPC it tells now.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from drivers.base import PadTag, Security
from drivers.rfid.link import Seen, TagRefused
from drivers.rfid.uhf.memory import MARK, EpcBank, Memory, is_unique, wants_user
from protocols.iso28560 import AfiPair, LocalTagError
from protocols.iso28560.image import TagImage
from protocols.iso28560.uhf import TOGGLE, identity, secured_of, with_security
from protocols.uhf.target import EPC_BANK, USER_BANK

__all__ = ["Before", "Gen2Link", "Heard"]

FORGET_AFTER = 3
"""Looks without a tag after which its EPC may be another chip's."""
MAX_UNDONE = 64
"""Half-written tags whose former content is kept for their return."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One tag as an inventory tells it: its TID and its PC where told (b"" and None), and whether it was heard more than once."""

    tid: bytes = b""
    pc: int | None = None
    sure: bool = False


@dataclass(slots=True)
class _Name:
    uid: str
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Before:
    """What stood on a tag before a longer write."""

    pc: int
    epc: bytes
    user: bytes


class Gen2Link(ABC):
    """What all UHF families share of a `drivers.rfid.link.TagLink`; ``undo`` outlives a lost line.

    ``read_tid`` False = tags are named by their EPC even where the chip has a number of its own.
    """

    def __init__(self, memory: Memory, pair: AfiPair, undo: dict[str, Before], *, read_tid: bool = True) -> None:
        self._memory = memory
        self._pair = pair
        self._undo = undo
        self._read_tid = read_tid
        self._names: dict[bytes, _Name] = {}
        self._known: dict[str, PadTag] = {}
        self._moved: dict[str, bytes] = {}
        self._counts = {"weak": 0, "half_written": 0, "repaired": 0, "ambiguous": 0}

    @abstractmethod
    async def hear(self) -> Mapping[bytes, Heard]:
        """Give every EPC that is told in the field, and strong enough; a family implements it. Raises `TagRefused`."""

    def is_named(self, epc: bytes) -> bool:
        """Whether a tag with this EPC was there a moment ago."""
        return epc in self._names

    async def inventory(self) -> Mapping[str, Seen]:
        """Every tag by TID where it has one; a half-written one whose former content is known is put right."""
        return await self.look(await self.hear())

    async def look(self, heard: Mapping[bytes, Heard]) -> Mapping[str, Seen]:
        """Name what was heard; a tag that cannot be asked now is left for the next look."""
        for epc in [epc for epc, name in self._names.items() if epc not in heard and self._is_gone(name)]:
            self._known.pop(self._names.pop(epc).uid, None)
        found: dict[str, Seen] = {}
        for epc, tag in heard.items():
            with contextlib.suppress(TagRefused):
                uid = await self._name(epc, tag.tid)
                if uid in self._undo and not epc.startswith(MARK):
                    del self._undo[uid]  # somebody else finished it: what we remember is too old to put back
                elif uid in self._undo:
                    await self._put_back(uid, epc)
                    tag = Heard(tag.tid, sure=tag.sure)
                found[uid] = self._seen(uid, epc, tag)
        return found

    @staticmethod
    def _is_gone(name: _Name) -> bool:
        name.missed += 1
        return name.missed >= FORGET_AFTER

    def _seen(self, uid: str, epc: bytes, heard: Heard) -> Seen:
        known = self._known.get(uid)
        same = known is not None and known.epc == epc and heard.pc in (None, known.pc)
        if known is None or same or epc not in self._names:
            return Seen(uid, sure=heard.sure)
        afi = heard.pc & 0xFF if heard.pc is not None and heard.pc & TOGGLE else None
        secured = None if heard.pc is None else secured_of(heard.pc, epc, self._pair)
        tag = replace(known, pc=heard.pc, epc=epc, afi=afi, secured=secured)  # somebody rewrote it
        if heard.pc is not None:
            self._known[uid] = tag
        return Seen(uid, tag=tag, sure=heard.sure)

    async def _name(self, epc: bytes, told: bytes = b"", *, fresh: bool = False) -> str:
        """Give the UID of the tag that tells ``epc``; raises `TagRefused` where it cannot be asked now."""
        name = self._names.get(epc)
        tid = told if told and is_unique(told) else b""
        if name is not None and not fresh and tid.hex().upper() in ("", name.uid):
            name.missed = 0
            return name.uid
        if not tid and self._read_tid:
            tid = await self._memory.tid(epc)
        if tid:
            uid = tid.hex().upper()
        else:
            uid = next((old for old, now in self._moved.items() if now == epc), "")
            bank = await self._memory.epc_bank(epc)
            uid = uid or identity(bank.pc, epc)
        if name is None and epc.startswith(MARK):
            self._counts["half_written"] += 1
        self._call(epc, uid)
        return uid

    def _call(self, epc: bytes, uid: str) -> None:
        """This EPC is that tag now; a chip tells one EPC at a time."""
        self._names = {other: name for other, name in self._names.items() if name.uid != uid}
        self._names[epc] = _Name(uid)

    async def _find(self, uid: str) -> bytes:
        """Give the EPC that this very tag tells now, asked of the tag itself; raises `TagRefused` NO_TAG."""
        tried = [epc for epc, name in self._names.items() if name.uid == uid]
        for epc in tried:
            with contextlib.suppress(TagRefused):
                if await self._name(epc, fresh=True) == uid:
                    return epc
        for epc in await self.hear():  # it may tell another EPC by now
            if epc not in tried:
                with contextlib.suppress(TagRefused):
                    if await self._name(epc) == uid:
                        return epc
        raise TagRefused("NO_TAG")

    # --- reading ------------------------------------------------------------------------------------------------------

    async def read(self, wanted: Sequence[Seen], known: Mapping[str, PadTag]) -> Mapping[str, PadTag]:
        """Read PC and EPC of each, and the user bank where the EPC bank says that it holds something."""
        found: dict[str, PadTag] = {}
        for seen in wanted:
            epc = next((epc for epc, name in self._names.items() if name.uid == seen.uid), None)
            if epc is None:
                continue
            with contextlib.suppress(TagRefused):
                bank = await self._memory.epc_bank(epc)
                found[seen.uid] = self._learn(seen.uid, bank, await self._content(bank, epc, known.get(seen.uid)))
        return found

    async def _content(self, bank: EpcBank, epc: bytes, known: PadTag | None) -> bytes:
        if not wants_user(bank.pc, epc):
            return b""
        if (
            known is not None
            and known.data
            and identity(bank.pc if known.pc is None else known.pc, known.epc) == identity(bank.pc, epc)
        ):
            return known.data
        return await self._memory.user(epc, bank.pc)

    def _learn(self, uid: str, bank: EpcBank, data: bytes) -> PadTag:
        epc = bank.told
        afi = bank.pc & 0xFF if bank.pc & TOGGLE else None
        secured = secured_of(bank.pc, epc, self._pair)
        tag = PadTag(uid, 0, afi, data, 2, "UHF", None, bank.pc, epc, secured)
        self._known[uid] = tag
        return tag

    async def read_whole(self, uid: str) -> PadTag:
        """All that matters: PC, EPC and the whole user bank; raises `TagRefused`."""
        epc = await self._find(uid)
        bank = await self._memory.epc_bank(epc)
        return self._learn(uid, bank, await self._memory.user(epc, bank.pc, whole=True))

    async def security(self, uid: str) -> Security:
        """PC and EPC as they stand on the tag; raises `TagRefused`."""
        bank = await self._memory.epc_bank(await self._find(uid))
        data = self._known[uid].data if uid in self._known else b""
        tag = self._learn(uid, bank, data)
        return Security(epc=f"{bank.pc:04X}{tag.epc.hex().upper()}")

    def security_of(self, secured: bool, now: Security) -> Security:
        """The EPC bank with the AFI, or the lent bit, of that state; raises `TagRefused` WRITE_ERROR for a tag that is no library's."""
        if now.epc is None:
            return Security()
        pc, epc = int(now.epc[:4], 16), bytes.fromhex(now.epc[4:])
        try:
            pc, epc = with_security(pc, epc, secured, self._pair)
        except LocalTagError as error:
            raise TagRefused("WRITE_ERROR") from error
        return Security(epc=f"{pc:04X}{epc.hex().upper()}")

    # --- writing ------------------------------------------------------------------------------------------------------

    async def write_security(self, uid: str, wanted: Security) -> None:
        """Write the words of the EPC bank that differ: one as it is, more behind a mark; raises `TagRefused`."""
        if wanted.epc is None:
            return
        pc, epc = int(wanted.epc[:4], 16), bytes.fromhex(wanted.epc[4:])
        await self._write(uid, pc, epc, b"")

    async def write_image(self, uid: str, image: TagImage) -> None:
        """Write a whole tag behind a mark, its first EPC word last; raises `TagRefused`."""
        pc = image.pc if image.pc is not None else len(image.epc) // 2 << 11
        if image.tech != "UHF" or len(image.epc) % 2 or len(image.data) % 2 or pc >> 11 != len(image.epc) // 2:
            raise TagRefused("WRITE_ERROR")
        await self._write(uid, pc, image.epc, image.data)

    async def _write(self, uid: str, pc: int, epc: bytes, user: bytes) -> None:
        told = await self._find(uid)
        bank = await self._memory.epc_bank(told)
        before = await self._before(bank, told, len(epc) // 2, user)
        head, wanted = bank.pc.to_bytes(2, "big") + bank.memory, pc.to_bytes(2, "big") + epc
        differing = [at for at in range(0, len(wanted), 2) if wanted[at : at + 2] != head[at : at + 2]]
        if not differing and user == before.user:
            return
        if len(differing) == 1 and user == before.user and bank.pc >> 11 == pc >> 11:
            at = differing[0]
            await self._put(uid, bank, 1 + at // 2, wanted[at : at + 2])
            return
        await self._rewrite(uid, bank, Before(pc, epc, user if user != before.user else b""), before)

    async def _before(self, bank: EpcBank, told: bytes, words: int, user: bytes) -> Before:
        """What stands there now; reading it also proves that the tag has room for what comes. Raises `TagRefused` TOO_SMALL."""
        if words * 2 > len(bank.memory):
            bank.memory += (await self._memory.epc_memory(told, words))[len(bank.memory) :]
        old = await self._memory.user_words(told, len(user) // 2) if user else b""
        return Before(bank.pc, told, old)

    async def _rewrite(self, uid: str, bank: EpcBank, wanted: Before, before: Before) -> None:
        if bank.memory[:2] != MARK:
            bank = await self._put(uid, bank, 2, MARK)
            self._undo.setdefault(uid, before)
            while len(self._undo) > MAX_UNDONE:
                del self._undo[next(iter(self._undo))]
        try:
            if wanted.user:
                await self._memory.write(bank.told, USER_BANK, 0, wanted.user)
            rest = wanted.epc[2:]
            for at in range(0, len(rest), self._memory.step):
                bank = await self._put(uid, bank, 3 + at // 2, rest[at : at + self._memory.step])
            if wanted.pc != bank.pc:
                bank = await self._put(uid, bank, 1, wanted.pc.to_bytes(2, "big"))
            await self._put(uid, bank, 2, wanted.epc[:2])
        except TagRefused as refused:
            if wanted != self._undo.get(uid) and refused.reason != "NO_TAG":
                with contextlib.suppress(TagRefused):
                    await self._put_back(uid, await self._find(uid))
            raise
        self._undo.pop(uid, None)

    async def _put_back(self, uid: str, told: bytes) -> None:
        """Give a half-written tag its former content."""
        before = self._undo[uid]
        bank = await self._memory.epc_bank(told)
        await self._rewrite(uid, bank, before, before)
        self._counts["repaired"] += 1

    async def _put(self, uid: str, bank: EpcBank, word: int, data: bytes) -> EpcBank:
        """Write words of the EPC bank; the tag is called by another EPC from then on."""
        after = bank.after(word, data)
        try:
            await self._memory.write(bank.told, EPC_BANK, word, data)
        except TagRefused:
            # the answer to an attempt that worked may have been lost: then it is gone under its old EPC
            if after.told == bank.told or (await self._memory.epc_bank(after.told)).told != after.told:
                raise
        if after.told != bank.told:
            self._call(after.told, uid)
            self._moved = {**dict(list(self._moved.items())[-MAX_UNDONE:]), uid: after.told}
        return after
