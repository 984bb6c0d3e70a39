"""Questions and answers over the bus: an edge asks (`req`), any hub worker answers, on the asking node's own `rep` and nowhere else.

A request carries CorrelationData, an absolute deadline in the hub's time inside its data (`deadline_at`, milliseconds) and a
MessageExpiry, so that nobody works on what nobody waits for. A reply repeats the CorrelationData; its data is the answer, or
`{"error": {"code", "message"}}`.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

from bus.errors import BusError, RequestRefused
from bus.transport import Incoming, Transport
from bus.waiting import CORRELATION_BYTES, AskingStats, Pending, Waiting
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

__all__ = ["Request", "RequestHandler", "Requester", "Responder", "ResponderStats", "wall_ms"]

_log = logging.getLogger(__name__)
_CORRELATION_MOST: Final = 64  # bytes of what we are willing to repeat
_HUB: Final = "hub"


def wall_ms() -> int:
    """This machine's clock in milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


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
        self._waiting = Waiting(transport, _names_its_question)
        self._clock = clock
        self._token = token

    @property
    def stats(self) -> AskingStats:
        """Counts since the start."""
        return self._waiting.stats

    async def start(self) -> None:
        """Listen for replies; to be called once, before or after the transport connects."""
        await self._waiting.start(topics.rep(self.node))

    async def request(
        self, name: str, data: Mapping[str, Any], *, deadline_ms: int, timeout_s: float
    ) -> dict[str, Any]:
        """Ask, and give the data of the answer.

        `deadline_ms` is the last moment, in hub time, at which an answer is of use; `timeout_s` how long we wait ourselves. Raises
        RequestRefused (the hub says no, with its code), RequestTimeout, LinkDown (at once where the link is down or ends meanwhile),
        PublishRefused, QueueFull, LocalProtocolError for a name or data that the bus does not know.
        """
        correlation = self._token(CORRELATION_BYTES)
        envelope = Envelope(
            id=correlation.hex(),
            source=self.node,
            type=message_type(Kind.REQ, name),
            time=rfc3339(self._clock()),
            data={**data, "deadline_at": deadline_ms},
        )
        return await self._waiting.exchange(
            topics.req(self.node, name),
            encode(envelope),
            correlation,
            name=name,
            response_topic=topics.rep(self.node),
            timeout_s=timeout_s,
        )


def _names_its_question(pending: Pending, incoming: Incoming, envelope: Envelope) -> bool:
    return envelope.type == message_type(Kind.REP, pending.name)


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
