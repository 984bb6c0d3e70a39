"""Whole tags in every format: what was written is read, what does not fit is refused, what a conversion loses is named."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from protocols.iso28560 import (
    AfiPair,
    LocalTagError,
    TagContent,
    TagFormat,
    TagImage,
    convert,
    decode_tag,
    decode_uhf,
    image_of,
    secured_of,
)
from protocols.iso28560.encode import _read_back

FORMATS: tuple[TagFormat, ...] = ("28560-2", "28560-3", "28560-4", "gaoxiao", "3m")
DSFIDS = {"28560-2": 0x06, "28560-3": 0x3E, "3m": 0x00}

words = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=9)
letters = st.text("ABCXYZ0189", min_size=1, max_size=12)
pieces = st.integers(1, 15).flatmap(lambda parts: st.tuples(st.just(parts), st.integers(1, parts)))
chinese = st.text("红楼梦书馆A1", min_size=1, max_size=6)


def elements(*oids: int):
    """Further elements, some of `oids`."""
    return st.dictionaries(st.sampled_from(oids), words | chinese, max_size=4).map(lambda d: tuple(sorted(d.items())))


def contents(form: TagFormat, pii, owner, usage, own, more):
    def made(pii, owner, usage, pieces, own, more):
        return TagContent(form, pii, owner, usage, *pieces, own=own, elements=more)

    return st.builds(made, pii, owner, usage, pieces, own, more)


some_usage = st.none() | st.integers(0, 9)
CONTENTS = {
    "28560-2": contents(
        "28560-2",
        words | chinese,
        st.sampled_from(["", "CN-251020", "US-InU-Mu", "本馆"]),
        some_usage,
        st.sampled_from([(), (("octets_14", "00FF"),), (("text_19", "book"),)]),
        elements(6, 7, 9, 10, 12, 13, 15, 17, 18, 22, 23, 24, 26, 30, 127),
    ),
    "28560-3": contents(
        "28560-3",
        letters | words,
        st.sampled_from(["", "CN251020", "DK-718500", "CQU"]),
        st.integers(0, 15),
        st.sampled_from([(), (("block_9", "01FF"),)]),
        elements(6, 7, 8, 9, 10, 11, 12, 17, 18, 21, 22, 23, 24, 25),
    ),
    "28560-4": contents(
        "28560-4",
        words.filter(lambda text: "." not in text),
        st.sampled_from(["CN-251020", "US-InU-Mu"]),
        some_usage,
        st.just(()),
        elements(6, 14, 17, 24),
    ),
    "gaoxiao": contents(
        "gaoxiao",
        letters | words | chinese,
        st.sampled_from(["", "10611", "90000"]),
        st.sampled_from([None, 0, 1, 2, 7, 8, 9]),
        st.sampled_from(
            [(), (("isbn", "7-5624"), ("sort", "3"), ("subject", "I"), ("version", "6")), (("oid_28", "FF"),)]
        ),
        elements(6, 11, 12, 14, 24),
    ),
    "3m": contents(
        "3m",
        letters,
        st.sampled_from(["", "1234"]),
        st.none(),
        st.sampled_from([(), (("custom", "-41"), ("type", "7"))]),
        st.sampled_from([(), ((24, "12"),)]),
    ),
}
ITEM = TagContent("28560-3", "01557071", "CN251020")


def read(image: TagImage, user: bytes | None = None) -> TagContent:
    if image.tech == "HF":
        return decode_tag(image.data, dsfid=image.dsfid, afi=image.afi)
    assert image.pc is not None
    return decode_uhf(image.pc, image.epc, user=image.data if user is None else user)


class TestRefusals:
    @pytest.mark.parametrize(
        ("form", "changes"),
        [
            ("28560-2", {"pii": ""}),
            ("28560-2", {"pii": "1\n2"}),
            ("28560-2", {"shelf_label": True}),
            ("28560-2", {"usage": 16}),
            ("28560-2", {"elements": ((3, "CN"),)}),
            ("28560-2", {"own": (("sort", "1"),)}),
            ("28560-2", {"parts": 2, "part": 3}),
            ("28560-3", {"pii": "1" * 17}),
            ("28560-3", {"elements": ((26, "local"),)}),
            ("28560-3", {"elements": ((19, "book"),)}),
            ("28560-3", {"elements": ((17, "a\x00b"),)}),
            ("28560-4", {"owner": ""}),
            ("28560-4", {"pii": "A.12"}),  # the end would be read as set information
            ("28560-4", {"pii": "😀"}),
            ("28560-4", {"own": (("set", "1538"),)}),
            ("gaoxiao", {"owner": "CN-251020"}),
            ("gaoxiao", {"usage": 5}),
            ("gaoxiao", {"elements": ((17, "title"),)}),
            ("gaoxiao", {"own": (("sort", "16"),)}),
            ("gaoxiao", {"elements": ((19, "02"),), "usage": None}),
            ("gaoxiao", {"elements": ((19, "03"),)}),
            ("3m", {"usage": 8}),
            ("3m", {"elements": ((17, "title"),)}),
            ("3m", {"parts": 16, "part": 1}),
            ("3m", {"own": (("type", "x"),)}),
            ("3m", {"owner": "CQU"}),
            ("3m", {"owner": "0123"}),
        ],
    )
    def test_what_a_format_cannot_hold_is_not_written(self, form, changes):
        with pytest.raises(LocalTagError):
            image_of(replace(ITEM, **({"owner": {"gaoxiao": "10611", "3m": "1234"}.get(form, "CQU")} | changes)), form)

    @pytest.mark.parametrize(
        "options",
        [
            {"capacity": 28},
            {"capacity": -1},
            {"block_size": 0},
            {"block_size": 33},
            {"tid": "E28011052000000000000001"},
        ],
    )
    def test_chip_that_is_too_small_or_no_chip_is_refused(self, options):
        with pytest.raises(LocalTagError):
            image_of(ITEM, "28560-3", **options)

    @pytest.mark.parametrize("tid", ["", "E2", "x" * 24, "3034" * 6])
    def test_tid_that_is_none_is_refused(self, tid):
        with pytest.raises(LocalTagError):
            image_of(ITEM, "28560-4", tid=tid)

    @pytest.mark.parametrize(
        "other",
        [
            {"pii": "01557072"},
            {"owner": "10612"},
            {"usage": 2},
            {"parts": 3, "part": 2},
            {"elements": ((6, "I248"),)},
            {"elements": ()},
            {"own": (("subject", "图书"),)},
        ],
    )
    def test_image_that_would_be_read_as_something_else_is_refused(self, other):
        content = TagContent("gaoxiao", "01557071", "10611", 1, elements=((6, "I247"),))
        image = image_of(content, "gaoxiao")
        _read_back(image, content, "gaoxiao")
        with pytest.raises(LocalTagError):
            _read_back(image, replace(content, **other), "gaoxiao")

    def test_image_that_would_be_read_with_a_divergence_is_refused(self):
        content = TagContent("gaoxiao", "01557071", "10611", 1)
        image = image_of(content, "gaoxiao")
        low_first = replace(image, epc=image.epc[:2] + image.epc[3:1:-1] + image.epc[4:])
        assert decode_uhf(low_first.pc, low_first.epc, user=image.data).divergences == ("content-parameter-order",)
        with pytest.raises(LocalTagError):
            _read_back(low_first, content, "gaoxiao")

    def test_unknown_format_is_refused(self):
        with pytest.raises(LocalTagError):
            image_of(ITEM, "28560-5")  # type: ignore[arg-type]

    def test_conversion_without_room_for_the_identifier_is_refused(self):
        for form in ("3m", "28560-3"):
            with pytest.raises(LocalTagError):
                convert(replace(ITEM, pii="1" * 17), form)
        with pytest.raises(LocalTagError):
            convert(replace(ITEM, owner=""), "28560-4")


@pytest.mark.parametrize("form", FORMATS)
@given(st.data(), st.booleans())
def test_tag_says_what_was_written(form, data, secured):
    content = data.draw(CONTENTS[form])
    pair = AfiPair(0xD7, 0xDA)
    image = image_of(content, form, pair=pair, secured=secured, capacity=256)
    found = read(image)
    assert found.divergences == ()
    owner = "DK718500" if (form, content.owner) == ("28560-3", "DK-718500") else content.owner
    usage = found.usage if form == "28560-4" and content.usage in (None, 1) else content.usage
    assert replace(found, afi=None) == replace(content, owner=owner, usage=usage)
    if image.tech == "HF":
        assert (image.afi, image.eas, image.dsfid) == (pair.of(secured), secured, DSFIDS[form])
        assert len(image.data) % image.block_size == 0
    else:
        assert image.pc is not None
        assert secured_of(image.pc, image.epc, pair) is secured
        assert len(image.epc) % 2 == len(image.data) % 2 == 0


@pytest.mark.parametrize("form", FORMATS)
@given(st.data())
def test_old_content_behind_a_new_one_is_not_read(form, data):
    content, stale = data.draw(CONTENTS[form]), data.draw(st.binary(min_size=300, max_size=300))
    image = image_of(content, form, capacity=256)
    found = read(image)
    if image.tech == "HF" and form != "3m":
        assert decode_tag(image.data + stale[len(image.data) :], dsfid=image.dsfid, afi=image.afi) == found
    elif image.tech == "UHF" and form == "28560-4":
        assert read(image, image.data + bytes(8)) == found


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
@given(data=st.data())
def test_conversion_keeps_the_item_and_names_what_is_lost(source, form, data):
    content = data.draw(CONTENTS[source])
    made = None
    with contextlib.suppress(LocalTagError):
        made = convert(content, form, capacity=256)
    assume(made is not None)
    found = read(made.image)
    assert (found.format, found.pii) == (form, content.pii)
    assert (found.owner.replace("-", "") == content.owner.replace("-", "")) is ("owner" not in made.lost)
    assert ((found.parts, found.part) == (content.parts, content.part)) is ("set" not in made.lost)
    said = dict(found.elements)
    kept = [value for oid, value in content.elements if said.get(oid) == value]
    own = [fact for fact in content.own if fact in found.own]
    others = {"owner", "set", "usage", "shelf_label"} & set(made.lost)
    assert len(made.lost) == len(content.elements) - len(kept) + len(content.own) - len(own) + len(others)
    if source == form:
        assert made.lost == ()


def test_conversion_gives_the_country_its_hyphen_back():
    assert read(convert(ITEM, "28560-2").image).owner == "CN-251020"
    assert read(convert(replace(ITEM, owner="CQU"), "28560-2").image).owner == "CQU"
    assert read(convert(ITEM, "28560-3").image).owner == "CN251020"


def test_owner_in_small_letters_is_no_country_and_gets_no_hyphen():
    found = TagContent("28560-3", "1000000136", "dk718500")
    assert read(convert(found, "28560-2").image).owner == "dk718500"


def test_conversion_fills_the_chip_in_order_and_names_the_rest():
    content = TagContent(
        "28560-2", "01557071", "CN-251020", elements=((6, "QA268.L55"), (17, "红楼梦" * 30), (26, "x"))
    )
    made = convert(content, "28560-2", capacity=64)
    assert made.lost == ("title",)
    assert dict(read(made.image).elements) == {6: "QA268.L55", 26: "x"}


def test_identifier_and_owner_may_be_locked():
    image = image_of(
        TagContent("28560-2", "123456789012", "US-InU-Mu", None, 12, 3, elements=((6, "QA268.L55"),)), "28560-2"
    )
    assert image.data[:36].hex().upper().startswith("9100051CBE991A140201D0140204B34607441CB6E2E335D6")
    assert image.locks == (0, 1, 6, 7, 8)
    assert image_of(ITEM, "28560-2", capacity=24, block_size=8).locks != ()
    assert image_of(ITEM, "28560-3").locks == ()


@pytest.mark.parametrize("block_size", [1, 4, 8, 32])
def test_locked_elements_fill_blocks_of_any_size(block_size):
    image = image_of(replace(ITEM, usage=None), "28560-2", block_size=block_size, capacity=256)
    blocks = b"".join(image.data[at * block_size : (at + 1) * block_size] for at in image.locks)
    assert read(image).pii == "01557071"
    assert blocks[0] & 0x7F == 0x21  # the data set of OID 1, compaction 2
    assert len(blocks) + image.data.count(b"\x02\x01\x80") * block_size >= 14


def test_small_chip_takes_the_32_byte_form_and_unaligned_elements():
    assert len(image_of(ITEM, "28560-3", capacity=32).data) == 32
    assert len(image_of(ITEM, "28560-3", capacity=36).data) == 36
    loose = image_of(replace(ITEM, usage=None), "28560-2", capacity=16)
    assert (loose.locks, len(loose.data)) == ((), 16)


def test_uhf_image_without_elements_clears_what_an_earlier_item_said():
    assert image_of(ITEM, "28560-4").data == b"\x00\x00"
    assert image_of(ITEM, "28560-4", capacity=0).data == b""
    assert image_of(replace(ITEM, owner="", usage=None), "gaoxiao").data == b"\x00\x00"


def test_user_bank_is_announced_by_the_umi_bit():
    assert image_of(ITEM, "28560-4").pc & 0x0400 == 0
    assert image_of(replace(ITEM, elements=((6, "A"),)), "28560-4").pc & 0x0400
    assert image_of(replace(ITEM, owner="10611"), "gaoxiao").pc & 0x0400


@pytest.mark.parametrize("form", ["28560-2", "28560-4"])
@pytest.mark.parametrize(
    ("usage", "own", "kept"),
    [
        (None, ("text_5", "I247"), True),
        (1, ("usage", "12"), True),
        (8, ("usage", "12"), False),
        (None, ("usage", "12"), False),
    ],
)
def test_usage_in_more_words_is_kept_until_another_is_wanted(form, usage, own, kept):
    content = replace(ITEM, usage=usage, own=(own,))
    found = read(image_of(content, form))
    assert (found.usage, found.own) == (usage, (own,) if kept else ())
