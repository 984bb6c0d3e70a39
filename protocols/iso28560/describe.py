"""Tag data in words: the JSON of `tongjie tag decode`.

`FORMATS` are whole tags as design.md names them; `PIECES` are their sub-codecs, by the kinds of the test vectors. Without a format the
first of `_DETECTED` that fits is taken: what carries a check value or a length comes before what does not.
"""

from collections.abc import Callable, Mapping

from protocols.crc import crc_gen2, crc_ibm3740
from protocols.iso28560 import gaoxiao, part2, part3, part4
from protocols.iso28560.code40 import decode_code40
from protocols.iso28560.compaction import SCHEMES, expand
from protocols.iso28560.content import TagContent
from protocols.iso28560.elements import NAMES
from protocols.iso28560.errors import BadTagCheck, LocalTagError, TagError, UnreadableTag
from protocols.iso28560.extensions import read_extensions
from protocols.iso28560.gaoxiao_id import IPC96, IPC128, decode_id
from protocols.iso28560.image import TagImage
from protocols.iso28560.rfid501 import decode_mmm_item

__all__ = ["FORMATS", "PIECES", "describe", "describe_content", "describe_image"]

Facts = dict[str, object]
Decoder = Callable[[bytes], Facts]


def _item(item: part2.ItemData) -> Facts:
    elements = [
        {
            "oid": element.oid,
            "compaction": element.compaction,
            "value": list(element.value) if isinstance(element.value, tuple) else element.value,
            "pad": element.pad,
        }
        for element in item.elements
    ]
    return {"elements": elements} | item.named() | _divergent(item.divergences)


def _divergent(divergences: tuple[str, ...]) -> Facts:
    return {"divergences": list(divergences)} if divergences else {}


def _part2(data: bytes) -> Facts:
    item = part2.decode_part2(data)
    return _item(item) | {"lockable_blocks": item.lockable_blocks}


def _part3(data: bytes) -> Facts:
    basic = part3.decode_part3(data)
    facts: Facts = {
        "version": basic.version,
        "usage": basic.usage,
        "parts": basic.parts,
        "part": basic.part,
        "pii": basic.pii,
        "crc": f"{basic.crc:04X}",
        "crc_ok": True,
        "owner": basic.owner,
    }
    if basic.extensions:
        facts["extensions"] = [[extension.id, extension.payload.hex().upper()] for extension in basic.extensions]
        elements, _, odd = read_extensions(basic.extensions)
        facts["elements"] = {NAMES[oid]: value for oid, value in elements}
        return facts | _divergent(basic.divergences + odd)
    return facts | _divergent(basic.divergences)


def _pc_uii(data: bytes) -> Facts:
    uii = part4.decode_pc_uii(data)
    facts: Facts = {
        "epc_words": uii.words,
        "umi": int(uii.umi),
        "xpc": int(uii.xpc),
        "t": 1,
        "afi": f"{uii.afi:02X}",
        "value": uii.value,
        "crc16": f"{uii.crc:04X}",
        "pii": uii.pii,
        "owner": uii.owner,
    }
    return facts | ({"set": uii.set} if uii.set else {})


def _mb11(data: bytes) -> Facts:
    return {"dsfid": f"{part2.DSFID:02X}"} | _item(part4.decode_user_bank(data))


def _gaoxiao_epc(data: bytes) -> Facts:
    tag = gaoxiao.decode_epc(data)
    return {
        "lent": tag.lent,
        "sort": tag.sort,
        "pii_encoding": tag.encoding,
        "version": tag.version,
        "pii": tag.pii,
        "content_parameter_high_byte_first": list(gaoxiao.content_oids(tag.content)),
        "content_parameter_low_byte_first": list(gaoxiao.content_oids(tag.swapped)),
    }


_BANK_FIELDS: Mapping[int, tuple[str, Callable[[bytes], str]]] = {
    gaoxiao.OWNER: ("owner", gaoxiao.decode_owner),
    gaoxiao.SET_INFO: ("set_info", gaoxiao.decode_set_info),
    gaoxiao.USAGE: ("usage", gaoxiao.decode_usage),
}


def _gaoxiao_bank(data: bytes) -> Facts:
    bank = gaoxiao.decode_user_bank(data)
    if not bank:
        raise TagError("the user bank is empty")
    facts: Facts = {"elements": [[oid, value.hex().upper()] for oid, value in bank]}
    for oid, value in bank:
        if oid in _BANK_FIELDS and value:
            name, decode = _BANK_FIELDS[oid]
            facts[name] = decode(value)
    return facts


def _content_parameter(data: bytes) -> Facts:
    if len(data) != 2:
        raise TagError("a content parameter has two bytes")
    return {"oids": list(gaoxiao.content_oids(int.from_bytes(data, "big")))}


def _mmm(data: bytes) -> Facts:
    item = decode_mmm_item(data)
    return {
        "pii": item.barcode,
        "owner": str(item.library) if item.library else "",
        "branch": item.branch,
        "custom": item.custom,
        "parts": item.parts,
        "part": item.part,
        "type": item.type,
    }


def _value(decode: Callable[[bytes], str]) -> Decoder:
    return lambda data: {"value": decode(data)}


def _first_of(*decoders: Decoder) -> Decoder:
    def decode(data: bytes) -> Facts:
        failure: TagError = UnreadableTag("the format does not fit this tag")
        for number, decoder in enumerate(decoders):
            try:
                return decoder(data)
            except TagError as error:
                failure = failure if number else error
        raise failure

    return decode


_IPC96 = _value(lambda data: decode_id(IPC96, data))
_IPC128 = _value(lambda data: decode_id(IPC128, data))

FORMATS: Mapping[str, Decoder] = {
    "28560-2": _part2,
    "28560-3": _part3,
    "28560-4": _first_of(_pc_uii, _mb11, _value(decode_code40)),
    "gaoxiao": _first_of(_gaoxiao_epc, _gaoxiao_bank, _IPC96, _IPC128),
    "3m": _mmm,
}
"""Decoders by format; 28560-4 and gaoxiao tell their banks apart by content."""

PIECES: Mapping[str, tuple[str, Decoder]] = {
    "iso28560-2": ("28560-2", _part2),
    "iso28560-3": ("28560-3", _part3),
    "iso28560-3-reversed": ("28560-3", _part3),
    "gen2-pc-uii": ("28560-4", _pc_uii),
    "urn-code40": ("28560-4", _value(decode_code40)),
    "iso28560-4-mb11": ("28560-4", _mb11),
    "gaoxiao-tag": ("gaoxiao", _gaoxiao_epc),
    "gaoxiao-user-bank": ("gaoxiao", _gaoxiao_bank),
    "gaoxiao-ipc96": ("gaoxiao", _IPC96),
    "gaoxiao-ipc128": ("gaoxiao", _IPC128),
    "gaoxiao-content-parameter": ("gaoxiao", _content_parameter),
    "gaoxiao-owner": ("gaoxiao", _value(gaoxiao.decode_owner)),
    "gaoxiao-set-info": ("gaoxiao", _value(gaoxiao.decode_set_info)),
    "gaoxiao-type-of-usage": ("gaoxiao", _value(gaoxiao.decode_usage)),
    "crc16-gen2": ("28560-4", lambda data: {"crc16": f"{crc_gen2(data):04X}"}),
    "crc16-28560-3": ("28560-3", lambda data: {"crc16": f"{crc_ibm3740(data):04X}"}),
}
"""Sub-codecs: name -> (the format they belong to, decoder). `iso15962-compaction` comes beside them: it needs the scheme."""

_COMPACTION = "iso15962-compaction"
_DETECTED: tuple[tuple[str, Decoder], ...] = (
    ("28560-3", _part3),
    ("28560-4", _pc_uii),
    ("28560-2", _part2),
    ("28560-4", _mb11),
    ("3m", _mmm),
    ("gaoxiao", _gaoxiao_epc),
    ("gaoxiao", _gaoxiao_bank),
)


def describe(data: bytes, form: str | None = None, compaction: int | None = None) -> Facts:
    """Return `format` and what `data` says in it.

    `form` is a name of `FORMATS` or `PIECES`, or `iso15962-compaction[:N]` with the scheme in N or in `compaction` (1..7); None detects
    the format. Raises `TagError` for data that does not fit and `LocalTagError` for a `form` that does not exist.
    """
    if form is None:
        return _detect(data)
    if form in FORMATS:
        return {"format": form} | FORMATS[form](data)
    if form in PIECES:
        name, decode = PIECES[form]
        return {"format": name} | decode(data)
    name, _, scheme = form.partition(":")
    number = int(scheme) if scheme.isdigit() else compaction
    if name != _COMPACTION or number not in SCHEMES:
        known = ", ".join((*FORMATS, *PIECES, f"{_COMPACTION}:1..7"))
        raise LocalTagError(f"no format {form}; there are {known}")
    return {
        "format": "28560-2",
        "compaction": number,
        "scheme": SCHEMES[number].name,
        "value": expand(number, data),
    }


def describe_content(content: TagContent) -> Facts:
    """Return what a recognised tag says, whatever its format: the facts of `TagContent`, elements by name."""
    facts: Facts = {"format": content.format, "pii": content.pii, "owner": content.owner, "usage": content.usage}
    facts |= {"parts": content.parts, "part": content.part}
    if content.afi is not None:
        facts["afi"] = f"{content.afi:02X}"
    if content.elements:
        facts["elements"] = {NAMES.get(oid, f"element_{oid}"): value for oid, value in content.elements}
    if content.own:
        facts["own"] = dict(content.own)
    return facts | _divergent(content.divergences)


def describe_image(image: TagImage) -> Facts:
    """Return what is to be written on a chip: `hex` is the user memory (HF) or the user bank (UHF)."""
    facts: Facts = {"tech": image.tech, "hex": image.data.hex().upper()}
    if image.tech == "HF":
        facts |= {"dsfid": f"{image.dsfid:02X}", "block_size": image.block_size, "locks": list(image.locks)}
    if image.pc is not None:
        facts |= {"pc": f"{image.pc:04X}", "epc": image.epc.hex().upper()}
    if image.afi is not None:
        facts["afi"] = f"{image.afi:02X}"
    return facts | ({} if image.eas is None else {"eas": image.eas})


def _detect(data: bytes) -> Facts:
    meant: TagError | None = None
    for name, decode in _DETECTED:
        try:
            return {"format": name} | decode(data)
        except BadTagCheck as error:
            # The version nibble says that it was meant as a basic block, straight or reversed: its CRC is the better answer.
            meant = error if 1 in (data[0] >> 4, data[3] >> 4) else None
        except TagError:
            continue
    raise meant or UnreadableTag("no known format fits; name one with --format to learn why")
