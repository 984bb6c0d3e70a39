"""The edge's clock: what time it is by the hub, how sure that is, and whether it may be trusted (domain §1, §6).

Time runs on the machine's monotonic clock from one anchor ("hub time when the monotonic clock read 0"), so a wall clock that someone
sets by hand moves nothing. The anchor is measured at every ``hello`` and survives a restart of the program within one boot.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

UNMEASURED_UNC_MS = 60_000
"""Uncertainty of a wall clock nobody compared with the hub."""

JUMP_MS = 60_000
"""Two measurements of one boot that differ by more are not believed until a third agrees (domain §6)."""

_DRIFT_PPM = 25  # about 2 s a day, the bound of domain §6; what the uncertainty grows by between measurements
_DRIFT_AFTER_MS = 3_600_000  # below an hour the noise of a measurement is larger than any drift
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Stamp:
    """The times of one event, ms; ``t_unc`` is the uncertainty of ``t_eff``, ``mono`` counts since boot ``boot``."""

    t_dev: int
    t_eff: int
    t_unc: int
    mono: int
    boot: str


@dataclass(frozen=True, slots=True)
class Ticks:
    """Where a clock reads from: wall time in ms UTC, ms since boot, and which boot that is."""

    wall_ms: Callable[[], int]
    mono_ms: Callable[[], int]
    boot: str


def machine_ticks() -> Ticks:
    """This machine's clocks. Monotonic time includes suspend where the system offers it."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    try:
        boot = _BOOT_ID.read_text().strip()[:36]
    except OSError:
        boot = secrets.token_hex(8)  # no boot id on this system: a restart of the program counts as a boot
    return Ticks(lambda: time.time_ns() // 1_000_000, lambda: time.clock_gettime_ns(clock) // 1_000_000, boot)


class EdgeClock:
    """Effective time of one edge. ``path`` keeps the anchor over a restart of the program; None keeps nothing."""

    def __init__(self, ticks: Ticks | None = None, path: Path | None = None) -> None:
        self._ticks = ticks or machine_ticks()
        self._path = path
        mono = self._ticks.mono_ms()
        self._anchor = self._ticks.wall_ms() - mono
        self._unc = UNMEASURED_UNC_MS
        self._measured_at: int | None = None
        self._last = 0
        self._doubt: int | None = None  # an anchor that came as a jump and waits for a second opinion
        self._restore(mono)

    @property
    def boot(self) -> str:
        """Which boot of the machine this is."""
        return self._ticks.boot

    def mono(self) -> int:
        """Milliseconds since boot; never goes back."""
        return self._ticks.mono_ms()

    def now(self) -> int:
        """Best estimate of hub time, ms UTC: the ``now`` of every decision."""
        return self._ticks.mono_ms() + self._anchor

    @property
    def offset_ms(self) -> int:
        """Hub time less the device's wall clock, as now known."""
        return self.now() - self._ticks.wall_ms()

    @property
    def measured(self) -> bool:
        """Whether the hub's time was ever heard in this boot."""
        return self._measured_at is not None

    @property
    def trusted(self) -> bool:
        """Whether partners may be lent to by this clock: measured in this boot, no unexplained jump, no drift above 2 s a day."""
        return self._measured_at is not None and self._doubt is None

    def uncertainty_ms(self) -> int:
        """How far ``now`` may be off: half the round trip of the last measurement, growing by 25 ppm since."""
        if self._measured_at is None:
            return self._unc
        grown = (self._ticks.mono_ms() - self._measured_at) * _DRIFT_PPM // 1_000_000
        doubt = abs(self._doubt - self._anchor) if self._doubt is not None else 0
        return self._unc + grown + doubt

    def stamp(self, t_eff: int | None = None) -> Stamp:
        """The times of an event that happens now, or happened at ``t_eff`` by this clock (a drop box emptied later).

        Effective time never goes back within a boot, even when a measurement corrects the clock backwards; ``t_unc`` then tells
        how far it is off.
        """
        mono = self._ticks.mono_ms()
        estimate = mono + self._anchor if t_eff is None else t_eff
        unc = self.uncertainty_ms()
        effective = estimate
        if t_eff is None:
            effective = self._last = max(self._last, estimate)
        return Stamp(self._ticks.wall_ms(), effective, unc + effective - estimate, mono, self._ticks.boot)

    def measure(self, hub_ms: int, sent_mono: int, received_mono: int) -> None:
        """Take the hub's time from an answer: ``hub_ms`` was read between the two monotonic instants.

        A measurement that is less sure than what the last one has become (it grows by drift) changes nothing.
        """
        half = max(0, received_mono - sent_mono) // 2
        anchor = hub_ms - (sent_mono + half)
        unc = half + 1
        if self._measured_at is not None and self._is_jump(anchor, unc, received_mono):
            agreed = self._doubt is not None and abs(anchor - self._doubt) <= 1_000 + unc
            if not agreed:
                self._doubt = anchor
                return
        if self._measured_at is not None and self._doubt is None and unc > self.uncertainty_ms():
            return  # what is known is still surer than this
        self._doubt = None
        self._anchor, self._unc, self._measured_at = anchor, unc, received_mono
        self._save()

    def _is_jump(self, anchor: int, unc: int, mono: int) -> bool:
        assert self._measured_at is not None
        moved = abs(anchor - self._anchor)
        if moved > JUMP_MS:
            return True
        elapsed = mono - self._measured_at
        return elapsed >= _DRIFT_AFTER_MS and moved > unc + self._unc + elapsed * _DRIFT_PPM // 1_000_000

    def _restore(self, mono: int) -> None:
        if self._path is None:
            return
        try:
            kept = json.loads(self._path.read_text())
            boot, anchor, unc, at, last = (kept[name] for name in ("boot", "anchor", "unc", "at", "last"))
        except (OSError, ValueError, KeyError, TypeError):
            return  # no anchor yet, or a torn file: the next hello measures again
        if boot == self._ticks.boot and all(isinstance(v, int) for v in (anchor, unc, at, last)) and at <= mono:
            self._anchor, self._unc, self._measured_at, self._last = anchor, unc, at, last

    def _save(self) -> None:
        if self._path is None:
            return
        kept = {
            "boot": self._ticks.boot,
            "anchor": self._anchor,
            "unc": self._unc,
            "at": self._measured_at,
            "last": self._last,
        }
        beside = self._path.with_suffix(".new")
        try:
            beside.write_text(json.dumps(kept))
            os.replace(beside, self._path)
        except OSError:
            beside.unlink(missing_ok=True)  # a full disk costs the anchor after a restart, nothing now
