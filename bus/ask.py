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

from bus.errors import BusError, RequestRefused
from bus.rpc import wall_ms
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

__all__ = ["Answerer", "AnswererStats", "AskHandler", "Asker", "WorkHandler"]

_log = logging.getLogger(__name__)
_CORRELATION_MOST: Final = 64  # bytes of what we are willing to repeat
_ASKS_AT_ONCE: Final = 8


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
        self._waiting = Waiting(transport, _from_the_node_asked)
        self._source = source
        self._clock = clock
        self._token = token

    @property
    def stats(self) -> AskingStats:
        """Counts since the start."""
        return self._waiting.stats

    async def start(self) -> None:
        """Listen for answers; to be called once, before or after the transport connects."""
        await self._waiting.start(topics.ASK_REP_FILTER)

    async def ask(self, node: str, name: str, data: Mapping[str, Any], *, timeout_s: float) -> dict[str, Any]:
        """Ask a node, and give the data of its answer.

        Raises RequestRefused (the node says no, with its code), RequestTimeout, LinkDown (at once where the link is down or ends
        meanwhile), PublishRefused, QueueFull, LocalProtocolError for a name or data that the bus does not know.
        """
        correlation = self._token(CORRELATION_BYTES)
        now = self._clock()
        envelope = Envelope(
            id=correlation.hex(),
            source=self._source,
            type=message_type(Kind.ASK, name),
            time=rfc3339(now),
            data={**data, "deadline_at": now + int(timeout_s * 1000)},
        )
        payload = encode(envelope)
        return await self._waiting.exchange(
            topics.ask(node, name), payload, correlation, name=name, node=node, timeout_s=timeout_s
        )


def _from_the_node_asked(pending: Pending, incoming: Incoming, envelope: Envelope) -> bool:
    node = topics.parse(incoming.topic).node
    return envelope.type == message_type(Kind.ASK_REP, pending.name) and envelope.source == node == pending.node


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
