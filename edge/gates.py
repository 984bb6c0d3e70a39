"""The doors of one branch, wired together: gates, cardreaders beside them, security gates, people counters.

In ``edge.toml`` a cardreader that has no gate of its own names one (``gate = "turnstile1"``); everything else follows from what a
device's driver can do. `docs/connect-a-gate.md` draws the wirings.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from drivers.base import CardRead, DeviceEvent, Gate
from edge.cards import CardError, profile_of
from edge.counters import Counters
from edge.devices import FACE, Devices
from edge.easgate import GateAlarms
from edge.entrance import OPEN_TENTHS, CardSource, Entrance, GateSettings
from edge.passages import Passages
from edge.selfservice.shown import ROLE as KIOSK
from protocols.iso28560 import DEFAULT_AFI, AfiPair

if TYPE_CHECKING:
    from edge.agent import Agent

log = logging.getLogger(__name__)

_WAYS = ("IN", "OUT")


class OptionError(ValueError):
    """An option of a gate or cardreader that cannot be meant; ``code`` becomes the device's reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Gates:
    """Wires the branch's devices to the entrance, passages, counters and alarms, and runs what runs by time.

    ``pair``: the AFIs of the branch's pads, which its security gates go by unless their own options say otherwise.
    """

    def __init__(
        self,
        devices: Devices,
        entrance: Entrance,
        passages: Passages,
        counters: Counters,
        alarms: GateAlarms,
        *,
        pair: AfiPair = DEFAULT_AFI,
    ) -> None:
        self.devices = devices
        self.passages = passages
        self.counters = counters
        self.alarms = alarms
        self._entrance = entrance
        self._pair = pair
        self._task: asyncio.Task[None] | None = None
        for device in tuple(devices.drivers):
            try:
                self._wire(device)
            except (OptionError, CardError) as error:
                # One wrong line closes one gate, not the branch: the device says why.
                log.error("device %s cannot be used as it is configured: %s", device, error)
                devices.refuse(device, error.code)
        passages.listen(counters.passed)
        for hear in (self._card, passages.notice, counters.notice, alarms.notice):
            devices.listen(hear)

    def _card(self, event: DeviceEvent) -> None:
        if isinstance(event, CardRead):
            self._entrance.present(event)

    def _wire(self, device: str) -> None:
        options = self.devices.configs[device].options
        if options.get("role") == KIOSK:
            return  # what it reads is the kiosk's: nobody goes in by it
        driver = self.devices.drivers[device]
        gate = self.devices.gate(device)
        events = driver.capabilities.events
        at = options.get("gate")
        if at is not None:
            self._beside(device, str(at), options)
        elif gate is not None:
            self._gate(device, gate, options)
        if self.devices.security_gate(device) is not None:
            pair = _pair(options, self._pair)
            self.alarms.add(device, database_alarm=_flag(options, "database_alarm"), pair=pair)
        if "PeopleCounted" in events:
            compared = str(options.get("compared_with", ""))
            if compared and self.devices.gate(compared) is None:
                raise OptionError("BAD_OPTION", f"compared_with names {compared!r}, which is no gate")
            reset = _flag(options, "reset_at_midnight")
            self.counters.add(device, "counter", compared_with=compared, reset_at_midnight=reset)

    def _gate(self, device: str, gate: Gate, options: Mapping[str, Any]) -> None:
        tenths = options.get("open_tenths", OPEN_TENTHS)
        if not isinstance(tenths, int) or not 1 <= tenths <= 65_535:
            raise OptionError("BAD_OPTION", "open_tenths is 1 to 65535")
        settings = GateSettings(
            device, profile_of(options), tenths, _way(options, "direction") or "IN", _faces(options)
        )  # fmt: skip
        self._entrance.add(gate, settings)
        self.passages.add(device, confirms=gate.confirms_passage, free_exit=_flag(options, "free_exit"))
        if gate.confirms_passage:
            self.counters.add(device, "passages")

    def _beside(self, device: str, at: str, options: Mapping[str, Any]) -> None:
        beside = self.devices.configs.get(at)
        # A device that stands beside a gate is none, and so none stands beside itself.
        if beside is None or "gate" in beside.options or self.devices.gate(at) is None:
            raise OptionError("NO_SUCH_GATE", f"gate names {at!r}, which is no gate of this branch")
        driver = self.devices.drivers[device]
        if "CardRead" not in driver.capabilities.events:
            raise OptionError("BAD_OPTION", "only a cardreader can stand beside a gate")
        source = CardSource(device, at, profile_of(options), _way(options, "direction"), _faces(options), driver)
        self._entrance.attach(source)

    # --- life ---

    def start(self) -> None:
        """Begin to end periods; after the outbox has started."""
        self.counters.load()
        self._task = asyncio.get_running_loop().create_task(self.counters.run(), name="counters")

    async def stop(self) -> None:
        """Tell what was counted; before the outbox closes, after the entrance."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        await self.alarms.close()
        self.counters.close()

    async def finish(self) -> None:
        """Tell what the devices told while they were being stopped; after they have, before the outbox closes."""
        await self._entrance.close()
        await self.alarms.close()
        self.counters.finish()


def gates_of(agent: Agent) -> Gates:
    """The doors of an agent's branch, over what it already has."""
    counters = Counters(
        agent.outbox, agent.metrics, branch=agent.config.branch, now=agent.clock.now, zone=agent.zone,
        on_fact=agent.devices.fact, execute=agent.devices.execute,
    )  # fmt: skip
    alarms = GateAlarms(
        agent.desk, agent.tags.map.read, agent.outbox, agent.metrics, now=agent.clock.now, on_fact=agent.devices.fact
    )
    first = agent.tags.kiosk or next(iter(agent.tags.pads.values()), None)
    pair = first.pair if first is not None else DEFAULT_AFI
    return Gates(agent.devices, agent.entrance, agent.passages, counters, alarms, pair=pair)


def _flag(options: Mapping[str, Any], name: str) -> bool:
    value = options.get(name, False)
    if not isinstance(value, bool):
        raise OptionError("BAD_OPTION", f"{name} is true or false")
    return value


def _pair(options: Mapping[str, Any], usual: AfiPair) -> AfiPair:
    secured, on_loan = options.get("afi_secured", usual.secured), options.get("afi_on_loan", usual.on_loan)
    if any(type(afi) is not int or not 0 <= afi <= 0xFF for afi in (secured, on_loan)) or secured == on_loan:
        raise OptionError("BAD_OPTION", "afi_secured and afi_on_loan are two different numbers of 0 to 255")
    return AfiPair(secured, on_loan)


def _way(options: Mapping[str, Any], name: str) -> str:
    value = options.get(name, "")
    if value not in ("", *_WAYS):
        raise OptionError("BAD_OPTION", f"{name} is IN or OUT")
    return str(value)


def _faces(options: Mapping[str, Any]) -> dict[int, str]:
    return {int(found[1]): _way(options, name) for name in options if (found := FACE.fullmatch(name))}
