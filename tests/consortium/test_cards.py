"""One card is one token: what every cardreader writes of a card comes to the same bytes, or is known to be cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.cards import MEDIUM_ASSURANCE, CardError, CardProfile, short_forms
from consortium.facts import Assurance
from consortium.identity import TokenKind

CARD4, CARD7 = bytes.fromhex("A1B2C3D4"), bytes.fromhex("04A1B2C3D4E580")
W26_EXAMPLE = 0b1_00000001_0000000000000010_0
"""Facility 1, number 2: a common worked example of the 26-bit format, even parity of the first 13 bits 1, odd of the last 13 bits 0."""


def framed(number: bytes, bits: int) -> tuple[bytes, int, str]:
    """What a Wiegand line carries, written anew from the format's text: even parity, number, odd parity, left-justified."""
    inner = bits - 2
    digits = format(int.from_bytes(number), f"0{inner}b")[-inner:]
    overlap = inner % 2
    first, second = digits[: inner // 2 + overlap], digits[inner // 2 :]
    frame = f"{first.count('1') % 2}{digits}{1 - second.count('1') % 2}"
    size = (bits + 7) // 8
    return int(frame.ljust(size * 8, "0"), 2).to_bytes(size), bits, "wiegand"


def text(digits: str) -> tuple[bytes, int, str]:
    return digits.encode(), 8 * len(digits), "ascii"


def raw(number: bytes, form: str = "raw") -> tuple[bytes, int, str]:
    return number, 8 * len(number), form


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "profile", "code"),
    [
        ((b"", 0, "raw"), {}, "CARD_BITS"),
        ((bytes(65), 520, "raw"), {}, "CARD_BITS"),
        ((CARD4, 40, "raw"), {}, "CARD_BITS"),
        ((CARD4, 0, "raw"), {}, "CARD_BITS"),
        ((CARD4, 31, "raw"), {}, "CARD_BITS"),
        ((b"\x12\x34", 16, "raw"), {}, "CARD_BITS"),
        ((bytes(range(1, 18)), 136, "raw"), {}, "CARD_BITS"),
        ((CARD4, 32, "magnetic"), {}, "CARD_FORMAT"),
        (raw(bytes(4)), {}, "CARD_BLANK"),
        (raw(b"\xff" * 7), {}, "CARD_BLANK"),
        (framed(bytes(3), 26), {}, "CARD_BLANK"),
        (framed(b"\xff" * 4, 34), {}, "CARD_BLANK"),
        (raw(bytes.fromhex("08123456")), {}, "CARD_RANDOM"),
        (raw(bytes.fromhex("56341208")), {"reverse_bytes": True}, "CARD_RANDOM"),
        (framed(CARD4, 34), {"wiegand": 26}, "CARD_BITS"),
        (raw(CARD4, "wiegand"), {"wiegand": 34}, "CARD_BITS"),
        (framed(CARD4[:3], 26), {"facility": 7}, "CARD_FACILITY"),
        (framed(CARD4, 34), {"facility": 0xA1}, "CARD_FACILITY"),
        (raw(CARD4), {"facility": 0xA1}, "CARD_FACILITY"),
        (text("A1B2C3D4"), {"facility": 0xA1}, "CARD_FACILITY"),
        (text("A1B2C3D"), {}, "CARD_FORMAT"),
        (text("no card"), {}, "CARD_FORMAT"),
        (text("A1B2C3D4"), {"radix": "dec"}, "CARD_FORMAT"),
        (text("4294967296"), {"radix": "dec"}, "CARD_FORMAT"),
        (text("١٢٣٤٥٦٧٨"), {"radix": "dec"}, "CARD_FORMAT"),
        (text("9" * 60), {"radix": "dec", "number_bytes": 8}, "CARD_FORMAT"),
        (text("256,00001"), {"radix": "3+5"}, "CARD_FORMAT"),
        (text("001,65536"), {"radix": "3+5"}, "CARD_FORMAT"),
    ],
)
def test_what_cannot_be_a_card_of_the_profile_is_refused(
    sent: tuple[bytes, int, str], profile: dict[str, Any], code: str
) -> None:
    with pytest.raises(CardError) as refused:
        CardProfile(**profile).canonical(*sent)
    assert refused.value.code == code


@given(st.binary(min_size=3, max_size=4), st.integers(0, 33))
def test_a_frame_with_one_wrong_bit_is_no_card(number: bytes, at: int) -> None:
    sent, bits, form = framed(number, len(number) * 8 + 2)
    spoilt = bytearray(sent)
    spoilt[(at % bits) // 8] ^= 0x80 >> (at % bits) % 8
    with pytest.raises(CardError):
        CardProfile().canonical(bytes(spoilt), bits, form)


@pytest.mark.parametrize(
    "settings",
    [
        {"radix": "octal"}, {"wiegand": 27}, {"skip": -1}, {"tail": 65}, {"number_bytes": 6}, {"end": "middle"},
        {"facility": 256}, {"facility": 7, "wiegand": 34}, {"facility": 7, "radix": "dec"}, {"facility": 7, "whole": True},
        {"wiegand": 26, "skip": 1}, {"wiegand": 26, "whole": True}, {"radix": "3+5", "whole": True},
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be_meant_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(CardError) as refused:
        CardProfile(**settings)
    assert refused.value.code == "CARD_PROFILE"


@given(st.binary(max_size=70), st.integers(-1, 600), st.sampled_from(["raw", "wiegand", "ascii", "?"]), st.booleans())
def test_anything_is_a_card_or_a_card_error(sent: bytes, bits: int, form: str, reverse: bool) -> None:
    for radix in ("hex", "dec", "3+5"):
        try:
            card = CardProfile(reverse_bytes=reverse, radix=radix).canonical(sent, bits, form)
        except CardError:
            continue
        assert 4 <= len(card.value) <= 16
        assert card.truncated == (card.kind is TokenKind.CARD_NO)


def test_no_card_shows_its_number_in_a_repr() -> None:
    assert "b2" not in repr(CardProfile().canonical(*raw(CARD4))).lower().replace("\\x", "")


# --- the law ---------------------------------------------------------------------------------------------------------

chips = st.one_of(
    st.binary(min_size=4, max_size=4).filter(lambda uid: uid[0] not in (0x00, 0x08, 0x88) and uid != b"\xff" * 4),
    st.binary(min_size=6, max_size=6).map(lambda rest: b"\x04" + rest),
    st.binary(min_size=7, max_size=7).map(lambda rest: b"\xe0" + rest),
).filter(lambda uid: len(uid) == 4 or any(uid[-3:]))
"""Chip numbers as chips have them (ISO 14443-3 single and double size from NXP, ISO 15693); one of 16 million ends with three zeros
and reads backwards as a shorter one in a longer field."""


def every_whole_line(uid: bytes) -> list[tuple[CardProfile, tuple[bytes, int, str]]]:
    """What cardreaders with room for a whole number send of a chip, and their profiles."""
    out = []
    for reverse in (False, True):
        sent = uid[::-1] if reverse else uid
        plain = CardProfile(reverse_bytes=reverse)
        out += [(plain, raw(sent)), (plain, raw(sent, "wiegand")), (plain, text(sent.hex()))]
        out += [(plain, text(":".join(f"{byte:02X}" for byte in sent)))]
        dec = CardProfile(reverse_bytes=reverse, radix="dec", number_bytes=len(uid))
        out.append((dec, text(str(int.from_bytes(sent)))))
        out.append((dec, text(str(int.from_bytes(sent)).zfill(10))))
        if len(uid) == 4:
            out.append((CardProfile(reverse_bytes=reverse, wiegand=34, whole=True), framed(sent, 34)))
        else:
            out.append((plain, framed(sent, {7: 58, 8: 66}[len(uid)])))
        out.append((CardProfile(reverse_bytes=reverse, skip=8, tail=3), shifted(sent, 8, 3)))
    return out


def shifted(number: bytes, skip: int, tail: int) -> tuple[bytes, int, str]:
    bits = skip + 8 * len(number) + tail
    digits = "1" * skip + format(int.from_bytes(number), f"0{8 * len(number)}b") + "1" * tail
    size = (bits + 7) // 8
    return int(digits.ljust(size * 8, "0"), 2).to_bytes(size), bits, "raw"


@given(chips)
def test_one_card_is_one_number_at_every_cardreader_that_has_room_for_it(uid: bytes) -> None:
    for profile, sent in every_whole_line(uid):
        card = profile.canonical(*sent)
        assert (card.kind, card.value, card.truncated) == (TokenKind.UID, uid, False), profile


@given(chips)
def test_a_cut_number_is_one_of_the_cards_short_forms_and_never_a_chip_number(uid: bytes) -> None:
    for reverse in (False, True):
        sent = uid[::-1] if reverse else uid
        low, high = sent[-3:], sent[:3]
        lines = [
            (CardProfile(reverse_bytes=reverse, wiegand=26), framed(low, 26)),
            (CardProfile(reverse_bytes=reverse, end="high"), framed(high, 26)),
            (CardProfile(reverse_bytes=reverse), raw(low)),
            (CardProfile(reverse_bytes=reverse, radix="3+5"), text(f"{low[0]:03d},{int.from_bytes(low[1:]):05d}")),
            (CardProfile(reverse_bytes=reverse, radix="3+5"), text(f"{low[0]:03d}{int.from_bytes(low[1:]):05d}")),
            (CardProfile(reverse_bytes=reverse), framed(sent[-4:], 34)),
            (CardProfile(reverse_bytes=reverse, wiegand=34), framed(sent[:4], 34)),
            (CardProfile(reverse_bytes=reverse, radix="dec"), text(f"{int.from_bytes(sent[-4:]):010d}")),
            (CardProfile(reverse_bytes=reverse, whole=False), raw(sent[:4])),
        ]
        for profile, line in lines:
            if not any(low) or not any(high) or low == b"\xff" * 3 or high == b"\xff" * 3:
                continue  # what is left of this card is blank
            card = profile.canonical(*line)
            assert card.truncated and card.kind is TokenKind.CARD_NO
            assert card.value in short_forms(uid), profile


def test_both_ends_of_a_number_and_both_orders_are_four_lines_of_two_short_forms() -> None:
    tail, head, *_ = short_forms(CARD4)
    lines = {
        (False, "low"): (CARD4[1:], tail),
        (False, "high"): (CARD4[:3], head),
        (True, "low"): (CARD4[2::-1], head),
        (True, "high"): (CARD4[:0:-1], tail),
    }
    for (reverse, end), (sent, short) in lines.items():
        assert CardProfile(reverse_bytes=reverse, end=end).canonical(*framed(sent, 26)).value == short


def test_a_worked_wiegand_frame_is_read() -> None:
    card = CardProfile(facility=1).canonical((W26_EXAMPLE << 6).to_bytes(4), 26, "wiegand")
    assert card.value == b"T24:\x01\x00\x02"


def test_a_number_padded_to_a_longer_field_is_the_card_itself() -> None:
    for profile, sent in ((CardProfile(), framed(bytes(3) + CARD4, 58)), (CardProfile(), raw(bytes(1) + CARD7))):
        assert profile.canonical(*sent).value in (CARD4, CARD7)


@pytest.mark.parametrize("uid", [CARD4, bytes.fromhex("A1B2C300"), CARD7, bytes.fromhex("04A1B2C3D4E500")])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_short_number_in_a_wide_field_is_one_card_in_both_orders(uid: bytes, reverse: bool) -> None:
    sent = uid[::-1] if reverse else uid
    profile = CardProfile(reverse_bytes=reverse)
    lines = [(profile, framed(sent, 66))]
    lines += [
        (CardProfile(reverse_bytes=reverse, radix="dec", number_bytes=size), text(str(int.from_bytes(sent))))
        for size in (7, 8, 10)
        if size >= len(uid)
    ]
    if len(uid) == 4:
        lines += [
            (profile, framed(sent, 58)),
            (profile, raw(bytes(3) + sent)),
            (profile, text("00000000" + sent.hex())),
        ]
    for each, line in lines:
        assert each.canonical(*line).value == uid, each


@pytest.mark.parametrize("uid", ["E004010012345600", "E004010012340000"])
def test_a_number_of_eight_bytes_keeps_the_zeros_it_ends_with(uid: str) -> None:
    chip = bytes.fromhex(uid)
    for line in (framed(chip[::-1], 66), raw(chip[::-1]), text(chip[::-1].hex())):
        assert CardProfile(reverse_bytes=True).canonical(*line).value == chip


def test_bytes_that_say_their_own_length_lose_no_single_zero() -> None:
    felica = bytes.fromhex("012E4C11A2B3C400")
    assert CardProfile(reverse_bytes=True).canonical(*raw(felica[::-1])).value == felica


def test_a_37_bit_frame_counts_as_cut_unless_told_otherwise() -> None:
    sent = framed(bytes.fromhex("0312345678"), 37)
    assert CardProfile().canonical(*sent).value == b"N32:" + bytes.fromhex("12345678")
    assert CardProfile(whole=True).canonical(*sent).value == bytes.fromhex("0312345678")


def test_a_copyable_chip_is_worth_little_and_an_unknown_one_says_nothing() -> None:
    assert MEDIUM_ASSURANCE["MF_CLASSIC"] is Assurance.LOW
    assert MEDIUM_ASSURANCE["DESFIRE"] is Assurance.HIGH
    assert "" not in MEDIUM_ASSURANCE
