"""Tag data: any memory of an ISO 15693 tag, any banks of a Gen2 tag, and what is read from them written again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from protocols.crc import crc_ibm3740
from protocols.iso28560 import (
    DEFAULT_AFI,
    LocalTagError,
    Recognition,
    TagContent,
    TagError,
    TagFormat,
    TagImage,
    convert,
    decode_tag,
    decode_uhf,
    identity,
    image_of,
    recognise_hf,
    recognise_uhf,
    secured_of,
    with_security,
)
from protocols.iso28560.describe import PIECES, describe, describe_content, describe_image
from protocols.iso28560.part3 import reverse_blocks, without_country_hyphen
from tests.fuzz.target import Target, vectors

__all__ = ["TARGETS", "hf", "uhf"]

FORMATS: tuple[TagFormat, ...] = ("28560-2", "28560-3", "28560-4", "gaoxiao", "3m")
DSFIDS = (None, 0x00, 0x06, 0x3E, 0x42)
AFIS = (None, 0x00, 0x07, 0xC2, 0x90)
KINDS = {"item", "reader_card", "shelf_label", "equipment", "blank", "foreign", "damaged"}
_SEALED, _REVERSED = 0x80, 0x40


def hf(data: bytes) -> None:
    """One byte chooses the DSFID and whether the CRC is made right (0x80) or the blocks are turned (0x40), one the AFI."""
    choice, family, memory = (data[0], data[1], data[2:]) if len(data) > 1 else (0, 0, data)
    dsfid, afi = DSFIDS[choice % 8 % len(DSFIDS)], AFIS[family % len(AFIS)]
    if choice & _SEALED and len(memory) >= 34:
        crc = crc_ibm3740(memory[:19] + memory[21:34]).to_bytes(2, "little")
        memory = memory[:19] + crc + memory[21:]
    if choice & _REVERSED:
        memory = reverse_blocks(memory)
    for form in (None, "28560-2", "28560-3", "3m", *PIECES):
        with suppress(TagError):
            describe(memory, form)
    found = recognise_hf(memory, dsfid, afi, "E004010012345678")
    _sound(found)
    try:
        content = decode_tag(memory, dsfid=dsfid, afi=afi, uid="E004010012345678")
    except TagError:
        assert found.content is None
        return
    assert found.content == content
    _written(content)


def uhf(data: bytes) -> None:
    """Two bytes are the PC (whose length is made right unless the third is odd), the third says how long the EPC is."""
    if len(data) < 3:
        return
    size = data[2] & 0x3E
    pc, epc, user = data[0] << 8 | data[1], data[3 : 3 + size], data[3 + size :]
    if not data[2] & 1:
        pc = pc & 0x07FF | len(epc) // 2 << 11
    for form in ("28560-4", "gaoxiao", None):
        for bank in (pc.to_bytes(2, "big") + epc, epc, user):
            with suppress(TagError):
                describe(bank, form)
    found = recognise_uhf(pc, epc, user, None)
    _sound(found)
    name = identity(pc, epc)
    for secured in (True, False):
        try:
            after = with_security(pc, epc, secured)
        except LocalTagError:
            continue
        assert secured_of(*after) is secured
        assert identity(*after) == name, "the security state changed the tag's name"
    try:
        content = decode_uhf(pc, epc, user=user)
    except TagError:
        assert found.content is None
        return
    if content.format == "gaoxiao":
        assert secured_of(pc, epc) is not None
    _written(content)


def _sound(found: Recognition) -> None:
    """One of the kinds, and an item always with an identifier that can be shown."""
    assert found.kind in KINDS
    assert found.code == found.code.upper()
    if found.content is not None:
        assert found.content.pii and (found.content.pii + found.content.owner).isprintable()
        assert found.kind not in ("blank", "damaged")
        describe_content(found.content)


def _plain(content: TagContent) -> TagContent:
    """What a strict image can say again: not the divergences, and not who read it."""
    owner = without_country_hyphen(content.owner) if content.format == "28560-3" else content.owner
    usage = 1 if content.usage is None and content.format == "28560-4" else content.usage
    return replace(content, owner=owner, usage=usage, divergences=(), afi=None, uid=None)


def _read(image: TagImage) -> TagContent:
    if image.tech == "HF":
        return decode_tag(image.data, dsfid=image.dsfid, afi=image.afi)
    assert image.pc is not None
    return decode_uhf(image.pc, image.epc, user=image.data)


def _written(content: TagContent) -> None:
    """What was read and can be written strictly is read as the same; in other formats it is the same item."""
    with suppress(LocalTagError):
        image = image_of(content, content.format, capacity=1024)
        again = _read(image)
        assert again.divergences == (), "a divergence was written"
        assert _plain(again) == _plain(content), "what was written is read as something else"
        describe_image(image)
    for form in FORMATS:
        with suppress(LocalTagError):
            made = convert(content, form, capacity=1024)
            again = _read(made.image)
            assert (again.pii, again.divergences) == (content.pii, ())
            same = again.owner.replace("-", "") == content.owner.replace("-", "")
            assert same or "owner" in made.lost


def _tags(*formats: str) -> list[bytes]:
    return [bytes.fromhex(vector["hex"]) for vector in vectors("tags") if vector["kind"].startswith(formats)]


def _hf_seeds() -> list[bytes]:
    found = [
        bytes([choice, 2]) + tag
        for tag in _tags("iso28560-2", "iso28560-3")
        for choice in (0, 2, 3, 3 | _SEALED, 3 | _REVERSED)
    ]
    content = TagContent("28560-2", "01557071", "CQU", 1, 3, 2, elements=((24, "MAIN"),))
    found += [bytes([1, 2]) + convert(content, "3m").image.data]
    rich = replace(
        content, owner="US-InU-Mu", elements=((6, "QA268"), (11, "DK-1"), (13, "9787562412345"), (17, "红楼梦"))
    )
    return [*found, bytes([2, 2]) + image_of(rich, "28560-2", capacity=256).data]


def _uhf_seeds() -> list[bytes]:
    school = {vector["id"]: bytes.fromhex(vector["hex"]) for vector in vectors("tags")}
    banks = [(bytes((0x30, 0)), school["C5"], school["C6"]), (school["B2"][:2], school["B2"][2:], school["B4-c"])]
    content = TagContent("gaoxiao", "ABCDEFGHIJKLMN", "10611", 1, 3, 2, elements=((6, "I247"), (24, "MAIN")))
    for item in (content, replace(content, pii="重庆001", usage=8), replace(content, pii="1557")):
        for form in ("gaoxiao", "28560-4"):
            for secured in (True, False):
                image = image_of(item, form, secured=secured)
                banks.append(((image.pc or 0).to_bytes(2, "big"), image.epc, image.data))
    found = [pc + bytes([len(epc)]) + epc + user for pc, epc, user in banks]
    bare = [bytes((0x01, DEFAULT_AFI.secured, len(uii) & 0x3E)) + uii for uii in _tags("urn-code40")]
    packed = [bytes((0x30, 0, 12, 1, 4, 0, 0)) + tag.ljust(8, b"\x00") for tag in _tags("gaoxiao-ipc96")]
    return found + bare + packed


_WORDS = (
    b"\x06\x02",
    b"\x3e",
    b"\xfb\x00",
    b"\xfc",
    b"\x11\x01\x01",
    b"\x00\x00\x00\x00",
    b"\x9f\x02",
    b"\x04\x11\x00\x01",
    b"CN-251020",
)
TARGETS = {"tags_hf": Target(hf, _hf_seeds, _WORDS), "tags_uhf": Target(uhf, _uhf_seeds, _WORDS)}
"""By name."""
