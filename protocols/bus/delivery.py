"""Delivery of events as two small machines without I/O: the edge's upload window and the hub's contiguous prefix.

The edge sends its rows in order, in batches under a byte limit, at most `window` of them without an answer. The hub acks the
highest sequence number below which it lacks nothing; all above that is sent again after a silence, from `upto + 1`. The network may
lose, double and reorder batches and acks as it likes: a row counts as delivered only when an ack covers it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from protocols.bus.errors import LocalProtocolError, RemoteProtocolError
from protocols.bus.messages import BATCH_OVERHEAD, Rejected

__all__ = ["Acked", "Batch", "PrefixTracker", "Uploader"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows `first` to `last`, both included, to be sent as one message; `size` is their bytes without the envelope."""

    first: int
    last: int
    size: int


@dataclass(frozen=True, slots=True)
class Acked:
    """What an ack changed: rows `first` to `last` are newly delivered (`last < first`: none), `rejected` among what is delivered."""

    first: int
    last: int
    rejected: tuple[Rejected, ...] = ()


class Uploader:
    """The edge's upload window over one epoch of its outbox.

    `acked` is the highest sequence number known to be at the hub; `window` bounds the batches without an answer, `max_bytes` one
    whole message with its envelope. After `resend_after_s` without progress everything above `acked` is due again. `now` is any
    monotonic clock in seconds. Memory is bounded: `wanted()` says which rows it would take, and it looks no further ahead.
    """

    def __init__(
        self, epoch: str, *, acked: int = 0, window: int = 8, max_bytes: int = 16_000, resend_after_s: float = 10.0
    ) -> None:
        if window < 1 or max_bytes <= BATCH_OVERHEAD or resend_after_s <= 0:
            raise ValueError("window, max_bytes and resend_after_s must leave room for a message")
        self.epoch = epoch
        self.row_limit = max_bytes - BATCH_OVERHEAD
        """Bytes of the largest row that can travel; the outbox refuses a larger event when it is written."""
        self.resends = 0
        """How often a silence made rows due again."""
        self._window = window
        self._resend_after_s = resend_after_s
        self._look_ahead = (window + 1) * self.row_limit
        self._clear(acked)
        self._highest_sent = acked

    def _clear(self, acked: int) -> None:
        self._acked = acked
        self._sizes: deque[int] = deque()  # of rows acked+1, acked+2, …
        self._held = 0
        self._ends: deque[int] = deque()  # last seq of each batch without an answer
        self._sent = acked
        self._quiet_since = 0.0

    @property
    def acked(self) -> int:
        """The highest sequence number the hub is known to hold."""
        return self._acked

    @property
    def in_flight(self) -> int:
        """Batches without an answer, 0 to `window`."""
        return len(self._ends)

    def wanted(self) -> tuple[int, int] | None:
        """The next sequence number to offer and for how many bytes there is room; None while the look-ahead is full."""
        room = self._look_ahead - self._held
        return (self._acked + len(self._sizes) + 1, room) if room > 0 else None

    def offer(self, rows: Iterable[tuple[int, int]]) -> int:
        """Take rows (seq, bytes) that are durable in the outbox, in order; gives how many it took.

        Rows it already knows are passed over; it stops when the look-ahead is full (the rest is offered again later). Raises
        LocalProtocolError BUS_OFFER_GAP for a hole, BUS_ROW_TOO_LARGE for a row above `row_limit`.
        """
        taken = 0
        for seq, size in rows:
            expected = self._acked + len(self._sizes) + 1
            if seq < expected:
                continue
            if seq > expected:
                raise LocalProtocolError("BUS_OFFER_GAP", seq=seq, expected=expected)
            if not 0 < size <= self.row_limit:
                raise LocalProtocolError("BUS_ROW_TOO_LARGE", seq=seq, size=size, limit=self.row_limit)
            if self._held >= self._look_ahead:
                break
            self._sizes.append(size)
            self._held += size
            taken += 1
        return taken

    def due(self, now: float) -> list[Batch]:
        """The batches to send at this moment, in order; calling again gives only what has become due since."""
        if self._ends and now - self._quiet_since >= self._resend_after_s:
            self._ends.clear()
            self._sent = self._acked
            self.resends += 1
        out: list[Batch] = []
        offered = self._acked + len(self._sizes)
        while len(self._ends) < self._window and self._sent < offered:
            batch = self._pack(self._sent + 1, offered)
            if not self._ends:
                self._quiet_since = now
            self._ends.append(batch.last)
            self._sent = batch.last
            out.append(batch)
        self._highest_sent = max(self._highest_sent, self._sent)
        return out

    def _pack(self, first: int, offered: int) -> Batch:
        last, size = first - 1, 0
        while last < offered:
            row = self._sizes[last - self._acked]
            if size + row > self.row_limit:
                break
            size += row
            last += 1
        return Batch(first, last, size)

    def wake_at(self) -> float | None:
        """When `due` will want to send again though nothing happens; None while nothing waits for an answer."""
        return self._quiet_since + self._resend_after_s if self._ends else None

    def on_ack(self, epoch: str, upto: int, rejected: Iterable[Rejected] = (), *, now: float) -> Acked:
        """Take the hub's ack. Acks of another epoch, and older ones that come late, change nothing.

        Raises RemoteProtocolError BUS_ACK_BEYOND where the hub acks what was never sent: the histories differ, `hello` settles it.
        """
        nothing = Acked(self._acked + 1, self._acked)
        if epoch != self.epoch:
            return nothing
        if upto > self._highest_sent:
            raise RemoteProtocolError("BUS_ACK_BEYOND", upto=upto, sent=self._highest_sent)
        if upto < self._acked:
            return nothing
        first = self._acked + 1
        if upto >= first:
            for _ in range(upto - self._acked):
                self._held -= self._sizes.popleft()
            self._acked = upto
            self._sent = max(self._sent, upto)
            while self._ends and self._ends[0] <= upto:
                self._ends.popleft()
            self._quiet_since = now
        return Acked(first, upto, tuple(row for row in rejected if row.seq <= upto))

    def restart(self, upto: int) -> None:
        """Begin again after `hello`: the hub holds rows up to `upto`, which may be less than before (a hub restored from a backup).

        Everything above is wanted anew, so that rows of the archive are sent again.
        """
        if upto < 0:
            raise ValueError("upto counts from 0")
        self._clear(upto)
        self._highest_sent = max(self._highest_sent, upto)


class PrefixTracker:
    """What the hub holds of each (node, epoch): the contiguous prefix, and islands above it.

    At most `max_islands` islands a stream; what would make more is not taken, and the edge sends it again.
    """

    def __init__(self, *, max_islands: int = 1_024) -> None:
        self._max_islands = max_islands
        self._runs: dict[
            tuple[str, str], list[list[int]]
        ] = {}  # sorted, disjoint, not adjacent [first, last]; the prefix is [0, upto]

    def seed(self, node: str, epoch: str, upto: int) -> None:
        """Begin a stream with what is on disk: everything up to and including `upto`."""
        self._runs[node, epoch] = [[0, upto]]

    def upto(self, node: str, epoch: str) -> int:
        """The highest sequence number below which nothing is missing; 0 for a stream not seen yet."""
        runs = self._runs.get((node, epoch))
        return runs[0][1] if runs else 0

    def has(self, node: str, epoch: str, seq: int) -> bool:
        """Whether this event was taken before."""
        runs = self._runs.get((node, epoch), [[0, 0]])
        return seq <= runs[bisect_right(runs, [seq, 2**63]) - 1][1]

    def add(self, node: str, epoch: str, seqs: Iterable[int]) -> list[int]:
        """Take events; gives those that are new, in the order given. What is in neither the result nor `has` must be sent again.

        Raises RemoteProtocolError BUS_MESSAGE_FIELD for a sequence number below 1.
        """
        runs = self._runs.setdefault((node, epoch), [[0, 0]])
        fresh: list[int] = []
        for seq in seqs:
            if seq < 1:
                raise RemoteProtocolError("BUS_MESSAGE_FIELD", field="seq")
            place = bisect_right(runs, [seq, 2**63]) - 1  # the run that begins at or before seq; the prefix begins at 0
            if seq <= runs[place][1]:
                continue
            joins_next = place + 1 < len(runs) and runs[place + 1][0] == seq + 1
            if seq == runs[place][1] + 1:
                runs[place][1] = runs.pop(place + 1)[1] if joins_next else seq
            elif joins_next:
                runs[place + 1][0] = seq
            elif len(runs) > self._max_islands:
                continue
            else:
                runs.insert(place + 1, [seq, seq])
            fresh.append(seq)
        return fresh

    def missing(self, node: str, epoch: str) -> list[tuple[int, int]]:
        """The holes between prefix and islands, each (first, last)."""
        runs = self._runs.get((node, epoch), [])
        return [(left[1] + 1, right[0] - 1) for left, right in pairwise(runs)]

    def forget(self, node: str, epoch: str) -> None:
        """Drop a stream, for example when its epoch is over."""
        self._runs.pop((node, epoch), None)
