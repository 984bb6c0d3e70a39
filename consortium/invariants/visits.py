"""I13: each visit has one entry and at most one end; nobody leaves a branch that nobody entered (domain §7)."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Container, Mapping

from consortium.events import Kind
from consortium.invariants.case import once_each, waits
from consortium.invariants.finding import Finding, Offences
from consortium.invariants.history import VisitorRows
from consortium.invariants.reading import Clocks, Seen, read_again
from consortium.states import OutKind, Visit

_ENDS = {Kind.EXIT: OutKind.EXIT, Kind.ENTRY: OutKind.NEXT_ENTRY, Kind.VISIT_CLOSED: OutKind.INFERRED_CLOSE}


class VisitsAreWhole:
    """I13, reader by reader. Entries and exits are also counted per branch, sixteen bytes a visit."""

    def __init__(
        self, cursors: Mapping[tuple[str, str], int], clocks: Clocks, unreadable: Container[str] = frozenset()
    ) -> None:
        self._out = Offences("I13")
        self._cursors = cursors
        self._clocks = clocks
        self._unreadable = unreadable
        self._ins: dict[str, array[int]] = defaultdict(lambda: array("q"))
        self._outs: dict[str, array[int]] = defaultdict(lambda: array("q"))

    def look(self, visitor: VisitorRows) -> None:
        """Look at one reader at one branch."""
        found: list[Seen] = []
        for row in visitor.rows:
            if waits(row, self._cursors) or row.id in self._unreadable or (event := read_again(row)) is None:
                continue
            self._clocks.set(event)
            found.append(event)
        events = {event.id: event for event in once_each(found)}
        entries = {event.id for event in events.values() if event.kind is Kind.ENTRY}
        seen: set[str] = set()
        ends: dict[str, str] = {}
        for visit in visitor.visits:
            self._out.checked += 1
            if visit.id in seen:
                self._out.add(visit.id, "this visit is stored more than once")
            seen.add(visit.id)
            if visit.id not in entries:
                self._out.add(visit.id, "this visit has no ENTRY of its reader at its branch")
            if visit.out_event is not None:
                other = ends.setdefault(visit.out_event, visit.id)
                if other != visit.id:
                    self._out.add(visit.out_event, f"this event ended visit {other} and visit {visit.id}")
            self._end(visit, events, known=bool(visitor.rid))
            if visit.t_out is not None:
                self._outs[visit.branch].append(visit.t_out)
        for name in entries:
            self._ins[events[name].branch].append(events[name].t)
            if name not in seen:
                self._out.add(name, "this ENTRY began no visit")

    def _end(self, visit: Visit, events: Mapping[str, Seen], *, known: bool) -> None:
        if visit.t_out is None:
            if visit.out_event is not None or visit.out_kind is not None:
                self._out.add(visit.id, "this visit goes on and names an end")
            return
        if visit.t_out < visit.t_in:
            self._out.add(visit.id, "this visit ended before it began")
        if visit.out_event is None or visit.out_kind is None:
            self._out.add(visit.id, "this visit is over and does not say how or by what")
            return
        event = events.get(visit.out_event)
        if event is None:
            if known:  # where identities were erased, who left can no longer be told
                self._out.add(
                    visit.id, f"this visit was ended by {visit.out_event}, which is no event of its reader here"
                )
        elif event.t != visit.t_out or _ENDS.get(event.kind) is not visit.out_kind:
            self._out.add(visit.id, f"this visit's end is not what {visit.out_event} says")
        elif event.kind is Kind.VISIT_CLOSED and event.data["visit"] != visit.id:
            self._out.add(visit.id, f"this visit was ended by {visit.out_event}, which closes another")

    def result(self) -> Finding:
        """What was found. The k-th exit of a branch never comes before its k-th entry."""
        for branch, outs in sorted(self._outs.items()):
            came, left = sorted(self._ins.get(branch, array("q"))), sorted(outs)
            for number, at in enumerate(left):
                if number >= len(came) or came[number] > at:
                    self._out.add(f"{branch} at {at}", f"{number + 1} had left by then and fewer had come in")
                    break
        return self._out.finding()
