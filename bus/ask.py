"""Questions the other way round: the hub asks one edge (`ask`), and that edge answers on its own `ask-rep`.

A question carries CorrelationData, its deadline in the hub's time inside its data (`deadline_at`, milliseconds) and a MessageExpiry. An
answer counts only from the node that was asked. Jobs (`work`) come to the same side of an edge: in order, each answered on `work-rep`
once it is durable there.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from bus.errors import BusError, LinkDown, RequestRefused, RequestTimeout
from bus.rpc import wall_ms
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

__all__ = ["Answerer", "AnswererStats", "AskHandler", "Asker", "AskerStats", "WorkHandler"]

_log = logging.getLogger(__name__)
_CORRELATION_BYTES: Final = 16
_CORRELATION_MOST: Final = 64  # bytes of what we are willing to repeat
_ASKS_AT_ONCE: Final = 8


@dataclass(slots=True)
class AskerStats:
    """Counts since the start; they only grow. `late` answers came after their question was given up, or were never asked for."""

    asked: int = 0
    answered: int = 0
    late: int = 0
    malformed: int = 0


@dataclass(slots=True)
class _Pending:
    node: str
    name: str
    reply: asyncio.Future[dict[str, Any]]


class Asker:
    """The hub's side. `clock` is the hub's time, `token` makes the unguessable correlation."""

    def __init__(
        self,
        transport: Transport,
        *,
        source: str = "hub",
        clock: Callable[[], int] = wall_ms,
        token: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.stats = AskerStats()
        self._transport = transport
        self._source = source
        self._clock = clock
        self._token = token
        self._pending: dict[bytes, _Pending] = {}

    async def start(self) -> None:
        """Listen for answers; to be called once, before or after the transport connects."""
        self._transport.on_disconnect(self._link_lost)
        await self._transport.subscribe(topics.ASK_REP_FILTER, self._replied)

    async def ask(self, node: str, name: str, data: Mapping[str, Any], *, timeout_s: float) -> dict[str, Any]:
        """Ask a node, and give the data of its answer.

        Raises RequestRefused (the node says no, with its code), RequestTimeout, LinkDown (at once where the link is down or ends
        meanwhile), PublishRefused, QueueFull, LocalProtocolError for a name or data that the bus does not know.
        """
        correlation = self._token(_CORRELATION_BYTES)
        now = self._clock()
        envelope = Envelope(
            id=correlation.hex(),
            source=self._source,
            type=message_type(Kind.ASK, name),
            time=rfc3339(now),
            data={**data, "deadline_at": now + int(timeout_s * 1000)},
        )
        topic, payload = topics.ask(node, name), encode(envelope)
        pending = _Pending(node, name, asyncio.get_running_loop().create_future())
        self._pending[correlation] = pending
        try:
            sent = self._transport.post(topic, payload, correlation=correlation, expiry_s=max(1, ceil(timeout_s)))
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
        for pending in list(self._pending.values()):
            if not pending.reply.done():
                pending.reply.set_exception(reason)

    def _replied(self, incoming: Incoming) -> None:
        incoming.ack()
        pending = self._pending.get(incoming.correlation or b"")
        if pending is None or pending.reply.done():
            self.stats.late += 1  # or another worker's: every worker hears every answer
            return
        try:
            node = topics.parse(incoming.topic).node
            envelope = decode(incoming.payload)
        except ProtocolError:
            self.stats.malformed += 1
            return
        right = envelope.type == message_type(Kind.ASK_REP, pending.name)
        if not right or envelope.source != node or node != pending.node:
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


AskHandler = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Gives the data of the answer to (name, data); raises RequestRefused to answer with a code."""

WorkHandler = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Makes a job durable and gives the data of the answer; raises RequestRefused where it cannot: the hub sends it again."""


@dataclass(slots=True)
class AnswererStats:
    """Counts since the start; they only grow."""

    answered: int = 0
    refused: int = 0
    expired: int = 0
    malformed: int = 0
    failed: int = 0
    taken: int = 0


class Answerer:
    """The edge's side, one per node. `clock` is the edge's measure of the hub's time."""

    def __init__(
        self,
        transport: Transport,
        node: str,
        ask: AskHandler,
        work: WorkHandler,
        *,
        clock: Callable[[], int] = wall_ms,
    ) -> None:
        self.node = topics.check_node(node)
        self.stats = AnswererStats()
        self._transport = transport
        self._ask = ask
        self._work = work
        self._clock = clock
        self._numbers = 0

    async def start(self) -> None:
        """Listen; to be called once, before or after the transport connects."""
        base = f"{topics.ROOT}/{self.node}"
        await self._transport.subscribe(f"{base}/ask/+", self._asked, concurrency=_ASKS_AT_ONCE)
        await self._transport.subscribe(
            topics.work(self.node), self._given
        )  # one by one: their order is the order of events

    async def _asked(self, incoming: Incoming) -> None:
        incoming.ack()  # a question is worth nothing later
        data, name = self._read(incoming, Kind.ASK), topics.parse(incoming.topic).name
        deadline = data.get("deadline_at") if data is not None else None
        if data is None or name is None or not isinstance(deadline, int) or not incoming.correlation:
            self.stats.malformed += 1
            return
        left_s = (deadline - self._clock()) / 1000
        if left_s <= 0:
            self.stats.expired += 1
            return
        try:
            async with asyncio.timeout(left_s):
                answer = await self._ask(name, data)
            self.stats.answered += 1
        except TimeoutError:
            self.stats.expired += 1
            return
        except RequestRefused as refusal:
            self.stats.refused += 1
            answer = _error(refusal.reply_code, str(refusal))
        except Exception:  # outer edge of a question
            self.stats.failed += 1
            _log.exception("bus: the question %s failed here", name)
            answer = _error("EDGE_ERROR", "")
        type_ = message_type(Kind.ASK_REP, name)
        await self._reply(topics.ask_rep(self.node), type_, answer, incoming.correlation, max(1, ceil(left_s)))

    async def _given(self, incoming: Incoming) -> None:
        incoming.ack()  # what is not answered is sent again
        data = self._read(incoming, Kind.WORK)
        if data is None:
            self.stats.malformed += 1
            return
        try:
            answer = await self._work(data)
        except RequestRefused as refusal:
            self.stats.refused += 1
            _log.warning("bus: a job was not taken (%s); the hub sends it again", refusal.reply_code)
            return
        except Exception:  # outer edge of a job: the hub sends it again
            self.stats.failed += 1
            _log.exception("bus: a job was not taken")
            return
        self.stats.taken += 1
        await self._reply(topics.work_rep(self.node), message_type(Kind.WORK_REP), answer)

    def _read(self, incoming: Incoming, kind: Kind) -> dict[str, Any] | None:
        try:
            topic, envelope = topics.parse(incoming.topic), decode(incoming.payload)
        except ProtocolError:
            return None
        right = message_type(kind, topic.name) if topic.name is not None else message_type(kind)
        return (
            envelope.data if envelope.type == right and len(incoming.correlation or b"") <= _CORRELATION_MOST else None
        )

    async def _reply(
        self,
        topic: str,
        type_: str,
        data: Mapping[str, Any],
        correlation: bytes | None = None,
        expiry_s: int | None = None,
    ) -> None:
        self._numbers += 1
        now = self._clock()
        try:
            payload = encode(
                Envelope(id=f"{now}-{self._numbers}", source=self.node, type=type_, time=rfc3339(now), data=dict(data))
            )
            await self._transport.publish(topic, payload, correlation=correlation, expiry_s=expiry_s)
        except LocalProtocolError as error:  # an answer that does not fit the bus
            self.stats.failed += 1
            _log.error("bus: an answer cannot be sent: %s", error.code)
        except BusError as error:
            self.stats.failed += 1
            _log.info("bus: an answer was not sent: %s", error)


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message[:500]}}
