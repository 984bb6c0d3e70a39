"""Uploading the outbox: rows of the file into the window, acks of the hub back into the file."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

from bus import BusError, Transport
from consortium.identity import CHAIN_START
from edge.clock import EdgeClock, Stamp
from edge.outbox import Draft, Outbox, Recorded
from protocols.bus import (
    Ack,
    Envelope,
    EventBatch,
    EventRow,
    Kind,
    RemoteProtocolError,
    Uploader,
    encode,
    message_type,
    rfc3339,
    topics,
)

_log = logging.getLogger(__name__)


class Upload:
    """One outbox on its way to the hub. ``open`` after a hello, ``pause`` when the connection ends; ``run`` is the task.

    ``disagree`` is called where an ack and our history contradict each other: a hello settles it.
    """

    def __init__(
        self,
        transport: Transport,
        outbox: Outbox,
        clock: EdgeClock,
        *,
        disagree: Callable[[], None],
        resend_after_s: float,
    ) -> None:
        self.batches = 0
        self._transport = transport
        self._outbox = outbox
        self._clock = clock
        self._disagree = disagree
        self._resend_after_s = resend_after_s
        self._uploader = self._fresh(outbox.epoch, outbox.acked_seq)
        self._rows: dict[int, EventRow] = {}  # what is in the window, by seq
        self._open = False
        self._work = asyncio.Event()
        outbox.observe(self)

    def _fresh(self, epoch: str, acked: int) -> Uploader:
        return Uploader(epoch, acked=acked, resend_after_s=self._resend_after_s)

    @property
    def resends(self) -> int:
        """How often silence made rows due again, in this epoch."""
        return self._uploader.resends

    def open(self, upto: int) -> None:
        """The hub holds the running epoch up to ``upto``: send what follows."""
        if self._uploader.epoch != self._outbox.epoch:
            self._uploader = self._fresh(self._outbox.epoch, upto)
        else:
            self._uploader.restart(upto)
        self._rows.clear()
        self._open = True
        self._work.set()

    @property
    def is_open(self) -> bool:
        """Whether rows are being sent."""
        return self._open

    def pause(self) -> None:
        """The connection ended: what is under way is settled by the next hello."""
        self._open = False

    # --- the outbox's observer ---

    def accepted(self, ticket: int, draft: Draft, stamp: Stamp) -> None:
        """Nothing to send before it is durable."""

    def recorded(self, ticket: int, recorded: Recorded) -> None:
        """There is something to send."""
        self._work.set()

    def failed(self, ticket: int) -> None:
        """It never happened."""

    def renumbered(self) -> None:
        """Another epoch: what is in the window belongs to none."""
        self._open = False

    # --- the task ---

    async def run(self) -> None:
        """Send what is due until cancelled."""
        while True:
            wake_at = self._uploader.wake_at() if self._open else None
            timeout = None if wake_at is None else max(0.0, wake_at - self._now())
            # Not wait_for: up to Python 3.11 it may swallow a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):  # a silence: the window sends again
                async with asyncio.timeout(timeout):
                    await self._work.wait()
            self._work.clear()
            if self._open:
                self._pump()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _pump(self) -> None:
        while (wanted := self._uploader.wanted()) is not None:
            first, room = wanted
            found = self._outbox.unsent(first - 1, room)
            if not self._uploader.offer((row.seq, size) for row, size in found):
                break
            self._rows.update((row.seq, row) for row, _ in found)
        for batch in self._uploader.due(self._now()):
            self._send(
                EventBatch(self._uploader.epoch, tuple(self._rows[s] for s in range(batch.first, batch.last + 1)))
            )

    def _send(self, batch: EventBatch) -> None:
        node = self._outbox.node
        envelope = Envelope(
            id=f"{batch.epoch}-{batch.events[0].seq}-{batch.events[-1].seq}",
            source=node,
            type=message_type(Kind.EVT),
            time=rfc3339(self._clock.now()),
            data=batch.to_data(),
        )
        try:
            self._transport.post(topics.evt(node), encode(envelope)).add_done_callback(_heard)
            self.batches += 1
        except BusError as error:
            _log.info("upload: not sent (%s); it is sent again", error.code)  # silence or the next hello brings it back

    def on_ack(self, data: Mapping[str, Any]) -> None:
        """Take the hub's application ack. Raises RemoteProtocolError where it is none."""
        ack = Ack.from_data(data)
        try:
            done = self._uploader.on_ack(ack.epoch, ack.upto, ack.rejected, now=self._now())
        except RemoteProtocolError:
            self._disagree()
            return
        if done.last < done.first:
            return
        chain = data.get("chain")
        ours = self._outbox.hash_at(ack.upto) if ack.upto else CHAIN_START
        if isinstance(chain, str) and ours is not None and chain != ours:
            self._disagree()
            return
        self._outbox.acked(ack.epoch, ack.upto, [(row.seq, row.code) for row in done.rejected])
        for row in done.rejected:
            _log.error("upload: the hub put event %d into quarantine (%s)", row.seq, row.code)
        for seq in range(done.first, done.last + 1):
            self._rows.pop(seq, None)
        self._work.set()


def _heard(sent: asyncio.Future[None]) -> None:
    if not sent.cancelled() and (error := sent.exception()) is not None:
        _log.info("upload: %s; it is sent again", error)
