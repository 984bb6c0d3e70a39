"""The branch's devices: each driver in a task of its own, what is known of it, and who hears its events.

A driver that fails takes only its own device down: it is told as offline and started again with growing pauses.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drivers.base import (
    Backoff,
    CardRead,
    ConfigurationError,
    DeviceEvent,
    DeviceState,
    Driver,
    DriverFactory,
    Gate,
    Pad,
    TagsOnPad,
    Tamper,
    load,
)
from edge.config import DeviceConfig

log = logging.getLogger(__name__)

EDGE_OPTIONS = frozenset({"reverse_bytes", "open_tenths", "direction"})
"""Options of a device that are the edge's business and are not passed to the driver."""

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
        self._tasks: list[asyncio.Task[None]] = []
        self.configs = {config.id: config for config in configs}
        self.records: dict[str, DeviceRecord] = {}
        self.drivers: dict[str, Driver] = {}
        for config in configs:
            self.records[config.id] = DeviceRecord(config.id, config.kind, since=now())
            self._build(config)

    def _build(self, config: DeviceConfig) -> None:
        options = {key: value for key, value in config.options.items() if key not in EDGE_OPTIONS}
        record = self.records[config.id]
        try:
            self.drivers[config.id] = self._factory(config.kind)(config.id, config.url, options)
        except ConfigurationError as error:
            # One wrong line must not close the branch: the device stays offline and says why.
            record.reason_code = error.code
            log.error("device %s cannot be used: %s", config.id, error)

    def listen(self, notice: Notice) -> None:
        """Hear every event of every device; called in the loop, must not block."""
        self._notices.append(notice)

    def start(self) -> None:
        """Start every driver that could be built."""
        for driver in self.drivers.values():
            task = asyncio.get_running_loop().create_task(self._serve(driver), name=f"device-{driver.device}")
            self._tasks.append(task)

    async def stop(self) -> None:
        """Stop every driver and wait for it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

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
            notice(event)

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

    def option(self, device: str, name: str, default: Any) -> Any:
        """An option of the edge's own for that device."""
        config = self.configs.get(device)
        return default if config is None else config.options.get(name, default)

    def public(self) -> dict[str, dict[str, Any]]:
        """Every record by id, as published."""
        return {record.id: record.public() for record in self.records.values()}
