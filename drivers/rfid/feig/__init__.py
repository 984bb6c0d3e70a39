"""FEIG OBID pads (CPR, MR, LR) with ISO 15693 tags."""

from __future__ import annotations

from typing import cast

from drivers.base import ConfigurationError, Driver, Options
from drivers.rfid.feig.line import AskedForm
from drivers.rfid.feig.link import AskedMode, FeigLink
from drivers.rfid.feig.pad import FeigPad
from protocols.iso28560 import AfiPair, LocalTagError

__all__ = ["FeigLink", "FeigPad", "build"]

_NUMBERS = {"poll_ms": 250, "address": 0xFF, "afi_secured": 0x07, "afi_on_loan": 0xC2, "valid_ms": 1000}
_SWITCHES = {"eas": True, "lock": False, "inputs": False}
_WORDS = {"frame": ("auto", "standard", "advanced"), "mode": ("auto", "host", "buffered")}


def build(device: str, url: str, options: Options) -> Driver:
    """Make a FEIG driver.

    Options: ``poll_ms`` (20..5000), ``address`` (0..255, 255 = any), ``afi_secured`` and ``afi_on_loan`` (0x07, 0xC2), ``eas`` (true:
    switch the chip's security bit too), ``lock`` (false: lock what an image says may be locked), ``inputs`` (false), ``frame``
    (auto, standard, advanced), ``mode`` (auto, host, buffered) and ``valid_ms`` (the device's VALID-TIME, for buffered).
    Raises `ConfigurationError` UNKNOWN_OPTION, BAD_OPTION, BAD_POLL, BAD_ADDRESS, BAD_URL.
    """
    if unknown := set(options) - {*_NUMBERS, *_SWITCHES, *_WORDS}:
        raise ConfigurationError("UNKNOWN_OPTION", f"a FEIG pad has no option {', '.join(sorted(unknown))}")
    try:
        numbers = {name: int(options.get(name, usual)) for name, usual in _NUMBERS.items()}
        pair = AfiPair(numbers["afi_secured"], numbers["afi_on_loan"])
    except (ValueError, LocalTagError) as error:
        raise ConfigurationError(
            "BAD_OPTION", "poll_ms, address, valid_ms and AFIs are numbers; the two AFIs differ"
        ) from error
    switches = {name: options.get(name, usual) for name, usual in _SWITCHES.items()}
    if not all(isinstance(value, bool) for value in switches.values()):
        raise ConfigurationError("BAD_OPTION", "eas, lock and inputs are true or false")
    words = {name: options.get(name, "auto") for name in _WORDS}
    for name, allowed in _WORDS.items():
        if words[name] not in allowed:
            raise ConfigurationError("BAD_OPTION", f"{name} is one of {', '.join(allowed)}")
    return FeigPad(
        device, url, afi_pair=pair, poll_ms=numbers["poll_ms"], address=numbers["address"],
        form=cast("AskedForm", words["frame"]), mode=cast("AskedMode", words["mode"]), eas=bool(switches["eas"]),
        lock=bool(switches["lock"]), inputs=bool(switches["inputs"]), valid_ms=numbers["valid_ms"],
    )  # fmt: skip
