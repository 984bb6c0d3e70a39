"""The text options of a UHF pad, checked."""

from __future__ import annotations

from typing import cast

from drivers.base import ConfigurationError, Options
from drivers.rfid.uhf.settings import TidMode, UhfSettings
from protocols.iso28560 import AfiPair, LocalTagError
from protocols.uhf.target import Family

__all__ = ["settings_of"]

_RANGES = {
    "poll_ms": (20, 5000), "address": (0, 255), "afi_secured": (0, 255), "afi_on_loan": (0, 255), "q": (0, 15),
    "scan_ms": (100, 25500), "rssi_floor": (0, 255), "power_dbm": (0, 30),
}  # fmt: skip
_KNOWN = frozenset({*_RANGES, "family", "tid", "antennas", "password"})


def settings_of(options: Options) -> tuple[UhfSettings, int]:
    """Give the settings and poll_ms; raises `ConfigurationError` UNKNOWN_OPTION or BAD_OPTION."""
    if unknown := set(options) - _KNOWN:
        raise ConfigurationError("UNKNOWN_OPTION", f"a UHF pad has no option {', '.join(sorted(unknown))}")
    family, tid = str(options.get("family", "auto")), str(options.get("tid", "auto"))
    if family not in ("auto", "18", "288"):
        raise _bad("family is auto, 18 or 288")
    if tid not in ("auto", "read", "never"):
        raise _bad("tid is auto, read or never")
    try:
        pair = AfiPair(_number(options, "afi_secured", 0x07), _number(options, "afi_on_loan", 0xC2))
    except LocalTagError as error:
        raise _bad("the two AFIs differ") from error
    settings = UhfSettings(
        address=_number(options, "address", 0xFF),
        family=None if family == "auto" else cast("Family", family),
        tid=cast("TidMode", tid),
        afi_pair=pair,
        antennas=_antennas(str(options.get("antennas", "1"))),
        q=_number(options, "q", 4),
        scan_ms=_number(options, "scan_ms", 0) or None,
        power_dbm=_number(options, "power_dbm", 0) if "power_dbm" in options else None,
        rssi_floor=_number(options, "rssi_floor", 0),
        password=_password(str(options.get("password", "00000000"))),
    )
    return settings, _number(options, "poll_ms", 250)


def _number(options: Options, name: str, default: int) -> int:
    least, most = _RANGES[name]
    if name not in options:
        return default
    try:
        found = int(str(options[name]), 0)
    except ValueError as error:
        raise _bad(f"{name} is a number") from error
    if not least <= found <= most:
        raise _bad(f"{name} is {least} to {most}")
    return found


def _antennas(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.strip().isascii() and part.strip().isdigit() for part in parts):
        raise _bad("antennas are numbers with commas between")
    found = tuple(dict.fromkeys(int(part) for part in parts))
    if not all(1 <= number <= 16 for number in found):
        raise _bad("antennas are 1 to 16")
    return found


def _password(text: str) -> int:
    if len(text) != 8 or not set(text.upper()) <= set("0123456789ABCDEF"):
        raise _bad("password is 8 hex digits")
    return int(text, 16)


def _bad(message: str) -> ConfigurationError:
    return ConfigurationError("BAD_OPTION", message)
