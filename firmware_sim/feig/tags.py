"""Simulated ISO 15693 tags and the store that remembers their state wherever they lie."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocols.iso28560 import DEFAULT_AFI, AfiPair

BLOCK_SIZE = 4
BLOCK_COUNT = 28
"""The usual library chip: 112 bytes of user memory."""


@dataclass(slots=True)
class SimTag:
    """One tag; it keeps what is written to it.

    ``uid`` is 16 upper-case hex digits, ``dsfid`` and ``afi`` 0..255, ``blocks`` the user memory. ``eas`` is the chip
    maker's security bit. A locked AFI, DSFID or block (``locked``, by number) can no longer be changed. ``leaves_after`` (None =
    never): it is carried out of the field when so many more blocks were written to it.
    """

    uid: str
    dsfid: int
    afi: int
    blocks: bytearray = field(default_factory=lambda: bytearray(BLOCK_SIZE * BLOCK_COUNT))
    eas: bool = True
    afi_locked: bool = False
    ic: int = 0x01
    writes: int = 0
    dsfid_locked: bool = False
    locked: set[int] = field(default_factory=set)
    block_size: int = BLOCK_SIZE
    leaves_after: int | None = None

    def __post_init__(self) -> None:
        if len(self.uid) != 16 or not set(self.uid) <= set("0123456789ABCDEF"):
            raise ValueError("a tag's UID is 16 upper-case hex digits")
        if not (0 <= self.dsfid <= 0xFF and 0 <= self.afi <= 0xFF):
            raise ValueError("DSFID and AFI are one byte each")
        if not 1 <= self.block_size <= 32 or len(self.blocks) > 256 * self.block_size:
            raise ValueError("a tag holds at most 256 blocks of 1 to 32 bytes")
        missing = self.block_size * BLOCK_COUNT - len(self.blocks)
        self.blocks += bytes(max(missing, -len(self.blocks) % self.block_size))

    @property
    def block_count(self) -> int:
        """Number of blocks."""
        return len(self.blocks) // self.block_size

    def store(self, block: int, data: bytes) -> bool:
        """Store one block; False where the tag left the field before."""
        if self.leaves_after is not None:
            if self.leaves_after <= 0:
                return False
            self.leaves_after -= 1
        self.blocks[block * self.block_size : (block + 1) * self.block_size] = data
        return True


class TagStore:
    """All tags of a simulation by UID: a tag moved from one pad to another is the same tag."""

    def __init__(self) -> None:
        self._tags: dict[str, SimTag] = {}

    def put(self, tag: SimTag) -> SimTag:
        """Add a tag, or replace the one with its UID."""
        self._tags[tag.uid] = tag
        return tag

    def get(self, uid: str) -> SimTag | None:
        """Give the tag with this UID, or None."""
        return self._tags.get(uid)

    def is_secured(self, uid: str, pair: AfiPair = DEFAULT_AFI) -> bool:
        """Whether a security gate that looks for ``pair.secured`` would alarm; False for a tag it does not know."""
        tag = self._tags.get(uid)
        return tag is not None and tag.afi == pair.secured
