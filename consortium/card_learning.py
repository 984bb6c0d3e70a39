"""Learning how a cardreader writes cards: every way to read what it sent, and the profile that known cards agree on.

A person presents cards whose chip number or printed number is known. Every profile that such a cardreader could have is tried; those
that give each card its known number fit. One read proves little (a number may read the same both ways), three nearly always suffice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from consortium.cards import WIEGAND_DATA, CanonicalCard, CardError, CardProfile, Radix, parity_ok, short_forms
from consortium.identity import TokenKind

MAX_SAMPLES = 16
_MAX_KNOWN = 32

Wanted: TypeAlias = Literal["", "FEWER_ERRORS", "CHIP_NUMBER", "OTHER_CARD", "MORE_CARDS"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read what a cardreader sent. ``text`` is a card's number: it is for the person at the desk and in no ``repr``.

    ``name``: HEX, HEX_REVERSED, DEC and DEC_REVERSED (the whole number), 10D and 10D_REVERSED (its low 32 bits in ten digits, as
    printed on many campus cards: "8H10D"), 8D and 8D_REVERSED (low 24 bits in eight digits), 3+5 and 3+5_REVERSED (facility and
    number of 24 bits), BITS (what has no whole bytes) and TEXT (as it came).
    ``profile``: of a cardreader for which this reading is right; None where it says nothing of the card's bytes.
    """

    name: str
    text: str = field(repr=False)
    profile: CardProfile | None


@dataclass(frozen=True, slots=True)
class Sample:
    """What a cardreader sent for a card, and the number known of that card: hex of its chip, or digits printed on it."""

    raw: bytes = field(repr=False)
    bits: int
    form: str
    known: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Learned:
    """What samples say of a cardreader.

    ``profile`` is the one that fits, None where none or several do; ``fits`` are all that do. ``contradicts``: indices of samples
    without which the others agree. ``wanted``: "" or what would decide: FEWER_ERRORS (nothing fits: a number was mistyped, another
    card presented, or the cardreader's frame is none we know), CHIP_NUMBER (printed numbers have a byte order of their own: give one
    card's chip number in hex, as a telephone with NFC shows it), OTHER_CARD (a card whose number differs when read backwards),
    MORE_CARDS (fewer than three cards agreed, by chance perhaps). ``four_byte_only``: the profile takes 32 bits for a whole chip
    number, which holds while no card here has a longer one.
    """

    profile: CardProfile | None
    fits: tuple[CardProfile, ...]
    contradicts: tuple[int, ...] = ()
    wanted: Wanted = ""
    four_byte_only: bool = False


def readings(raw: bytes, bits: int, form: str) -> tuple[Reading, ...]:
    """Every plausible reading of what a cardreader sent; () for what cannot be read at all."""
    if form == "ascii":
        return _text_readings(raw)
    if not raw or not 0 < bits <= len(raw) * 8:
        return ()
    value = int.from_bytes(raw) >> (len(raw) * 8 - bits)
    wiegand = 0
    if form == "wiegand" and bits in WIEGAND_DATA and parity_ok(value, bits):
        wiegand, bits = bits, WIEGAND_DATA[bits]
        value = (value >> 1) & ((1 << bits) - 1)
    number = value.to_bytes((bits + 7) // 8)
    if bits % 8:
        return (Reading("BITS", f"{value:0{bits}b}", None), *_number_readings(number, wiegand, "hex"))
    return _number_readings(number, wiegand, "hex")


def _text_readings(raw: bytes) -> tuple[Reading, ...]:
    text = raw.decode("ascii", "replace").strip()[:_MAX_KNOWN]
    found = [Reading("TEXT", text, None)]
    seen: set[bytes] = set()
    for radix in ("hex", "dec", "3+5"):
        for size in (0,) if radix != "dec" else (4, 7, 8):
            try:
                number = CardProfile(radix=radix, number_bytes=size).sent(raw, len(raw) * 8, "ascii")
            except CardError:
                continue
            if number not in seen:
                seen.add(number)
                found += _number_readings(number, 0, radix)
                break
    return tuple(found)


def _number_readings(number: bytes, wiegand: int, radix: Radix) -> tuple[Reading, ...]:
    found = []
    for suffix, reverse in (("", False), ("_REVERSED", True)):
        data = number[::-1] if reverse else number
        profile = CardProfile(reverse_bytes=reverse, wiegand=wiegand, radix=radix)
        low = int.from_bytes(data[-3:])
        texts = [("HEX", data.hex().upper())]
        if len(data) >= 4:
            texts += [("DEC", str(int.from_bytes(data))), ("10D", f"{int.from_bytes(data[-4:]):010d}")]
        if len(data) >= 3:
            texts += [("8D", f"{low:08d}"), ("3+5", f"{low >> 16:03d},{low & 0xFFFF:05d}")]
        found += [Reading(name + suffix, text, profile) for name, text in texts]
    return tuple(found)


def learn(samples: Sequence[Sample]) -> Learned:
    """The profile of the cardreader that sent these samples; raises CardError CARD_SAMPLES for none or more than `MAX_SAMPLES`."""
    if not 1 <= len(samples) <= MAX_SAMPLES:
        raise CardError("CARD_SAMPLES", f"1 to {MAX_SAMPLES} cards are presented")
    fits = _fitting(samples)
    if not fits:
        odd: tuple[int, ...] = ()
        if len(samples) > 2:
            odd = tuple(at for at in range(len(samples)) if _fitting([*samples[:at], *samples[at + 1 :]]))
        return Learned(None, (), odd, "FEWER_ERRORS")
    if len(fits) > 1:
        return Learned(None, fits, (), "OTHER_CARD" if any(_is_hex(each.known) for each in samples) else "CHIP_NUMBER")
    (profile,) = fits
    cards = {(each.raw, each.bits) for each in samples}
    return Learned(profile, fits, (), "" if len(cards) >= 3 else "MORE_CARDS", _takes_32_for_whole(profile, samples))


def _takes_32_for_whole(profile: CardProfile, samples: Sequence[Sample]) -> bool:
    """Whether the profile says of a line with room for 32 bits that they are all there is."""
    said = profile.whole is True or profile.number_bytes == 4
    return said and all(len(_read(profile, each).value) == 4 for each in samples)


def _fitting(samples: Sequence[Sample]) -> tuple[CardProfile, ...]:
    """The profiles that give every sample its known number: whole where that is possible, and with every bit unless it is not."""
    first, digits = samples[0], max(len(each.raw) for each in samples)
    # Ten digits are hex too. But of cards whose every number has digits alone, printed numbers are meant if they can be.
    certain = any(_is_hex(each.known) for each in samples)
    for ways in (_WAYS,) if certain else (_WAYS[1:], _WAYS[:1]):
        for profiles in (
            _plain(first, digits, True), _leaving_out(first, True), _plain(first, digits, False), _leaving_out(first, False),
        ):  # fmt: skip
            fits = [p for p in profiles if any(all(_agrees(p, each, way) for each in samples) for way in ways)]
            if fits:
                return _without_doubles(fits, samples)
    return ()


def _without_doubles(fits: Sequence[CardProfile], samples: Sequence[Sample]) -> tuple[CardProfile, ...]:
    """Of profiles of one byte order and end that gave the same, the first: what these cards cannot tell apart is one answer."""
    kept: dict[tuple[bool, str, tuple[bytes, ...]], CardProfile] = {}
    for profile in fits:
        values = tuple(_read(profile, each).value for each in samples)
        kept.setdefault((profile.reverse_bytes, profile.end, values), profile)
    return tuple(kept.values())


def _read(profile: CardProfile, sample: Sample) -> CanonicalCard:
    return profile.canonical(sample.raw, sample.bits, sample.form)


# --- what is known of a card ---------------------------------------------------------------------------------------------

_WAYS = ("hex", "10D", "10D_REVERSED", "8D", "8D_REVERSED", "3+5", "3+5_REVERSED")
"""Ways to read a number of digits alone; all cards of a table are printed in one way. What has letters is hex in any case."""


def _is_hex(known: str) -> bool:
    """Whether it can only be a chip number in hex: no printed number has letters, colons or more than ten digits."""
    text = known.strip()
    return ":" in text or not all(mark.isdigit() or mark in ", " for mark in text) or len(text) > 10


def _known(sample: Sample, way: str) -> tuple[str, bytes] | None:
    """("whole" | "tail" | "head", bytes in the order of the chip number); None where the text is nothing of that way."""
    text = sample.known.strip()
    if len(text) > _MAX_KNOWN:
        return None
    if way == "hex" or _is_hex(text):
        digits = text.replace(":", "").replace(" ", "")
        try:
            uid = bytes.fromhex(digits)
        except ValueError:
            return None
        return ("whole", uid) if 4 <= len(uid) <= 16 else None
    form, _, reverse = way.partition("_")
    try:
        if form == "3+5":
            number = CardProfile(radix="3+5").sent(text.encode(), 8 * len(text), "ascii")
        elif text.isascii() and text.isdigit():
            number = int(text).to_bytes(4 if form == "10D" else 3)
        else:
            return None
    except (CardError, OverflowError):
        return None
    return ("head", number[::-1]) if reverse else ("tail", number)


def _agrees(profile: CardProfile, sample: Sample, way: str) -> bool:
    known = _known(sample, way)
    try:
        card = _read(profile, sample)
    except CardError:
        return False
    if known is None:
        return False
    end, number = known
    if card.kind is TokenKind.UID:
        at = {"whole": card.value, "tail": card.value[-len(number) :], "head": card.value[: len(number)]}
        return at[end] == number
    if len(number) >= 4:  # a printed number of 32 bits may be all of a chip number of four bytes
        return card.value in short_forms(number)
    label, value = card.value[:4], card.value[4:]
    return label in (b"N32:", b"T24:" if end == "tail" else b"H24:") and number == (
        value[-3:] if end == "tail" else value[:3]
    )


# --- profiles to try -----------------------------------------------------------------------------------------------------


def _plain(sample: Sample, digits: int, whole: bool) -> Iterator[CardProfile]:
    """Every profile of the sample's kind of line that takes its numbers for whole, or for cut; straight before reversed.

    ``digits`` of the longest read: a chip number of four bytes has up to ten in decimal, one of seven bytes up to 17.
    """
    framed = _framed(sample)
    for reverse in (False, True):
        if sample.form == "ascii":
            yield CardProfile(reverse, whole=None if whole else False)
            if whole:
                yield CardProfile(reverse, "dec", number_bytes=4 if digits <= 10 else 7 if digits <= 17 else 8)
            else:
                yield CardProfile(reverse, "dec")
                yield from (CardProfile(reverse, "3+5", end=end) for end in _ENDS)
        elif framed in (26, 34, 37):  # cut unless told otherwise
            if not whole:
                yield from (CardProfile(reverse, wiegand=framed, end=end) for end in _ENDS[: 2 if framed == 26 else 1])
            elif framed != 26:
                yield CardProfile(reverse, wiegand=framed, whole=True)
        elif sample.bits == 24:
            if not whole:
                yield from (CardProfile(reverse, end=end) for end in _ENDS)
        else:
            yield CardProfile(reverse, wiegand=framed, whole=None if whole else False)


def _framed(sample: Sample) -> int:
    return sample.bits if sample.form == "wiegand" and sample.bits in WIEGAND_DATA else 0


def _leaving_out(sample: Sample, whole: bool) -> Iterator[CardProfile]:
    """Profiles that take a number out of a longer read; 24 bits only of fewer than 32: else a mistyped number is cut to fit."""
    if sample.form == "ascii" or (whole and _framed(sample)) or whole != (sample.bits >= 32):
        return
    for size in (64, 56, 32) if whole else (24,):
        spare = sample.bits - size
        for skip in range(max(0, spare - 64), min(spare, 64) + 1):
            for reverse in (False, True):
                ends = _ENDS if size == 24 else _ENDS[:1]
                yield from (CardProfile(reverse, skip=skip, tail=spare - skip, end=end) for end in ends)


_ENDS: tuple[Literal["low", "high"], ...] = ("low", "high")
