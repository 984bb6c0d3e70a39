"""ISO 28560-2: elements as ISO/IEC 15962 data sets in sequence, no directory, format 6 (DSFID 06).

    precursor [OID - 15] [offset] length data [pads]      precursor = offset bit, compaction (3), OID (4; F = next byte + 15)

OID 1 is first, OID 2 (which other elements are there) second if there are more; 00 ends. Pads after an element let the next begin
on a four-byte block, so that it can be locked alone. Locked for life are by custom the identifier and the owner.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from protocols.iso28560.compaction import APPLICATION, best_scheme, compact, expand
from protocols.iso28560.elements import CONTENT, NAMES, OWNER, PII, Element, octets
from protocols.iso28560.errors import BlankTag, LocalTagError, TagError
from protocols.iso28560.isil import encode_isil, read_isil

__all__ = [
    "DSFID",
    "ItemData",
    "blocks_of",
    "decode_part2",
    "decode_stream",
    "encode_part2",
    "encode_stream",
    "read_stream",
]

DSFID = 0x06
"""The DSFID of a tag with no directory and data format 6."""

_BLOCK = 4
_OFFSET = 0x80
_ESCAPE = 15
_ISIL_OIDS = frozenset({OWNER, 11})
_NEVER_LISTED = 1 << PII | 1 << CONTENT
_MAX_OID = 127
_MAX_LENGTH = 127
_MAX_BLOCK = 32
_LISTED = tuple(tuple(3 + bit for bit in range(8) if octet & 0x80 >> bit) for octet in range(256))
"""The elements that each first octet of a content parameter lists."""


@dataclass(frozen=True, slots=True)
class ItemData:
    """The elements of one tag; `size` = bytes that they take, up to the end mark."""

    elements: tuple[Element, ...]
    divergences: tuple[str, ...]
    size: int
    _memory: bytes = field(repr=False, compare=False)

    @property
    def lockable_blocks(self) -> str:
        """One letter for each block of four bytes: `l` = it belongs to an element that fills whole blocks, else a point."""
        letters = ["."] * (-(-len(self._memory) // _BLOCK))
        for at in _own_blocks(self._memory, None, _BLOCK):
            letters[at] = "l"
        return "".join(letters)

    def named(self) -> dict[str, str]:
        """Return the elements that have a name, without the content parameter."""
        return {NAMES[e.oid]: e.value for e in self.elements if e.oid in NAMES and isinstance(e.value, str)}


def decode_part2(data: bytes) -> ItemData:
    """Return the elements of a tag's user memory; the first must be the item identifier.

    Raises `BlankTag` or `TagError`. Divergences: `content-parameter` (it lists other elements than there are), `isil-padding` (an ISIL
    padded with zeros, as the other alphabets are).
    """
    if not data.strip(b"\x00"):
        raise BlankTag("the tag is blank")
    item = decode_stream(data)
    if not item.elements or item.elements[0].oid != PII:
        raise TagError("the first element is not the item identifier")
    if not item.elements[0].value:
        raise TagError("the item identifier is empty")
    return item


def decode_stream(data: bytes) -> ItemData:
    """Return the elements of a data set sequence that may lack OID 1 (the user bank of part 4)."""
    elements, divergences, size = read_stream(data)
    return ItemData(tuple(elements), divergences, size, data)


def read_stream(data: bytes) -> tuple[list[Element], tuple[str, ...], int]:
    """Return elements, divergences and size of such a sequence."""
    elements: list[Element] = []
    seen = listed = 0  # a bit for each OID
    divergences: tuple[str, ...] = ()
    at, end = 0, len(data)
    while at < end and data[at]:
        element, at = _take(data, at)
        oid, _, value, _, divergence = element
        if seen >> oid & 1:
            raise TagError(f"element {oid} is there twice")
        seen |= 1 << oid
        elements.append(element)
        if oid == CONTENT:
            for other in value:
                listed |= 1 << int(other)
        if divergence:
            divergences += (divergence,)
    if seen & ~_NEVER_LISTED != listed:
        divergences += ("content-parameter",)
    return elements, divergences, at


def _take(data: bytes, at: int) -> tuple[Element, int]:
    """Return the data set at `at` and where the next begins; raises `TagError`."""
    try:
        precursor = data[at]
        at += 1
        oid, compaction = precursor & 0x0F, precursor >> 4 & 7
        if oid == _ESCAPE:
            oid, at = data[at] + _ESCAPE, at + 1
        pad = 0
        if precursor & _OFFSET:
            pad, at = data[at], at + 1
        length = data[at]
    except IndexError:
        raise TagError("the data set is cut off") from None
    start, end = at + 1, at + 1 + length
    if not oid or oid > _MAX_OID or not length or length > _MAX_LENGTH:
        raise TagError(f"no data set has object identifier {oid} and length {length}")
    if end + pad > len(data):
        raise TagError("the data set is cut off")
    if pad and data[end : end + pad].strip(b"\x00"):
        raise TagError("an element is padded with other bytes than 00")
    return _element(oid, compaction, data[start:end], pad), end + pad


def _element(oid: int, compaction: int, data: bytes, pad: int) -> Element:
    if compaction != APPLICATION:
        if oid == CONTENT:
            raise TagError("the content parameter is a bitmap")
        return Element(oid, compaction, expand(compaction, data), pad)
    if oid == CONTENT:
        if len(data) == 1:
            return Element(oid, compaction, _LISTED[data[0]], pad)
        listed = tuple([8 * at + listed for at, octet in enumerate(data) for listed in _LISTED[octet]])
        return Element(oid, compaction, listed, pad)
    if oid in _ISIL_OIDS:
        isil, zeros = read_isil(data)
        return Element(oid, compaction, isil, pad, "isil-padding" if zeros else "")
    return Element(oid, compaction, data.hex().upper(), pad)


def encode_part2(
    values: Mapping[int, str],
    *,
    lockable: Collection[int] = (PII,),
    compactions: Mapping[int, int] | None = None,
    block_size: int = _BLOCK,
) -> bytes:
    """Return the user memory of a tag for `values` by OID (1 needed; 2 is made here), zero padded to whole blocks.

    Elements in `lockable` begin and end on a block of `block_size` bytes (1..32): OID 1 at the front, the others at the end.
    `compactions` overrides the choice for an OID; without it an owner is an ISIL where its characters allow. Raises `LocalTagError`.
    """
    if not 1 <= block_size <= _MAX_BLOCK:
        raise LocalTagError("a block has 1..32 bytes")
    if not values.get(PII):
        raise LocalTagError("an item has an identifier")
    loose = [oid for oid in sorted(values) if oid != PII and oid not in lockable]
    locked = [oid for oid in sorted(values) if oid != PII and oid in lockable]
    chosen = compactions or {}
    data = _data_set(PII, *_compacted(PII, values[PII], chosen), at=0, align=block_size if PII in lockable else 0)
    content = _bitmap(values)
    pieces = [(CONTENT, APPLICATION, content)] if content else []
    pieces += [(oid, *_compacted(oid, values[oid], chosen)) for oid in loose]
    for number, piece in enumerate(pieces, 1):
        data += _data_set(*piece, at=len(data), align=block_size if locked and number == len(pieces) else 0)
    for oid in locked:
        data += _data_set(oid, *_compacted(oid, values[oid], chosen), at=len(data), align=block_size)
    return data + bytes(-len(data) % block_size)


def blocks_of(data: bytes, oids: Collection[int], block_size: int = _BLOCK) -> tuple[int, ...]:
    """Return the blocks that the elements `oids` fill alone, in a memory that `encode_part2` made: they may be locked."""
    return tuple(_own_blocks(data, oids, block_size))


def _own_blocks(data: bytes, oids: Collection[int] | None, block_size: int) -> Iterator[int]:
    at = 0
    while at < len(data) and data[at]:
        start = at
        element, at = _take(data, at)
        if (oids is None or element.oid in oids) and not start % block_size and not at % block_size:
            yield from range(start // block_size, at // block_size)


def encode_stream(values: Mapping[int, str], compactions: Mapping[int, int] | None = None) -> bytes:
    """Return the data sets of `values` in order, content parameter first if there is no OID 1, with the end mark."""
    chosen = compactions or {}
    content = _bitmap(values)
    pieces = [(CONTENT, APPLICATION, content)] if content else []
    pieces += [(oid, *_compacted(oid, value, chosen)) for oid, value in sorted(values.items())]
    pieces.sort(key=lambda piece: piece[0])
    return b"".join(_data_set(*piece, at=0, align=0) for piece in pieces) + b"\x00"


def _bitmap(oids: Iterable[int]) -> bytes:
    bits = 0
    others = [oid for oid in oids if oid > CONTENT]
    for oid in others:
        bits |= 1 << (127 - (oid - 3))
    return bits.to_bytes(16, "big").rstrip(b"\x00")


def _compacted(oid: int, value: str, chosen: Mapping[int, int]) -> tuple[int, bytes]:
    scheme = chosen.get(oid)
    if oid in _ISIL_OIDS and scheme in (None, APPLICATION):
        try:
            return APPLICATION, encode_isil(value)
        except LocalTagError:
            if scheme == APPLICATION:
                raise
    if scheme == APPLICATION:
        return APPLICATION, octets(value)
    number = best_scheme(value) if scheme is None else scheme
    return number, compact(number, value)


def _data_set(oid: int, compaction: int, data: bytes, *, at: int, align: int) -> bytes:
    """Return one data set that begins at byte `at`; with `align` it ends on a block of so many bytes, by an offset byte if it must."""
    if not 1 <= oid <= _MAX_OID or not 1 <= len(data) <= _MAX_LENGTH:
        raise LocalTagError("an element has an identifier of 1..127 and 1..127 bytes of data")
    code = bytes((oid,)) if oid < _ESCAPE else bytes((_ESCAPE, oid - _ESCAPE))
    head = bytes((compaction << 4 | code[0],)) + code[1:]
    plain = head + bytes((len(data),)) + data
    if not align or not (at + len(plain)) % align:
        return plain
    pad = -(at + len(plain) + 1) % align
    return bytes((head[0] | _OFFSET,)) + head[1:] + bytes((pad, len(data))) + data + bytes(pad)
