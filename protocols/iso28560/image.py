"""What to write on a tag: the bytes of a whole tag, for chips on 13.56 MHz (HF) and on UHF."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["TagImage"]


@dataclass(frozen=True, slots=True)
class TagImage:
    """The bytes of a whole tag.

    HF (ISO 15693): ``data`` is the user memory from block 0, a multiple of ``block_size``; ``dsfid`` and ``afi`` 0..255; ``eas`` the
    chip's security bit, None = leave it. UHF (Gen2): ``pc`` the 16-bit PC word, ``epc`` an even number of bytes, ``data`` the user
    bank (b"" = leave it); ``afi`` repeats the PC's for information. ``locks`` are blocks that may be locked afterwards.
    """

    tech: Literal["HF", "UHF"]
    data: bytes
    dsfid: int = 0
    afi: int | None = None
    eas: bool | None = None
    block_size: int = 4
    pc: int | None = None
    epc: bytes = b""
    locks: tuple[int, ...] = ()
