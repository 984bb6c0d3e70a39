"""The branch agent: wires devices, decisions, outbox, replica, link, kiosks and HTTP, starts and stops them in order.

Start: what must not be lost first (outbox), then what is known (replica), then the link, then machines, then the doors of HTTP.
Stop is the way back and takes under 3 s. A part that fails degrades itself: no device can stop another, and nothing stops returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import FastAPI

from consortium.bundle import Policy
from consortium.events import Kind
from drivers.base import DriverFactory, load
from drivers.selfcheck import KioskSession, Sip2Server
from edge import views
from edge.asking import Asking
from edge.branchtags import BranchTags
from edge.cards import card_token
from edge.clock import EdgeClock
from edge.config import ConfigError, EdgeConfig
from edge.desk import Desk
from edge.devices import DeviceRecord, Devices
from edge.entrance import Entrance
from edge.facts import Facts
from edge.gatepages import COOKIE as GATE_COOKIE
from edge.gatepages import GateBoard, GatePages, mount_gates
from edge.gates import gates_of
from edge.http import make_app
from edge.ils.observe import DEVICE
from edge.kiosk.routes import kiosk_router, mount_kiosk
from edge.kiosk_lines import FIRST, server_of
from edge.link import SOFTWARE, Link, LinkState
from edge.metrics import Metrics
from edge.outbox import Draft, Outbox, OutboxLimits
from edge.overlay import Overlay
from edge.own_ils import OwnIls
from edge.passages import Passages
from edge.printing import Receipts
from edge.replica import Replica
from edge.selfservice.identify import Identifier
from edge.selfservice.pad import PadKiosk
from edge.selfservice.pin import PinDesk
from edge.selfservice.sip2 import Sip2Desk, Site
from edge.station.routes import COOKIE, StationPages, mount_station
from edge.trace import Pages, mount_trace
from edge.trace.access import Access
from edge.trace.kiosks import Kiosks, book_of

log = logging.getLogger(__name__)

TICK_S = 15.0
LINK_STOP_S = 1.5
LAST_WORDS_S = 0.8


class Agent:
    """One edge. ``start``, then ``app`` answers; ``stop`` ends it. ``factory`` finds the driver of a kind of device."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        uniform: Callable[[], float] = random.random,
        factory: Callable[[str], DriverFactory] = load,
    ) -> None:
        self.config = config
        self.metrics = Metrics(config.org)
        config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.clock = EdgeClock(path=config.data / "clock.json")
        self.started = self.clock.now()
        self.replica = Replica(config.data / "replica", self.clock, config.policy_trust)
        limits = OutboxLimits(
            max_rows=config.outbox.max_rows,
            archive_rows=config.outbox.archive_rows,
            archive_ms=config.outbox.archive_days * 86_400_000,
            max_file_mib=config.outbox.max_file_mib,
        )
        self.outbox = Outbox(config.data / "outbox.db", config.node, self.clock, limits=limits)
        self.overlay = Overlay(self.outbox, self.replica)
        self.facts = Facts(
            self.replica, self.overlay, self.clock, branch=config.branch, org=config.org, site_key=config.site_key
        )
        self.link = Link(config, self.outbox, self.replica, self.clock, self._link_changed)
        self.hub = Asking(self.link, self.metrics)
        self.desk = Desk(self.facts, self.replica, self.outbox, self.hub, now=self.clock.now)
        self.pins = PinDesk(self.outbox, config.branch)
        self.identifier = Identifier(self.facts, self.hub, self.pins, self.clock.now)
        self.devices = Devices(
            config.devices, now=self.clock.now, uniform=uniform, on_state=self._device_changed, factory=factory
        )
        self.passages = Passages(self.outbox, self.metrics, branch=config.branch)
        self.entrance = Entrance(
            self.facts, self.replica, self.outbox, self.hub, self.metrics, now=self.clock.now,
            token_of=partial(card_token, config.site_key), passages=self.passages,
        )  # fmt: skip
        self.tags = BranchTags(
            config, self.devices, self.desk, self.facts, self.outbox, self.metrics,
            policy=lambda: self.replica.policy, now=self.clock.now,
        )  # fmt: skip
        self.pads = self.tags.pads
        self.kiosk: PadKiosk | None = None
        self.sip2: Sip2Server | None = None
        self.sip2_at: tuple[str, int] | None = None
        self._sip2_desk: Sip2Desk | None = None
        self.own_ils: OwnIls | None = None
        self._zoned: tuple[Policy, tzinfo] | None = None
        self._kiosks: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._state_due = asyncio.Event()
        self.trace = book_of(config.accounts)
        self.running = False
        self.stopping = asyncio.Event()
        self.app = self._make_app()

    # --- wiring ---

    def _wall(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now() / 1000, self.zone())

    def zone(self) -> tzinfo:
        """The branch's zone; looked up anew with each policy, since it is asked several times a message."""
        policy = self.replica.policy
        if policy is None or self.config.branch not in policy.branches:
            return UTC
        if self._zoned is None or self._zoned[0] is not policy:
            self._zoned = (policy, ZoneInfo(policy.calendar_of(self.config.branch).tz))
        return self._zoned[1]

    def due_text(self, due_ms: int) -> str:
        """A due instant as readers see it: the day, in the branch's zone."""
        return f"{datetime.fromtimestamp(due_ms / 1000, self.zone()):%Y-%m-%d}"

    def _make_app(self) -> FastAPI:
        self.gates = gates_of(self)
        app = make_app(
            state=lambda: views.state(self),
            latency=lambda: views.latency(self),
            not_ready=lambda: views.not_ready(self),
            registry=self.metrics.registry,
            before_metrics=lambda: views.refresh_metrics(self),
        )
        first = self.tags.kiosk
        if first is not None:
            self.kiosk = PadKiosk(
                first,
                self.desk,
                self.identifier,
                self.metrics,
                notes=self.tags.notes,
                shown=self.tags.shown,
                online=lambda: not self.link.away,
                due_text=self.due_text,
            )
            named = self.devices.option(first.device, "printer", None)
            receipts = Receipts(
                lambda: self.devices.printer(named), names=self._names, wall=self._wall, metrics=self.metrics
            )
            mount_kiosk(
                app, kiosk_router(self.kiosk, names=self._names, stopping=self.stopping, receipts=receipts)
            )  # fmt: skip
        mount_trace(app, self._trace_pages())
        mount_station(app, self._station_pages())
        board = GateBoard(self.gates, org_names=self.desk.org_names)
        access = Access(self.config.trace_token, self.config.http_host, cookie=GATE_COOKIE)
        mount_gates(app, GatePages(board, access, self._names, self.stopping))
        return app

    def _station_pages(self) -> StationPages:
        access = Access(self.config.trace_token, self.config.http_host, cookie=COOKIE)
        return StationPages(self.tags.station, access, self._names, self.stopping)

    def _trace_pages(self) -> Pages:
        return Pages(
            self.trace,
            Kiosks(self.trace, self.config.accounts, lambda: self.sip2.public() if self.sip2 is not None else ()),
            Access(self.config.trace_token, self.config.http_host),
            SOFTWARE,
            self._names,
            self._wall,
            self.stopping,
        )

    def _names(self) -> dict[str, dict[str, str]]:
        unnamed = {"zh": self.config.branch, "en": self.config.branch}
        return {
            "library": self.desk.org_names(self.config.org) or {"zh": self.config.org, "en": self.config.org},
            "branch": self.desk.branch_names(self.config.branch) or unnamed,
        }

    # --- life ---

    async def start(self) -> None:
        """Start everything. Raises OutboxError, OSError (SIP2 port) and is then stopped again."""
        self.running = True
        try:
            await self.replica.start()
            await self.outbox.start()
            self.overlay.load(self.clock.now())
            await self._begin_ils()
            await self.link.start()
            self.gates.start()
            await self.tags.start()
            self.devices.start()
            await self._start_sip2()
            self._tasks = [
                asyncio.create_task(self._publish(), name="state"),
                asyncio.create_task(self._tick(), name="tick"),
            ]
            if self.config.ils is not None and self.own_ils is None:
                self._tasks.append(asyncio.create_task(self._ils_when_known(), name="ils"))
        except BaseException:
            await self.stop()
            raise

    # --- the library's own ILS ---

    async def _begin_ils(self) -> None:
        if self.config.ils is None:
            return
        self.devices.set_state(DEVICE, "ils", "offline", "STARTING", {})
        self.link.serve_ils(self._ask_ils, self._work_for_ils)
        if self.replica.policy is not None:
            await self._start_ils()

    async def _ils_when_known(self) -> None:
        """A new box does not know its zone, nor who is in charge, before its first replica."""
        while self.replica.policy is None:  # noqa: ASYNC110 - a replica tells nobody of its first policy, and this ends soon
            await asyncio.sleep(0.2)
        await self._start_ils()

    async def _start_ils(self) -> None:
        assert self.config.ils is not None
        own = OwnIls(
            self.config, self.config.ils, facts=self.facts, replica=self.replica, outbox=self.outbox, clock=self.clock,
            wall=self._wall, on_state=self._ils_changed,
        )  # fmt: skip
        await own.start()
        self.own_ils, self.desk.ils, self.identifier.ils = own, own.ils, own.ils

    def _ils_changed(self, state: str, reason: str, facts: Mapping[str, str | int]) -> None:
        self.devices.set_state(DEVICE, "ils", state, reason or "OK", facts)

    async def _ask_ils(self, name: str, data: Mapping[str, Any]) -> dict[str, Any]:
        return await self.own_ils.ils.ask(name, data) if self.own_ils is not None else {"found": None}

    async def _work_for_ils(self, data: Mapping[str, Any]) -> dict[str, Any]:
        if self.own_ils is None:
            return {"of": data.get("of"), "org": data.get("org"), "state": "failed", "code": "STARTING"}
        return await self.own_ils.ils.work(data)

    async def _start_sip2(self) -> None:
        configs = {account.user: account for account in self.config.accounts}
        site = Site(
            self.config.branch,
            lambda: frozenset(self.replica.policy.libraries) if self.replica.policy is not None else frozenset(),
            self._wall,
            self.due_text,
            self.clock.now,
            self.config.site_key,
        )
        self._sip2_desk = Sip2Desk(site, self.desk, self.identifier, configs, self.pads, self.metrics)
        for account in configs.values():
            self.devices.set_state(account.device, "kiosk", "offline", "NOT_CONNECTED", {})
        self.sip2 = server_of(
            self.config, self._sip2_desk, clock=self._wall, tracer=self.trace, on_presence=self._kiosk_presence
        )
        try:
            self.sip2_at = await self.sip2.start()
        except OSError as error:
            self.sip2 = None
            first = f"listener {FIRST})" in str(error)
            where = f"sip2.port: {self.config.sip2_host}:{self.config.sip2_port}" if first else "sip2.listeners: a port"
            raise ConfigError(
                "PORT_TAKEN",
                f"{where} cannot be used ({error.strerror}); stop what uses it or set another port (0 = any free one)",
            ) from error

    async def stop(self) -> None:
        """Stop everything; loans and returns under way are finished first. Safe to call twice."""
        if not self.running:
            return
        self.running = False
        self.stopping.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.sip2 is not None:
            await self.sip2.close()
        if self._sip2_desk is not None:
            await self._sip2_desk.close()
        if self.kiosk is not None:
            await self.kiosk.close()
        await self.entrance.close()
        await self.gates.stop()
        await self.tags.stop_writing()
        await asyncio.gather(self.devices.stop(), self._stop_link())
        # Until then a gate may have opened for somebody: that visit is in the file, and told after the next start.
        await self.gates.finish()
        self.pins.close()
        await self.tags.close()
        if self.own_ils is not None:
            await self.own_ils.stop()
        await self.outbox.close()
        await self.replica.close()

    async def _stop_link(self) -> None:
        """Stop the link within its time: a task that lost its cancellation (`asyncio.wait_for` before Python 3.12) gets another.

        What stopping itself wrote (visits that were open, counts of the period) gets a moment to reach the hub; it would not be lost.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                while self.outbox.depth and not self.link.away:  # noqa: ASYNC110 - bounded by the line above
                    await asyncio.sleep(0.02)
        try:
            async with asyncio.timeout(LINK_STOP_S):
                await self.link.stop()
        except TimeoutError:
            await self.link.stop()

    # --- what happens ---

    def _kiosk_presence(self, session: KioskSession, here: bool) -> None:
        assert self._sip2_desk is not None
        device = self._sip2_desk.device(session)
        n = self._kiosks[device] = max(0, self._kiosks.get(device, 0) + (1 if here else -1))
        state, reason = ("online", "OK") if n else ("offline", "NOT_CONNECTED")
        self.devices.set_state(device, "kiosk", state, reason, {"connections": n})

    def _device_changed(self, record: DeviceRecord, moved: bool) -> None:
        self._state_due.set()
        if not self.running or not moved:
            return
        data = {"state": record.state, "kind": record.kind, "reason": record.reason_code}
        self.outbox.append_nowait(Draft(Kind.DEVICE, self.config.branch, record.id, data))

    def _link_changed(self, state: LinkState) -> None:
        log.info("hub %s", "answers" if state.online else "is away" if state.connected else "is not reachable")
        if self.kiosk is not None:
            self.kiosk.changes.tell()

    async def _publish(self) -> None:
        """Tell the hub of every change of a device, several at once in one message."""
        while True:
            await self._state_due.wait()
            self._state_due.clear()
            await self.link.publish_state(self.devices.public())
            await asyncio.sleep(0.2)

    async def _tick(self) -> None:
        """The put-it-back queue and old sessions end by time, so the page is told now and then."""
        while True:
            await asyncio.sleep(TICK_S)
            self.tags.tick()
            if self.kiosk is not None:
                self.kiosk.sweep()
                self.kiosk.changes.tell()
