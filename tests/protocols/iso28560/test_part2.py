"""ISO 28560-2: compactions, ISIL code, data sets and their layout in lockable blocks."""

import contextlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from protocols.iso28560.compaction import SCHEMES, best_scheme, compact, expand
from protocols.iso28560.elements import Element, split_set_info
from protocols.iso28560.errors import BlankTag, LocalTagError, TagError
from protocols.iso28560.isil import decode_isil, encode_isil
from protocols.iso28560.part2 import decode_part2, encode_part2

ANNEX_D = bytes.fromhex("9100051CBE991A140201D0140204B34607441CB6E2E335D6830207ACC09EBAA06F6B0000")
ANNEX_D_VALUES = {1: "123456789012", 3: "US-InU-Mu", 4: "1203", 6: "QA268.L55"}

isils = st.text("ABCXYZabcxyz0189-:", min_size=1, max_size=16).filter(lambda text: not text.endswith("-"))
texts = st.one_of(
    st.text("0123456789", min_size=1, max_size=25),
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_", min_size=1, max_size=20),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x5F), min_size=1, max_size=20),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=20),
    st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=20),
)

ALPHABETS = {
    1: st.integers(10, 10**19 - 1).map(str),
    2: st.text("0123456789", min_size=2, max_size=25),
    3: st.text(st.characters(min_codepoint=0x41, max_codepoint=0x5F), min_size=3, max_size=20),
    4: st.text(st.characters(min_codepoint=0x20, max_codepoint=0x5F), min_size=3, max_size=20).map("{}A".format),
    5: st.text(st.characters(max_codepoint=0x7E), min_size=1, max_size=20),
    6: st.text(st.characters(max_codepoint=0xFF), min_size=1, max_size=20),
    7: st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=20),
}


class TestRefusals:
    def test_annex_example_cut_anywhere_within_an_element_is_refused(self):
        ends = {8, 11, 15, 24, 36}
        for end in set(range(1, len(ANNEX_D))) - ends:
            with pytest.raises(TagError):
                decode_part2(ANNEX_D[:end])

    @pytest.mark.parametrize(
        "wrong",
        [
            "1402 04B3",  # first element is not the identifier
            "1105 1CBE991A14 1105 1CBE991A14",  # twice
            "1100",  # no data
            "1180" + "11" * 128,  # longer than a length says
            "9101051CBE991A14FF",  # padded with FF
            "1102 0001",  # integer with a leading zero
            "1109 010101010101010101",  # longer than 19 digits
            "2102 12FA",  # F inside
            "2101 FF",  # padding only
            "3103 0A23AF",  # 5-bit, padded with ones
            "3101 00",  # 5-bit, only padding
            "4104 0410 4100",  # 6-bit, padded with zeros
            "6101 00 2201 10",  # content parameter is no bitmap
            "7101 FF",  # not UTF-8
            "0000",
        ],
    )
    def test_what_the_standard_forbids_is_no_item(self, wrong):
        with pytest.raises(TagError):
            decode_part2(bytes.fromhex(wrong.replace(" ", "")))

    def test_blank_tag_is_said_to_be_blank(self):
        with pytest.raises(BlankTag):
            decode_part2(bytes(28))

    @pytest.mark.parametrize(
        "values", [{}, {3: "DK"}, {1: ""}, {1: "1" * 400 + "x"}, {1: "12", 130: "x"}, {1: "12", 0: "x"}]
    )
    def test_data_that_does_not_fit_is_not_written(self, values):
        with pytest.raises(LocalTagError):
            encode_part2(values)

    @pytest.mark.parametrize(
        ("scheme", "text"),
        [(1, "0123"), (1, "1"), (1, "1" * 20), (2, "1"), (3, "AB"), (3, "ABC1"), (4, "ABC "), (5, "é")],
    )
    def test_scheme_refuses_what_its_rule_forbids(self, scheme, text):
        with pytest.raises(LocalTagError):
            compact(scheme, text)

    @pytest.mark.parametrize(
        ("scheme", "wrong"),
        [
            (3, "0A2200"),  # AHQ and a byte of padding
            (4, "0608"),  # A, a blank and four bits of padding
            (4, "041820820820"),  # ends in blanks
            (5, "FFFF"),
            (3, "0804"),  # A, 00000, B
            (5, "83FE17"),  # A, 1111111, B
        ],
    )
    def test_packed_text_with_padding_where_it_needs_none_is_refused(self, scheme, wrong):
        with pytest.raises(TagError):
            expand(scheme, bytes.fromhex(wrong))

    @pytest.mark.parametrize("isil", ["", "DK-", "DK 1", "重庆"])
    def test_isil_code_refuses_what_it_has_no_code_for(self, isil):
        with pytest.raises(LocalTagError):
            encode_isil(isil)

    @given(st.binary(max_size=60))
    def test_noise_is_an_item_or_a_typed_error(self, noise):
        try:
            item = decode_part2(noise)
        except TagError:
            return
        assert item.elements[0].oid == 1


class TestCompaction:
    @pytest.mark.parametrize("scheme", SCHEMES)
    @given(st.data())
    def test_text_survives_each_scheme_that_takes_it(self, scheme, data):
        text = data.draw(ALPHABETS[scheme])
        assert SCHEMES[scheme].fits(text)
        assert expand(scheme, compact(scheme, text)) == text

    @given(texts)
    def test_some_scheme_takes_every_text(self, text):
        assert expand(best_scheme(text), compact(best_scheme(text), text)) == text

    @pytest.mark.parametrize(
        ("text", "scheme"),
        [("123", 1), ("0123", 2), ("1" * 20, 2), ("ABC", 3), ("QA268.L55", 4), ("Shelf", 5), ("é", 6), ("重庆", 7)],
    )
    def test_encoder_takes_the_first_scheme_that_fits(self, text, scheme):
        assert best_scheme(text) == scheme

    @given(texts)
    def test_no_other_scheme_would_be_shorter(self, text):
        sizes = [len(compact(number, text)) for number, scheme in SCHEMES.items() if scheme.fits(text)]
        assert len(compact(best_scheme(text), text)) == min(sizes)


class TestIsil:
    @pytest.mark.parametrize(
        "isil", ["US-InU-Mu", "DE-705", "CN-251020", "CH-000134-1", "FI-Hp", "GB-UkOxU:a/b", "251020"]
    )
    def test_isil_survives(self, isil):
        assert decode_isil(encode_isil(isil)) == isil

    def test_annex_example(self):
        assert encode_isil("US-InU-Mu").hex().upper() == "ACC09EBAA06F6B"

    def test_zero_padding_is_no_hyphen(self):
        assert decode_isil(bytes.fromhex("0880")) == "AB"

    def test_zero_padding_is_named(self):
        tag = encode_part2({1: "12", 3: "AB"})
        assert decode_part2(tag).divergences == ()
        padded = tag.replace(bytes.fromhex("03020 8BF".replace(" ", "")), bytes.fromhex("03020880"))
        assert padded != tag
        item = decode_part2(padded)
        assert (item.named()["owner"], item.divergences) == ("AB", ("isil-padding",))

    @pytest.mark.parametrize(
        ("isil", "bits"),
        [
            ("AB", 10),
            ("A1B", 5 + 5 + 4 + 5),  # a shift costs less than two latches
            ("AaB", 5 + 5 + 5 + 5),
            ("Aab", 5 + 5 + 10),  # a latch that stays
            ("A12B", 5 + 5 + 8 + 4 + 5),
            ("A1-2", 5 + 5 + 4 + 4 + 4),  # the hyphen is in every set
            ("a1b2", 5 + 5 + 5 + 4 + 4 + 5 + 4),  # a shift out of the numbers costs four
        ],
    )
    def test_fewest_bits_are_written(self, isil, bits):
        assert len(encode_isil(isil)) == -(-bits // 8)

    @given(isils)
    def test_any_isil_survives(self, isil):
        assert decode_isil(encode_isil(isil)) == isil

    @given(st.binary(min_size=1, max_size=12))
    def test_noise_is_text_or_a_typed_error(self, noise):
        with contextlib.suppress(TagError):
            decode_isil(noise)


class TestLayout:
    def test_annex_d_is_written_and_read(self):
        assert encode_part2(ANNEX_D_VALUES, lockable=(1, 3)) == ANNEX_D
        assert decode_part2(ANNEX_D).lockable_blocks == "ll....lll"

    def test_content_parameter_that_lists_others_is_named(self):
        tag = bytearray(ANNEX_D)
        tag[10] = 0xC0
        assert decode_part2(bytes(tag)).divergences == ("content-parameter",)

    def test_object_identifier_over_14_takes_a_second_byte(self):
        tag = encode_part2({1: "123456789012", 17: "TITLE"})
        assert b"\x3f\x02" in tag
        assert decode_part2(tag).named()["title"] == "TITLE"

    def test_old_bytes_behind_the_end_mark_do_not_matter(self):
        assert decode_part2(ANNEX_D + b"\x00\x99\x99\x99").elements == decode_part2(ANNEX_D).elements

    def test_unaligned_elements_before_a_locked_one_are_padded(self):
        tag = encode_part2({1: "123456789012", 3: "DK-1", 4: "1203"}, lockable=(1, 3))
        item = decode_part2(tag)
        assert item.elements[2] == Element(4, 1, "1203", 0)
        assert item.lockable_blocks.startswith("ll..")
        assert item.lockable_blocks.endswith("l")

    @given(
        st.dictionaries(st.sampled_from([4, 6, 7, 9, 10, 12, 14, 15, 17, 26]), texts, max_size=5),
        texts,
        st.none() | isils,
        st.sets(st.sampled_from([1, 3, 6, 17])),
    )
    def test_tag_says_what_was_written(self, others, pii, owner, lock):
        values = {1: pii} | others | ({3: owner} if owner else {})
        assume(all(len(value.encode()) <= 60 for value in values.values()))
        tag = encode_part2(values, lockable=lock)
        item = decode_part2(tag)
        assert len(tag) % 4 == 0
        assert {element.oid: element.value for element in item.elements if element.oid != 2} == values
        assert item.divergences == ()


@pytest.mark.parametrize(
    ("text", "parts"),
    [("0312", None), ("123", None), ("ab", None), ("１２", None), ("1203", (12, 3)), ("31", (3, 1))],
)
def test_set_information_is_two_numbers_of_equal_length(text, parts):
    assert split_set_info(text) == parts
