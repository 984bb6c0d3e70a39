"""ISO/TS 28560-4: URN Code 40, PC and UII, user bank."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.crc import crc_gen2
from protocols.iso28560.code40 import decode_code40, encode_code40
from protocols.iso28560.errors import LocalTagError, TagError
from protocols.iso28560.part4 import decode_pc_uii, decode_user_bank, encode_pc_uii, encode_user_bank, split_uii

ON_LOAN = bytes.fromhex("45C2141CC04FC70BADB5C6E2DA1DED4DD319")
texts = st.text("ABZ019-.:", min_size=1, max_size=24) | st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFFFF, blacklist_categories=("Cs",)), min_size=1, max_size=12
)


class TestRefusals:
    @pytest.mark.parametrize(
        "wrong",
        [
            "",
            "0000",
            "FF00",
            "FA01",
            "14",
            "141CC0",
            "FB",
            "FB31E5F4C8",
            "FB00FFFFFFFF",
            "FC",
            "FCC3",
            "FD41",
            "FDC3",
            "0002",
            "0646",  # a third character behind padding
        ],
    )
    def test_what_urn_code_40_cannot_say_is_refused(self, wrong):
        with pytest.raises(TagError):
            decode_code40(bytes.fromhex(wrong))

    @pytest.mark.parametrize(
        "wrong",
        [
            "",
            "45C2",
            ON_LOAN.hex()[:-4],
            ON_LOAN.hex() + "0000",
            "44C2" + ON_LOAN.hex()[4:],  # toggle bit 0
            "4DC2" + ON_LOAN.hex()[4:],  # one word more
        ],
    )
    def test_pc_that_contradicts_its_uii_is_refused(self, wrong):
        with pytest.raises(TagError):
            decode_pc_uii(bytes.fromhex(wrong))

    @pytest.mark.parametrize("wrong", ["", "06", "0600", "07140204B3", "061102 04B3", "06140204"])
    def test_user_bank_without_its_dsfid_or_with_an_identifier_is_refused(self, wrong):
        with pytest.raises(TagError):
            decode_user_bank(bytes.fromhex(wrong.replace(" ", "")))

    @pytest.mark.parametrize(
        ("owner", "pii", "afi"),
        [("", "1", 7), ("A", "", 7), ("A.B", "1", 7), ("A", "1", 256), ("A", "1" * 12 + "x" * 70, 7)],
    )
    def test_item_that_does_not_fit_is_not_written(self, owner, pii, afi):
        with pytest.raises(LocalTagError):
            encode_pc_uii(owner, pii, afi)

    def test_identifier_fills_the_31_words_of_a_pc_and_no_more(self):
        assert decode_pc_uii(encode_pc_uii("CN", "A" * 90, 7)).pii == "A" * 90
        with pytest.raises(LocalTagError):
            encode_pc_uii("CN", "A" * 91, 7)

    def test_zero_is_padding_and_no_character(self):
        with pytest.raises(LocalTagError):
            encode_code40("A\x00B")

    def test_character_beyond_three_bytes_has_no_place(self):
        with pytest.raises(LocalTagError):
            encode_code40("😀")

    @given(st.binary(max_size=40))
    def test_noise_is_text_or_a_typed_error(self, noise):
        for decode in (decode_code40, decode_pc_uii, decode_user_bank):
            with contextlib.suppress(TagError):
                decode(noise)


@given(texts)
def test_text_survives_urn_code_40(text):
    assert decode_code40(encode_code40(text)) == text


@given(texts)
def test_padding_to_a_word_does_not_matter(text):
    assert decode_code40(encode_code40(text) + b"\x00\x00") == text


@given(st.integers(0, 10**24 - 1), st.integers(9, 24))
def test_long_numbers_keep_their_leading_zeros(number, digits):
    text = str(number).zfill(digits)
    assert decode_code40(encode_code40(text)) == text


def test_uii_is_split_into_owner_item_and_set():
    uii = decode_pc_uii(ON_LOAN)
    assert (uii.owner, uii.pii, uii.set) == ("CH-000134-1", "12345678", "31")
    assert encode_pc_uii("CH-000134-1", "12345678", 0xC2, set_info="31", umi=True) == ON_LOAN


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("A.B.1203", ("A", "B", "1203")),
        ("A.B.C.12", ("A", "B.C", "12")),
        ("A.B.12345678", ("A", "B.12345678", "")),
        ("A.B.123", ("A", "B.123", "")),
        ("A.B.²³", ("A", "B.²³", "")),
        ("A.12", ("A", "12", "")),
        ("A..12", ("A", "", "12")),
        ("1234", ("", "1234", "")),
    ],
)
def test_set_information_is_two_four_or_six_digits_behind_the_identifier(value, said):
    assert split_uii(value) == said


def test_loan_changes_only_the_afi_and_the_stored_crc():
    secured = encode_pc_uii("DK-718500", "1000000136", 0x07)
    lent = encode_pc_uii("DK-718500", "1000000136", 0xC2)
    assert [at for at in range(len(lent)) if lent[at] != secured[at]] == [1]
    assert decode_pc_uii(lent).crc == crc_gen2(lent) != decode_pc_uii(secured).crc


def test_user_bank_says_what_was_written():
    bank = encode_user_bank({3: "US-InU-Mu", 4: "1203"})
    assert decode_user_bank(bank).named() == {"owner": "US-InU-Mu", "set": "1203"}
    with pytest.raises(LocalTagError):
        encode_user_bank({1: "12"})
