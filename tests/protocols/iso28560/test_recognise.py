"""What a tag is: item, card, label, equipment, blank, a stranger's or a broken one; every tag gets one answer and none raises."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.iso28560 import (
    AfiPair,
    TagContent,
    encode_part3,
    image_of,
    recognise_hf,
    recognise_uhf,
)

PART3 = encode_part3("1000000136", "CN-251020")
ITEM = TagContent("28560-2", "01557071", "CN-251020")
NAMELESS = replace(ITEM, owner="")
SGTIN = bytes.fromhex("3034257BF7194E4000001A85")
SCHOOL = bytes.fromhex("01045300185304400D0B0000")
KINDS = {"item", "reader_card", "shelf_label", "equipment", "blank", "foreign", "damaged"}


def hf(content, form, **options):
    image = image_of(content, form)
    return recognise_hf(image.data, image.dsfid, options.get("afi", image.afi), "E004010012345678")


def uhf(content, form, **options):
    image = image_of(content, form, **options)
    return recognise_uhf(image.pc, image.epc, image.data, "E28011052000000000000001")


class TestBlank:
    @pytest.mark.parametrize("blocks", [b"", bytes(112), b"\xff" * 112])
    @pytest.mark.parametrize("dsfid", [None, 0x00, 0x06, 0x3E, 0x42])
    def test_hf_tag_without_content_is_blank(self, blocks, dsfid):
        assert recognise_hf(blocks, dsfid, 0x00, None).code == "BLANK"

    @pytest.mark.parametrize("epc", ["", "00" * 12, "FF" * 12, "E280689400005002511EA1B2"])
    @pytest.mark.parametrize("pc", [0x0000, 0x3000, 0x3107])
    def test_uhf_tag_as_the_factory_left_it_is_blank(self, epc, pc):
        assert recognise_uhf(pc, bytes.fromhex(epc), b"", None).kind == "blank"


class TestForeign:
    @pytest.mark.parametrize("first", [0x2C, 0x2D, 0x2E, 0x2F, *range(0x30, 0x40)])
    @given(st.binary(min_size=11, max_size=11))
    def test_gs1_code_of_any_scheme_is_no_library_tag(self, first, rest):
        found = recognise_uhf(0x3000, bytes((first,)) + rest, b"", None)
        assert (found.kind, found.content, found.code) == ("foreign", None, "FOREIGN_EPC")

    def test_unknown_dsfid_is_foreign(self):
        assert recognise_hf(b"\x11\x22\x33\x44" * 9, 0x42, 0x90, None).code == "FOREIGN_DSFID"
        assert recognise_hf(b"\x11\x22\x33\x44" * 9, None, None, None).code == "UNREADABLE"
        assert recognise_hf(b"\x11\x22\x33\x44" * 9, 0x00, None, None).code == "UNREADABLE"

    @pytest.mark.parametrize("form", ["28560-2", "3m"])
    def test_afi_of_another_application_is_foreign_where_no_check_value_says_otherwise(self, form):
        found = hf(NAMELESS if form == "3m" else ITEM, form, afi=0x90)
        assert (found.kind, found.code) == ("foreign", "FOREIGN_AFI")
        assert hf(ITEM, "28560-3", afi=0x90).kind == "item"

    def test_afi_of_the_site_is_its_own(self):
        image = image_of(ITEM, "28560-2", pair=AfiPair(0x9D, 0x9E))
        assert recognise_hf(image.data, 0x06, 0x9D, None).kind == "foreign"
        assert recognise_hf(image.data, 0x06, 0x9D, None, pair=AfiPair(0x9D, 0x9E)).kind == "item"

    def test_identifier_under_another_applications_afi_is_foreign(self):
        image = image_of(ITEM, "28560-4")
        assert recognise_uhf(image.pc & 0xFF00 | 0xA2, image.epc, b"", None).code == "FOREIGN_AFI"
        assert recognise_uhf(image.pc & 0xFF00 | 0xA2, b"\xff\x00" * 4, b"", None).code == "FOREIGN_EPC"

    def test_user_bank_of_another_format_makes_no_university_tag(self):
        assert recognise_uhf(0x3000, SCHOOL, bytes.fromhex("060201D0140204B3"), None).code == "FOREIGN_EPC"


class TestDamaged:
    @given(st.integers(0, 34 * 8 - 1))
    def test_one_flipped_bit_in_part_3_is_damage_and_never_another_item(self, at):
        raw = bytearray(PART3)
        raw[at // 8] ^= 1 << at % 8
        found = recognise_hf(bytes(raw), 0x3E, 0x07, None)
        assert (found.kind, found.content, found.code) == ("damaged", None, "BAD_CRC")

    def test_stream_that_is_cut_off_is_damage(self):
        image = image_of(ITEM, "28560-2")
        assert recognise_hf(image.data[:5], 0x06, 0x07, None).code == "MALFORMED"

    def test_identifier_with_control_characters_is_damage(self):
        assert recognise_hf(bytes.fromhex("6103310732"), 0x06, 0x07, None).code == "MALFORMED"

    def test_uii_that_is_none_under_a_librarys_afi_is_damage(self):
        assert recognise_uhf(0x2107, b"\xff\x00" * 4, b"", None).code == "MALFORMED"
        image = image_of(ITEM, "28560-4")
        assert recognise_uhf(image.pc, image.epc[:-2], b"", None).code == "MALFORMED"


class TestKinds:
    @pytest.mark.parametrize("form", ["28560-2", "28560-3"])
    @pytest.mark.parametrize(("usage", "kind"), [(1, "item"), (7, "item"), (8, "reader_card"), (9, "equipment")])
    def test_usage_of_an_hf_tag_tells_what_carries_it(self, form, usage, kind):
        assert hf(replace(ITEM, usage=usage), form).kind == kind

    @pytest.mark.parametrize(
        ("changes", "kind", "code"),
        [
            ({"usage": 1}, "item", "OK"),
            ({"usage": 8}, "reader_card", "READER_CARD"),
            ({"usage": 9}, "equipment", "EQUIPMENT"),
            ({"usage": None, "shelf_label": True}, "shelf_label", "SHELF_LABEL"),
        ],
    )
    def test_usage_of_a_university_tag_tells_what_carries_it(self, changes, kind, code):
        found = uhf(replace(ITEM, owner="10611", **changes), "gaoxiao")
        assert (found.kind, found.code) == (kind, code)

    def test_readers_card_on_uhf_is_none_of_the_items(self):
        assert uhf(replace(ITEM, usage=8), "28560-4").kind == "reader_card"
        assert uhf(ITEM, "28560-4", secured=False).kind == "item"

    def test_content_is_told_with_the_chip(self):
        found = uhf(ITEM, "28560-4")
        assert found.content is not None
        assert (found.content.pii, found.content.owner, found.content.afi) == ("01557071", "CN-251020", 7)
        assert found.content.uid == "E28011052000000000000001"
        assert hf(NAMELESS, "3m").content.uid == "E004010012345678"


@given(
    st.binary(max_size=120),
    st.none() | st.sampled_from([0x00, 0x06, 0x3E, 0x42]),
    st.none() | st.sampled_from([0x00, 0x07, 0x90]),
)
def test_every_hf_tag_gets_an_answer(blocks, dsfid, afi):
    found = recognise_hf(blocks, dsfid, afi, None)
    assert found.kind in KINDS
    assert (found.content is None) is (found.kind in ("blank", "damaged")) or found.kind == "foreign"


@given(st.integers(0, 0xFFFF), st.binary(max_size=62), st.binary(max_size=64), st.booleans())
def test_every_uhf_tag_gets_an_answer(pc, epc, user, fits):
    pc = pc & 0x07FF | len(epc) // 2 << 11 if fits else pc
    assert recognise_uhf(pc, epc, user, None).kind in KINDS


@given(st.binary(min_size=12, max_size=12))
def test_any_epc_is_hardly_ever_a_university_item(epc):
    """The format has no check value; what is believed at least says so in three of its fields."""
    found = recognise_uhf(0x3000, epc, b"", None)
    if found.kind == "item":
        assert epc[0] & 0x60 == 0
        assert epc[1] >> 6 < 3
        assert found.content.pii.isprintable()


def test_low_byte_of_a_university_tags_pc_is_no_afi():
    school = bytes.fromhex("01045300185304400D0B0000")
    assert recognise_uhf(0x3012, school).code == "OK"
    assert recognise_uhf(0x3000, school).code == "OK"
