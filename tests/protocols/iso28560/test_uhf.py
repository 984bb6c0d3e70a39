"""UHF tags of both formats: security, identity, and banks that contradict each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.iso28560 import (
    AfiPair,
    BlankTag,
    LocalTagError,
    TagContent,
    TagError,
    UnreadableTag,
    decode_uhf,
    identity,
    image_of,
    secured_of,
    with_security,
)
from protocols.iso28560.code40 import encode_code40
from protocols.iso28560.gaoxiao import content_bits, encode_epc, encode_user_bank
from protocols.iso28560.part4 import encode_user_bank as encode_mb11

SCHOOL_PC, SCHOOL = 0x3000, bytes.fromhex("01045300185304400D0B0000")
SCHOOL_BANK = bytes.fromhex("0C02D9941004000100012C00380000000000000000000000000000000000")
ON_LOAN = bytes.fromhex("45C2141CC04FC70BADB5C6E2DA1DED4DD319")
PC, UII = 0x45C2, ON_LOAN[2:]
SGTIN = bytes.fromhex("3034257BF7194E4000001A85")


class TestRefusals:
    def test_retail_tag_is_unreadable_and_keeps_its_bits(self):
        with pytest.raises(UnreadableTag):
            decode_uhf(0x3000, SGTIN)
        with pytest.raises(LocalTagError):
            with_security(0x3000, SGTIN, True)
        assert secured_of(0x3000, SGTIN) is None

    def test_tag_with_the_toggle_bit_and_no_identifier_keeps_its_bits(self):
        with pytest.raises(LocalTagError):
            with_security(0x3107, SGTIN, True)

    @pytest.mark.parametrize(("pc", "epc"), [(0x4400, SCHOOL), (0x3000, SCHOOL[:-1]), (0x4DC2, UII)])
    def test_pc_that_contradicts_the_length_is_refused(self, pc, epc):
        with pytest.raises(TagError):
            decode_uhf(pc, epc)

    def test_factory_epc_is_blank(self):
        with pytest.raises(BlankTag):
            decode_uhf(0x3000, bytes.fromhex("E280689400005002511EA1B2"))

    def test_identifier_with_control_characters_is_refused(self):
        epc = encode_code40("A\n1")
        with pytest.raises(TagError, match="printable"):
            decode_uhf(len(epc) // 2 << 11 | 0x0107, epc + bytes(len(epc) % 2))


class TestSecurity:
    @given(
        st.sampled_from(["28560-4", "gaoxiao"]),
        st.booleans(),
        st.booleans(),
        st.text("ABC0189", min_size=1, max_size=12),
    )
    def test_it_changes_nothing_else_and_back(self, form, first, then, pii):
        pair = AfiPair(0xD7, 0xDA)
        image = image_of(TagContent(form, pii, "10611"), form, pair=pair, secured=first)
        pc, epc = with_security(image.pc, image.epc, then, pair)
        assert secured_of(pc, epc, pair) is then
        assert identity(pc, epc) == identity(image.pc, image.epc)
        assert with_security(pc, epc, first, pair) == (image.pc, image.epc)
        again = image_of(TagContent(form, pii, "10611"), form, pair=pair, secured=then)
        assert (pc, epc) == (again.pc, again.epc)

    def test_afi_of_another_site_says_neither(self):
        assert secured_of(PC, UII) is False
        assert secured_of(PC & 0xFF00 | 0x07, UII) is True
        assert secured_of(PC, UII, AfiPair(0xD7, 0xDA)) is None

    def test_lent_bit_is_the_school_tags(self):
        assert secured_of(SCHOOL_PC, SCHOOL) is True
        lent = with_security(SCHOOL_PC, SCHOOL, False)
        assert lent == (SCHOOL_PC, b"\x81" + SCHOOL[1:])
        assert secured_of(*lent) is False


class TestIdentity:
    def test_it_is_the_epc_in_upper_case(self):
        assert identity(PC, UII) == UII.hex().upper()
        assert identity(SCHOOL_PC, SCHOOL) == identity(SCHOOL_PC, b"\x81" + SCHOOL[1:]) == SCHOOL.hex().upper()

    def test_a_strangers_first_bit_is_not_taken_for_security(self):
        assert identity(0x3000, b"\xe2" + SCHOOL[1:])[:2] == "E2"
        assert identity(0x3000, b"") == ""


class TestUniversity:
    def test_real_school_tag_is_read_with_its_order_named(self):
        tag = decode_uhf(SCHOOL_PC, SCHOOL, user=SCHOOL_BANK, tid="E28011052000000000000001")
        assert (tag.format, tag.pii, tag.owner, tag.parts, tag.part) == ("gaoxiao", "01557071", "55700", 1, 1)
        assert tag.divergences == ("content-parameter-order",)
        assert tag.uid == "E28011052000000000000001"

    def test_epc_alone_tells_the_identifier_and_no_owner(self):
        tag = decode_uhf(SCHOOL_PC, SCHOOL)
        assert (tag.pii, tag.owner, tag.divergences) == ("01557071", "", ())

    @pytest.mark.parametrize(
        ("user", "divergences"),
        [
            (SCHOOL_BANK[:5], ("user-bank-cut",)),
            (SCHOOL_BANK[:9], ("user-bank-cut",)),
            (encode_user_bank([(3, b"\xd9\x94")]), ("content-parameter",)),
            (
                encode_user_bank([(3, b"\xd9"), (4, b""), (11, b""), (14, b"")]),
                ("content-parameter-order", "element-3"),
            ),
            (
                encode_user_bank([(3, b""), (4, b"\0\1\0\2"), (11, b""), (14, b"")]),
                ("content-parameter-order", "element-4"),
            ),
            (
                encode_user_bank([(3, b""), (4, b""), (11, b"\xff"), (14, b"")]),
                ("content-parameter-order", "element-text"),
            ),
        ],
    )
    def test_bank_that_departs_is_named_and_the_item_kept(self, user, divergences):
        tag = decode_uhf(SCHOOL_PC, SCHOOL, user=user)
        assert (tag.pii, set(tag.divergences)) == ("01557071", set(divergences))

    def test_stale_bank_that_no_parameter_lists_is_named(self):
        epc = encode_epc("01557071", lent=False)
        assert decode_uhf(0x3000, epc, user=b"\xff" * 8).divergences == ("user-bank",)

    def test_bank_of_a_stranger_makes_no_item(self):
        with pytest.raises(TagError):
            decode_uhf(SCHOOL_PC, SCHOOL, user=b"\xff" * 8)

    def test_sort_code_of_five_bits_is_read_and_named(self):
        tag = decode_uhf(SCHOOL_PC, b"\x10" + SCHOOL[1:])
        assert (tag.divergences, tag.own) == (("sort-code",), (("sort", "16"),))

    @pytest.mark.parametrize(
        ("octets", "usage", "own"),
        [
            (b"\x00\x03", 0, ()),
            (b"\x00\x05", None, (("category", "0"), ("state", "5"))),
            (b"\x03\x00", 8, ()),
            (b"\x04\x02", 9, (("category", "4"), ("state", "2"))),
            (b"\x07\x00", None, (("category", "7"), ("state", "0"))),
        ],
    )
    def test_usage_keeps_what_iso_cannot_say(self, octets, usage, own):
        epc = encode_epc("1", lent=False, oids=(5,))
        tag = decode_uhf(0x3000, epc, user=encode_user_bank([(5, octets)]))
        assert (tag.usage, tag.own) == (usage, own)
        assert image_of(tag, "gaoxiao").data == encode_user_bank([(5, octets)])

    def test_isbn_of_13_digits_is_the_gs1_number(self):
        epc = encode_epc("1", lent=False, oids=(26,))
        for text, elements, own in (
            ("9787562412345", ((13, "9787562412345"),), ()),
            ("7-5624-1234-5", (), (("isbn", "7-5624-1234-5"),)),
        ):
            tag = decode_uhf(0x3000, epc, user=encode_user_bank([(26, text.encode())]))
            assert (tag.elements, tag.own) == (elements, own)

    def test_content_parameter_is_written_high_byte_first(self):
        image = image_of(TagContent("gaoxiao", "01557071", "55700", None), "gaoxiao")
        assert image.epc[2:4] == content_bits((3,)).to_bytes(2, "big")


class TestPart4:
    def test_vector_tells_owner_item_and_set(self):
        tag = decode_uhf(PC, UII)
        assert (tag.format, tag.pii, tag.owner, tag.afi) == ("28560-4", "12345678", "CH-000134-1", 0xC2)
        assert (tag.parts, tag.part) == (3, 1)

    def test_user_bank_tells_the_rest(self):
        tag = decode_uhf(PC, UII, user=encode_mb11({3: "CH-000134-1", 6: "QA268.L55"}))
        assert (tag.elements, tag.divergences) == (((6, "QA268.L55"),), ())

    def test_owner_may_stand_in_the_user_bank(self):
        epc = encode_code40("12345678")
        epc += bytes(len(epc) % 2)
        tag = decode_uhf(len(epc) // 2 << 11 | 0x0107, epc, user=encode_mb11({3: "CN-251020"}))
        assert (tag.pii, tag.owner) == ("12345678", "CN-251020")

    @pytest.mark.parametrize(
        ("user", "divergence"),
        [
            (encode_mb11({3: "CN-251020"}), "owner"),
            (encode_mb11({4: "21"}), "set-information"),
            (b"\x07" * 8, "user-bank"),
            (encode_mb11({4: "abc"}), "set-information"),
        ],
    )
    def test_bank_that_contradicts_is_named_and_the_epc_holds(self, user, divergence):
        tag = decode_uhf(PC, UII, user=user)
        assert (tag.owner, tag.parts, tag.divergences) == ("CH-000134-1", 3, (divergence,))

    def test_set_information_that_is_none_is_named_and_kept(self):
        epc = encode_code40("CN-251020.12345678.1538")
        epc += bytes(len(epc) % 2)
        tag = decode_uhf(len(epc) // 2 << 11 | 0x0107, epc)
        assert (tag.pii, tag.parts, tag.part) == ("12345678", 1, 1)
        assert (tag.divergences, tag.own) == (("set-information",), (("set", "1538"),))
