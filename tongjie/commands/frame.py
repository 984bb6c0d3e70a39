"""`tongjie frame`: device frames on the wire, decoded."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated

import typer

from protocols.feig.describe import describe as feig
from protocols.frames import FrameError, Source
from protocols.mmm.describe import describe as mmm
from protocols.uhf import cf, m100, swct, uhfreader18
from tongjie.commands.hexlines import Refusal, describe_all

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Frames of RFID devices: look inside one.")

_Decoder = Callable[[bytes, Source | None], Mapping[str, object]]

_DECODERS: Mapping[str, _Decoder] = {
    "feig": feig,
    "3m": mmm,
    "uhfreader18": uhfreader18.describe,
    "m100": m100.describe,
    "cf": cf.describe,
    "swct": swct.describe,
}


class Kind(StrEnum):
    """The families of devices whose frames are known."""

    FEIG = "feig"
    MMM = "3m"
    UHFREADER18 = "uhfreader18"
    M100 = "m100"
    CF = "cf"
    SWCT = "swct"


class Sender(StrEnum):
    """Who sent the frame: only devices put a status in it."""

    HOST = "host"
    DEVICE = "device"


@app.callback()
def frame() -> None:
    """Frames of RFID devices: look inside one."""


@app.command(epilog="Example: tongjie frame decode feig --from device --json 0600B0015C63")
def decode(
    kind: Annotated[Kind, typer.Argument(help="The family of the device.")],
    frames: Annotated[
        list[str] | None, typer.Argument(metavar="[HEX]...", help="Frames; without: one a line on stdin.")
    ] = None,
    sender: Annotated[Sender | None, typer.Option("--from", help="Who sent them; without: by what fits.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Decode frames; exit 1 if one is not sound (length, check value)."""
    source: Source | None = None if sender is None else ("host" if sender is Sender.HOST else "device")

    def describe(raw: bytes) -> Mapping[str, object]:
        try:
            return {"ok": True, **_DECODERS[kind](raw, source)}
        except FrameError as error:
            raise Refusal(error.code, str(error), {"ok": False, **error.fields}) from error

    if not describe_all(frames or None, describe, as_json=as_json):
        raise typer.Exit(1)
