"""ISO/TS 28560-4: the item on a UHF (EPC Gen2) tag.

MB01, the bank that a tag tells without being asked: PC = length in words (5) UMI XPC T AFI (8), then the UII `OI.PII` or
`OI.PII.set` in URN Code 40. MB11: DSFID 06 and the stream of part 2 without OID 1. Security is the AFI in the PC, so a loan
rewrites the bank and its stored CRC; match on PC bits, not on the CRC.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from protocols.crc import crc_gen2
from protocols.iso28560 import part2
from protocols.iso28560.code40 import decode_code40, encode_code40
from protocols.iso28560.elements import PII, Element
from protocols.iso28560.errors import LocalTagError, TagError

__all__ = [
    "Uii",
    "decode_pc_uii",
    "decode_user_bank",
    "encode_pc_uii",
    "encode_user_bank",
    "read_user_bank",
    "split_uii",
]

_UMI, _XPC, _TOGGLE = 0x0400, 0x0200, 0x0100


@dataclass(frozen=True, slots=True)
class Uii:
    """The content of MB01 from the PC on. `value` is the whole identifier; `crc` what MB01 stores before it (StoredCRC)."""

    value: str
    afi: int
    words: int
    crc: int
    umi: bool = False
    xpc: bool = False

    @property
    def owner(self) -> str:
        """The owner institution: what stands before the first point."""
        return split_uii(self.value)[0]

    @property
    def pii(self) -> str:
        """The item identifier: what follows it, without set information."""
        return split_uii(self.value)[1]

    @property
    def set(self) -> str:
        """Set information, the third part (an even number of digits), or empty."""
        return split_uii(self.value)[2]


def split_uii(value: str) -> tuple[str, str, str]:
    """Return (owner, item identifier, set information) of a whole identifier; without a point it is all item identifier."""
    owner, point, pii = value.partition(".")
    if not point:
        return "", value, ""
    head, point, last = pii.rpartition(".")
    if point and len(last) in (2, 4, 6) and last.isdigit() and last.isascii():
        return owner, head, last
    return owner, pii, ""


def decode_pc_uii(data: bytes) -> Uii:
    """Return the UII in `data` = PC and identifier as an antenna reports them.

    Raises `TagError` where the length in the PC is another, T = 0 (a GS1 code, no library's), or the identifier is not sound.
    """
    if len(data) < 4 or len(data) % 2:
        raise TagError("PC and UII are whole words, at least two")
    pc = data[0] << 8 | data[1]
    words = pc >> 11
    if words != len(data) // 2 - 1:
        raise TagError(f"the PC says {words} words, here are {len(data) // 2 - 1}")
    if not pc & _TOGGLE:
        raise TagError("the toggle bit says GS1 code, not a library's AFI")
    return Uii(decode_code40(data[2:]), pc & 0xFF, words, crc_gen2(data), bool(pc & _UMI), bool(pc & _XPC))


def encode_pc_uii(owner: str, pii: str, afi: int, *, set_info: str = "", umi: bool = False) -> bytes:
    """Return PC and UII for an item; `umi` says that the user bank holds data. Raises `LocalTagError`."""
    if not owner or not pii or "." in owner or not 0 <= afi <= 0xFF:
        raise LocalTagError("owner and identifier are needed, the owner has no point, and the AFI is one byte")
    uii = encode_code40(".".join(filter(None, (owner, pii, set_info))))
    uii += bytes(len(uii) % 2)
    if len(uii) > 62:
        raise LocalTagError("the identifier is longer than the 31 words that a PC can say")
    return (len(uii) // 2 << 11 | (_UMI if umi else 0) | _TOGGLE | afi).to_bytes(2, "big") + uii


def decode_user_bank(data: bytes) -> part2.ItemData:
    """Return the elements of MB11; raises `TagError` for another DSFID or a bank that repeats the identifier."""
    read_user_bank(data)
    return part2.decode_stream(data[1:])


def read_user_bank(data: bytes) -> tuple[list[Element], tuple[str, ...]]:
    """Return elements and divergences of MB11; raises `TagError` as `decode_user_bank`."""
    if not data or data[0] != part2.DSFID:
        raise TagError("the user bank does not begin with DSFID 06")
    elements, divergences, _ = part2.read_stream(data[1:])
    if not elements or PII in [element[0] for element in elements]:
        raise TagError("a user bank has elements, and the identifier is not one of them")
    return elements, divergences


def encode_user_bank(values: Mapping[int, str], compactions: Mapping[int, int] | None = None) -> bytes:
    """Return MB11 for `values` by OID (3 and up), with its end mark; raises `LocalTagError`."""
    if PII in values or not values:
        raise LocalTagError("the user bank holds the elements beside the identifier")
    return bytes((part2.DSFID,)) + part2.encode_stream(values, compactions)
