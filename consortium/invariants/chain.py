"""I5: each node's log is gap-free up to its cursor, and its hash chain verifies, erased identities and all (domain §7)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from consortium.identity import CHAIN_START, chain, subject
from consortium.invariants.finding import Finding, Offences
from consortium.invariants.history import LoggedRow
from consortium.invariants.reading import Seen

_MOST_OF_A_GAP = 20

Stream = tuple[str, str]
"""(node, epoch)."""


class LogsAreWhole:
    """I5. Give it the log's rows by node, epoch and seq.

    A row in quarantine counts as received: the next event chains to the hash it stated. Where (salt, srid) of an event were erased, the
    body still commits to them and the chain is untouched; where they are there, they are what the body commits to.
    """

    def __init__(self, cursors: Mapping[Stream, int], quarantine: Iterable[LoggedRow]) -> None:
        self._out = Offences("I5")
        self._cursors = cursors
        self._aside: dict[Stream, dict[int, list[LoggedRow]]] = defaultdict(lambda: defaultdict(list))
        for row in quarantine:
            self._aside[row.node, row.epoch][row.seq].append(row)
        self._stream: Stream | None = None
        self._done: set[Stream] = set()
        self._next = 1
        self._upto = 0
        self._previous: str | None = CHAIN_START

    def see(self, row: LoggedRow, event: Seen | None) -> None:
        """The next row; ``event`` None where its body is none."""
        self._out.checked += 1
        stream = (row.node, row.epoch)
        if stream != self._stream:
            self._begin(stream)
        if row.seq < self._next:
            self._out.add(row.id, "is logged more than once")
        elif row.seq <= self._upto:
            if row.seq > self._next:
                self._fill(row.seq)
            if self._previous is not None and chain(self._previous, row.body) != row.hash:
                self._out.add(row.id, "does not chain to the event before it: its body, or that one's, was changed")
            self._previous = row.hash
            self._next = row.seq + 1
        self._body(row, event)

    def _body(self, row: LoggedRow, event: Seen | None) -> None:
        if event is None:
            self._out.add(row.id, "is no event that can be read")
            return
        if event.id != row.id:
            self._out.add(row.id, f"says in its body that it is {event.id}")
        if (row.salt is None) != (row.srid is None):
            self._out.add(row.id, "has half an identity beside it")
        elif row.salt is not None and row.srid is not None and subject(row.salt, row.srid) != event.subject:
            self._out.add(row.id, "has another identity beside it than its body commits to")

    def _begin(self, stream: Stream) -> None:
        self._finish()
        self._stream = stream
        self._done.add(stream)
        self._next, self._previous = 1, CHAIN_START
        self._upto = self._cursors.get(stream, 0)
        if stream not in self._cursors:
            self._out.add("/".join(stream), "has events and no cursor: nobody knows how far it was acknowledged")

    def _finish(self) -> None:
        if self._stream is not None:
            self._fill(self._upto + 1)

    def _fill(self, end: int) -> None:
        """What was received and set aside, or is missing, from the next seq up to ``end``."""
        assert self._stream is not None
        node, epoch = self._stream
        aside = self._aside.get(self._stream, {})
        missing = 0
        while self._next < end:
            rows = aside.get(self._next)
            if rows is None:
                missing += 1
                if missing <= _MOST_OF_A_GAP:
                    self._out.add(f"{node}/{epoch}/{self._next}", "was acknowledged and is missing")
                elif not aside:
                    # Nothing more to find in a gap; a cursor that claims millions must not cost millions of steps.
                    self._next, self._previous = end, None
                    return
                self._previous = None
            else:
                self._previous = rows[0].hash or None
            self._next += 1

    def result(self) -> Finding:
        """What was found."""
        self._finish()
        for stream, upto in self._cursors.items():
            if stream not in self._done and upto > 0:
                self._stream, self._next, self._upto, self._previous = stream, 1, upto, CHAIN_START
                self._fill(upto + 1)
        self._stream = None
        return self._out.finding()
