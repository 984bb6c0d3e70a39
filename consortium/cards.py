"""What a cardreader says of a card, brought to one form: a card is the same bytes at every cardreader (domain §1).

A cardreader sends a chip number straight or last byte first, as bytes, as digits, or in a Wiegand frame that has room for three or
four of its bytes. `CardProfile` says which of these one cardreader does; `CardProfile.canonical` undoes it. What was cut on the way
(`CanonicalCard.truncated`) many cards share: such a number stands only for a card of the branch's own library, never a partner's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

from consortium.facts import Assurance
from consortium.identity import IdentityError, TokenKind

Radix: TypeAlias = Literal["hex", "dec", "3+5"]
End: TypeAlias = Literal["low", "high"]

WIEGAND_DATA: Mapping[int, int] = MappingProxyType({26: 24, 34: 32, 37: 35, 42: 40, 58: 56, 66: 64})
"""Bits of a Wiegand frame with a parity bit at each end → bits of the number between them."""

MEDIUM_ASSURANCE: Mapping[str, Assurance] = MappingProxyType(
    {
        "MF_CLASSIC": Assurance.LOW, "MF_ULTRALIGHT": Assurance.LOW, "MF_PLUS": Assurance.LOW, "ISO15693": Assurance.LOW,
        "FELICA": Assurance.LOW, "DESFIRE": Assurance.HIGH, "CPU": Assurance.HIGH, "QR": Assurance.HIGH,
    }
)  # fmt: skip
"""Medium as the cardreader saw it → the most that this reading is worth.

Of a chip whose number anybody can write to a blank (Classic, Ultralight; Plus answers as Classic in its first level) a number proves
little, whatever the card is registered as. "" and media not named here say nothing: the card's registered assurance stands.
"""

_MIN_UID, _MAX_UID = 4, 16
_MAX_RAW = 64
_ISO15693 = 0xE0
_SEPARATORS = re.compile(rb"[ :.-]")
_THREE_FIVE = re.compile(rb"(\d{1,3})[,. :-](\d{1,5})|(\d{3})(\d{5})")


class CardError(IdentityError):
    """What cannot be a card, or not one of this profile; nobody is ever let in by it.

    ``code``: CARD_FORMAT (not bytes, bits or digits that this profile reads), CARD_BITS (not as long as this profile's numbers),
    CARD_PARITY, CARD_FACILITY (another facility code), CARD_BLANK (all zeros or all ones), CARD_RANDOM (a chip that shows another
    number each time, ISO 14443-3 UID0 = 08).
    """


@dataclass(frozen=True, slots=True)
class CanonicalCard:
    """A card as all cardreaders agree on it: what a token is made from. ``value`` stays out of ``repr``.

    ``kind`` UID: all bytes of the chip number, the first byte of the standard's notation first. ``kind`` CARD_NO: ``truncated``,
    one of the `short_forms` of the chip number.
    """

    kind: TokenKind
    value: bytes = field(repr=False)
    truncated: bool


@dataclass(frozen=True, slots=True)
class CardProfile:
    """How one cardreader writes the number of a card.

    ``reverse_bytes``: last byte of the chip number first. ``radix``: what digits mean where it sends text: "hex", "dec" (one decimal
    number) or "3+5" (facility and number of 24 bits, as printed on many campus cards). ``wiegand``: the only frame length it may
    send, 26 34 37 42 58 or 66 bits with parity; 0 = any of them by its length. ``skip``, ``tail``: bits before and after the number
    that belong to no card, 0..64. ``number_bytes``: bytes of a decimal number's chip, 4..10 (0 = 4). ``whole``: whether numbers of
    32 bits and more are whole chip numbers; None = bytes, hex and long frames are, Wiegand 34, 37 and decimals are not, because a
    cardreader with room for 32 bits cuts a seven-byte number to them. ``end``: which end of the number a cut leaves. ``facility``:
    the only facility code (first byte of a 24-bit number as sent) to let pass, 0..255; a number of another length has none and is
    refused with it.

    Raises CardError CARD_PROFILE where the settings cannot be meant.
    """

    reverse_bytes: bool = False
    radix: Radix = "hex"
    wiegand: int = 0
    skip: int = 0
    tail: int = 0
    number_bytes: int = 0
    whole: bool | None = None
    end: End = "low"
    facility: int | None = None

    def __post_init__(self) -> None:
        wrong = ""
        if self.radix not in ("hex", "dec", "3+5"):
            wrong = 'radix is "hex", "dec" or "3+5"'
        elif self.wiegand not in (0, *WIEGAND_DATA):
            wrong = "wiegand is 26, 34, 37, 42, 58 or 66 bits, or 0 for any"
        elif not (0 <= self.skip <= 64 and 0 <= self.tail <= 64):
            wrong = "skip and tail are 0 to 64 bits"
        elif self.number_bytes not in (0, 4, 5, 7, 8, 10):
            wrong = "number_bytes is 4, 5, 7, 8 or 10, or 0 where the number is not decimal"
        elif self.end not in ("low", "high"):
            wrong = 'end is "low" or "high"'
        elif self.facility is not None and not 0 <= self.facility <= 255:
            wrong = "facility is 0 to 255"
        elif self.facility is not None and (self.wiegand not in (0, 26) or self.radix == "dec" or self.whole):
            wrong = "only numbers of 24 bits have a facility code"
        elif self.wiegand and (self.skip or self.tail):
            wrong = "a frame of known length has its parity bits and no others: no skip, no tail"
        elif self.whole and (self.wiegand == 26 or self.radix == "3+5"):
            wrong = "24 bits are never a whole chip number"
        if wrong:
            raise CardError("CARD_PROFILE", wrong)

    def canonical(self, raw: bytes, bits: int, form: str) -> CanonicalCard:
        """The card behind ``raw``, of which ``bits`` count from the left; ``form`` is "raw", "wiegand" or "ascii".

        Raises CardError for what cannot be a card.
        """
        number, whole = self._number(raw, bits, form)
        if not any(number) or all(byte == 0xFF for byte in number):
            raise CardError("CARD_BLANK", "all zeros or all ones is no card")
        if self.facility is not None and (len(number) != 3 or number[0] != self.facility):
            raise CardError("CARD_FACILITY", "a card of another facility code, or a number that has none")
        if len(number) < _MIN_UID:
            return _short(number, self.reverse_bytes, self.end)
        if not whole:
            # Of a longer number only the 32 bits that every such cardreader has are compared.
            return _short(number[-4:], self.reverse_bytes, self.end)
        wide = self.radix == "dec" if form == "ascii" else form == "wiegand"
        uid = _chip_number(number, self.reverse_bytes, wide)
        if len(uid) == 4 and uid[0] == 0x08:
            raise CardError("CARD_RANDOM", "the chip shows another number each time")
        return CanonicalCard(TokenKind.UID, uid, False)

    def sent(self, raw: bytes, bits: int, form: str) -> bytes:
        """The number's bytes in the order in which the cardreader sent them, 3 to 16; raises CardError as `canonical` does."""
        return self._number(raw, bits, form)[0]

    def _number(self, raw: bytes, bits: int, form: str) -> tuple[bytes, bool]:
        """The number's bytes in the order they were sent, and whether they are a whole chip number."""
        if not 1 <= len(raw) <= _MAX_RAW:
            raise CardError("CARD_BITS", f"a card sends 1 to {_MAX_RAW} bytes")
        if form == "ascii":
            number, whole = self._text(raw)
        elif form in ("raw", "wiegand"):
            number, whole = self._bits(raw, bits, form)
        else:
            raise CardError("CARD_FORMAT", "a card is read as raw, wiegand or ascii")
        if not 3 <= len(number) <= _MAX_UID:
            raise CardError("CARD_BITS", "a card's number has 3 to 16 bytes")
        return number, whole if self.whole is None else self.whole

    def _bits(self, raw: bytes, bits: int, form: str) -> tuple[bytes, bool]:
        if not 0 < bits <= len(raw) * 8:
            raise CardError("CARD_BITS", "more bits than bytes")
        value = int.from_bytes(raw) >> (len(raw) * 8 - bits)
        framed = form == "wiegand" and bits in WIEGAND_DATA and not (self.skip or self.tail)
        if self.wiegand and (bits != self.wiegand or not framed):
            raise CardError("CARD_BITS", "a frame of another length")
        if framed:
            if not parity_ok(value, bits):
                raise CardError("CARD_PARITY", "a parity bit of the frame is wrong")
            left = WIEGAND_DATA[bits]
            value = (value >> 1) & ((1 << left) - 1)
            return value.to_bytes((left + 7) // 8), left >= 40
        left = bits - self.skip - self.tail
        if left < 24 or (left % 8 and not (self.skip or self.tail)):
            raise CardError("CARD_BITS", "so many bits are no number of this cardreader")
        value = (value >> self.tail) & ((1 << left) - 1)
        return value.to_bytes((left + 7) // 8), True

    def _text(self, raw: bytes) -> tuple[bytes, bool]:
        text = raw.strip()
        if self.radix == "3+5":
            found = _THREE_FIVE.fullmatch(text)
            facility, number = (int(found[1] or found[3]), int(found[2] or found[4])) if found else (256, 0)
            if facility > 0xFF or number > 0xFFFF:
                raise CardError("CARD_FORMAT", "not a facility of 0 to 255 and a number of 0 to 65535")
            return bytes([facility]) + number.to_bytes(2), False
        if self.radix == "dec":
            size = self.number_bytes or 4
            if not (text.isdigit() and len(text) <= 25 and int(text) < 1 << size * 8):
                raise CardError("CARD_FORMAT", "not a decimal number of this cardreader's length")
            return int(text).to_bytes(size), bool(self.number_bytes)
        digits = _SEPARATORS.sub(b"", text)
        if len(digits) % 2 or not re.fullmatch(rb"[0-9A-Fa-f]+", digits):
            raise CardError("CARD_FORMAT", "not pairs of hex digits")
        return bytes.fromhex(digits.decode()), True


def parity_ok(value: int, bits: int) -> bool:
    """Whether both parity bits of a Wiegand frame fit: even over its first half, odd over its second (the middle bit of 37 in both)."""
    half = (bits + 1) // 2
    first, second = value >> (bits - half), value & ((1 << half) - 1)
    return first.bit_count() % 2 == 0 and second.bit_count() % 2 == 1


def _short(number: bytes, reverse: bool, end: End) -> CanonicalCard:
    """The short form: its bytes in the order of the chip number, named for the end of that number they are from."""
    value = number[::-1] if reverse else number
    if len(value) == 4:
        return CanonicalCard(TokenKind.CARD_NO, b"N32:" + value, True)
    # The low bits of a number read straight are its last bytes; read last byte first they are its first.
    last = (end == "low") != reverse
    return CanonicalCard(TokenKind.CARD_NO, (b"T24:" if last else b"H24:") + value, True)


def short_forms(uid: bytes) -> tuple[bytes, ...]:
    """Every cut form of a whole chip number (canonical order) that `CardProfile.canonical` may give; 3 or 4 of them."""
    forms = (b"T24:" + uid[-3:], b"H24:" + uid[:3], b"N32:" + uid[-4:], b"N32:" + uid[:4])
    return tuple(dict.fromkeys(forms))


def _chip_number(number: bytes, reverse: bool, wide: bool) -> bytes:
    """The chip number, canonical order, of a whole number as sent; ``wide``: its field has one width (Wiegand, decimal).

    A field that is longer than the number is filled up in front as it is sent. With the chip's last byte first, zeros there may be its
    own. Three and more are taken for filling; one for that of a seven-byte chip, but in bytes and hex, which say how long they are, and
    with E0 at the other end: an ISO/IEC 15693 number begins so and has eight bytes (ISO/IEC 15693-3 4.1).
    """
    uid = _unpadded(number[::-1] if reverse else number)
    short = _unpadded(number)
    if not reverse or short == number or (len(short) == 7 and (not wide or uid[0] == _ISO15693)):
        return uid
    return short[::-1]


def _unpadded(number: bytes) -> bytes:
    """A four- or seven-byte number in a longer field; read straight no chip number begins with a zero byte (ISO/IEC 7816-6)."""
    for size in (4, 7):
        if len(number) in (7, 8, 10) and len(number) > size and not any(number[:-size]):
            return number[-size:]
    return number
