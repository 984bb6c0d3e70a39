"""The extension blocks of ISO 28560-3 as elements, and how broken ones are named."""

import pytest

from protocols.iso28560 import Extension, LocalTagError, decode_tag, encode_part3, pad_to_blocks
from protocols.iso28560.extensions import extensions_of, read_extensions

VECTOR = bytes.fromhex(
    "110101313030303030303133360000000000003615444B37313835303000000000000C010013020044452D313233"
    "0903002651413236380904006D7469746C650B05001B444B2D3100343200"
)


def read(*extensions):
    tag = pad_to_blocks(encode_part3("1", "DK", extensions=extensions))
    return decode_tag(tag, dsfid=0x3E, afi=None)


def test_vector_tells_its_elements():
    tag = decode_tag(VECTOR, dsfid=0x3E, afi=None)
    assert dict(tag.elements) == {6: "QA268", 11: "DK-1", 12: "42", 17: "title", 19: "02", 23: "DE-123"}
    assert tag.element(17) == "title"
    assert tag.element(26) == ""
    assert tag.divergences == ()


def test_vector_is_built_from_its_elements():
    elements = decode_tag(VECTOR, dsfid=0x3E, afi=None).elements
    assert encode_part3("1000000136", "DK-718500", extensions=extensions_of(elements)) == VECTOR


@pytest.mark.parametrize(
    ("extensions", "elements", "divergence"),
    [
        ([Extension(4, b"a"), Extension(4, b"b")], {17: "a"}, "extension-repeated"),
        ([Extension(4, b"\xff"), Extension(3, b"QA")], {6: "QA"}, "extension-text"),
        ([Extension(4, b"a\x07")], {}, "extension-text"),
        ([Extension(4, b"a\x00b")], {17: "a"}, "extension-fields"),
        ([Extension(1, b"\x02\x00\x00\x00x")], {19: "02"}, "extension-fields"),
    ],
)
def test_odd_block_leaves_the_rest_and_is_named(extensions, elements, divergence):
    tag = read(*extensions)
    assert (tag.pii, dict(tag.elements), tag.divergences) == ("1", elements, (divergence,))


def test_block_of_an_unknown_kind_is_kept_as_it_is():
    tag = read(Extension(9, b"\x01\xff"))
    assert (tag.elements, tag.own, tag.divergences) == ((), (("block_9", "01FF"),), ())
    assert extensions_of((), tag.own) == (Extension(9, b"\x01\xff"),)


def test_empty_library_block_says_nothing():
    assert read_extensions([Extension(1, b""), Extension(2, b"")]) == ((), (), ())
    assert extensions_of(()) == ()


@pytest.mark.parametrize("element", [(26, "x"), (19, "x"), (19, "0102"), (17, "a\nb")])
def test_element_without_a_place_is_not_written(element):
    with pytest.raises(LocalTagError):
        extensions_of([element])
