"""decode_tag: which item is this? And never an item out of garbage."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.iso28560 import (
    DEFAULT_AFI,
    AfiPair,
    BadTagCheck,
    BlankTag,
    LocalTagError,
    TagError,
    UnreadableTag,
    decode_tag,
    encode_part3,
)
from protocols.iso28560.part2 import encode_part2
from protocols.iso28560.rfid501 import MmmItem, decode_mmm_item, encode_mmm_item

PART2 = encode_part2({1: "123456789012", 3: "DK-718500", 4: "1203"})
PART3 = encode_part3("1000000136", "DK-718500")
MMM = encode_mmm_item(MmmItem("123456789012", 5, 1234, part=2, parts=3))


class TestRefusals:
    @pytest.mark.parametrize("dsfid", [None, 0x00, 0x06, 0x3E])
    def test_blank_tag_is_blank_whatever_its_dsfid(self, dsfid):
        for fill in (b"\x00", b"\xff"):
            with pytest.raises(BlankTag):
                decode_tag(fill * 112, dsfid=dsfid, afi=None)

    def test_nothing_read_is_blank(self):
        with pytest.raises(BlankTag):
            decode_tag(b"", dsfid=0x3E, afi=None)

    def test_basic_block_without_an_identifier_is_blank(self):
        with pytest.raises(BlankTag):
            decode_tag(
                bytes.fromhex("11010100000000000000000000000000000000F377444B0000000000000000000000"), dsfid=0x3E, afi=0
            )

    def test_tag_that_says_3e_with_a_wrong_crc_is_a_bad_read(self):
        with pytest.raises(BadTagCheck):
            decode_tag(PART3[:5] + b"x" + PART3[6:], dsfid=0x3E, afi=None)

    def test_tag_that_says_06_with_a_broken_stream_says_what_is_wrong(self):
        with pytest.raises(TagError, match="cut off"):
            decode_tag(PART2[:9], dsfid=0x06, afi=None)

    @pytest.mark.parametrize("dsfid", [0x00, 0x42])
    def test_part_2_is_not_guessed_under_another_dsfid(self, dsfid):
        with pytest.raises(UnreadableTag):
            decode_tag(PART2, dsfid=dsfid, afi=None)

    @given(st.binary(min_size=1, max_size=112), st.sampled_from([0x00, 0x3E, 0x42, 0xFF]))
    def test_garbage_is_never_an_item(self, noise, dsfid):
        with pytest.raises(TagError):
            decode_tag(noise, dsfid=dsfid, afi=None)

    @pytest.mark.parametrize(
        "wrong",
        [
            MMM[:19],
            b"\x05" + MMM[1:],
            MMM[:2] + b"\x01" + MMM[3:],
            MMM[:1] + b"\x32" + MMM[2:],
            MMM[:16] + b"\x00A" + MMM[18:],
            MMM[:28] + b"\x00\x01\x00\x00",
        ],
    )
    def test_3m_item_with_any_fixed_byte_wrong_is_none(self, wrong):
        with pytest.raises(TagError):
            decode_mmm_item(wrong)

    @pytest.mark.parametrize(
        "item", [MmmItem(""), MmmItem("1" * 17), MmmItem("重"), MmmItem("1", 4096), MmmItem("1", part=3, parts=2)]
    )
    def test_3m_item_that_does_not_fit_is_not_written(self, item):
        with pytest.raises(LocalTagError):
            encode_mmm_item(item)

    @pytest.mark.parametrize(("secured", "on_loan"), [(7, 7), (-1, 7), (7, 256)])
    def test_afi_pair_is_two_different_bytes(self, secured, on_loan):
        with pytest.raises(LocalTagError):
            AfiPair(secured, on_loan)


def test_part_3_is_found_by_its_crc_whatever_the_dsfid_says():
    tag = decode_tag(PART3, dsfid=0x3E, afi=0x07, uid="E004010012345678")
    assert (tag.format, tag.pii, tag.owner, tag.afi, tag.uid) == (
        "28560-3",
        "1000000136",
        "DK718500",
        7,
        "E004010012345678",
    )
    assert tag.divergences == ()
    assert decode_tag(PART3, dsfid=0x00, afi=None).divergences == ("dsfid",)
    assert decode_tag(PART3, dsfid=None, afi=None).divergences == ()


def test_part_2_tells_item_owner_and_set():
    tag = decode_tag(PART2, dsfid=0x06, afi=None)
    assert (tag.format, tag.pii, tag.owner, tag.parts, tag.part) == ("28560-2", "123456789012", "DK-718500", 12, 3)


def test_3m_tells_item_and_set():
    tag = decode_tag(MMM, dsfid=0x00, afi=None)
    assert (tag.format, tag.pii, tag.owner, tag.parts, tag.part, tag.usage) == (
        "3m",
        "123456789012",
        "1234",
        3,
        2,
        None,
    )


def test_readers_card_is_no_item():
    assert decode_tag(encode_part3("20240001", "DK-718500", usage=8), dsfid=0x3E, afi=None).is_reader_card
    assert not decode_tag(PART3, dsfid=0x3E, afi=None).is_reader_card


def test_afi_tells_secured_from_on_loan():
    assert [DEFAULT_AFI.state(afi) for afi in (0x07, 0xC2, 0x00)] == ["secured", "on_loan", "foreign"]
    assert AfiPair(0xD7, 0xDA).state(0x07) == "foreign"


@given(
    st.builds(
        MmmItem,
        st.text("0123456789AB", min_size=1, max_size=16),
        st.integers(0, 4095),
        st.integers(0, 0xFFFFF),
        st.integers(-0x7FFFFFFF, 0x7FFFFFFF),
    )
)
def test_3m_item_says_what_was_written(item: MmmItem):
    assert decode_mmm_item(encode_mmm_item(item)) == item


def test_3m_item_lies_in_memory_as_public_drivers_read_it():
    """Fields as Biblio-RFID unpacks them: C4 Z16 N l> l, branch the upper 12 bits, library the lower 20."""
    item = MmmItem("1302099999", 7, 0x12345, -2, part=1, parts=2, type=3)
    u1, pieces, u2, kind, barcode, place, custom, zero = struct.unpack(">4B16sIii", encode_mmm_item(item))
    assert (u1, pieces, u2, kind, zero) == (4, 0x12, 0, 3, 0)
    assert (barcode.rstrip(b"\0"), place >> 20, place & 0xFFFFF, custom) == (b"1302099999", 7, 0x12345, -2)
