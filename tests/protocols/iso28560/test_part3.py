"""ISO 28560-3: nothing is an item unless its CRC agrees, and every tolerated departure has a name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.crc import crc_ibm3740
from protocols.iso28560 import (
    BadTagCheck,
    BlankTag,
    Extension,
    LocalTagError,
    TagError,
    decode_part3,
    encode_part3,
    pad_to_blocks,
)
from protocols.iso28560.part3 import reverse_blocks

TAG = encode_part3("1000000136", "DK-718500", parts=4, part=1)

printable = st.characters(blacklist_categories=("C", "Zl", "Zp", "Zs"))
identifiers = st.text(printable, min_size=1, max_size=16).filter(lambda text: len(text.encode()) <= 16)
owners = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=11).filter(
    lambda text: text[2:3] != "-" or not text[:2].isalpha()
)


def with_bytes(data, **changes):
    """The tag with other bytes and the CRC that they deserve."""
    raw = bytearray(data)
    for at, value in changes.items():
        raw[int(at[1:])] = value
    crc = crc_ibm3740(bytes(raw[:19] + raw[21:34]))
    raw[19], raw[20] = crc & 0xFF, crc >> 8
    return bytes(raw)


class TestRefusals:
    @pytest.mark.parametrize("at", range(len(TAG) * 8))
    def test_one_flipped_bit_is_never_an_item(self, at):
        raw = bytearray(TAG)
        raw[at // 8] ^= 1 << at % 8
        with pytest.raises(BadTagCheck):
            decode_part3(bytes(raw))

    def test_both_crcs_are_told(self):
        with pytest.raises(BadTagCheck) as caught:
            decode_part3(bytes.fromhex("11010131313332333334340000000000000000513E4445373035000000000000"))
        assert caught.value.fields == {"crc": "3E51", "crc_ok": False, "right": "2B37"}

    @pytest.mark.parametrize("fill", [0x00, 0xFF])
    def test_blank_tag_is_said_to_be_blank(self, fill):
        with pytest.raises(BlankTag):
            decode_part3(bytes([fill]) * 112)

    def test_less_than_a_basic_block_is_refused(self):
        with pytest.raises(TagError):
            decode_part3(TAG[:31])

    def test_other_version_is_refused_though_its_crc_is_right(self):
        with pytest.raises(TagError, match="version 3"):
            decode_part3(with_bytes(TAG, b0=0x32))

    def test_identifier_that_is_no_text_is_refused(self):
        for value in (0x07, 0xFF):
            with pytest.raises(TagError):
                decode_part3(with_bytes(TAG, b3=value))

    @pytest.mark.parametrize(
        ("pii", "owner", "options"),
        [
            ("", "DK", {}),
            ("x" * 17, "DK", {}),
            ("一二三四五六", "DK", {}),
            ("1\n", "DK", {}),
            ("1", "D" * 14, {}),
            ("1", "D" * 12, {"size": 32}),
            ("1", "重庆", {}),
            ("1", "DK", {"usage": 16}),
            ("1", "DK", {"parts": 1, "part": 2}),
            ("1", "DK", {"size": 32, "extensions": [Extension(4, b"title")]}),
            ("1", "DK", {"extensions": [Extension(4, bytes(252))]}),
        ],
    )
    def test_data_that_does_not_fit_is_not_written(self, pii, owner, options):
        with pytest.raises(LocalTagError):
            encode_part3(pii, owner, **options)

    @given(st.binary(min_size=32, max_size=80))
    def test_noise_is_a_typed_error(self, noise):
        with pytest.raises(TagError):
            decode_part3(noise)


class TestDivergences:
    def test_reversed_blocks_are_read_and_named(self):
        tag = pad_to_blocks(TAG)
        block = decode_part3(reverse_blocks(tag))
        assert (block.pii, block.owner) == ("1000000136", "DK718500")
        assert block.divergences == ("blocks-reversed",)

    def test_swapped_nibbles_are_read_and_named(self):
        block = decode_part3(with_bytes(TAG, b0=0x21))
        assert (block.version, block.usage, block.divergences) == (1, 2, ("nibbles-swapped",))

    def test_swapped_part_numbers_are_read_and_named(self):
        block = decode_part3(with_bytes(TAG, b1=1, b2=4))
        assert (block.parts, block.part, block.divergences) == (4, 1, ("parts-swapped",))

    def test_rubbish_behind_the_identifier_is_not_part_of_it(self):
        block = decode_part3(with_bytes(TAG, b17=0x41))
        assert (block.pii, block.divergences) == ("1000000136", ("identifier-padding",))

    def test_rubbish_behind_the_owner_is_not_part_of_it(self):
        block = decode_part3(with_bytes(TAG, b33=0x41))
        assert (block.owner, block.divergences) == ("DK718500", ("owner-padding",))

    def test_hyphen_after_the_country_is_read_and_named(self):
        block = decode_part3(with_bytes(TAG, b23=0x2D))
        assert (block.owner, block.divergences) == ("DK-18500", ("owner-hyphen",))

    def test_bad_extension_leaves_the_basic_block_and_the_good_extensions(self):
        tag = bytearray(encode_part3("1", "DK", extensions=[Extension(4, b"title"), Extension(5, b"DK\x0042")]))
        tag[-2] ^= 1
        block = decode_part3(bytes(tag))
        assert block.pii == "1"
        assert block.extensions == (Extension(4, b"title"),)
        assert block.divergences == ("extension-bad",)

    def test_extension_cut_off_by_a_short_read_is_named(self):
        tag = encode_part3("1", "DK", extensions=[Extension(4, b"title")])
        assert decode_part3(tag[:40]).divergences == ("extension-bad",)


@given(
    identifiers,
    owners,
    st.integers(0, 15),
    st.integers(0, 255),
    st.sampled_from([32, 34]),
    st.data(),
)
def test_tag_says_what_was_written(pii, owner, usage, parts, size, data):
    part = data.draw(st.integers(0, parts))
    tag = encode_part3(pii, owner, usage, parts, part, size=size)
    assert len(tag) == size
    block = decode_part3(tag)
    assert (block.pii, block.owner, block.usage, block.parts, block.part) == (pii, owner, usage, parts, part)
    assert block.divergences == ()


@given(st.lists(st.builds(Extension, st.integers(0, 0xFFFF), st.binary(max_size=251)), max_size=4))
def test_extensions_say_what_was_written(extensions):
    block = decode_part3(encode_part3("1", "DK", extensions=extensions))
    assert block.extensions == tuple(extensions)
    assert block.divergences == ()


def test_hyphen_after_the_country_is_not_written():
    assert decode_part3(encode_part3("1", "DK-718500")).owner == "DK718500"
    assert decode_part3(encode_part3("1", "251020")).owner == "251020"


def test_owner_of_13_characters_fills_the_long_form():
    assert decode_part3(encode_part3("1", "CN-25102001234")).owner == "CN25102001234"
