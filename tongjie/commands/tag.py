"""`tongjie tag`: what is on a library's RFID tag, the bytes for a new one, and a tag in another format."""

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import Annotated, cast

import typer

from protocols.crc import crc_gen2
from protocols.iso28560 import gaoxiao, part2, part3, part4
from protocols.iso28560.code40 import encode_code40
from protocols.iso28560.compaction import compact
from protocols.iso28560.content import AfiPair, TagContent, TagFormat
from protocols.iso28560.dataset import values_of
from protocols.iso28560.describe import FORMATS, PIECES, describe_content, describe_image
from protocols.iso28560.describe import describe as describe_tag
from protocols.iso28560.elements import NAMES, OWNER, PII, SET_INFO, split_set_info
from protocols.iso28560.encode import convert as convert_tag
from protocols.iso28560.encode import image_of
from protocols.iso28560.errors import LocalTagError, TagError
from protocols.iso28560.extensions import extensions_of
from protocols.iso28560.gaoxiao_id import IPC96, IPC128, encode_id
from protocols.iso28560.recognise import Recognition, recognise_hf, recognise_uhf
from tongjie.commands.hexlines import Refusal, describe_all

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, help="RFID tags: read what is on one, make the bytes for a new one, change the format."
)

_FORMATS = "28560-2|28560-3|28560-4|gaoxiao|3m"
_BRANCH = 24


class Format(StrEnum):
    """The formats that a tag can be made in."""

    PART2 = "28560-2"
    PART3 = "28560-3"
    PART4 = "28560-4"
    GAOXIAO = "gaoxiao"
    MMM = "3m"


@app.command(epilog="Example: tongjie tag decode --format 28560-2 --json 9100051CBE991A14")
def decode(
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="[HEX]...", help="Tag memory; without: one a line on stdin.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar=f"[{_FORMATS}]",
            help="The format; without: the one that fits. Also a part of one, by the kind names of the test vectors: "
            "urn-code40, gen2-pc-uii, iso28560-4-mb11, iso15962-compaction:1..7, gaoxiao-ipc96, crc16-gen2, ...",
        ),
    ] = None,
    compaction: Annotated[
        int | None, typer.Option(min=1, max=7, help="The scheme for --format iso15962-compaction.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Decode the memory of tags; exit 1 if one cannot be read.

    28560-2, -3 and 3m are the user memory of an ISO 15693 tag from block 0. 28560-4 is PC and UII, the user bank (from its DSFID)
    or a UII alone; gaoxiao is the EPC after its PC, or the user bank. How a tag departs from its standard is named in `divergences`.
    """
    _check_format(form, compaction)

    def describe(data: bytes) -> Mapping[str, object]:
        try:
            return describe_tag(data, form, compaction)
        except TagError as error:
            raise Refusal(error.code, str(error), error.fields) from error

    if not describe_all(tags or None, describe, as_json=as_json):
        raise typer.Exit(1)


def _check_format(form: str | None, compaction: int | None) -> None:
    if form is None or form in FORMATS or form in PIECES:
        return
    try:
        describe_tag(b"\x01", form, compaction)
    except LocalTagError as error:
        raise typer.BadParameter(str(error), param_hint="--format") from error
    except TagError:
        return


_PIECE_ENCODERS: Mapping[str, Callable[[str], bytes]] = {
    "urn-code40": encode_code40,
    "gaoxiao-ipc96": lambda value: encode_id(IPC96, value),
    "gaoxiao-ipc128": lambda value: encode_id(IPC128, value),
    "gaoxiao-owner": gaoxiao.encode_owner,
    "gaoxiao-set-info": gaoxiao.encode_set_info,
    "gaoxiao-type-of-usage": gaoxiao.encode_usage,
    **{f"iso15962-compaction:{number}": partial(compact, number) for number in range(1, 8)},
}


@app.command(
    epilog="Examples: tongjie tag encode --format 28560-3 --pii 1000000136 --owner DK-718500 --elements title=Emil --json; "
    "tongjie tag encode --format 28560-2 --pii 123456789012 --owner US-InU-Mu --set 1203 --lock pii,owner; "
    "tongjie tag encode --format gaoxiao --pii 01557071 --owner 10611 --elements shelf=I247 --json"
)
def encode(
    value: Annotated[
        str | None, typer.Argument(help="The value of a part of a format (see --format of decode).")
    ] = None,
    form: Annotated[str, typer.Option("--format", metavar=f"[{_FORMATS}]", help="The format.")] = Format.PART3.value,
    pii: Annotated[str, typer.Option(help="Item identifier.")] = "",
    owner: Annotated[str, typer.Option(help="Owner: ISIL or the consortium's code.")] = "",
    set_info: Annotated[str, typer.Option("--set", help="Set information such as 1203 (part 3 of 12).")] = "",
    shelf: Annotated[str, typer.Option(help="Shelf location: the element shelf.")] = "",
    elements: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Further elements by name (title, supplier, order, ill_library, subsidiary, ...) or number; repeatable.",
        ),
    ] = None,
    lock: Annotated[
        str,
        typer.Option(
            metavar="NAME[,...]",
            help="Elements in blocks of their own, so that they can be locked (28560-2); all = pii,owner.",
        ),
    ] = "pii",
    block_size: Annotated[int, typer.Option(min=1, max=32, help="Bytes of a block for --lock (28560-2).")] = 4,
    usage: Annotated[
        int | None,
        typer.Option(
            min=0, max=15, help="Type of usage: 1 circulating, 2 not, 7 discarded, 8 reader card, 9 equipment."
        ),
    ] = None,
    parts: Annotated[int, typer.Option(help="Number of pieces.")] = 1,
    part: Annotated[int, typer.Option(help="Which piece this is.")] = 1,
    size: Annotated[int, typer.Option(help="Bytes of the basic block: 32 or 34 (28560-3).")] = 34,
    afi: Annotated[str, typer.Option(help="AFI in hex, in the PC (28560-4): 07 secured, C2 on loan.")] = "07",
    lent: Annotated[bool, typer.Option(help="On loan (gaoxiao).")] = False,
    branch: Annotated[str, typer.Option(help="Branch, a number (3m; the owner is a number there too).")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Make the bytes of a tag; exit 1 if the format cannot hold the data.

    `hex` is the user memory (HF), PC and UII (28560-4) or the EPC (gaoxiao); `user` the user bank of a UHF tag with further elements.
    """

    def made() -> dict[str, object]:
        if form not in [one.value for one in Format]:
            if form not in _PIECE_ENCODERS or value is None:
                known = ", ".join((_FORMATS.replace("|", ", "), *_PIECE_ENCODERS))
                raise typer.BadParameter(f"there are {known}; the parts take a VALUE", param_hint="--format")
            return {"hex": _PIECE_ENCODERS[form](value).hex().upper()}
        if size not in (32, 34):
            raise typer.BadParameter("a basic block has 32 or 34 bytes", param_hint="--size")
        said = _elements([*(elements or ()), *([f"shelf={shelf}"] if shelf else ())])
        if branch:
            said[_BRANCH] = branch
        pieces = _pieces(set_info) if set_info else (parts, part)
        content = TagContent(cast("TagFormat", form), pii, owner, usage, *pieces, elements=tuple(sorted(said.items())))
        match form:
            case Format.PART2:
                return _part2(content, _numbers(lock), block_size)
            case Format.PART3:
                return _part3(content, size)
            case Format.PART4:
                return _part4(content, _byte(afi, "--afi"))
            case Format.GAOXIAO:
                image = image_of(content, "gaoxiao", secured=not lent, capacity=1024)
                found: dict[str, object] = {"hex": image.epc.hex().upper(), "pc": f"{image.pc:04X}"}
                return found | ({"user": image.data.hex().upper()} if any(image.data) else {})
        return _hf(0, image_of(content, "3m").data)

    try:
        facts = {"format": form, **made()}
    except LocalTagError as error:
        facts = {"error": error.code, "message": str(error)}
    print(json.dumps(facts, ensure_ascii=False) if as_json else facts.get("hex", facts.get("message")))
    if "error" in facts:
        raise typer.Exit(1)


def _part2(content: TagContent, lockable: tuple[int, ...], block_size: int) -> dict[str, object]:
    values, schemes = values_of(content)
    values |= {PII: content.pii} | ({OWNER: content.owner} if content.owner else {})
    data = part2.encode_part2(values, lockable=lockable, compactions=schemes, block_size=block_size)
    locks = part2.blocks_of(data, lockable, block_size)
    return _hf(part2.DSFID, data) | {"locks": list(locks)}


def _part3(content: TagContent, size: int) -> dict[str, object]:
    usage = 1 if content.usage is None else content.usage
    data = part3.encode_part3(
        content.pii,
        content.owner,
        usage,
        content.parts,
        content.part,
        size=32 if size == 32 else 34,
        extensions=extensions_of(content.elements),
    )
    return _hf(part3.DSFID, data)


def _part4(content: TagContent, afi: int) -> dict[str, object]:
    values, schemes = values_of(content)
    text = values.pop(SET_INFO, "")
    bank = part4.encode_pc_uii(content.owner, content.pii, afi, set_info=text, umi=bool(values))
    found: dict[str, object] = {"hex": bank.hex().upper(), "crc16": f"{crc_gen2(bank):04X}"}
    return found | ({"user": part4.encode_user_bank(values, schemes).hex().upper()} if values else {})


def _hf(dsfid: int, data: bytes) -> dict[str, object]:
    return {"hex": data.hex().upper(), "dsfid": f"{dsfid:02X}"}


_NUMBERS = {name: oid for oid, name in NAMES.items()}


def _number(name: str, option: str) -> int:
    oid = int(name) if name.isascii() and name.isdigit() and len(name) < 4 else _NUMBERS.get(name, 0)
    if not oid:
        known = ", ".join(NAMES.values())
        raise typer.BadParameter(f"there is no element {name}; by name: {known}", param_hint=option)
    return oid


def _numbers(names: str) -> tuple[int, ...]:
    if names == "all":
        return (PII, OWNER)
    return tuple(_number(name, "--lock") for name in names.split(",") if name)


def _elements(given: list[str]) -> dict[int, str]:
    found = {}
    for pair in given:
        name, mark, text = pair.partition("=")
        if not mark or not text:
            raise typer.BadParameter("an element is NAME=VALUE", param_hint="--elements")
        found[_number(name, "--elements")] = text
    return found


def _pieces(text: str) -> tuple[int, int]:
    pieces = split_set_info(text)
    if pieces is None:
        raise LocalTagError("set information is the number of parts and this part, half of the digits each")
    return pieces


def _byte(text: str, option: str) -> int:
    data = _octets(text, option)
    if len(data) != 1:
        raise typer.BadParameter("this is two hex digits", param_hint=option)
    return data[0]


def _octets(text: str, option: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise typer.BadParameter("this is an even number of hex digits", param_hint=option) from None


@app.command(
    epilog="Examples: tongjie tag convert --to 28560-3 --dsfid 06 --json 9100051CBE991A14; "
    "tongjie tag convert --to 28560-2 --uhf --user 0C02D9941004000100012C003800 340001045300185304400D0B0000"
)
def convert(
    to: Annotated[Format, typer.Option("--to", help="The format to write.")],
    tags: Annotated[
        list[str] | None,
        typer.Argument(metavar="[HEX]...", help="Tag memory (--uhf: PC and EPC); without: one a line on stdin."),
    ] = None,
    dsfid: Annotated[str | None, typer.Option(help="DSFID of the tag in hex: 06, 3E, 00; without: what fits.")] = None,
    afi: Annotated[str | None, typer.Option(help="AFI of the tag in hex.")] = None,
    uhf: Annotated[bool, typer.Option("--uhf", help="HEX is PC and EPC of a UHF tag.")] = False,
    user: Annotated[str, typer.Option(help="User bank of the UHF tag in hex.")] = "",
    pair: Annotated[str, typer.Option(metavar="SECURED,ON_LOAN", help="The site's AFIs in hex.")] = "07,C2",
    on_loan: Annotated[bool, typer.Option("--on-loan", help="Write it unsecured.")] = False,
    capacity: Annotated[
        int, typer.Option(min=0, max=8192, help="Bytes of the chip's user memory; 0: a UHF chip without.")
    ] = 112,
    block_size: Annotated[int, typer.Option(min=1, max=32, help="Bytes of a block (HF).")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Read tags and give their bytes in another format; exit 1 if one is no item's or does not fit.

    `lost` names what the new format cannot say, `divergences` how the old tag departs from its standard: look at both before writing.
    """
    secured, _, unsecured = pair.partition(",")
    try:
        afis = AfiPair(_byte(secured, "--pair"), _byte(unsecured, "--pair"))
    except LocalTagError as error:
        raise typer.BadParameter(str(error), param_hint="--pair") from error
    number = None if dsfid is None else _byte(dsfid, "--dsfid")
    given = None if afi is None else _byte(afi, "--afi")
    bank = _octets(user, "--user")

    def describe(data: bytes) -> Mapping[str, object]:
        if uhf:
            found = recognise_uhf(int.from_bytes(data[:2], "big"), data[2:], bank, None, pair=afis)
        else:
            found = recognise_hf(data, number, given, None, pair=afis)
        content = _content(found)
        form: TagFormat = to.value
        try:
            made = convert_tag(content, form, pair=afis, secured=not on_loan, capacity=capacity, block_size=block_size)
        except LocalTagError as error:
            raise Refusal(error.code, str(error), {}) from error
        kind = {"kind": found.kind, "to": form, "lost": list(made.lost)}
        return describe_content(content) | kind | {"image": describe_image(made.image)}

    if not describe_all(tags or None, describe, as_json=as_json):
        raise typer.Exit(1)


def _content(found: Recognition) -> TagContent:
    if found.content is None or found.kind in ("foreign", "damaged"):
        raise Refusal(
            found.code.lower().replace("_", "-"), f"this tag is {found.kind}: there is nothing to convert", {}
        )
    return found.content
