"""What a relay board's coils and inputs are wired to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from drivers.base import ConfigurationError, Options
from drivers.gate.contacts import CONTACT_OPTIONS, ContactSettings, contact_settings, count_of, numbers_of
from drivers.gate.relay.line import Framing

__all__ = ["Flash", "RelaySettings", "settings_of"]

Flash: TypeAlias = Literal["waveshare", "none"]
_KNOWN = CONTACT_OPTIONS | {
    "unit", "framing", "coils", "inputs", "coil_in", "coil_out", "deny_coil", "deny_tenths", "active_low", "flash", "lease_tenths",
    "proof_coil", "watchdog_register", "watchdog_value", "poll_ms",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """A relay board and its wiring; numbers of coils and inputs count from 0, -1 = none.

    ``active_low``: coils that are energised at rest and dropped to act (a magnet lock, a turnstile released by loss of current).
    ``flash`` names how the board itself ends a pulse; ``lease_tenths`` is the longest time it is asked for at once, so that a
    long opening ends so soon after the edge died. ``proof_coil`` is pulsed once at each start to see that the board does end it.
    """

    contacts: ContactSettings
    unit: int = 1
    framing: Framing = "rtu"
    coils: int = 8
    inputs: int = 8
    coil_in: int = 0
    coil_out: int = -1
    deny_coil: int = -1
    deny_tenths: int = 5
    active_low: frozenset[int] = frozenset()
    flash: Flash = "waveshare"
    lease_tenths: int = 50
    proof_coil: int = -1
    watchdog_register: int = -1
    watchdog_value: int = 0
    poll_ms: int = 50

    def rest(self) -> list[bool]:
        """The safe state of every coil."""
        return [coil in self.active_low for coil in range(self.coils)]


def settings_of(options: Options, url: str) -> RelaySettings:
    """Read the options that `drivers.gate.relay.build` documents; raises `ConfigurationError` UNKNOWN_OPTION or BAD_OPTION."""
    if unknown := set(options) - _KNOWN:
        raise ConfigurationError("UNKNOWN_OPTION", f"a relay board has no option {', '.join(sorted(unknown))}")
    framing = str(options.get("framing", "tcp" if url.startswith("tcp:") else "rtu"))
    flash = str(options.get("flash", "waveshare"))
    if framing not in ("rtu", "tcp") or flash not in ("waveshare", "none"):
        raise ConfigurationError("BAD_OPTION", "framing is rtu or tcp, flash is waveshare or none")
    coils = count_of(options, "coils", 8, 1, 64)
    inputs = count_of(options, "inputs", 8, 0, 64)
    coil_in = count_of(options, "coil_in", 0, 0, coils - 1)
    others = {name: count_of(options, name, -1, -1, coils - 1) for name in ("coil_out", "deny_coil", "proof_coil")}
    if coil_in in others.values() or (
        others["coil_out"] >= 0 and others["coil_out"] in (others["deny_coil"], others["proof_coil"])
    ):
        raise ConfigurationError("BAD_OPTION", "a coil has two meanings; a gate's coil is neither lamp nor proof")
    return RelaySettings(
        contacts=contact_settings(options, inputs),
        unit=count_of(options, "unit", 1, 1, 247),
        framing=cast("Framing", framing),
        coils=coils,
        inputs=inputs,
        coil_in=coil_in,
        coil_out=others["coil_out"],
        deny_coil=others["deny_coil"],
        deny_tenths=count_of(options, "deny_tenths", 5, 1, 100),
        active_low=numbers_of(options, "active_low", coils),
        flash=cast("Flash", flash),
        lease_tenths=count_of(options, "lease_tenths", 50, 5, 600),
        proof_coil=others["proof_coil"] if others["proof_coil"] >= 0 else others["deny_coil"],
        watchdog_register=count_of(options, "watchdog_register", -1, -1, 0xFFFF),
        watchdog_value=count_of(options, "watchdog_value", 0, 0, 0xFFFF),
        poll_ms=count_of(options, "poll_ms", 50, 10, 1000),
    )
