"""What really happened: who had which item, and when. Kept by the physical model; knows nothing of logs and folds.

Everything that is done before a machine or a desk is an act with a number. An act may reach the hub as one event, as several
(sent twice, issued again) or late; what it meant is settled here, at once, by the one who saw it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

GONE = "gone"
OUT = "out"


@dataclass(slots=True)
class TrueLoan:
    """A loan: begun by act ``begun`` at ``t_out``; ended by act ``ended``, None while the reader has it or nobody saw it come back."""

    item: int
    who: str
    begun: int
    t_out: int
    ended: int | None = None
    t_end: int | None = None


@dataclass(slots=True)
class TrueItem:
    """An item. ``place``: ``at:BRANCH``, ``to:BRANCH``, ``out`` or ``gone``. ``loan``: in whose name it is out.

    ``scanned``: whether its last movement was seen by a machine or a person who writes it down. Where it was not, no record can know.
    ``claimed``: its reader says it was brought back, and the desk noted that. ``step`` counts movements, so that a plan made for an
    earlier one is dropped.
    """

    n: int
    owner: str
    item_no: str
    branch: str
    place: str
    loan: TrueLoan | None = None
    scanned: bool = True
    claimed: bool = False
    step: int = 0

    def moved(self, place: str, *, scanned: bool) -> int:
        """It is somewhere else now; returns the number of this movement."""
        self.place = place
        self.scanned = scanned
        self.step += 1
        return self.step


@dataclass(slots=True)
class TrueVisit:
    """A visit that is on the disk: the act of entry and what ended it (its own exit, or the next entry at that branch)."""

    who: str
    branch: str
    entered: int
    ended: int | None = None


@dataclass(slots=True)
class Truth:
    """All of it. ``act_of`` names the act behind each event id."""

    items: list[TrueItem] = field(default_factory=list)
    loans: list[TrueLoan] = field(default_factory=list)
    visits: list[TrueVisit] = field(default_factory=list)
    act_of: dict[str, int] = field(default_factory=dict)

    def lent(self, item: TrueItem, who: str, act: int, t: int) -> TrueLoan:
        """A reader has it, and it was written down. Who already had it in their name goes on having it."""
        before = item.loan
        item.moved(OUT, scanned=True)
        item.claimed = False
        if before is not None and before.who == who:
            return before
        if before is not None:
            before.ended, before.t_end = act, t
        item.loan = TrueLoan(item.n, who, act, t)
        self.loans.append(item.loan)
        return item.loan

    def given_back(self, item: TrueItem, act: int, t: int) -> None:
        """It is out of its reader's name: handed in, found, or paid for, and written down."""
        item.claimed = False
        if item.loan is not None:
            item.loan.ended, item.loan.t_end = act, t
            item.loan = None
