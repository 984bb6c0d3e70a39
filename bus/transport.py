"""The bus as the rest of the program sees it: publish, subscribe, and a connection that comes back by itself.

`Transport` keeps one link at a time to one broker. When it ends, every wait ends with it, and a new one is made after a back-off with
jitter; subscriptions are made again before anybody is told that the link is up. Nothing is queued across connections: what was not
confirmed fails with LinkDown and its owner (outbox, requester) decides, because only the owner knows whether it is still wanted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

from bus.backoff import Backoff
from bus.errors import ConnectRefused, LinkDown, SubscribeRefused, TooLarge, WrongUse
from bus.inbox import Handler, Inbox, Incoming, Stats
from bus.link import Link, LinkOptions
from bus.packets import Outgoing, Will
from protocols.bus import MAX_MESSAGE

__all__ = ["Handler", "Incoming", "Session", "Stats", "Transport", "broker_address"]

_log = logging.getLogger(__name__)
_STABLE_S: Final = 5.0  # a link that held this long resets the back-off


class Session(NamedTuple):
    """A link that has come up: its number, counted from 1, and whether the broker kept our session."""

    number: int
    present: bool


def broker_address(url: str) -> tuple[str, int]:
    """Host and TCP port of `mqtt://HOST[:PORT]` (1883 without). Raises WrongUse, also for a name or secret inside the URL."""
    try:
        parts = urlsplit(url)
        tcp_port = 1883 if parts.port is None else parts.port
    except ValueError:
        raise WrongUse("a broker's address is mqtt://HOST:PORT") from None
    if parts.username is not None or parts.password is not None:
        raise WrongUse("a broker's address holds no name and no secret")
    if (
        parts.scheme != "mqtt"
        or not parts.hostname
        or not tcp_port
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
    ):
        raise WrongUse("a broker's address is mqtt://HOST:PORT")
    return parts.hostname, tcp_port


class Transport:
    """A connection to the broker at `url` that is made again whenever it ends. One per process and role; used on one event loop.

    `will` is (topic, payload, retain). `manual_ack`: the broker gets its PUBACK when a handler calls `ack()`, in order of arrival; at
    most `receive_max` messages then wait. `out_queue` bounds publishes without PUBACK, `in_queue` the messages that wait for slow
    handlers (above it the socket is not read). `max_payload` in bytes, both ways. With `clean_start=False` the broker keeps the session
    for `session_expiry_s`. Raises WrongUse for an address that is none.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        *,
        will: tuple[str, bytes, bool] | None = None,
        clean_start: bool = True,
        session_expiry_s: int = 0,
        keepalive_s: int = 15,
        connect_timeout_s: float = 5.0,
        manual_ack: bool = False,
        receive_max: int = 100,
        out_queue: int = 256,
        in_queue: int = 256,
        max_payload: int = MAX_MESSAGE,
        nodelay: bool = True,
        backoff: Backoff | None = None,
        rng: Random | None = None,
    ) -> None:
        host, tcp_port = broker_address(url)
        self.url = url
        self.client_id = client_id
        self.stats = Stats()
        self._options = LinkOptions(
            host=host,
            tcp_port=tcp_port,
            client_id=client_id,
            will=Will(*will) if will else None,
            clean_start=clean_start,
            session_expiry_s=session_expiry_s,
            keepalive_s=keepalive_s,
            connect_timeout_s=connect_timeout_s,
            manual_ack=manual_ack,
            receive_max=receive_max,
            out_queue=out_queue,
            nodelay=nodelay,
        )
        self._inbox = Inbox(in_queue, max_payload, self.stats)
        self._max_payload = max_payload
        self._backoff = backoff or Backoff()
        self._rng = rng or Random()
        self._link: Link | None = None
        self._up = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._on_connect: list[Callable[[Session], Awaitable[None] | None]] = []
        self._on_disconnect: list[Callable[[LinkDown], Awaitable[None] | None]] = []

    # ---- life ----

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        """Whether the link is up and every subscription stands."""
        return self._up.is_set()

    def start(self) -> None:
        """Begin to connect in the background and keep at it; for programs that must run while the broker is away."""
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(None), name=f"bus {self.client_id}")

    async def connect(self) -> None:
        """Connect, and keep connected until `close`.

        Raises ConnectFailed, ConnectRefused, SubscribeRefused where the first attempt fails. After such a failure nothing goes on in
        the background: call again, or use `start`.
        """
        if self._runner is not None:
            await self._up.wait()
            return
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._runner = runner = asyncio.create_task(self._run(first), name=f"bus {self.client_id}")
        try:
            await asyncio.wait({first, runner}, return_when="FIRST_COMPLETED")
        except asyncio.CancelledError:
            await self.close()
            raise
        if not first.done():
            raise LinkDown("closed while it was connecting")
        if first.exception() is not None:
            self._runner = None
        first.result()

    async def wait_connected(self, timeout_s: float) -> bool:
        """Whether the link is up within this time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._up.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Say DISCONNECT, so that no will is published, and end every task. Safe to call twice."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.cancel()
            await asyncio.gather(runner, return_exceptions=True)
        link, self._link = self._link, None
        self._up.clear()
        if link is not None:
            await link.close()
        await self._inbox.close()

    def on_connect(self, callback: Callable[[Session], Awaitable[None] | None]) -> None:
        """Call this after every CONNACK, when the subscriptions stand: the place for birth and `hello`."""
        self._on_connect.append(callback)

    def on_disconnect(self, callback: Callable[[LinkDown], Awaitable[None] | None]) -> None:
        """Call this whenever a link that was up has ended."""
        self._on_disconnect.append(callback)

    def drop(self) -> None:
        """End the present link without DISCONNECT (the broker publishes the will); a new one is made. For `doctor` and drills."""
        if self._link is not None:
            self._link.abort()

    async def _run(self, first: asyncio.Future[None] | None) -> None:
        loop = asyncio.get_running_loop()
        while True:
            link = Link(self._options, self._inbox.deliver, self._ended)
            try:
                await link.open()
                await self._subscribe_all(link)
                if link.down.done():
                    raise link.down.result()
            except (LinkDown, ConnectRefused, SubscribeRefused) as error:
                link.abort()
                if first is not None and not first.done():
                    first.set_exception(error)
                    return
                if self._backoff.attempts == 0:
                    _log.warning("bus: %s; trying again", error)
                await asyncio.sleep(self._backoff.next(self._rng))
                continue
            except asyncio.CancelledError:
                link.abort()
                raise
            began = loop.time()
            self._link = link
            self._up.set()
            self.stats.connects += 1
            if first is not None and not first.done():
                first.set_result(None)
            await self._while_up(link)
            if loop.time() - began >= _STABLE_S:
                self._backoff.reset()
            await asyncio.sleep(self._backoff.next(self._rng))

    async def _subscribe_all(self, link: Link) -> None:
        made: list[tuple[str, int]] = []
        while missing := [wanted for wanted in self._inbox.filters() if wanted not in made]:
            await link.subscribe(missing)
            made += missing  # others may have been added while we waited

    def _ended(self, link: Link) -> None:
        if self._link is link:
            self._link = None
            self._up.clear()

    async def _while_up(self, link: Link) -> None:
        session = Session(self.stats.connects, link.session_present)
        births = asyncio.create_task(self._tell(self._on_connect, session))
        try:
            reason = await asyncio.shield(link.down)
        finally:
            births.cancel()
            await asyncio.gather(births, return_exceptions=True)
        _log.warning("bus: %s; connecting again", reason)
        await self._tell(self._on_disconnect, reason)

    async def _tell(self, callbacks: Sequence[Callable[[Any], Awaitable[None] | None]], what: object) -> None:
        for callback in list(callbacks):
            try:
                if (result := callback(what)) is not None:
                    await result
            except Exception:  # outer edge: one listener's fault must not cost the connection
                self.stats.handler_errors += 1
                _log.exception("bus: a connection listener failed")

    # ---- out ----

    def post(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        correlation: bytes | None = None,
        response_topic: str | None = None,
        expiry_s: int | None = None,
        user_properties: Sequence[tuple[str, str]] = (),
    ) -> asyncio.Future[None]:
        """Send without waiting; the future is `publish`'s wait. Raises LinkDown, QueueFull, TooLarge, WrongUse at once."""
        if len(payload) > self._max_payload:
            raise TooLarge("the message is too large for the bus", size=len(payload), limit=self._max_payload)
        if qos not in (0, 1) or not topic or "+" in topic or "#" in topic:
            raise WrongUse("publish takes a topic without wildcards and QoS 0 or 1")
        if self._link is None:
            raise LinkDown("no connection to the broker")
        message = Outgoing(topic, payload, qos, retain, correlation, response_topic, expiry_s, user_properties)
        future = self._link.publish(message)
        self.stats.published += 1
        return future

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        correlation: bytes | None = None,
        response_topic: str | None = None,
        expiry_s: int | None = None,
        user_properties: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Send, and return at the broker's PUBACK (QoS 1). That is no proof of storage anywhere: see the application's ack.

        `expiry_s` is whole seconds. Raises PublishRefused at a negative PUBACK, LinkDown without a link or when it ends first,
        QueueFull, TooLarge, WrongUse.
        """
        await self.post(
            topic,
            payload,
            qos=qos,
            retain=retain,
            correlation=correlation,
            response_topic=response_topic,
            expiry_s=expiry_s,
            user_properties=user_properties,
        )

    # ---- in ----

    async def subscribe(self, topic: str, handler: Handler, qos: int = 1, *, concurrency: int = 1) -> None:
        """Hand every message of this filter to `handler`; waits for SUBACK where the link is up, else it is made with the next CONNACK.

        Filters of one transport must not overlap (the first one that fits gets the message). A coroutine handler runs in
        `concurrency` tasks; with 1 the order of arrival is kept. A handler that raises is logged, counted, and its message acked,
        so that poison stalls nobody. Raises SubscribeRefused, WrongUse for a filter that is subscribed already.
        """
        self._inbox.add(topic, handler, qos, concurrency)
        if self._link is None:
            return
        try:
            await self._link.subscribe([(topic, qos)])
        except SubscribeRefused:
            self._inbox.remove(topic)
            raise
        except LinkDown:
            return  # the next link subscribes before it is up

    def unsubscribe(self, topic: str) -> None:
        """Want no more of this filter; what its handler has not begun is dropped."""
        if self._inbox.remove(topic) and self._link is not None:
            self._link.unsubscribe(topic)
