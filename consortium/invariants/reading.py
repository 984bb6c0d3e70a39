"""The checker's own eyes: a body decoded once, and the time at which it happened (domain §1).

Nothing of the fold's own reading is used. An event that CLOCK_CORRECTED covers happened at t_dev + offset.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from consortium.events import MAX_BODY, NEEDS_SUBJECT, SCHEMA_VERSION, SCHEMAS, Kind
from consortium.invariants.history import LoggedRow

Order = tuple[int, str, str, int]
"""(instant, node, epoch, seq): the total order of events."""


class Recorded(msgspec.Struct, gc=False):
    """A decision as an event carries it (``consortium.record``); ``facts`` are read when they are needed."""

    f: str
    o: str
    c: list[str]
    pv: int
    s: str = ""
    m: str = ""
    t: int | None = None
    due: int | None = None
    b: list[str] = []
    k: list[int] = []
    facts: msgspec.Raw = msgspec.Raw(b"{}")


class Seen(msgspec.Struct, gc=False):
    """An event as the checker reads it. ``t`` and ``unc`` are its instant and uncertainty after corrections, ms UTC;
    ``order`` is where it then stands among all events.

    ``rid`` is the reader the hub mapped it to, ``pos`` the position of its arrival.
    """

    v: int
    node: str
    epoch: str
    seq: int
    kind: Kind
    branch: str
    device: str
    t_dev: int
    t_eff: int
    t_unc: int
    mono: int
    boot: str
    data: dict[str, Any]
    subject: str | None = None
    reissue_of: str | None = None
    id: str = ""
    t: int = 0
    unc: int = 0
    rid: str | None = None
    pos: int = 0
    order: Order = (0, "", "", 0)

    @property
    def item(self) -> tuple[str, str] | None:
        """(owner, item_no) where it is about an item."""
        value = self.data.get("item")
        return (value[0], value[1]) if value else None

    @property
    def who(self) -> str:
        """The reader; where the identity was erased, what the body commits to still tells two of them apart."""
        return self.rid or f"erased:{self.subject or self.id}"

    @property
    def org(self) -> str:
        """The library of the place."""
        return self.branch.partition("-")[0]


class Decided(Seen, gc=False):
    """An event with the decision it stands on, where it has one."""

    decision: Recorded | None = None


_WHOLE = msgspec.json.Decoder(Decided)
_BRIEF = msgspec.json.Decoder(Seen)  # steps over the decision, which is most of a body


def read(row: LoggedRow) -> Decided | None:
    """The event of a row, None where its body is none: nothing like that is ever logged."""
    try:
        seen = _WHOLE.decode(row.body)
        msgspec.convert(seen.data, SCHEMAS[seen.kind])
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    if seen.v != SCHEMA_VERSION or seen.seq < 1 or seen.t_unc < 0 or len(row.body) > MAX_BODY:
        return None
    if seen.subject is None and seen.kind in NEEDS_SUBJECT:
        return None
    _place(seen, row)
    return seen


def read_again(row: LoggedRow) -> Seen | None:
    """The event of a row that ``read`` has read before, without its decision; None where it is none."""
    try:
        seen = _BRIEF.decode(row.body)
    except (msgspec.DecodeError, RecursionError):
        return None
    _place(seen, row)
    return seen


def _place(seen: Seen, row: LoggedRow) -> None:
    seen.id = f"{seen.node}/{seen.epoch}/{seen.seq}"
    seen.t, seen.unc, seen.rid, seen.pos = seen.t_eff, seen.t_unc, row.rid, row.pos
    seen.order = (seen.t_eff, seen.node, seen.epoch, seen.seq)


class Clocks:
    """Corrections of nodes' clocks: for an event the last of those that cover it, in the order of the corrections themselves."""

    __slots__ = ("_by_stream",)

    def __init__(self, corrections: Iterable[Seen]) -> None:
        by_stream: dict[tuple[str, str], list[tuple[Order, int, int, int, int]]] = defaultdict(list)
        for one in corrections:
            data = one.data
            by_stream[data["node"], data["epoch"]].append(
                (
                    (one.t_eff, one.node, one.epoch, one.seq),
                    data["first"],
                    data["last"],
                    data["offset"],
                    data.get("unc", 0),
                )
            )
        self._by_stream = {stream: sorted(found, reverse=True) for stream, found in by_stream.items()}

    def set(self, event: Seen) -> None:
        """Give the event its instant."""
        if not self._by_stream:
            return
        for _, first, last, offset, unc in self._by_stream.get((event.node, event.epoch), ()):
            if first <= event.seq <= last:
                event.t, event.unc = max(0, event.t_dev + offset), unc
                event.order = (event.t, event.node, event.epoch, event.seq)
                return
