"""What a site says about an LLRP reader, and the text options that say it."""

from __future__ import annotations

from dataclasses import dataclass, field

from drivers.base import ConfigurationError, Options
from protocols.iso28560 import DEFAULT_AFI, AfiPair, LocalTagError

__all__ = ["LlrpSettings", "settings_of"]

_RANGES = {
    "poll_ms": (20, 5000), "gone_ms": (100, 60_000), "session": (0, 3), "population": (1, 1000), "mode": (0, 65535),
    "power_dbm": (0, 36), "rssi_floor_dbm": (-120, 0), "keepalive_ms": (200, 600_000), "op_ms": (100, 30_000),
    "afi_secured": (0, 255), "afi_on_loan": (0, 255), "window_ms": (100, 600_000),
}  # fmt: skip
_KNOWN = frozenset({*_RANGES, "antennas", "tid", "password", "tells"})


@dataclass(frozen=True, slots=True)
class LlrpSettings:
    """Settings of one LLRP reader; the options of `drivers.rfid.llrp.build` say what each means."""

    antennas: tuple[int, ...] = ()
    gone_ms: int = 1500
    session: int = 0
    population: int = 32
    mode: int | None = None
    power_dbm: int | None = None
    rssi_floor_dbm: int = -120
    keepalive_ms: int = 5000
    op_ms: int = 1500
    read_tid: bool = True
    gate: bool = False
    window_ms: int = 5000
    afi_pair: AfiPair = DEFAULT_AFI
    password: int = field(default=0, repr=False)


def settings_of(options: Options) -> tuple[LlrpSettings, int]:
    """Give the settings and poll_ms; raises `ConfigurationError` UNKNOWN_OPTION or BAD_OPTION."""
    if unknown := set(options) - _KNOWN:
        raise ConfigurationError("UNKNOWN_OPTION", f"an LLRP reader has no option {', '.join(sorted(unknown))}")
    numbers = {name: _number(options, name) for name in _RANGES if name in options}
    poll_ms = numbers.pop("poll_ms", 100)
    try:
        pair = AfiPair(numbers.pop("afi_secured", 0x07), numbers.pop("afi_on_loan", 0xC2))
    except LocalTagError as error:
        raise _bad("the two AFIs differ") from error
    tid = str(options.get("tid", "auto"))
    if tid not in ("auto", "never"):
        raise _bad("tid is auto or never")
    tells = str(options.get("tells", "lying"))
    if tells not in ("lying", "passing"):
        raise _bad("tells is lying or passing")
    password = str(options.get("password", "00000000"))
    if len(password) != 8 or not set(password.upper()) <= set("0123456789ABCDEF"):
        raise _bad("password is 8 hex digits")
    settings = LlrpSettings(
        antennas=_antennas(str(options.get("antennas", ""))),
        read_tid=tid == "auto",
        gate=tells == "passing",
        afi_pair=pair,
        password=int(password, 16),
        **numbers,
    )
    return settings, poll_ms


def _number(options: Options, name: str) -> int:
    least, most = _RANGES[name]
    try:
        found = int(str(options[name]), 0)
    except ValueError as error:
        raise _bad(f"{name} is a number") from error
    if not least <= found <= most:
        raise _bad(f"{name} is {least} to {most}")
    return found


def _antennas(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(part.isascii() and part.isdigit() and 1 <= int(part) <= 255 for part in parts):
        raise _bad("antennas are numbers from 1, with commas between")
    return tuple(dict.fromkeys(int(part) for part in parts))


def _bad(message: str) -> ConfigurationError:
    return ConfigurationError("BAD_OPTION", message)
