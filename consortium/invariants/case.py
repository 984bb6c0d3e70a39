"""One item before the checks: its events in corrected time, the story they tell, and what the hub stored."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from consortium.events import Kind
from consortium.invariants.history import ItemRows, LoggedRow
from consortium.invariants.reading import Clocks, Seen, read_again
from consortium.invariants.reference import Story, tell
from consortium.states import Conflict, ItemHistory, Loan, Transit


@dataclass(slots=True)
class ItemCase:
    """An item. ``events`` are those inside a prefix, in order; ``strays`` are rows that lie with the item and are not about it."""

    name: str
    owner: str
    events: list[Seen]
    story: Story
    state: ItemHistory | None
    loans: list[Loan]
    transits: list[Transit]
    conflicts: list[Conflict]
    settled: set[str]
    strays: list[str]
    by_id: dict[str, Seen] = field(init=False)

    def __post_init__(self) -> None:
        self.by_id = {event.id: event for event in self.events}

    @classmethod
    def of(
        cls,
        rows: ItemRows,
        cursors: Mapping[tuple[str, str], int],
        clocks: Clocks,
        unreadable: Container[str] = frozenset(),
    ) -> ItemCase:
        """Decode an item's rows and tell its story. ``unreadable``: ids of rows that were found to be no events."""
        key = (rows.owner, rows.item_no)
        events, strays = [], []
        for row in rows.rows:
            if waits(row, cursors):
                continue
            event = read_again(row) if row.id not in unreadable else None
            if event is None or event.item != key:
                strays.append(row.id)
                continue
            clocks.set(event)
            events.append(event)
        events.sort(key=_order)
        branch = rows.owner_branch or (rows.state.owner_branch if rows.state is not None else "")
        return cls(
            f"{rows.owner}/{rows.item_no}", rows.owner, events, tell(events, branch), rows.state, rows.loans, rows.transits,
            rows.conflicts, rows.settled, strays,
        )  # fmt: skip


_order = attrgetter("order")


def waits(row: LoggedRow, cursors: Mapping[tuple[str, str], int]) -> bool:
    """Whether a row waits above a hole of its node's log: it is kept and not folded yet. (A stream without a cursor is I5's affair.)"""
    upto = cursors.get((row.node, row.epoch))
    return upto is not None and row.seq > upto


def once_each(events: Iterable[Seen]) -> list[Seen]:
    """The events in order without doubles: an event and its re-issues are one, the original standing for them where it is there."""
    once: dict[str, Seen] = {}
    for event in sorted(events, key=lambda one: (one.reissue_of is not None, one.order)):
        once.setdefault(event.reissue_of or event.id, event)
    return sorted(once.values(), key=_order)


class Reissues:
    """Tells, event by event, whether it counts: a re-issue does not where the original, or another re-issue before it, is held."""

    def __init__(self, cursors: Mapping[tuple[str, str], int], quarantine: Iterable[LoggedRow]) -> None:
        self._cursors = cursors
        self._aside = {row.id for row in quarantine}
        self._counted: set[str] = set()

    def counts(self, event: Seen) -> bool:
        """Whether this event is the one that stands for what happened."""
        root = event.reissue_of
        if root is None:
            return True
        node, _, rest = root.partition("/")
        epoch, _, seq = rest.partition("/")
        held = seq.isdigit() and int(seq) <= self._cursors.get((node, epoch), 0) and root not in self._aside
        if held or root in self._counted:
            return False
        self._counted.add(root)
        return True


LENDING = frozenset({Kind.CHECKOUT, Kind.RENEW})
"""Events that promise a due instant to a reader."""
