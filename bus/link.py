"""One MQTT 5 connection: a paho client driven by the asyncio loop, from CONNECT to its end.

A link lives once. Reconnecting makes a new one, so that packet identifiers, windows and half-read packets of an old connection cannot
leak into the next. Only the TCP connect runs in a thread (paho's is blocking); everything else happens on the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from bus.errors import ConnectFailed, ConnectRefused, LinkDown, PublishRefused, QueueFull, SubscribeRefused, TooLarge
from bus.packets import Outgoing, Will
from protocols.bus import AckOrder

__all__ = ["Link", "LinkOptions"]

_log = logging.getLogger(__name__)
_READS = 64  # packets taken at one readiness: paho reads a single one while it has nothing under way itself
_WINDOW = 64  # PUBLISH packets without a PUBACK, less where the broker's Receive Maximum says so


def _ack_quickly(sock: Any) -> None:
    """Acknowledge TCP segments at once; Linux forgets it, so it is said after every read.

    rumqttd never sets TCP_NODELAY: it holds a message back until we acknowledge its last packet, which Linux delays by 40 ms.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How to connect. Times in seconds; `receive_max` bounds what the broker may send without our PUBACK."""

    host: str
    tcp_port: int
    client_id: str
    will: Will | None = None
    clean_start: bool = True
    session_expiry_s: int = 0
    keepalive_s: int = 15
    connect_timeout_s: float = 5.0
    manual_ack: bool = False
    receive_max: int = 100
    out_queue: int = 256
    nodelay: bool = True


@dataclass(slots=True)
class _Waiting:
    """Publishes that wait: on the wire by packet identifier, and behind the window in order."""

    sent: dict[int, asyncio.Future[None]] = field(default_factory=dict)
    behind: deque[tuple[Outgoing, asyncio.Future[None]]] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self.sent) + len(self.behind)


class Link:
    """One connection. `down` is done, with the reason, when it has ended; every wait here ends with it."""

    def __init__(
        self,
        options: LinkOptions,
        on_message: Callable[[Link, paho.MQTTMessage], None],
        on_down: Callable[[Link], None],
    ) -> None:
        self._options = options
        self._on_message = on_message
        self._on_down = on_down
        self._loop = asyncio.get_running_loop()
        self.down: asyncio.Future[LinkDown] = self._loop.create_future()
        self.session_present = False
        self._sock: Any = None  # a socket once the loop watches it
        self._reading = self._writing = self._closing = False
        self._tick: asyncio.TimerHandle | None = None
        self._connack: asyncio.Future[tuple[bool, ReasonCode, Properties | None]] = self._loop.create_future()
        self._waiting = _Waiting()
        self._subscribing: dict[int, asyncio.Future[list[int]]] = {}
        self._acks = AckOrder()
        self._handled = 0  # messages and PUBACKs taken from the wire
        self._window = _WINDOW
        self._max_packet = 2**28  # MQTT 5.0 §2.1.4
        self._client = self._make_client()

    def _make_client(self) -> paho.Client:
        options = self._options
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=options.client_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=options.manual_ack,
        )
        client.connect_timeout = options.connect_timeout_s
        client.max_inflight_messages = 0  # the window is ours: paho's ignores the broker's Receive Maximum
        if options.will:
            client.will_set(options.will.topic, options.will.payload, qos=1, retain=options.will.retain)
        client.on_socket_open = self._socket_opened
        client.on_socket_close = self._socket_closing
        client.on_socket_register_write = self._wants_write
        client.on_socket_unregister_write = self._wants_no_write
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_publish = self._published
        client.on_message = self._message
        return client

    # ---- life ----

    async def open(self) -> None:
        """Connect and wait for CONNACK. Raises ConnectFailed, ConnectRefused; the link is then over."""
        options = self._options
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
        properties.ReceiveMaximum = options.receive_max
        if options.session_expiry_s:
            properties.SessionExpiryInterval = options.session_expiry_s
        self._client.connect_async(
            options.host,
            options.tcp_port,
            keepalive=options.keepalive_s,
            clean_start=options.clean_start,
            properties=properties,
        )
        dialling = self._loop.run_in_executor(None, self._client.reconnect)
        try:
            await asyncio.shield(dialling)
        except OSError as error:
            self._end(ConnectFailed(f"no broker at {options.host}:{options.tcp_port}: {error}"))
            raise self._reason() from None
        except asyncio.CancelledError:
            dialling.add_done_callback(self._dialled_too_late)
            raise
        self._attach()
        either: set[asyncio.Future[Any]] = {self._connack, self.down}
        await asyncio.wait(either, timeout=options.connect_timeout_s, return_when="FIRST_COMPLETED")
        if not self._connack.done():
            self._end(ConnectFailed("the broker did not answer CONNECT"))
            self._cut()
            raise self._reason()
        self.session_present, reason, server = self._connack.result()
        if reason.is_failure:
            self._end(LinkDown(f"connect refused: {reason}"))
            self._cut()
            raise ConnectRefused(f"the broker refuses the connection: {reason}", reason=reason.value)
        if server is not None:
            self._window = min(self._window, getattr(server, "ReceiveMaximum", self._window))
            self._max_packet = getattr(server, "MaximumPacketSize", self._max_packet)

    def _dialled_too_late(self, dialling: asyncio.Future[Any]) -> None:
        if not dialling.cancelled() and dialling.exception() is None:
            self._cut()

    async def close(self) -> None:
        """Say DISCONNECT (the broker then publishes no will) and end; cuts the line if that takes over a second."""
        if not self.down.done() and self._sock is not None:
            self._closing = True
            self._client.disconnect()
            self._flush()
            await asyncio.wait({self.down}, timeout=1.0)
        self._end(LinkDown("closed by us"))
        self._cut()

    def abort(self) -> None:
        """End at once without DISCONNECT, as when the cable is pulled; the broker publishes the will."""
        self._end(LinkDown("cut by us"))
        self._cut()

    def _cut(self) -> None:
        sock: Any = self._client.socket()
        if sock is None:
            return
        self._detach()
        with contextlib.suppress(OSError):  # the peer was faster
            sock.shutdown(socket.SHUT_RDWR)
        self._client.loop_read()  # paho sees the end and closes its socket

    def _reason(self) -> LinkDown:
        return self.down.result()

    def _end(self, reason: LinkDown) -> None:
        """The one place where a link ends: every wait hears the reason."""
        if self.down.done():
            return
        self.down.set_result(reason)
        self._on_down(self)  # before any wait hears of it: who wakes up must not find a link that looks alive
        if self._tick is not None:
            self._tick.cancel()
        waiting: list[asyncio.Future[Any]] = [*self._waiting.sent.values(), *self._subscribing.values()]
        waiting += [future for _, future in self._waiting.behind]
        self._waiting = _Waiting()
        for future in waiting:
            if not future.done():
                future.set_exception(LinkDown(str(reason)))
                future.exception()  # whoever let go of it must not see "never retrieved"
        self._subscribing.clear()

    # ---- paho on the loop ----

    def _attach(self) -> None:
        self._sock = self._client.socket()
        if self._sock is None:
            self._end(ConnectFailed("the broker closed the connection at once"))
            return
        self.resume_reading()
        self._flush()
        self._keep_alive()

    def _detach(self) -> None:
        if self._sock is not None:
            if self._reading:
                self._loop.remove_reader(self._sock)
            if self._writing:
                self._loop.remove_writer(self._sock)
        self._sock = None
        self._reading = self._writing = False

    def pause_reading(self) -> None:
        """Take nothing more from the broker; TCP tells it. A pause above the keepalive ends the link."""
        if self._reading:
            self._loop.remove_reader(self._sock)
            self._reading = False

    def resume_reading(self) -> None:
        """Read again after `pause_reading`."""
        if self._sock is not None and not self._reading:
            self._loop.add_reader(self._sock, self._readable)
            self._reading = True

    def _readable(self) -> None:
        try:
            for _ in range(_READS):
                before = self._handled
                self._client.loop_read()
                if self._handled == before or not self._reading:
                    break
        except (
            Exception
        ):  # outer edge of a loop callback: paho leaves half a packet behind, so the connection is unusable
            _log.exception("bus: unreadable packet, dropping the connection")
            self._end(LinkDown("the broker sent an unreadable packet"))
            self._cut()
        if self._sock is not None and self._options.nodelay:
            _ack_quickly(self._sock)

    def _wants_write(self, client: object, userdata: object, sock: object) -> None:
        if self._sock is not None:
            self._loop.call_soon(self._flush)  # most packets fit the socket's buffer: no need to ask the selector first

    def _flush(self) -> None:
        if self._sock is None:
            return
        self._client.loop_write()
        if self._sock is not None and self._client.want_write() and not self._writing:
            self._loop.add_writer(self._sock, self._flush)
            self._writing = True

    def _wants_no_write(self, client: object, userdata: object, sock: object) -> None:
        if self._writing:
            self._loop.remove_writer(self._sock)
            self._writing = False

    def _keep_alive(self) -> None:
        if self._sock is not None:
            self._client.loop_misc()
            self._tick = self._loop.call_later(max(0.5, self._options.keepalive_s / 4), self._keep_alive)

    def _socket_opened(self, client: object, userdata: object, sock: Any) -> None:
        if self._options.nodelay:  # without it a request and its reply take 47 ms instead of 1
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _socket_closing(self, client: object, userdata: object, sock: object) -> None:
        self._detach()

    def _connected(
        self, client: object, userdata: object, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if not self._connack.done():
            self._connack.set_result((flags.session_present, reason, properties))

    def _disconnected(
        self, client: object, userdata: object, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._end(LinkDown("closed by us" if self._closing else f"connection ended: {reason}"))

    # ---- messages ----

    def publish(self, message: Outgoing) -> asyncio.Future[None]:
        """Send it; the future is done at its PUBACK (QoS 0: when it is handed to the socket).

        The future raises PublishRefused at a negative PUBACK and LinkDown when the link ends first. Raises LinkDown, QueueFull, and
        TooLarge for what the broker said it would not take, at once.
        """
        if self.down.done():
            raise LinkDown(str(self._reason()))
        if (size := message.size()) > self._max_packet:
            raise TooLarge("the message is too large for this broker", size=size, limit=self._max_packet)
        if len(self._waiting) >= self._options.out_queue:
            raise QueueFull("too many messages wait for the broker", waiting=len(self._waiting))
        future: asyncio.Future[None] = self._loop.create_future()
        if message.qos and len(self._waiting.sent) >= self._window:
            self._waiting.behind.append((message, future))
        else:
            self._send(message, future)
        return future

    def _send(self, message: Outgoing, future: asyncio.Future[None]) -> None:
        info = self._client.publish(message.topic, message.payload, message.qos, message.retain, message.properties())
        if message.qos:
            self._waiting.sent[info.mid] = future
        elif not future.done():
            future.set_result(None)

    def _published(self, client: object, userdata: object, mid: int, reason: ReasonCode, properties: object) -> None:
        self._handled += 1
        future = self._waiting.sent.pop(mid, None)
        if future is None:
            return  # QoS 0, done when it was sent
        if not future.done():
            if reason.is_failure:  # paho calls such a message published: the reason code is the only truth
                future.set_exception(PublishRefused(f"the broker refuses the message: {reason}", reason=reason.value))
                future.exception()
            else:
                future.set_result(None)
        while self._waiting.behind and len(self._waiting.sent) < self._window:
            message, behind = self._waiting.behind.popleft()
            if not behind.done():  # its sender gave up
                self._send(message, behind)

    async def subscribe(self, filters: Sequence[tuple[str, int]]) -> None:
        """Subscribe to (filter, QoS) pairs in one packet and wait for SUBACK. Raises SubscribeRefused, LinkDown."""
        if self.down.done():
            raise LinkDown(str(self._reason()))
        _, mid = self._client.subscribe([(topic, SubscribeOptions(qos=qos)) for topic, qos in filters])
        if mid is None:
            raise LinkDown("no connection")
        future = self._subscribing[mid] = self._loop.create_future()
        for (topic, _), reason in zip(filters, await future, strict=True):
            if reason >= 0x80:
                raise SubscribeRefused(f"the broker refuses the subscription to {topic}", reason=reason)

    def unsubscribe(self, topic: str) -> None:
        """Ask for no more of it; messages already under way may still come."""
        if not self.down.done():
            self._client.unsubscribe(topic)

    def _subscribed(
        self, client: object, userdata: object, mid: int, reasons: Sequence[ReasonCode], properties: object
    ) -> None:
        future = self._subscribing.pop(mid, None)
        if future is not None and not future.done():
            future.set_result([reason.value for reason in reasons])

    def _message(self, client: object, userdata: object, message: paho.MQTTMessage) -> None:
        self._handled += 1
        if self._options.manual_ack and message.qos:
            self._acks.received(message.mid)
        self._on_message(self, message)

    def ack(self, message: paho.MQTTMessage) -> None:
        """With `manual_ack`: this message is dealt with. PUBACKs go out in the order of arrival; on a dead link nothing happens."""
        if self._options.manual_ack and message.qos and not self.down.done():
            for mid in self._acks.done(message.mid):
                self._client.ack(mid, 1)
