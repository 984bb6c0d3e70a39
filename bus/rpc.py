"""Questions and answers over the bus: an edge asks (`req`), any hub worker answers, on the asking node's own `rep` and nowhere else.

A request carries CorrelationData, an absolute deadline in the hub's time inside its data (`deadline_at`, milliseconds) and a
MessageExpiry, so that nobody works on what nobody waits for. A reply repeats the CorrelationData; its data is the answer, or
`{"error": {"code", "message"}}`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

from bus.errors import BusError, LinkDown, RequestRefused, RequestTimeout
from bus.transport import Incoming, Transport
from protocols.bus import (
    Envelope,
    Kind,
    LocalProtocolError,
    ProtocolError,
    decode,
    encode,
    message_type,
    rfc3339,
    topics,
)

__all__ = ["Request", "RequestHandler", "Requester", "RequesterStats", "Responder", "ResponderStats", "wall_ms"]

_log = logging.getLogger(__name__)
_CORRELATION_BYTES: Final = 16
_CORRELATION_MOST: Final = 64  # bytes of what we are willing to repeat
_HUB: Final = "hub"


def wall_ms() -> int:
    """This machine's clock in milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class RequesterStats:
    """Counts since the start; they only grow. `late` replies came after their request was given up, or were never asked for."""

    asked: int = 0
    answered: int = 0
    late: int = 0
    malformed: int = 0


@dataclass(slots=True)
class _Pending:
    name: str
    reply: asyncio.Future[dict[str, Any]]


class Requester:
    """The asking side, one per node. `clock` gives our time for the envelopes, `token` the unguessable correlation."""

    def __init__(
        self,
        transport: Transport,
        node: str,
        *,
        clock: Callable[[], int] = wall_ms,
        token: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.node = topics.check_node(node)
        self.stats = RequesterStats()
        self._transport = transport
        self._clock = clock
        self._token = token
        self._pending: dict[bytes, _Pending] = {}

    async def start(self) -> None:
        """Listen for replies; to be called once, before or after the transport connects."""
        self._transport.on_disconnect(self._link_lost)
        await self._transport.subscribe(topics.rep(self.node), self._replied)

    async def request(
        self, name: str, data: Mapping[str, Any], *, deadline_ms: int, timeout_s: float
    ) -> dict[str, Any]:
        """Ask, and give the data of the answer.

        `deadline_ms` is the last moment, in hub time, at which an answer is of use; `timeout_s` how long we wait ourselves. Raises
        RequestRefused (the hub says no, with its code), RequestTimeout, LinkDown (at once where the link is down or ends meanwhile),
        PublishRefused, QueueFull, LocalProtocolError for a name or data that the bus does not know.
        """
        correlation = self._token(_CORRELATION_BYTES)
        envelope = Envelope(
            id=correlation.hex(),
            source=self.node,
            type=message_type(Kind.REQ, name),
            time=rfc3339(self._clock()),
            data={**data, "deadline_at": deadline_ms},
        )
        topic, payload = topics.req(self.node, name), encode(envelope)
        pending = _Pending(name, asyncio.get_running_loop().create_future())
        self._pending[correlation] = pending
        try:
            sent = self._transport.post(
                topic,
                payload,
                correlation=correlation,
                response_topic=topics.rep(self.node),
                expiry_s=max(1, ceil(timeout_s)),
            )
            sent.add_done_callback(lambda done: _fail(pending.reply, done))
            self.stats.asked += 1
            async with asyncio.timeout(timeout_s):
                return await pending.reply
        except TimeoutError:
            raise RequestTimeout(f"no answer to {name} in {timeout_s} s") from None
        finally:
            del self._pending[correlation]
            if pending.reply.done() and not pending.reply.cancelled():
                pending.reply.exception()

    def _link_lost(self, reason: LinkDown) -> None:
        """Replies are bound to nothing but this link; whoever waits must decide by himself now."""
        for pending in list(self._pending.values()):
            if not pending.reply.done():
                pending.reply.set_exception(reason)

    def _replied(self, incoming: Incoming) -> None:
        incoming.ack()
        pending = self._pending.get(incoming.correlation or b"")
        if pending is None or pending.reply.done():
            self.stats.late += 1
            return
        try:
            envelope = decode(incoming.payload)
        except ProtocolError:
            self.stats.malformed += 1
            return
        if envelope.type != message_type(Kind.REP, pending.name):
            self.stats.malformed += 1
            return
        self.stats.answered += 1
        error = envelope.data.get("error")
        if isinstance(error, dict):
            pending.reply.set_exception(RequestRefused(str(error.get("code", "ERROR")), str(error.get("message", ""))))
        else:
            pending.reply.set_result(envelope.data)


def _fail(reply: asyncio.Future[dict[str, Any]], sent: asyncio.Future[None]) -> None:
    if not sent.cancelled() and (error := sent.exception()) is not None and not reply.done():
        reply.set_exception(error)


@dataclass(frozen=True, slots=True)
class Request:
    """A question of a node, with its deadline in hub time (milliseconds) and the moment we got it, on the same clock."""

    node: str
    name: str
    data: Mapping[str, Any] = field(repr=False)
    deadline_ms: int
    received_ms: int


RequestHandler = Callable[[Request], Awaitable[dict[str, Any]]]
"""Gives the data of the answer; raises RequestRefused to answer with a code."""


@dataclass(slots=True)
class ResponderStats:
    """Counts since the start; they only grow."""

    answered: int = 0
    refused: int = 0
    expired: int = 0
    malformed: int = 0
    failed: int = 0


class Responder:
    """The answering side, one per hub worker. Workers share the requests; each answers on the asking node's own topic.

    `handlers` by request name; `concurrency` bounds the requests under way, the rest waits in order. `clock` is the hub's time.
    """

    def __init__(
        self,
        transport: Transport,
        handlers: Mapping[str, RequestHandler],
        *,
        source: str = _HUB,
        clock: Callable[[], int] = wall_ms,
        concurrency: int = 32,
    ) -> None:
        self.stats = ResponderStats()
        self._transport = transport
        self._handlers = dict(handlers)
        self._source = source
        self._clock = clock
        self._concurrency = concurrency

    async def start(self) -> None:
        """Listen for requests; to be called once, before or after the transport connects."""
        await self._transport.subscribe(topics.DECIDE_FILTER, self._asked, concurrency=self._concurrency)

    async def _asked(self, incoming: Incoming) -> None:
        incoming.ack()  # a request is worth nothing later: the broker need not keep it
        request = self._read(incoming)
        if request is None or not incoming.correlation or len(incoming.correlation) > _CORRELATION_MOST:
            self.stats.malformed += 1
            return
        if request.received_ms > request.deadline_ms:
            self.stats.expired += 1
            return
        try:
            data = await self._answer(request)
            payload = self._reply(request, incoming.correlation, data)
        except RequestRefused as refusal:
            self.stats.refused += 1
            payload = self._refusal(request, incoming.correlation, refusal.reply_code, str(refusal))
        except LocalProtocolError as error:  # an answer that does not fit the bus
            self.stats.failed += 1
            _log.error("bus: the answer to %s cannot be sent: %s", request.name, error.code)
            payload = self._refusal(request, incoming.correlation, error.code, "")
        except Exception:  # outer edge of a request
            self.stats.failed += 1
            _log.exception("bus: the handler of %s failed", request.name)
            payload = self._refusal(request, incoming.correlation, "HUB_ERROR", "")
        left_ms = request.deadline_ms - self._clock()
        try:
            # never to incoming.response_topic: a node could have answers about itself sent to another
            await self._transport.publish(
                topics.rep(request.node),
                payload,
                correlation=incoming.correlation,
                expiry_s=max(1, ceil(left_ms / 1000)),
            )
        except BusError as error:
            self.stats.failed += 1
            _log.warning("bus: an answer to %s was not sent: %s", request.name, error)

    def _read(self, incoming: Incoming) -> Request | None:
        try:
            topic = topics.parse(incoming.topic)
            envelope = decode(incoming.payload)
        except ProtocolError:
            return None
        deadline_ms = envelope.data.get("deadline_at")
        if (
            topic.name is None
            or envelope.source != topic.node
            or envelope.type != message_type(Kind.REQ, topic.name)
            or not isinstance(deadline_ms, int)
            or isinstance(deadline_ms, bool)
        ):
            return None
        return Request(topic.node, topic.name, envelope.data, deadline_ms, self._clock())

    async def _answer(self, request: Request) -> dict[str, Any]:
        handler = self._handlers.get(request.name)
        if handler is None:
            raise RequestRefused("BUS_REQUEST_UNKNOWN")
        answer = await handler(request)
        self.stats.answered += 1
        return answer

    def _reply(self, request: Request, correlation: bytes, data: dict[str, Any]) -> bytes:
        return encode(
            Envelope(
                id=f"re-{correlation.hex()}",
                source=self._source,
                type=message_type(Kind.REP, request.name),
                time=rfc3339(self._clock()),
                data=data,
            )
        )

    def _refusal(self, request: Request, correlation: bytes, code: str, message: str) -> bytes:
        return self._reply(request, correlation, {"error": {"code": code, "message": message[:500]}})
