"""The university consortium format: packed identifiers, EPC and user bank."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.iso28560 import gaoxiao
from protocols.iso28560.content import TagContent
from protocols.iso28560.errors import LocalTagError, TagError
from protocols.iso28560.gaoxiao_content import bank_of
from protocols.iso28560.gaoxiao_id import IPC96, IPC128, UTF8, decode_id, encode_id, id_encoding

SCHOOL_EPC = bytes.fromhex("01045300185304400D0B0000")
SCHOOL_BANK = bytes.fromhex("0C02D9941004000100012C00380000000000000000000000000000000000")

upper = "ABCXYZ0189"
printable = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
short_96 = st.text(printable, min_size=1, max_size=7)
short_128 = st.text(printable, min_size=1, max_size=11)
long_96 = st.builds(
    "{}{}{}".format, st.text(upper, min_size=3, max_size=3), st.text("0123456789", min_size=4, max_size=10), printable
)
long_128 = st.builds("{}{}".format, st.text(upper, min_size=11, max_size=13), printable)


class TestRefusals:
    @pytest.mark.parametrize(
        ("encoding", "wrong"),
        [
            (IPC96, ""),
            (IPC96, "00"),
            (IPC96, "0541424330"),  # cut off
            (IPC96, "05414243303141"),  # something behind
            (IPC96, "0507424330"),
            (IPC96, "A8324911EC0100"),  # cut off
            (IPC96, "AF324911EC010000"),  # length 15
            (IPC96, "A83249D1EF010000"),  # fourth digit 15
            (IPC96, "A8324911FFFFFFFF"),  # more digits than its length
            (IPC96, "A8324911A00F0000"),  # the same with a sound fourth digit
            (IPC96, "A8A24811EC010000"),  # third character is none
            (IPC128, "7C70000046410C0201304911"),  # control character at the end
            (IPC128, "AC77040046410C0201304911"),  # a second character beyond the length
            (IPC128, "AC77000046410C8201304911"),  # bits 30, 31 of a word
            (IPC128, "AC77000046410C02013049"),
            (UTF8, "FF"),
            (UTF8, "00"),
            (3, "0141"),
        ],
    )
    def test_what_the_packing_cannot_have_made_is_refused(self, encoding, wrong):
        with pytest.raises(TagError):
            decode_id(encoding, bytes.fromhex(wrong))

    @pytest.mark.parametrize(
        ("encoding", "text"),
        [
            (IPC96, "ABCD1234*"),
            (IPC96, "abc01234"),
            (IPC96, "A" * 15),
            (IPC128, "abcdefghijkl"),
            (IPC128, "重庆"),
            (UTF8, ""),
        ],
    )
    def test_identifier_that_does_not_fit_is_not_written(self, encoding, text):
        with pytest.raises(LocalTagError):
            encode_id(encoding, text)

    def test_identifier_fills_the_31_words_of_an_epc_and_no_more(self):
        assert gaoxiao.decode_epc(gaoxiao.encode_epc("é" * 29, lent=False)).pii == "é" * 29
        with pytest.raises(LocalTagError):
            gaoxiao.encode_epc("é" * 29 + "1", lent=False)

    @pytest.mark.parametrize("behind", ["0041", "000041", "0100"])
    def test_user_bank_with_something_behind_its_end_is_refused(self, behind):
        with pytest.raises(TagError):
            gaoxiao.read_user_bank(bytes.fromhex("0C022973" + behind))

    def test_media_other_than_a_disc_has_no_place(self):
        content = TagContent("gaoxiao", "1557", "10611", 1, elements=((19, "03"),))
        with pytest.raises(LocalTagError):
            bank_of(content)
        assert bank_of(replace(content, elements=((19, "02"),)))[-1] == (5, b"\x01\x00")

    def test_reserved_bits_are_refused(self):
        with pytest.raises(TagError):
            gaoxiao.decode_epc(b"\x41" + SCHOOL_EPC[1:])

    @pytest.mark.parametrize("sort", [-1, 16])
    def test_sort_code_over_four_bits_is_not_written(self, sort):
        with pytest.raises(LocalTagError):
            gaoxiao.encode_epc("123", lent=False, sort=sort)

    @pytest.mark.parametrize("wrong", ["0C02D9", "0C02D9940C02D994", "0402D994", "0C02D994000001"])
    def test_user_bank_that_is_cut_off_or_of_another_format_is_refused(self, wrong):
        with pytest.raises(TagError):
            gaoxiao.decode_user_bank(bytes.fromhex(wrong))

    @pytest.mark.parametrize("code", ["", "1234", "60001", "99999", "1234x"])
    def test_owner_that_16_bits_cannot_hold_is_not_written(self, code):
        with pytest.raises(LocalTagError):
            gaoxiao.encode_owner(code)

    @given(st.binary(max_size=32))
    def test_noise_is_a_tag_or_a_typed_error(self, noise):
        for decode in (gaoxiao.decode_epc, gaoxiao.decode_user_bank):
            with contextlib.suppress(TagError):
                decode(noise)


@given(st.one_of(short_96, long_96))
def test_identifier_survives_96_bits(text):
    assert len(encode_id(IPC96, text)) <= 8
    assert decode_id(IPC96, encode_id(IPC96, text).ljust(8, b"\x00")) == text


@given(st.one_of(short_128, long_128))
def test_identifier_survives_128_bits(text):
    assert len(encode_id(IPC128, text)) <= 12
    assert decode_id(IPC128, encode_id(IPC128, text).ljust(12, b"\x00")) == text


@pytest.mark.parametrize(
    ("text", "encoding"), [("01557071", IPC96), ("ABCD12345", IPC128), ("ABCDEFGHIJKLMN", IPC128), ("重庆001", UTF8)]
)
def test_shortest_encoding_is_chosen(text, encoding):
    assert id_encoding(text) == encoding


@given(st.one_of(short_96, long_96, long_128), st.booleans(), st.integers(0, 15), st.integers(1, 64))
def test_epc_says_what_was_written(pii, lent, sort, version):
    epc = gaoxiao.encode_epc(pii, lent=lent, sort=sort, version=version, oids=(3, 5))
    tag = gaoxiao.decode_epc(epc)
    assert (tag.pii, tag.lent, tag.sort, tag.version) == (pii, lent, sort, version)
    assert len(epc) in (12, 16)
    assert gaoxiao.content_oids(tag.content) == (3, 5)


def test_content_parameter_is_read_in_the_order_that_agrees_with_the_user_bank():
    tag = gaoxiao.decode_epc(SCHOOL_EPC)
    bank = gaoxiao.decode_user_bank(SCHOOL_BANK)
    assert tag.content_given(bank) == (3, 4, 11, 14)
    assert tag.content_given([(3, b"")]) is None


def test_user_bank_may_fill_the_words_that_were_read_without_an_end_mark():
    assert gaoxiao.read_user_bank(bytes.fromhex("0C022973")) == (((3, b"\x29\x73"),), True)


def test_lending_changes_one_bit():
    lent, there = gaoxiao.encode_epc("01557071", lent=True), gaoxiao.encode_epc("01557071", lent=False)
    assert lent[0] ^ there[0] == 0x80
    assert lent[1:] == there[1:]


@given(st.dictionaries(st.sampled_from(gaoxiao.CONTENT_OIDS), st.binary(max_size=40), max_size=6))
def test_user_bank_says_what_was_written(elements):
    assert dict(gaoxiao.decode_user_bank(gaoxiao.encode_user_bank(list(elements.items())))) == elements
