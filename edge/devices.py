"""The branch's devices: each driver in a task of its own, what is known of it, and who hears its events.

A driver that fails takes only its own device down: it is told as offline and started again with growing pauses, or at once by
`Devices.restart`. Libraries that block run where their driver put them (`Capabilities.isolation`), never in the loop.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drivers.base import (
    Backoff,
    CardRead,
    Command,
    ConfigurationError,
    DeviceEvent,
    DeviceOffline,
    DeviceRefused,
    DeviceState,
    Driver,
    DriverFactory,
    Gate,
    Pad,
    Printer,
    SecurityGate,
    TagsOnPad,
    Tamper,
    load,
)
from edge.config import DeviceConfig

log = logging.getLogger(__name__)

EDGE_OPTIONS = frozenset(
    {
        "reverse_bytes", "card", "open_tenths", "direction", "gate", "free_exit", "compared_with", "reset_at_midnight",
        "database_alarm", "printer", "role",
    }
)  # fmt: skip
"""Options of a device that are the edge's business and are not passed to the driver; ``direction_0`` and so on are too."""

AFI_OPTIONS = frozenset({"afi_secured", "afi_on_loan"})
"""The site's AFI pair: the edge's business at pads and security gates, and the driver's as well where it knows these options."""

_SHOWN_ALREADY = frozenset({"state", "reason_code"})
"""What a driver says of itself and its record says as well."""

FACE = re.compile(r"direction_(\d{1,2})")
"""An option that names the way of one face of a cardreader."""

HEALTH_S = 15.0
STOP_S = 3.0
"""Seconds a driver has to let go of its device when it is stopped or started again."""

PUBLISHED = ("firmware", "temperature", "bad_frames", "timeouts", "last_frame_ms", "isolation")
"""Health that is told to the hub; all of it stands on the edge's own pages. One message carries all devices of a branch."""

_MOST_HEALTH = 40
_MOST_TEXT = 64

Notice = Callable[[DeviceEvent], None]


@dataclass(slots=True)
class DeviceRecord:
    """What is known of one device; ``since`` ms UTC of its present state, ``seen`` of its last sign of life."""

    id: str
    kind: str
    state: str = "offline"
    reason_code: str = "STARTING"
    since: int = 0
    seen: int = 0
    facts: dict[str, str | int] = field(default_factory=dict)
    restarts: int = 0
    health: dict[str, str | int] = field(default_factory=dict)

    def public(self) -> dict[str, Any]:
        """The record as it is published: no secrets, no numbers of readers."""
        return {
            "kind": self.kind,
            "state": self.state,
            "reason_code": self.reason_code,
            "since": self.since,
            "facts": dict(self.facts),
        }


class Devices:
    """Starts, watches and restarts drivers; knows every device's state, also of kiosks that connect to us.

    ``now`` gives ms UTC, ``uniform`` a number in 0..1. ``on_state`` hears a record after each change, and whether its
    state (not only a fact) changed.
    ``factory`` finds the driver of a kind.
    """

    def __init__(
        self,
        configs: Sequence[DeviceConfig],
        *,
        now: Callable[[], int],
        uniform: Callable[[], float],
        on_state: Callable[[DeviceRecord, bool], None],
        factory: Callable[[str], DriverFactory] = load,
    ) -> None:
        self._now = now
        self._uniform = uniform
        self._on_state = on_state
        self._factory = factory
        self._notices: list[Notice] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._restarting: set[str] = set()
        self._stopping = False
        self._watching: asyncio.Task[None] | None = None
        self.configs = {config.id: config for config in configs}
        self.records: dict[str, DeviceRecord] = {}
        self.drivers: dict[str, Driver] = {}
        for config in configs:
            self.records[config.id] = DeviceRecord(config.id, config.kind, since=now())
            self._build(config)

    def _build(self, config: DeviceConfig) -> None:
        ours = {key for key in config.options if key in EDGE_OPTIONS or FACE.fullmatch(key)}
        options = {key: value for key, value in config.options.items() if key not in ours}
        record = self.records[config.id]
        try:
            self.drivers[config.id] = self._made(config, options)
        except ConfigurationError as error:
            # One wrong line must not close the branch: the device stays offline and says why.
            record.reason_code = error.code
            log.error("device %s cannot be used: %s", config.id, error)

    def _made(self, config: DeviceConfig, options: dict[str, Any]) -> Driver:
        build = self._factory(config.kind)
        try:
            return build(config.id, config.url, options)
        except ConfigurationError as error:
            fewer = {key: value for key, value in options.items() if key not in AFI_OPTIONS}
            if error.code != "UNKNOWN_OPTION" or len(fewer) == len(options):
                raise
            # A gate that tells no AFI has no use for the pair: the edge judges by it.
            driver = build(config.id, config.url, fewer)
            if not isinstance(driver, Pad) and "TagPassed" not in driver.capabilities.events:
                raise
            return driver

    def refuse(self, device: str, reason_code: str) -> None:
        """Leave a device out, before ``start``: its configuration cannot be used."""
        self.drivers.pop(device, None)
        self.records[device].reason_code = reason_code

    def listen(self, notice: Notice) -> None:
        """Hear every event of every device; called in the loop, must not block."""
        self._notices.append(notice)

    def start(self) -> None:
        """Start every driver that could be built."""
        for driver in self.drivers.values():
            self._begin(driver)
        self._watching = asyncio.get_running_loop().create_task(self._watch(), name="device health")

    def _begin(self, driver: Driver) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(driver), name=f"device-{driver.device}")
        self._tasks[driver.device] = task

    async def stop(self) -> None:
        """Stop every driver and wait for it; one that does not let go within `STOP_S` is left behind and told."""
        self._stopping = True
        tasks = list(self._tasks.values())
        if self._watching is not None:
            tasks.append(self._watching)
        for task in tasks:
            task.cancel()
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=STOP_S)
            for task in stuck:
                log.error("%s does not stop", task.get_name())
        self._tasks.clear()

    async def restart(self, device: str) -> None:
        """Stop one device's driver and start it again; the others are not touched.

        Raises DeviceOffline NOT_CONFIGURED (there is no driver of that id), BUSY (it is being restarted), STOPPING (the edge stops),
        STUCK (it does not let go: it is told as offline, and starts again by itself once it has).
        """
        driver, task = self.drivers.get(device), self._tasks.get(device)
        if driver is None or task is None:
            raise DeviceOffline("NOT_CONFIGURED", "there is no such device, or its configuration is wrong")
        if device in self._restarting:
            raise DeviceOffline("BUSY", "the device is being restarted")
        if self._stopping:
            raise DeviceOffline("STOPPING", "the edge is being stopped")
        self._restarting.add(device)
        try:
            task.cancel()  # again where it is pressed again: a cancellation can get lost (`asyncio.wait_for` before Python 3.12)
            _, stuck = await asyncio.wait({task}, timeout=STOP_S)
            if stuck:
                self.set_state(device, self.records[device].kind, "offline", "STUCK", {})
                task.add_done_callback(lambda ended: self._again(driver, ended))
                raise DeviceOffline("STUCK", "the driver does not let go of its device; restart the edge")
            self._again(driver, task)
        finally:
            self._restarting.discard(device)

    def _again(self, driver: Driver, ended: asyncio.Task[None]) -> None:
        """Begin anew what has ended, once: whoever waited for it and whoever pressed again may both come here."""
        if self._stopping or self._tasks.get(driver.device) is not ended:
            return
        self.records[driver.device].restarts += 1
        self.set_state(driver.device, driver.kind, "offline", "RESTARTING", {})
        self._begin(driver)

    async def execute(self, device: str, command: Command) -> None:
        """Give a device a command; raises DeviceRefused NOT_SUPPORTED where it takes none of that kind, else as its driver does."""
        driver = self.drivers.get(device)
        takes = isinstance(driver, Gate | SecurityGate) and type(command).__name__ in driver.capabilities.commands
        if not takes:
            raise DeviceRefused("NOT_SUPPORTED", "the device takes no such command")
        assert isinstance(driver, Gate | SecurityGate)
        await driver.execute(command)

    # --- health ---

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(HEALTH_S)
            self.look()

    def look(self) -> None:
        """Ask every driver how it is: all of it for the edge's pages, a few facts for the hub."""
        for device, driver in self.drivers.items():
            record = self.records[device]
            try:
                told = dict(driver.health())
            except Exception as error:  # a driver of others: what it says of itself must not end this for the rest
                log.error("driver of %s does not say how it is: %s", device, type(error).__name__)
                continue
            record.health = _bounded({name: fact for name, fact in told.items() if name not in _SHOWN_ALREADY})
            record.health["isolation"] = driver.capabilities.isolation
            facts = {name: record.health[name] for name in PUBLISHED if name in record.health}
            if any(record.facts.get(name) != value for name, value in facts.items()):
                record.facts.update(facts)
                self._on_state(record, False)

    # --- one driver ---

    async def _serve(self, driver: Driver) -> None:
        backoff = Backoff(self._uniform, first_s=0.5, most_s=30.0)
        record = self.records[driver.device]
        while True:
            started = time.monotonic()
            try:
                await driver.run(self._emit)
                reason = "DRIVER_ENDED"
            except asyncio.CancelledError:
                raise
            except Exception as error:  # the driver's outer edge: the other devices go on
                log.error("driver of %s failed: %s: %s", driver.device, type(error).__name__, error)
                reason = "DRIVER_FAILED"
            if time.monotonic() - started > 60:
                backoff.reset()
            record.restarts += 1
            self.set_state(driver.device, driver.kind, "offline", reason, {})
            await asyncio.sleep(backoff.next_s())

    def _emit(self, event: DeviceEvent) -> None:
        record = self.records[event.device]
        record.seen = self._now()
        if isinstance(event, DeviceState):
            self.set_state(event.device, record.kind, event.state, event.reason_code, event.facts)
        elif isinstance(event, Tamper):
            self._fact(record, "tamper", int(event.active))
        elif isinstance(event, TagsOnPad):
            record.facts["tags"] = len(event.tags)
        elif isinstance(event, CardRead):
            record.facts["reads"] = int(record.facts.get("reads", 0)) + 1
        for notice in self._notices:
            try:
                notice(event)
            except Exception:  # a hearer's outer edge: what one of ours gets wrong is not the device's fault
                log.exception("an event of %s was not served", event.device)

    def fact(self, device: str, name: str, value: str | int) -> None:
        """Note a fact that somebody else found out about a device."""
        record = self.records.get(device)
        if record is not None:
            self._fact(record, name, value)

    def _fact(self, record: DeviceRecord, name: str, value: str | int) -> None:
        if record.facts.get(name) != value:
            record.facts[name] = value
            self._on_state(record, False)

    def set_state(self, device: str, kind: str, state: str, reason_code: str, facts: Mapping[str, str | int]) -> None:
        """Note a device's state; also for kiosks, which have no driver of ours. Tells ``on_state`` where it changed."""
        now = self._now()
        record = self.records.setdefault(device, DeviceRecord(device, kind))
        record.seen = now
        changed = (record.state, record.reason_code) != (state, reason_code) or record.since == 0
        told = changed or any(record.facts.get(name) != value for name, value in facts.items())
        if changed:
            record.state, record.reason_code, record.since = state, reason_code, now
        record.facts.update(facts)
        if told:
            self._on_state(record, changed)

    def pad(self, device: str) -> Pad | None:
        """The pad of that id, None where it is no pad."""
        driver = self.drivers.get(device)
        return driver if isinstance(driver, Pad) else None

    def gate(self, device: str) -> Gate | None:
        """The gate of that id, None where it is no gate."""
        driver = self.drivers.get(device)
        return driver if isinstance(driver, Gate) else None

    def security_gate(self, device: str) -> SecurityGate | None:
        """The security gate of that id, None where it is none."""
        driver = self.drivers.get(device)
        if driver is None or "TagPassed" not in driver.capabilities.events:
            return None
        return driver if isinstance(driver, SecurityGate) else None

    def printer(self, device: str | None) -> Printer | None:
        """The printer of that id, or the branch's first one; None where there is none."""
        drivers = self.drivers.values() if device is None else filter(None, [self.drivers.get(device)])
        return next((driver for driver in drivers if isinstance(driver, Printer)), None)

    def option(self, device: str, name: str, default: Any) -> Any:
        """An option of the edge's own for that device."""
        config = self.configs.get(device)
        return default if config is None else config.options.get(name, default)

    def public(self) -> dict[str, dict[str, Any]]:
        """Every record by id, as published."""
        return {record.id: record.public() for record in self.records.values()}


def _bounded(told: Mapping[str, Any]) -> dict[str, str | int]:
    """What a driver says of itself, made small: facts of a device travel and stay in memory."""
    kept: dict[str, str | int] = {}
    for name, value in list(told.items())[:_MOST_HEALTH]:
        if isinstance(value, int):
            kept[str(name)[:_MOST_TEXT]] = int(value)
        elif isinstance(value, str):
            kept[str(name)[:_MOST_TEXT]] = value[:_MOST_TEXT]
    return kept
