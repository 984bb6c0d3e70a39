"""The hub's worker: store, ledger, decisions and replicas on one bus connection for events and one for questions.

Two connections, because an ack to the broker must follow the order of arrival: a question must not wait behind a batch that waits for
the disk.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any

from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from bus import Asker, BusError, Incoming, LinkDown, Request, RequestRefused, Responder, Transport
from consortium.bundle import BundleError
from hub.config import ConfigError, HubConfig, master_key, prepare
from hub.decide.asked import BadRequest
from hub.decide.blocking import Blocking
from hub.decide.hello import Hello
from hub.decide.holding import Holding
from hub.decide.paying import Paying
from hub.decide.pins import Pins, hasher
from hub.decide.renewing import Renewer
from hub.decide.reservations import Reservations
from hub.decide.service import Decider
from hub.devices.board import Board
from hub.devices.nodes import Node, Nodes
from hub.feed import Feed
from hub.identity.keys import Identity
from hub.ils.asking import IlsAsking
from hub.ils.places import Places
from hub.ils.sender import Sender
from hub.ingest import Ingest, IngestFailed, IngestRefused
from hub.ledger.deadlines import Deadlines
from hub.metrics import Metrics
from hub.policy.current import CurrentPolicy, PolicyMissing
from hub.policy.keys import signing_key
from hub.spread.service import Spread
from hub.spread.versions import ensure_sites
from hub.store.engine import Store
from protocols.bus import Envelope, EventBatch, Kind, ProtocolError, decode, encode, message_type, rfc3339, topics

_log = logging.getLogger(__name__)
_SOURCE = "hub"
_INGESTING = 32  # batches under way at once: what waits for one fsync is committed by the next
_DECIDING = 32

Handler = Callable[[Node, Mapping[str, Any]], Awaitable[dict[str, Any]]]


def wall_ms() -> int:
    """This machine's clock, ms UTC."""
    return time.time_ns() // 1_000_000


class HubWorker:
    """One worker. ``start`` opens everything, ``stop`` closes it; between them its parts are attributes for whoever serves HTTP."""

    store: Store
    policy_key: bytes
    policy: CurrentPolicy
    nodes: Nodes
    feed: Feed
    spread: Spread
    ingest: Ingest
    decider: Decider
    deadlines: Deadlines
    ils_work: Sender

    def __init__(self, config: HubConfig, *, clock: Callable[[], int] = wall_ms) -> None:
        self.config = config
        self.clock = clock
        self.metrics = Metrics()
        self._events: Transport | None = None
        self._questions: Transport | None = None
        self._numbers = 0

    @property
    def broker_up(self) -> bool:
        """Whether both connections to the broker stand."""
        links = (self._events, self._questions)
        return all(link is not None and link.connected for link in links)

    async def start(self) -> None:
        """Open the store, then listen. The broker may be away: it is tried until it answers.

        Raises ConfigError for keys and folders, and CONFIG_DATABASE where the database cannot be opened.
        """
        config = self.config
        prepare(config)
        try:
            await self._open()
        except BaseException:
            await self.stop()
            raise

    async def _open(self) -> None:
        config, clock = self.config, self.clock
        self.identity = Identity(master_key(config))
        try:
            self.store = await Store.open(config.database)
        except (OSError, SQLAlchemyError, CommandError) as error:
            raise ConfigError(
                "CONFIG_DATABASE", f"database: it cannot be opened ({type(error).__name__}: {error})"
            ) from error
        self.policy_key = await signing_key(config, self.store, clock())
        self.policy = CurrentPolicy()
        await self._read_policy()
        self.nodes = Nodes(self.store)
        await self.nodes.refresh()
        self.feed = Feed(self.store)
        self.reservations = Reservations()
        self.spread = Spread(
            self.store, self.identity, self.policy, config.data / "replica", clock, watermark_s=config.watermark_s
        )
        await self.spread.complete()
        self.ingest = Ingest(
            self.store, self.identity, self.policy, self.nodes, self.spread, self.feed, self.reservations, self.metrics,
            clock, node=config.node,
        )  # fmt: skip
        self.places = Places()
        self._questions = Transport(config.broker_url, f"{config.node}-questions", out_queue=2_048)
        self.asker = Asker(self._questions, source=_SOURCE, clock=clock)
        self.decider = Decider(
            self.store, self.identity, self.policy, self.reservations, Pins(hasher(config.pin)), self.metrics, clock,
            ils=IlsAsking(self.places, self.asker, clock),
        )  # fmt: skip
        self.ils_work = Sender(self.store, self.places, self.metrics, clock, self._send_work)
        self.ingest.on_work = self.ils_work.poke
        self.board = Board(self.store, self.nodes, self.metrics)
        await self.feed.start()
        await self._listen()
        self.spread.send = self._send_replica
        self.spread.start()
        self.deadlines = Deadlines(self.ingest.take_defaults)
        self.deadlines.start()
        self.ils_work.start()

    async def stop(self) -> None:
        """Stop listening, then close. What was not committed is sent again by its edge."""
        for link in (self._questions, self._events):
            if link is not None:
                await link.close()
        self._questions = self._events = None
        for name in ("ils_work", "deadlines", "spread", "feed"):
            if hasattr(self, name):
                await getattr(self, name).stop()
        if hasattr(self, "store"):
            await self.store.close()

    async def policy_changed(self) -> None:
        """A bundle was published and committed: decide by it from now on, and send it to every branch."""
        await self._read_policy()
        self.spread.poke()

    async def _read_policy(self) -> None:
        try:
            await self.policy.refresh(self.store)
        except BundleError as error:
            raise ConfigError("CONFIG_POLICY", f"database: its newest policy bundle cannot be used: {error}") from error
        async with self.store.write() as conn:
            await ensure_sites(conn, self.policy.orgs)

    # ---- the bus ----

    async def _listen(self) -> None:
        config = self.config
        self._events = Transport(
            config.broker_url, f"{config.node}-events", manual_ack=True, out_queue=2_048, receive_max=64
        )
        assert self._questions is not None
        await self._events.subscribe(topics.INGEST_FILTER, self._batch, concurrency=_INGESTING)
        await self._events.subscribe(topics.STATE_FILTER, self._state)
        await self._events.subscribe(topics.WORK_REP_FILTER, self._work_taken)
        await self.asker.start()
        asked = {name: self._answering(name, handler) for name, handler in self._handlers().items()}
        responder = Responder(self._questions, asked, source=_SOURCE, clock=self.clock, concurrency=_DECIDING)
        await responder.start()
        for link in (self._events, self._questions):
            link.on_connect(self._count_links)
            link.on_disconnect(self._count_links)
            link.start()

    def _handlers(self) -> dict[str, Handler]:
        """What an edge can ask, by the name of its request."""
        store, policy, ingest, clock = self.store, self.policy, self.ingest, self.clock
        hello = Hello(store, self.spread, clock)

        async def greet(node: Node, data: Mapping[str, Any]) -> dict[str, Any]:
            answer = await hello.hello(node, data)
            self.ils_work.again(node.org)  # it may have missed what was sent meanwhile
            return answer

        return {
            "hello": greet,
            "enter": self.decider.enter,
            "borrow": self.decider.borrow,
            "renew": Renewer(store, self.identity, policy, self.metrics, clock).renew,
            "reader": self.decider.reader,
            "item": self.decider.item,
            "hold": Holding(store, policy, ingest, clock, most=self.config.holds_most).hold,
            "fee": Paying(store, ingest, clock, self.config.currency).fee,
            "block": Blocking(store, ingest, self.spread, clock).block,
        }

    def _count_links(self, _: object) -> None:
        self.metrics.broker_up.set(self.broker_up)

    def _envelope(self, kind: Kind, data: Mapping[str, Any], name: str | None = None) -> bytes:
        self._numbers += 1
        now = self.clock()
        return encode(
            Envelope(
                id=f"{now}-{self._numbers}",
                source=_SOURCE,
                type=message_type(kind, name),
                time=rfc3339(now),
                data=dict(data),
            )
        )

    async def _batch(self, incoming: Incoming) -> None:
        """Events of a node: commit, then the application ack, then the broker's. What fails is not acked and comes again."""
        self.metrics.messages.labels("in", "evt").inc()
        try:
            node = topics.parse(incoming.topic).node
            envelope = decode(incoming.payload)
            if envelope.source != node:
                raise IngestRefused("NODE_FOREIGN", "the sender speaks for another node")
            batch = EventBatch.from_data(envelope.data)
            ack = await self.ingest.batch(node, batch.epoch, batch.events)
        except (ProtocolError, IngestRefused) as error:
            self.metrics.batches_refused.labels(error.code).inc()
            _log.warning("ingest: a batch was not taken: %s", error.code)
            incoming.ack()
            return
        except IngestFailed:
            incoming.ack()  # the edge sends again after its silence; the broker need not keep it
            return
        try:
            await self._post(topics.ack(node), self._envelope(Kind.ACK, ack.to_data()), "ack")
        except BusError as error:
            _log.info("ingest: an ack was not sent: %s", error)
        incoming.ack()

    async def _state(self, incoming: Incoming) -> None:
        self.metrics.messages.labels("in", "state").inc()
        try:
            node = topics.parse(incoming.topic).node
            envelope = decode(incoming.payload)
        except ProtocolError as error:
            _log.info("state: a message was not read: %s", error.code)
            incoming.ack()
            return
        if envelope.source == node:
            known = await self.nodes.find(node, self.clock())
            if known is not None and self.places.heard(
                node, known.org, envelope.data, retained=incoming.retain, now=self.clock()
            ):
                self.ils_work.again(known.org)
            news = await self.board.state(node, envelope.data, retained=incoming.retain, now=self.clock())
            if news is not None:
                self.feed.announce(news)
        incoming.ack()

    async def _work_taken(self, incoming: Incoming) -> None:
        """An edge holds a job durably."""
        self.metrics.messages.labels("in", "work_rep").inc()
        incoming.ack()  # where it is lost the job is sent again
        try:
            node = topics.parse(incoming.topic).node
            envelope = decode(incoming.payload)
        except ProtocolError as error:
            _log.info("ils: an answer to work was not read: %s", error.code)
            return
        known = await self.nodes.find(node, self.clock())
        right = known is not None and envelope.source == node and envelope.type == message_type(Kind.WORK_REP)
        if known is None or not right or not self.ils_work.taken(node, known.org, envelope.data):
            _log.warning("ils: %s answered work that it cannot have been given", node)

    async def _send_work(self, node: str, data: dict[str, Any]) -> None:
        try:
            await self._post(topics.work(node), self._envelope(Kind.WORK, data), "work")
        except (BusError, ProtocolError, TimeoutError) as error:
            raise ConnectionError(str(error)) from error

    def _answering(self, name: str, handler: Handler) -> Callable[[Request], Awaitable[dict[str, Any]]]:
        async def answer(request: Request) -> dict[str, Any]:
            began = perf_counter()
            try:
                node = await self.nodes.find(request.node, self.clock())
                if node is None:
                    raise BadRequest("NODE_UNKNOWN", "this node is not enrolled")
                data = await handler(node, request.data)
            except (BadRequest, PolicyMissing) as error:
                self.metrics.requests.labels(name, error.code).inc()
                raise RequestRefused(error.code, str(error)) from error
            finally:
                self.metrics.request_seconds.labels(name).observe(perf_counter() - began)
            if self.clock() > request.deadline_ms:
                self.decider.forget(data.get("answers", []))
                self.metrics.requests.labels(name, "late").inc()
                raise RequestRefused("DEADLINE_PASSED", "the answer came too late")
            self.metrics.requests.labels(name, "answered").inc()
            return data

        return answer

    async def _send_replica(self, node: str, part: str, data: dict[str, Any]) -> None:
        try:
            await self._post(topics.replica(node, part), self._envelope(Kind.REPLICA, data, part), f"replica_{part}")
        except (BusError, ProtocolError) as error:
            raise ConnectionError(str(error)) from error

    async def _post(self, topic: str, payload: bytes, kind: str) -> None:
        if self._events is None:
            raise LinkDown("the hub is stopping")
        await asyncio.wait_for(self._events.publish(topic, payload), 10.0)
        self.metrics.messages.labels("out", kind).inc()
