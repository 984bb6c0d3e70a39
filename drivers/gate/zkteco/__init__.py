"""ZKTeco C3 and inBio access controllers that are kept: they drive the door, we decide or only listen."""

from __future__ import annotations

from typing import cast

from drivers.base import ConfigurationError, Driver, Options
from drivers.gate.contacts import count_of
from drivers.gate.zkteco.gate import ZkGate
from drivers.gate.zkteco.meaning import Mode, ZkSettings

__all__ = ["ZkGate", "ZkSettings", "build"]

_KNOWN = {
    "mode", "password", "door_in", "door_out", "passage", "passage_in", "passage_out", "fire_aux", "tamper_aux", "poll_ms", "card_bits",
}  # fmt: skip


def build(device: str, url: str, options: Options) -> Driver:
    """Make the driver of one controller at tcp:HOST:4370 (its other doors are left alone).

    Options: ``mode`` command (the controller knows no cards and asks us: every card it refuses is told, and an opening is sent) or
    observe (it decides by its own list, we record), ``password`` (the controller's communication password), ``door_in`` (1..4, 1),
    ``door_out`` (0 = the same door, told apart by the controller's in/out), ``passage`` none, door (its door sensor) or aux, with
    ``passage_in`` and ``passage_out`` (auxiliary inputs from 1), ``fire_aux``, ``tamper_aux`` (auxiliary inputs from 1, 0 = none),
    ``card_bits`` (24, 32 … 64, 32: the bits of the number that `CardRead.raw` holds), ``poll_ms`` (50..2000, 100).
    Raises `ConfigurationError` UNKNOWN_OPTION, BAD_OPTION or BAD_URL.
    """
    if unknown := set(options) - _KNOWN:
        raise ConfigurationError("UNKNOWN_OPTION", f"a ZKTeco controller has no option {', '.join(sorted(unknown))}")
    mode, passage = str(options.get("mode", "command")), str(options.get("passage", "none"))
    if mode not in ("command", "observe") or passage not in ("none", "door", "aux"):
        raise ConfigurationError("BAD_OPTION", "mode is command or observe, passage is none, door or aux")
    password = str(options.get("password", ""))
    if not (password.isascii() and len(password) <= 32):
        raise ConfigurationError("BAD_OPTION", "the controller's password is at most 32 ASCII characters")
    aux = {name: count_of(options, name, 0, 0, 12) for name in ("passage_in", "passage_out", "fire_aux", "tamper_aux")}
    used = [number for number in aux.values() if number]
    if len(set(used)) != len(used) or (passage == "aux") != bool(aux["passage_in"] or aux["passage_out"]):
        raise ConfigurationError(
            "BAD_OPTION", "an input has one meaning, and passage=aux needs passage_in or passage_out"
        )
    settings = ZkSettings(
        mode=cast("Mode", mode),
        door_in=count_of(options, "door_in", 1, 1, 4),
        door_out=count_of(options, "door_out", 0, 0, 4),
        door_passage=passage == "door",
        card_bits=count_of(options, "card_bits", 32, 24, 64),
        **aux,
    )
    if settings.card_bits % 8:
        raise ConfigurationError("BAD_OPTION", "card_bits are whole bytes")
    if settings.door_in == settings.door_out:
        raise ConfigurationError("BAD_OPTION", "door_out is 0 where one door leads both ways")
    return ZkGate(device, url, settings, password=password, poll_ms=count_of(options, "poll_ms", 100, 50, 2000))
