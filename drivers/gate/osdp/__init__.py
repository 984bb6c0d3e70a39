"""OSDP (IEC 60839-11-5) cardreaders and the gates behind them, over libosdp with a secure channel."""

from __future__ import annotations

from drivers.base import ConfigurationError, Driver, Options
from drivers.gate.contacts import CONTACT_OPTIONS, contact_settings, count_of
from drivers.gate.osdp.gate import OsdpGate

__all__ = ["OsdpGate", "build"]

_KNOWN = (CONTACT_OPTIONS - {"debounce_ms"}) | {
    "key", "commission", "address", "output_no", "output_out", "active_low", "inputs", "ask_inputs", "faces", "refresh_ms", "baudrate",
}  # fmt: skip


def build(device: str, url: str, options: Options) -> Driver:
    """Make an OSDP driver.

    Line: ``key`` (32 hex digits), ``commission`` (true while a cardreader is being installed), ``address`` (0..126, 0), ``baudrate``
    (9600), ``refresh_ms`` (1..50, 5).
    Gate: ``output_no`` (0; -1 = nothing is wired to the cardreader), ``output_out`` (the other way's output, none), ``active_low``
    (true: the output is on at rest and goes off to open), ``faces`` ("IN,OUT": the way of faces 0, 1 …).
    Inputs: ``inputs`` (how many there are, 0), and what they mean as in `drivers.gate.contacts.contact_settings`; the cardreader
    itself debounces them. ``ask_inputs`` (false): ask for their state at the start, of a cardreader that does not report it by
    itself; libosdp drops the link to one that cannot answer, so this is to be tried before it is kept.
    Raises `ConfigurationError` UNKNOWN_OPTION, BAD_OPTION, BAD_URL, SCBK_MISSING, SCBK_WEAK, SCBK_LENGTH.
    """
    if unknown := set(options) - _KNOWN:
        raise ConfigurationError("UNKNOWN_OPTION", f"an OSDP cardreader has no option {', '.join(sorted(unknown))}")
    inputs = count_of(options, "inputs", 0, 0, 32)
    faces = [face.strip() for face in str(options.get("faces", "IN,OUT")).split(",")]
    if not all(face in ("IN", "OUT", "") for face in faces):
        raise ConfigurationError("BAD_OPTION", "faces are IN, OUT or empty, in the order of their numbers")
    try:
        scbk = bytes.fromhex(str(options["key"])) if options.get("key") else None
        return OsdpGate(
            device,
            url,
            scbk=scbk,
            commission=bool(options.get("commission", False)),
            address=int(options.get("address", 0)),
            output_no=count_of(options, "output_no", 0, -1, 255),
            output_out=count_of(options, "output_out", -1, -1, 255),
            active_low=bool(options.get("active_low", False)),
            ask_inputs=bool(inputs and options.get("ask_inputs", False)),
            contacts=contact_settings({**options, "debounce_ms": 0}, inputs),
            reader_direction=dict(enumerate(faces)),
            baudrate=int(options.get("baudrate", 9600)),
            refresh_ms=float(options.get("refresh_ms", 5)),
        )
    except ValueError as error:
        raise ConfigurationError("BAD_OPTION", "the key is 32 hex digits, the other options are numbers") from error
