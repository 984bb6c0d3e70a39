"""The link to the hub: birth, hello, upload, replica, and questions with a deadline.

Every connection begins with the birth (retained state) and a hello, in which both sides say what they hold; only then are events
sent. A question that is not answered in its time makes the hub *away*: questions fail at once, so that nobody stands at a kiosk
waiting for a timeout, until a hello, tried every 2 s, is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

from bus import Answerer, BusError, Incoming, LinkDown, RequestRefused, RequestTimeout, Session, Transport
from bus.ask import AskHandler, WorkHandler
from bus.rpc import Requester
from edge.clock import EdgeClock
from edge.config import EdgeConfig
from edge.follow import Follower
from edge.outbox import Outbox, OutboxError
from edge.replica import Replica
from edge.upload import Upload
from protocols.bus import (
    Envelope,
    Kind,
    LocalProtocolError,
    ProtocolError,
    State,
    decode,
    encode,
    message_type,
    rfc3339,
    topics,
)  # fmt: skip

_log = logging.getLogger(__name__)
_YEAR_MS = 366 * 86_400_000

try:
    SOFTWARE = version("tongjie")
except PackageNotFoundError:
    SOFTWARE = "0"


class Away(Exception):
    """The hub cannot be asked now: decide locally under the offline rules."""

    code: ClassVar[str] = "LINK_AWAY"
    retry: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class LinkState:
    """How the link stands: ``connected`` to the broker; ``online``: the hub answers. ``since_ms`` by the edge's clock."""

    connected: bool
    online: bool
    since_ms: int


SHARP_MS = 20
"""Clock uncertainty, ms, that needs no further hello."""

SHARPEN_MOST = 5
"""Hellos in a row to measure the clock better; a slow line stays a slow line."""


@dataclass(frozen=True, slots=True)
class LinkTimes:
    """Seconds between tries and repeats."""

    probe_s: float = 2.0
    hello_timeout_s: float = 2.0
    greet_again_s: float = 600.0
    state_every_s: float = 10.0
    resend_after_s: float = 10.0


class Link:
    """One edge's link. ``start`` returns at once and keeps trying; ``stop`` takes under 3 s. ``on_state`` hears every change."""

    def __init__(
        self,
        config: EdgeConfig,
        outbox: Outbox,
        replica: Replica,
        clock: EdgeClock,
        on_state: Callable[[LinkState], None] | None = None,
        *,
        times: LinkTimes | None = None,
    ) -> None:
        self._config = config
        self._node = config.node
        self._outbox = outbox
        self._replica = replica
        self._clock = clock
        self._on_state = on_state
        self._times = times or LinkTimes()
        self._devices: Mapping[str, Any] = {}
        self._online = False
        self._connected = False
        self._since = clock.now()
        self._greeting = asyncio.Lock()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        will = (topics.state(self._node), self._state_message(online=False), True)
        self._transport = Transport(config.broker_url, self._node, will=will)
        self._requester = Requester(self._transport, self._node, clock=clock.now)
        self.upload = Upload(
            self._transport, outbox, clock, disagree=self._doubt, resend_after_s=self._times.resend_after_s
        )
        self.follower = Follower(config, replica, self.greet)
        self._answerer: Answerer | None = None
        self._sharpened = 0
        self._quiet_until = 0.0
        self.asked = 0
        self.timeouts = 0
        self.malformed = 0

    # --- life ---

    def serve_ils(self, ask: AskHandler, work: WorkHandler) -> None:
        """Answer the hub's questions to this branch's ILS, and take its jobs; before ``start``."""
        self._answerer = Answerer(self._transport, self._node, ask, work, clock=self._clock.now)

    async def start(self) -> None:
        """Begin to connect and keep at it."""
        self._transport.on_connect(self._came_up)
        self._transport.on_disconnect(self._went_down)
        await self._requester.start()
        await self._transport.subscribe(topics.ack(self._node), self._on_ack)
        await self._transport.subscribe(f"{topics.ROOT}/{self._node}/replica/+", self._on_replica)
        if self._answerer is not None:
            await self._answerer.start()
        tasks = {"hello": self._keep_greeted, "upload": self.upload.run, "replica": self.follower.run}
        for name, work in {**tasks, "state": self._keep_stated}.items():
            self._tasks.append(asyncio.create_task(self._guard(name, work), name=f"link {name}"))
        self._transport.start()

    async def _guard(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception:  # outer edge of a task: the others go on, and this one begins again
                _log.exception("link: the %s task failed; it begins again", name)
            await asyncio.sleep(1.0)

    async def stop(self) -> None:
        """Say that we go (the broker publishes no will after a clean DISCONNECT), and end. Safe to call twice."""
        tasks, self._tasks = set(self._tasks), []
        while tasks:
            for task in tasks:
                task.cancel()
            # Again and again: a wait_for below us may swallow a cancellation that comes together with what it waits for.
            _, tasks = await asyncio.wait(tasks, timeout=0.2)
        if self._transport.connected:
            try:
                async with asyncio.timeout(1.0):
                    await self._transport.publish(
                        topics.state(self._node), self._state_message(online=False), retain=True
                    )
            except (BusError, TimeoutError):
                _log.info("link: the broker did not hear that we go")
        await self._transport.close()
        self._set(connected=False, online=False)

    # --- how it stands ---

    @property
    def online(self) -> bool:
        """Whether the hub answers."""
        return self._online

    @property
    def away(self) -> bool:
        """Whether questions fail at once."""
        return not self._online

    @property
    def state(self) -> LinkState:
        """How the link stands."""
        return LinkState(self._connected, self._online, self._since)

    def _set(self, *, connected: bool, online: bool) -> None:
        if (connected, online) == (self._connected, self._online):
            return
        self._connected, self._online, self._since = connected, online, self._clock.now()
        if self._on_state is not None:
            self._on_state(self.state)

    async def _came_up(self, session: Session) -> None:
        self._set(connected=True, online=False)
        await self._say_state()
        self._wake.set()

    def _went_down(self, reason: LinkDown) -> None:
        self.upload.pause()
        self._set(connected=False, online=False)

    def _doubt(self) -> None:
        """An ack does not fit our history: stop sending until a hello settles it."""
        self.upload.pause()
        self._set(connected=self._connected, online=False)
        self._wake.set()

    # --- questions ---

    async def ask(self, name: str, data: Mapping[str, Any], timeout_s: float = 0.8) -> dict[str, Any]:
        """Ask the hub; gives the data of its answer.

        Raises Away at once while the hub is away, and where no answer comes in ``timeout_s``; RequestRefused where the hub says no.
        """
        if not self._online:
            raise Away
        self.asked += 1
        deadline = self._clock.now() + int(timeout_s * 1000)
        try:
            return await self._requester.request(name, data, deadline_ms=deadline, timeout_s=timeout_s)
        except RequestRefused:
            raise
        except BusError as error:
            self.timeouts += 1
            if isinstance(error, RequestTimeout):
                # A hub that lets a reader wait is left alone for a while, even if it would answer a hello at once.
                self._quiet_until = asyncio.get_running_loop().time() + self._times.probe_s
            self._set(connected=self._connected, online=False)
            self._wake.set()
            raise Away from error

    # --- hello ---

    async def greet(self) -> Mapping[str, Any] | None:
        """Say hello and settle what both sides hold; gives the hub's reply, or None where it did not answer."""
        async with self._greeting:
            answer = await self._hello() if self._transport.connected else None
            connected = self._transport.connected
            self._set(connected=connected, online=connected and answer is not None)
            return answer

    async def _hello(self) -> Mapping[str, Any] | None:
        acked, epoch = self._outbox.acked_seq, self._outbox.epoch
        data = {
            "epoch": epoch,
            "acked": acked,
            "chain": self._outbox.hash_at(acked),
            "next_seq": self._outbox.last_seq + 1,
            "replica": {"generation": self._replica.generation, "version": self._replica.version},
            "t": self._clock.now(),
            "sw": SOFTWARE,
        }
        sent = self._clock.mono()
        try:
            # No deadline by the hub's clock: ours may be hours off until this very answer; the message expires by itself.
            answer = await self._requester.request(
                "hello", data, deadline_ms=self._clock.now() + _YEAR_MS, timeout_s=self._times.hello_timeout_s
            )
            received = self._clock.mono()
            await self._settle(answer, epoch, acked, sent, received)
        except RequestRefused as refusal:
            _log.error("link: the hub refuses our hello (%s)", refusal.reply_code)
            return None
        except BusError:
            return None
        except (KeyError, TypeError, ValueError, ProtocolError):
            self.malformed += 1
            _log.error("link: the hub's answer to hello cannot be read")
            return None
        except OutboxError as error:
            _log.error("link: the outbox cannot follow the hub (%s)", error.code)
            return None
        return answer

    async def _settle(self, answer: Mapping[str, Any], epoch: str, acked: int, sent: int, received: int) -> None:
        upto, hub_chain, hub_time = int(answer["upto"]), answer["chain"], int(answer["t"])
        self._clock.measure(hub_time, sent, received)
        outbox = self._outbox
        if epoch != outbox.epoch:
            return  # it changed meanwhile; the next hello speaks of the new one
        ours = outbox.hash_at(upto) if upto <= outbox.last_seq else ""
        if not answer["epoch_ok"] or (ours is not None and ours != hub_chain):
            fresh = await outbox.begin_epoch(min(acked, upto) if answer["epoch_ok"] else acked)
            _log.error("link: our history and the hub's disagree at %s/%d; new epoch %s", epoch, upto, fresh)
            self.upload.open(0)
            await self._say_state()
        elif upto < acked:
            _log.warning("link: the hub holds less than it acked (%d of %d); sending the rest again", upto, acked)
            if not await outbox.rewind(upto):
                fresh = await outbox.begin_epoch(upto)
                _log.error("link: the hub lacks events that left our archive; new epoch %s", fresh)
            self.upload.open(outbox.acked_seq)
        else:
            outbox.acked(epoch, upto)
            if not self.upload.is_open:
                self.upload.open(outbox.acked_seq)

    async def _keep_greeted(self) -> None:
        while True:
            self._wake.clear()
            if (rest_s := self._quiet_until - asyncio.get_running_loop().time()) > 0:
                await asyncio.sleep(rest_s)
            if self._transport.connected:
                answer = await self.greet()
                if answer is not None:
                    self._follow(answer)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()
            await asyncio.sleep(0.05)  # doubts in a row must not become a storm

    def _pause_s(self) -> float:
        """Until the next hello: soon while the hub is away, or while the clock may still be measured better."""
        if not self._online:
            return self._times.probe_s
        if self._sharpened < SHARPEN_MOST and self._clock.uncertainty_ms() > SHARP_MS:
            # The first answer comes from a hub that is busy greeting; a later one travels faster and tells the time better.
            self._sharpened += 1
            return self._times.probe_s
        self._sharpened = 0
        return self._times.greet_again_s

    def _follow(self, answer: Mapping[str, Any]) -> None:
        manifest = answer.get("manifest")
        held = (self._replica.generation, self._replica.version)
        if isinstance(manifest, dict):
            self.follower.push("manifest", manifest)
        elif (answer.get("generation"), answer.get("version")) != held:
            _log.info("link: the hub is at another version and names no snapshot; the next delta will tell")

    # --- what comes ---

    def _data(self, incoming: Incoming) -> dict[str, Any] | None:
        incoming.ack()
        try:
            return decode(incoming.payload).data
        except ProtocolError as error:
            self.malformed += 1
            _log.warning("link: a message on %s cannot be read (%s)", topics.parse(incoming.topic).kind, error.code)
            return None

    def _on_ack(self, incoming: Incoming) -> None:
        data = self._data(incoming)
        if data is None:
            return
        try:
            self.upload.on_ack(data)
        except ProtocolError:
            self.malformed += 1

    def _on_replica(self, incoming: Incoming) -> None:
        data = self._data(incoming)
        name = topics.parse(incoming.topic).name
        if data is not None and name is not None:
            self.follower.push(name, data)

    # --- birth ---

    async def publish_state(self, devices: Mapping[str, Any]) -> None:
        """Tell the hub how the devices are: ``{id: {"kind", "state", "since", "facts"}}``. Kept and repeated every 10 s."""
        self._devices = devices
        if self._transport.connected:
            await self._say_state()

    async def _keep_stated(self) -> None:
        while True:
            await asyncio.sleep(self._times.state_every_s)
            if self._transport.connected:
                await self._say_state()

    async def _say_state(self) -> None:
        try:
            await self._transport.publish(topics.state(self._node), self._state_message(online=True), retain=True)
        except BusError as error:
            _log.info("link: state not said (%s); it is repeated", error.code)

    def _state_message(self, *, online: bool) -> bytes:
        now = self._clock.now()
        state = State(online, self._outbox.epoch or None, SOFTWARE, self._devices if online else None)
        envelope = Envelope(
            id=f"state-{self._clock.boot}-{self._clock.mono()}",
            source=self._node,
            type=message_type(Kind.STATE),
            time=rfc3339(now),
            data={**state.to_data(), "t": now},
        )
        try:
            return encode(envelope)
        except LocalProtocolError:
            # Too many devices with too many facts for one message: their states matter more.
            brief = {
                name: {key: value for key, value in device.items() if key != "facts"}
                for name, device in self._devices.items()
            }
            self._devices = brief
            envelope.data["devices"] = brief
            return encode(envelope)
