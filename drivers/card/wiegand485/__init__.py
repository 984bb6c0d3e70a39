"""Cardreaders with a Wiegand output behind a Wiegand-to-RS-485 converter."""

from __future__ import annotations

from typing import cast

from drivers.base import ConfigurationError, Driver, Options
from drivers.card.wiegand485.driver import Face, Wiegand485
from protocols.wiegand import Check, Dialect, LineSettings, LocalWiegandError

__all__ = ["Face", "Wiegand485", "build"]

_KNOWN = {"dialect", "bits", "check", "parity", "faces", "direction"}


def build(device: str, url: str, options: Options) -> Driver:
    """Make the driver of one RS-485 line with its converters.

    Options: ``dialect`` (w, hex, decimal, binary; see `protocols.wiegand.lines`), ``bits`` (width behind a decimal number, 34),
    ``check`` (xor or sum, of the binary dialect), ``parity`` (true; false where the cardreaders send widths like 34 bits without
    parity), ``direction`` (IN, OUT or "", of a converter without an address), ``faces`` ("1=IN,2=OUT": address on the line = way;
    the order gives `CardRead.reader_no`, and every other address is counted and dropped).
    Raises `ConfigurationError` UNKNOWN_OPTION, BAD_OPTION or BAD_URL.
    """
    if unknown := set(options) - _KNOWN:
        raise ConfigurationError("UNKNOWN_OPTION", f"a Wiegand converter has no option {', '.join(sorted(unknown))}")
    direction = str(options.get("direction", ""))
    if direction not in ("IN", "OUT", ""):
        raise ConfigurationError("BAD_OPTION", "direction is IN or OUT")
    if options.get("parity", True) not in (True, False):
        raise ConfigurationError("BAD_OPTION", "parity is true or false")
    try:
        settings = LineSettings(
            dialect=cast("Dialect", str(options.get("dialect", "w"))),
            bits=int(options.get("bits", 34)),
            check=cast("Check", str(options.get("check", "xor"))),
            parity=bool(options.get("parity", True)),
        )
        faces = _faces(str(options.get("faces", "")))
    except (LocalWiegandError, ValueError) as error:
        raise ConfigurationError("BAD_OPTION", str(error)) from error
    return Wiegand485(device, url, settings=settings, faces=faces or None, direction=direction)


def _faces(text: str) -> tuple[Face, ...]:
    faces = []
    for part in filter(None, text.split(",")):
        number, _, way = part.partition("=")
        if not number.strip().isdigit() or not 0 <= int(number) <= 255 or way.strip() not in ("IN", "OUT"):
            raise ValueError("faces are written 1=IN,2=OUT with addresses 0 to 255")
        faces.append(Face(int(number), way.strip()))
    if len({face.address for face in faces}) != len(faces):
        raise ValueError("faces name an address twice")
    return tuple(faces)
