"""Questions under way: each has a correlation nobody can guess, a deadline, and one reply at most. Used by both sides that ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from bus.errors import LinkDown, RequestRefused, RequestTimeout
from bus.transport import Incoming, Transport
from protocols.bus import Envelope, ProtocolError, decode

__all__ = ["AskingStats", "Pending", "Waiting"]

CORRELATION_BYTES: Final = 16


@dataclass(slots=True)
class AskingStats:
    """Counts since the start; they only grow. `late` replies came after their question was given up, or were never asked for."""

    asked: int = 0
    answered: int = 0
    late: int = 0
    malformed: int = 0


@dataclass(slots=True)
class Pending:
    """A question under way: its name, and the node that it went to (empty: to the hub)."""

    name: str
    node: str
    reply: asyncio.Future[dict[str, Any]]


class Waiting:
    """The questions of one asking side. ``fits`` says whether a reply is one to the question it claims to answer."""

    def __init__(self, transport: Transport, fits: Callable[[Pending, Incoming, Envelope], bool]) -> None:
        self.stats = AskingStats()
        self._transport = transport
        self._fits = fits
        self._pending: dict[bytes, Pending] = {}

    async def start(self, topic_filter: str) -> None:
        """Listen for replies; to be called once, before or after the transport connects."""
        self._transport.on_disconnect(self._link_lost)
        await self._transport.subscribe(topic_filter, self._replied)

    async def exchange(
        self,
        topic: str,
        payload: bytes,
        correlation: bytes,
        *,
        name: str,
        node: str = "",
        response_topic: str | None = None,
        timeout_s: float,
    ) -> dict[str, Any]:
        """Send a question and give the data of its reply.

        Raises RequestRefused (the other side says no, with its code), RequestTimeout, LinkDown (at once where the link is down or ends
        meanwhile), PublishRefused, QueueFull.
        """
        pending = Pending(name, node, asyncio.get_running_loop().create_future())
        self._pending[correlation] = pending
        try:
            sent = self._transport.post(
                topic,
                payload,
                correlation=correlation,
                response_topic=response_topic,
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
            self.stats.late += 1  # or another worker's: every worker hears every answer of an edge
            return
        try:
            envelope = decode(incoming.payload)
            fits = self._fits(pending, incoming, envelope)
        except ProtocolError:
            fits = False
        if not fits:
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
