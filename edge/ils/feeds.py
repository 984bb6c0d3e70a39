"""A change feed: what happens inside a member's own ILS, as rows behind a cursor (domain §10).

Where rows come from (SQL, CSV, REST) is one module each, how a row is read is ``feed_mapping``; who polls is ``feed_follow``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class What(StrEnum):
    """What a row tells; the words of ILS_OBSERVED."""

    LOAN = "LOAN"
    RENEWAL = "RENEWAL"
    RETURN = "RETURN"
    FEE = "FEE"
    READER = "READER"
    ITEM = "ITEM"


@dataclass(frozen=True, slots=True)
class Change:
    """One row of a feed, read and checked. Times ms UTC; ``t_ms`` is when it happened there, None = not told.

    ``amount``: what the reader owes after it, in the minor unit of ``currency``. ``status``: ACTIVE, BLOCKED, EXPIRED of a reader;
    MISSING, LOST, WITHDRAWN, AVAILABLE of an item. ``by``: who did it there, where the feed says so.
    """

    cursor: str
    t_ms: int | None
    what: What
    item_no: str = ""
    reader_no: str = field(default="", repr=False)
    due_ms: int | None = None
    amount: int | None = None
    currency: str = ""
    status: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class LoanThere:
    """An open loan in the books of the ILS. ``reader_no`` "" and the times None = not told."""

    item_no: str
    reader_no: str = field(default="", repr=False)
    due_ms: int | None = None
    t_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row that could not be read: where it stands in the feed and why; never what it says."""

    cursor: str
    code: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What a poll found: rows in the order of the feed, those set aside, and the cursor behind them all.

    ``more``: the feed had as much as was asked for, so ask again at once.
    """

    changes: tuple[Change, ...]
    cursor: str
    bad: tuple[Quarantined, ...] = ()
    more: bool = False


class FeedError(Exception):
    """A feed that cannot be read now. ``code`` is stable; ``retry`` False = a person must look at the configuration."""

    def __init__(self, code: str, message: str, *, retry: bool = True) -> None:
        super().__init__(message)
        self.code = code
        self.retry = retry


class Feed(Protocol):
    """Where rows come from. Every call is bounded in time and size and raises `FeedError` only."""

    kind: str

    async def poll(self, after: str, limit: int) -> Batch:
        """Rows behind a cursor ("" = from the beginning), at most ``limit``; nothing is lost if the answer is."""
        ...

    def open_loans(self) -> AsyncGenerator[list[LoanThere], None]:
        """Every loan now open there, in pages; rows that cannot be read make it raise FEED_LOANS_BAD."""
        ...

    @property
    def tells_loans(self) -> bool:
        """Whether it was configured to tell the open loans."""
        ...

    async def close(self) -> None:
        """Give up whatever is open."""
        ...
