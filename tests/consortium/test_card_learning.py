"""Three known cards tell how a cardreader writes; a doubtful answer says what would decide."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortium.card_learning import MAX_SAMPLES, Sample, learn, readings
from consortium.cards import CardError, CardProfile
from tests.consortium.test_cards import CARD4, CARD7, chips, every_whole_line, framed, raw, text

CARDS = [bytes.fromhex(uid) for uid in ("A1B2C3D4", "5E10F79C", "D3E20B41")]


def samples(lines: list[tuple[bytes, int, str]], known: list[str]) -> list[Sample]:
    return [Sample(*line, each) for line, each in zip(lines, known, strict=True)]


def hexed(cards: list[bytes]) -> list[str]:
    return [card.hex().upper() for card in cards]


@pytest.mark.parametrize("count", [0, MAX_SAMPLES + 1])
def test_none_or_too_many_samples_are_refused(count: int) -> None:
    with pytest.raises(CardError):
        learn([Sample(*raw(CARD4), CARD4.hex())] * count)


def test_a_mistyped_number_is_pointed_at() -> None:
    learned = learn(samples([raw(card) for card in CARDS], ["A1B2C3D4", "5E10F79D", "D3E20B41"]))
    assert (learned.profile, learned.fits, learned.contradicts, learned.wanted) == (None, (), (1,), "FEWER_ERRORS")


def test_a_frame_of_nothing_known_fits_no_profile() -> None:
    learned = learn(samples([raw(bytes(range(n, n + 4))) for n in (1, 2, 3)], hexed(CARDS)))
    assert (learned.profile, learned.contradicts, learned.wanted) == (None, (), "FEWER_ERRORS")


def test_cards_that_read_the_same_both_ways_decide_nothing() -> None:
    same = bytes.fromhex("A1B2B2A1")
    learned = learn([Sample(*raw(same), same.hex())])
    assert learned.profile is None
    assert [fit.reverse_bytes for fit in learned.fits] == [False, True]
    assert learned.wanted == "OTHER_CARD"


def test_printed_decimals_leave_the_byte_order_open_until_one_chip_number_is_known() -> None:
    lines = [text(f"{int.from_bytes(card[::-1]):010d}") for card in CARDS]
    printed = [line[0].decode() for line in lines]
    learned = learn(samples(lines, printed))
    assert learned.profile is None
    assert {fit.reverse_bytes for fit in learned.fits} == {False, True}
    assert learned.wanted == "CHIP_NUMBER"
    decided = learn(samples(lines, [*printed[:2], CARDS[2].hex()]))
    assert decided.profile == CardProfile(reverse_bytes=True, radix="dec", number_bytes=4)
    assert decided.four_byte_only


def test_eight_hex_digits_that_happen_to_be_digits_alone_are_still_found() -> None:
    cards = [bytes.fromhex(uid) for uid in ("41223344", "55667788", "99001122")]
    learned = learn(samples([raw(card[::-1]) for card in cards], hexed(cards)))
    assert learned.profile == CardProfile(reverse_bytes=True)


def test_long_and_short_cards_at_one_decimal_cardreader_have_one_profile() -> None:
    cards = [CARD4, CARD7, CARDS[1]]
    learned = learn(samples([text(str(int.from_bytes(card))) for card in cards], hexed(cards)))
    assert learned.profile == CardProfile(radix="dec", number_bytes=7)


@pytest.mark.parametrize(
    ("send", "profile"),
    [
        (lambda sent: text(str(int.from_bytes(sent))), CardProfile(reverse_bytes=True, radix="dec", number_bytes=7)),
        (lambda sent: framed(sent, 58), CardProfile(reverse_bytes=True, wiegand=58)),
        (lambda sent: framed(sent, 66), CardProfile(reverse_bytes=True, wiegand=66)),
    ],
)
def test_long_and_short_cards_on_a_reversed_line_with_room_for_both_have_one_whole_profile(send, profile) -> None:
    cards = [CARD4, CARD7, CARDS[1]]
    assert learn(samples([send(card[::-1]) for card in cards], hexed(cards))).profile == profile


def test_short_cards_alone_on_a_wide_reversed_frame_are_whole_numbers() -> None:
    learned = learn(samples([framed(card[::-1], 58) for card in CARDS], hexed(CARDS)))
    assert learned.profile == CardProfile(reverse_bytes=True, wiegand=58)


def test_two_cards_fit_but_three_are_asked_for() -> None:
    learned = learn(samples([raw(card[::-1]) for card in CARDS[:2]], hexed(CARDS[:2])))
    assert learned.profile == CardProfile(reverse_bytes=True)
    assert learned.wanted == "MORE_CARDS"
    twice = learn(samples([raw(CARDS[0][::-1])] * 3, hexed([CARDS[0]] * 3)))
    assert twice.wanted == "MORE_CARDS"


@pytest.mark.parametrize(
    ("send", "profile"),
    [
        (lambda uid: raw(uid), CardProfile()),
        (lambda uid: raw(uid[::-1]), CardProfile(reverse_bytes=True)),
        (lambda uid: raw(uid[::-1], "wiegand"), CardProfile(reverse_bytes=True)),
        (lambda uid: text(uid[::-1].hex()), CardProfile(reverse_bytes=True)),
        (lambda uid: text(f"{int.from_bytes(uid):010d}"), CardProfile(radix="dec", number_bytes=4)),
        (lambda uid: framed(uid[1:], 26), CardProfile(wiegand=26)),
        (lambda uid: framed(uid[2::-1], 26), CardProfile(wiegand=26, reverse_bytes=True)),
        (lambda uid: framed(uid[:3], 26), CardProfile(wiegand=26, end="high")),
        (lambda uid: framed(uid, 34), CardProfile(wiegand=34, whole=True)),
        (lambda uid: framed(uid[::-1], 34), CardProfile(wiegand=34, whole=True, reverse_bytes=True)),
        (lambda uid: text(f"{uid[1]:03d},{int.from_bytes(uid[2:]):05d}"), CardProfile(radix="3+5")),
        (lambda uid: (b"\x7f" + uid[::-1], 40, "raw"), CardProfile(skip=8, reverse_bytes=True)),
    ],
)
def test_three_known_cards_give_exactly_one_profile(send, profile) -> None:
    learned = learn(samples([send(card) for card in CARDS], hexed(CARDS)))
    assert learned.profile == profile
    assert learned.fits == (profile,)
    assert learned.wanted == ""
    assert learned.four_byte_only == (profile.whole is True or profile.number_bytes == 4)


def test_one_long_card_shows_that_a_line_cuts() -> None:
    cards = [*CARDS[:2], CARD7]
    learned = learn(samples([framed(card[-4:], 34) for card in cards], hexed(cards)))
    assert learned.profile == CardProfile(wiegand=34)
    assert not learned.four_byte_only


@settings(deadline=None)
@given(st.lists(chips, min_size=3, max_size=3, unique=True).filter(lambda cards: len({len(c) for c in cards}) == 1))
def test_whatever_is_learned_gives_every_sample_its_known_card(cards: list[bytes]) -> None:
    for line in range(len(every_whole_line(cards[0]))):
        sent = [every_whole_line(card)[line][1] for card in cards]
        learned = learn(samples(sent, hexed(cards)))
        assert learned.fits
        for profile in learned.fits:
            for each, card in zip(sent, cards, strict=True):
                found = profile.canonical(*each)
                assert found.truncated or found.value == card


def test_every_reading_of_a_campus_card_is_shown() -> None:
    found = {each.name: each.text for each in readings(*raw(bytes.fromhex("01020304")))}
    assert found == {
        "HEX": "01020304", "DEC": "16909060", "10D": "0016909060", "8D": "00131844", "3+5": "002,00772",
        "HEX_REVERSED": "04030201", "DEC_REVERSED": "67305985", "10D_REVERSED": "0067305985", "8D_REVERSED": "00197121",
        "3+5_REVERSED": "003,00513",
    }  # fmt: skip


def test_a_wiegand_frame_is_shown_without_its_parity_and_an_odd_one_bit_by_bit() -> None:
    found = {each.name: each.text for each in readings(*framed(b"\x12\x34\x56", 26))}
    assert found["HEX"] == "123456"
    assert found["3+5"] == "018,13398"
    assert readings(b"\xa8", 5, "raw")[0].text == "10101"


def test_text_is_shown_as_it_came_and_by_every_radix_that_reads_it() -> None:
    found = readings(*text("0305419896"))
    assert found[0].text == "0305419896"
    assert any(each.name == "HEX" and each.text == "12345678" and each.profile.radix == "dec" for each in found)
    assert readings(b"", 0, "raw") == ()
    assert [each.name for each in readings(b"\xff\xfe", 16, "ascii")] == ["TEXT"]
