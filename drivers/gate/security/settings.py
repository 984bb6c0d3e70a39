"""What a site may choose at a security gate, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from drivers.base import ConfigurationError, Options

__all__ = ["GateSettings", "settings_of"]


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Settings of a security gate.

    ``mode``: "push" the gate sends tags by itself, "poll" its buffer is asked every ``poll_s``, "auto" polls until it pushes.
    ``acknowledge`` answers what is pushed, which some configurations of the gate wait for. ``keepalive_s`` of silence is offline.
    ``window_s``: sightings of a tag closer together are one passing. ``people``: a counter is there, asked every ``people_s``;
    ``swap`` where in and out are mounted the wrong way round. ``inputs`` tells contacts; ``tamper_input`` (0..2) is one that a
    tamper switch closes. ``selects`` "secured": the gate itself picks tags with the site's AFI, so what it tells is secured.
    ``alarm_block``: bytes of configuration block 9 with the alarm on, where the driver has never seen it on.
    """

    mode: Literal["auto", "push", "poll"] = "auto"
    address: int = 0xFF
    poll_s: float = 0.5
    acknowledge: bool = True
    keepalive_s: float = 30.0
    window_s: float = 5.0
    people: bool = True
    people_s: float = 5.0
    swap: bool = False
    inputs: bool = False
    tamper_input: int | None = None
    selects: Literal["all", "secured"] = "all"
    alarm_block: bytes | None = None


_NUMBERS = {"address": (0, 255), "poll_ms": (50, 60_000), "keepalive_s": (1, 3600), "window_ms": (100, 600_000),
            "people_ms": (200, 900_000), "tamper_input": (0, 2)}  # fmt: skip
_SWITCHES = ("acknowledge", "people", "swap", "inputs")
_WORDS = {"mode": ("auto", "push", "poll"), "selects": ("all", "secured")}
_BLOCK_BYTES = 30


def settings_of(options: Options) -> GateSettings:
    """Read options; raises `ConfigurationError` UNKNOWN_OPTION or BAD_OPTION."""
    known = {*_NUMBERS, *_SWITCHES, *_WORDS, "alarm_block"}
    if unknown := set(options) - known:
        raise ConfigurationError("UNKNOWN_OPTION", f"a security gate has no option {', '.join(sorted(unknown))}")
    numbers = {name: _number(options, name) for name in _NUMBERS}
    for name in _SWITCHES:
        if not isinstance(options.get(name, True), bool):
            raise ConfigurationError("BAD_OPTION", f"{name} is true or false")
    for name, allowed in _WORDS.items():
        if options.get(name, allowed[0]) not in allowed:
            raise ConfigurationError("BAD_OPTION", f"{name} is one of {', '.join(allowed)}")
    usual = GateSettings()
    return GateSettings(
        mode=cast("Literal['auto', 'push', 'poll']", options.get("mode", usual.mode)),
        address=usual.address if numbers["address"] is None else numbers["address"],
        poll_s=_seconds(numbers["poll_ms"], usual.poll_s),
        acknowledge=bool(options.get("acknowledge", usual.acknowledge)),
        keepalive_s=float(numbers["keepalive_s"] or usual.keepalive_s),
        window_s=_seconds(numbers["window_ms"], usual.window_s),
        people=bool(options.get("people", usual.people)),
        people_s=_seconds(numbers["people_ms"], usual.people_s),
        swap=bool(options.get("swap", usual.swap)),
        inputs=bool(options.get("inputs", usual.inputs)),
        tamper_input=numbers["tamper_input"],
        selects=cast("Literal['all', 'secured']", options.get("selects", usual.selects)),
        alarm_block=_block(options),
    )


def _number(options: Options, name: str) -> int | None:
    if name not in options:
        return None
    value, (least, most) = options[name], _NUMBERS[name]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigurationError("BAD_OPTION", f"{name} is a number from {least} to {most}")
    return value


def _seconds(value_ms: int | None, usual: float) -> float:
    return usual if value_ms is None else value_ms / 1000


def _block(options: Options) -> bytes | None:
    text = options.get("alarm_block", "")
    try:
        block = bytes.fromhex(str(text))
    except ValueError as error:
        raise ConfigurationError("BAD_OPTION", "alarm_block is written as hex digits") from error
    if block and len(block) != _BLOCK_BYTES:
        raise ConfigurationError("BAD_OPTION", f"alarm_block has {_BLOCK_BYTES} bytes")
    return block or None
