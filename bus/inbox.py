"""Messages on their way in: which handler gets which, in what order, and how many may wait.

A plain handler runs at once. A coroutine handler has a queue and its own tasks; when too much waits the socket is not read, so that
the pressure goes back to the broker instead of into memory.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from paho.mqtt.client import MQTTMessage, topic_matches_sub

from bus.errors import WrongUse
from bus.link import Link

__all__ = ["Handler", "Inbox", "Incoming", "Stats"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that came. With `manual_ack` its handler calls `ack()` after its own commit; otherwise `ack()` does nothing."""

    topic: str
    payload: bytes
    correlation: bytes | None
    response_topic: str | None
    retain: bool
    user_properties: tuple[tuple[str, str], ...]
    _ack: Callable[[], None] = field(repr=False, compare=False)

    def ack(self) -> None:
        """Acknowledge it to the broker (PUBACK); saying it twice, or after the link ended, does nothing."""
        self._ack()


Handler = Callable[[Incoming], Awaitable[None] | None]
"""Takes a message. A plain function runs at once on the loop and must be quick; a coroutine function runs in its own tasks."""


@dataclass(slots=True)
class Stats:
    """Counts since the start; they only grow."""

    connects: int = 0
    published: int = 0
    received: int = 0
    unmatched: int = 0
    oversized: int = 0
    handler_errors: int = 0


@dataclass(slots=True)
class _Subscription:
    topic: str
    handler: Handler
    qos: int
    pattern: str
    queue: asyncio.Queue[Incoming] | None = None
    workers: list[asyncio.Task[None]] = field(default_factory=list)


class Inbox:
    """The subscriptions of one transport and what waits for their handlers; at most about `limit` messages in all."""

    def __init__(self, limit: int, max_payload: int, stats: Stats) -> None:
        self._limit = limit
        self._max_payload = max_payload
        self._stats = stats
        self._subscriptions: dict[str, _Subscription] = {}
        self._queued = 0
        self._paused: Link | None = None

    def filters(self) -> list[tuple[str, int]]:
        """Every (filter, QoS) that is wanted, in the order of subscribing."""
        return [(one.topic, one.qos) for one in self._subscriptions.values()]

    def add(self, topic: str, handler: Handler, qos: int, concurrency: int) -> None:
        """Remember a subscription and start its tasks. Raises WrongUse for a filter that is there already."""
        if topic in self._subscriptions:
            raise WrongUse("this filter is subscribed already")
        pattern = topic.split("/", 2)[2] if topic.startswith("$share/") else topic
        subscription = _Subscription(topic, handler, qos, pattern)
        if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__):
            subscription.queue = asyncio.Queue()
            for number in range(concurrency):
                subscription.workers.append(asyncio.create_task(self._work(subscription), name=f"bus {topic} {number}"))
        self._subscriptions[topic] = subscription

    def remove(self, topic: str) -> bool:
        """Forget a subscription and what its handler has not begun; False where there is none."""
        subscription = self._subscriptions.pop(topic, None)
        if subscription is None:
            return False
        for worker in subscription.workers:
            worker.cancel()
        if subscription.queue is not None:
            self._queued -= subscription.queue.qsize()
        return True

    async def close(self) -> None:
        """Forget everything and see every task to its end."""
        workers = [worker for subscription in self._subscriptions.values() for worker in subscription.workers]
        for topic in list(self._subscriptions):
            self.remove(topic)
        await asyncio.gather(*workers, return_exceptions=True)

    def deliver(self, link: Link, message: MQTTMessage) -> None:
        """Take a message from a link: drop and ack what is too large or wanted by nobody, run or queue the rest."""
        self._stats.received += 1
        if len(message.payload) > self._max_payload:
            self._stats.oversized += 1
            link.ack(message)
            return
        subscription = self._find(message)
        if subscription is None:
            self._stats.unmatched += 1
            link.ack(message)
            return
        incoming = _incoming(message, link)
        if subscription.queue is not None:
            subscription.queue.put_nowait(incoming)
            self._queued += 1
            if self._queued >= self._limit:
                link.pause_reading()
                self._paused = link
            return
        try:
            if subscription.handler(incoming) is not None:
                raise TypeError("a handler that must be awaited is a coroutine function")
        except Exception:  # outer edge of a message's way in
            self._failed(subscription, incoming)

    def _find(self, message: MQTTMessage) -> _Subscription | None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return None
        if (exact := self._subscriptions.get(topic)) is not None:
            return exact
        for subscription in self._subscriptions.values():
            if topic_matches_sub(subscription.pattern, topic):
                return subscription
        return None

    async def _work(self, subscription: _Subscription) -> None:
        assert subscription.queue is not None
        while True:
            incoming = await subscription.queue.get()
            self._queued -= 1
            if self._paused is not None and self._queued <= self._limit // 2:
                self._paused.resume_reading()
                self._paused = None
            try:
                if (result := subscription.handler(incoming)) is not None:
                    await result
            except Exception:  # outer edge of a message's way in
                self._failed(subscription, incoming)

    def _failed(self, subscription: _Subscription, incoming: Incoming) -> None:
        self._stats.handler_errors += 1
        _log.exception("bus: the handler of %s failed", subscription.topic)
        incoming.ack()


def _incoming(message: MQTTMessage, link: Link) -> Incoming:
    properties: Any = message.properties
    return Incoming(
        topic=message.topic,
        payload=bytes(message.payload),
        correlation=getattr(properties, "CorrelationData", None),
        response_topic=getattr(properties, "ResponseTopic", None),
        retain=bool(message.retain),
        user_properties=tuple(getattr(properties, "UserProperty", ())),
        _ack=lambda: link.ack(message),
    )
