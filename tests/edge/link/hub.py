"""A small hub on the wire: MQTT messages and an HTTP file, and nothing of the real hub's code.

It keeps every event it is sent, acks the contiguous prefix, answers questions, and can be made to forget, to fall silent, or to
break off a download in the middle.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bus import Incoming, Request, RequestRefused, Responder, Transport
from consortium.identity import CHAIN_START, chain
from protocols.bus import Envelope, EventBatch, EventRow, Kind, decode, encode, message_type, rfc3339, topics
from tests.edge.site import NODE
from tests.make import NOW


class FileServer:
    """One file over HTTP/1.1 with Range. ``break_after``: bytes after which the next answer ends."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.body = b""
        self.break_after: int | None = None
        self.asked: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if request.headers["Authorization"] != f"Bearer {self.token}":
            request.send_error(401)
            return
        wanted = request.headers["Range"]
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        body = self.body[start:]
        request.send_response(206 if wanted else 200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if self.break_after is not None:
            body, self.break_after = body[: self.break_after], None
        request.wfile.write(body)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class SmallHub:
    """The hub's side of the bus for one node."""

    def __init__(self, url: str) -> None:
        self.transport = Transport(url, "hub-test")
        self.files = FileServer("tj_node")
        self.events: dict[str, dict[int, EventRow]] = {}
        self.states: list[dict[str, Any]] = []
        self.hellos: list[dict[str, Any]] = []
        self.received: list[tuple[int, int]] = []
        self.silent = False
        self.deaf = 0  # batches to lose
        self.rejected: list[dict[str, Any]] = []
        self.replica: tuple[int, int] = (0, 0)
        self.manifest: dict[str, Any] | None = None
        self.epoch_ok = True
        self.clock_ms = lambda: NOW + 3_600_000
        self.before_hello: Callable[[], Any] | None = None

    async def start(self) -> None:
        await self.transport.subscribe(topics.INGEST_FILTER, self._batch)
        await self.transport.subscribe(topics.STATE_FILTER, self._state)
        names = ("hello", "enter", "borrow", "reader", "item")
        handlers = dict.fromkeys(names, self._asked)
        # Its clock is far behind every deadline: a question is answered however wrong the edge's clock is.
        await Responder(self.transport, handlers, clock=lambda: 0).start()
        await self.transport.connect()

    async def stop(self) -> None:
        await self.transport.close()
        await asyncio.to_thread(self.files.stop)

    # --- events ---

    def upto(self, epoch: str) -> int:
        held, upto = self.events.get(epoch, {}), 0
        while upto + 1 in held:
            upto += 1
        return upto

    def chain_at(self, epoch: str, seq: int) -> str:
        return self.events[epoch][seq].hash if seq else CHAIN_START

    def bodies(self, epoch: str) -> list[str]:
        """Bodies of the contiguous prefix; fails where the chain does not hold."""
        digest, out = CHAIN_START, []
        for seq in range(1, self.upto(epoch) + 1):
            row = self.events[epoch][seq]
            digest = chain(digest, row.body)
            assert digest == row.hash
            out.append(row.body)
        return out

    async def _batch(self, incoming: Incoming) -> None:
        assert len(incoming.payload) <= 16_384
        batch = EventBatch.from_data(decode(incoming.payload).data)
        if self.deaf:
            self.deaf -= 1
            return
        self.received.append((batch.events[0].seq, batch.events[-1].seq))
        self.events.setdefault(batch.epoch, {}).update({row.seq: row for row in batch.events})
        if not self.silent:
            await self.ack(batch.epoch)

    async def ack(self, epoch: str, **more: Any) -> None:
        upto = self.upto(epoch)
        data = {"epoch": epoch, "upto": upto, "chain": self.chain_at(epoch, upto), "rejected": self.rejected, **more}
        await self.say(topics.ack(NODE), message_type(Kind.ACK), data)

    async def say(self, topic: str, type_: str, data: dict[str, Any]) -> None:
        envelope = Envelope(id="1", source="hub", type=type_, time=rfc3339(NOW), data=data)
        await self.transport.publish(topic, encode(envelope))

    async def spread(self, part: str, data: dict[str, Any]) -> None:
        await self.say(topics.replica(NODE, part), message_type(Kind.REPLICA, part), data)

    def _state(self, incoming: Incoming) -> None:
        self.states.append(decode(incoming.payload).data)

    # --- questions ---

    async def _asked(self, request: Request) -> dict[str, Any]:
        if self.silent:
            await asyncio.sleep(60)
        if request.name == "item":
            raise RequestRefused("ITEM_UNKNOWN", "no such item")
        if request.name != "hello":
            return {"asked": request.name, "token": request.data.get("token")}
        self.hellos.append(dict(request.data))
        if self.before_hello is not None:
            await self.before_hello()
        epoch = request.data["epoch"]
        upto = self.upto(epoch)
        return {
            "upto": upto,
            "chain": self.chain_at(epoch, upto),
            "epoch_ok": self.epoch_ok,
            "generation": self.replica[0],
            "version": self.replica[1],
            "t": self.clock_ms(),
            "manifest": self.manifest,
        }

    def offer(self, path: Path, manifest: dict[str, Any]) -> None:
        """Name this snapshot in every hello from now on."""
        self.files.body = path.read_bytes()
        self.manifest = manifest
        self.replica = (manifest["generation"], manifest["version"])
