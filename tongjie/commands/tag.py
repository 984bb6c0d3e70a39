"""`tongjie tag`: what is on a library's RFID tag, and the bytes for a new one."""

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from protocols.crc import crc_gen2
from protocols.iso28560 import gaoxiao, part2, part3, part4
from protocols.iso28560.code40 import encode_code40
from protocols.iso28560.compaction import compact
from protocols.iso28560.describe import FORMATS, PIECES
from protocols.iso28560.describe import describe as describe_tag
from protocols.iso28560.elements import OWNER, PII, SET_INFO
from protocols.iso28560.errors import LocalTagError, TagError
from protocols.iso28560.gaoxiao_id import IPC96, IPC128, encode_id
from protocols.iso28560.rfid501 import MmmItem, encode_mmm_item
from tongjie.commands.hexlines import Refusal, describe_all

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="RFID tags: read what is on one, make the bytes for a new one.")

_SHELF = 6
_FORMATS = "28560-2|28560-3|28560-4|gaoxiao|3m"


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
    or a UII alone; gaoxiao is the EPC after its PC, or the user bank.
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


@app.command(epilog="Example: tongjie tag encode --format 28560-3 --pii 1000000136 --owner DK-718500 --json")
def encode(
    value: Annotated[
        str | None, typer.Argument(help="The value of a part of a format (see --format of decode).")
    ] = None,
    form: Annotated[str, typer.Option("--format", metavar=f"[{_FORMATS}]", help="The format.")] = Format.PART3.value,
    pii: Annotated[str, typer.Option(help="Item identifier.")] = "",
    owner: Annotated[str, typer.Option(help="Owner: ISIL or the consortium's code.")] = "",
    set_info: Annotated[str, typer.Option("--set", help="Set information such as 1203 (28560-2, 28560-4).")] = "",
    shelf: Annotated[str, typer.Option(help="Shelf location (28560-2).")] = "",
    usage: Annotated[int, typer.Option(help="Type of usage (28560-3).")] = 1,
    parts: Annotated[int, typer.Option(help="Number of pieces (28560-3, 3m).")] = 1,
    part: Annotated[int, typer.Option(help="Which piece this is (28560-3, 3m).")] = 1,
    size: Annotated[int, typer.Option(help="Bytes of the basic block: 32 or 34 (28560-3).")] = 34,
    afi: Annotated[str, typer.Option(help="AFI in hex, in the PC (28560-4): 07 secured, C2 on loan.")] = "07",
    lent: Annotated[bool, typer.Option(help="On loan (gaoxiao).")] = False,
    branch: Annotated[str, typer.Option(help="Branch (3m).")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Make the bytes of a tag; exit 1 if the format cannot hold the data."""

    def made() -> dict[str, object]:
        match form:
            case Format.PART2:
                texts = {PII: pii, OWNER: owner, SET_INFO: set_info, _SHELF: shelf}
                return _hf(part2.DSFID, part2.encode_part2({oid: text for oid, text in texts.items() if text}))
            case Format.PART3:
                if size not in (32, 34):
                    raise typer.BadParameter("a basic block has 32 or 34 bytes", param_hint="--size")
                data = part3.encode_part3(pii, owner, usage, parts, part, size=32 if size == 32 else 34)
                return _hf(part3.DSFID, data)
            case Format.PART4:
                bank = part4.encode_pc_uii(owner, pii, _afi(afi), set_info=set_info)
                return {"hex": bank.hex().upper(), "crc16": f"{crc_gen2(bank):04X}"}
            case Format.GAOXIAO:
                return {"hex": gaoxiao.encode_epc(pii, lent=lent).hex().upper()}
            case Format.MMM:
                item = MmmItem(pii, branch, owner, part=part, parts=parts)
                return _hf(0, encode_mmm_item(item))
        if form not in _PIECE_ENCODERS or value is None:
            known = ", ".join((_FORMATS.replace("|", ", "), *_PIECE_ENCODERS))
            raise typer.BadParameter(f"there are {known}; the parts take a VALUE", param_hint="--format")
        return {"hex": _PIECE_ENCODERS[form](value).hex().upper()}

    try:
        facts = {"format": form, **made()}
    except LocalTagError as error:
        facts = {"error": error.code, "message": str(error)}
    print(json.dumps(facts, ensure_ascii=False) if as_json else facts.get("hex", facts.get("message")))
    if "error" in facts:
        raise typer.Exit(1)


def _hf(dsfid: int, data: bytes) -> dict[str, object]:
    return {"hex": data.hex().upper(), "dsfid": f"{dsfid:02X}"}


def _afi(text: str) -> int:
    try:
        return bytes.fromhex(text)[0]
    except (ValueError, IndexError):
        raise typer.BadParameter("the AFI is two hex digits", param_hint="--afi") from None
