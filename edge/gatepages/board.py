"""What the gate page shows, and what can be pressed on it. No reader and no card stands here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from drivers.base import Command, DriverError, ResetCounter, SetAlarm
from edge.devices import Devices
from edge.easgate import GateAlarms
from edge.gates import Gates

SHOWN = 50
"""Newest alarms and notes in one view."""

COMMANDS: Mapping[str, Command] = {
    "alarm_on": SetAlarm(True),
    "alarm_off": SetAlarm(False),
    "reset_counter": ResetCounter(),
}
"""What may be pressed beside ``restart``: every command of the drivers that opens nothing."""

RESTART = "restart"


class PressRefused(Exception):
    """What was pressed was not done; ``code`` is the device's own, ``status`` HTTP's."""

    def __init__(self, code: str, status: int = 409) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


class GateBoard:
    """The view of one branch's gates. ``org_names`` gives a library's names {zh, en}, None where it is no member."""

    def __init__(self, gates: Gates, *, org_names: Callable[[str], Mapping[str, str] | None]) -> None:
        self._devices: Devices = gates.devices
        self._gates = gates
        self._org_names = org_names

    @property
    def alarms(self) -> GateAlarms:
        """Where alarms come from, and who wakes when one does."""
        return self._gates.alarms

    def view(self) -> dict[str, Any]:
        """Every device with its counts, and the newest alarms and notes, newest first."""
        counts = self._gates.counters.public()
        notes = [
            {**asdict(note), "owner_name": self._org_names(note.owner) if note.owner else None}
            for note in list(self._gates.alarms.notes)[-SHOWN:][::-1]
        ]
        devices = [
            {
                "id": record.id,
                "kind": record.kind,
                "state": record.state,
                "reason_code": record.reason_code,
                "since": record.since,
                "facts": dict(record.facts),
                "health": dict(record.health),
                "restarts": record.restarts,
                "counts": counts.get(record.id),
                "can": self._can(record.id),
            }
            for record in sorted(self._devices.records.values(), key=lambda one: one.id)
        ]
        return {"devices": devices, "notes": notes}

    def _can(self, device: str) -> list[str]:
        driver = self._devices.drivers.get(device)
        if driver is None:
            return []
        taken = driver.capabilities.commands
        return [name for name, command in COMMANDS.items() if type(command).__name__ in taken] + [RESTART]

    async def press(self, device: str, what: str) -> None:
        """Do what was pressed; raises PressRefused."""
        if what not in self._can(device):
            raise PressRefused("NOT_SUPPORTED", 404 if device not in self._devices.records else 409)
        try:
            if what == RESTART:
                await self._devices.restart(device)
            else:
                await self._devices.execute(device, COMMANDS[what])
        except DriverError as error:
            raise PressRefused(error.code, 503 if error.retry else 409) from error
        if what in ("alarm_on", "alarm_off"):
            self._devices.fact(device, "alarm", "on" if what == "alarm_on" else "off")
        for stream in self._gates.alarms.changed:
            stream.set()
