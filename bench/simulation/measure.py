"""A ledger beside the truth: what it misses, what it made up, what it has wrong now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from bench.simulation.edges import Row
from bench.simulation.rivals import Ledger
from bench.simulation.truth import GONE, OUT, Truth
from consortium.events import ITEM_KINDS, Kind
from consortium.facts import ItemStatus
from consortium.fold import Logged, fold_item, fold_visits
from consortium.states import ItemHistory

Key = tuple[str, str]


@dataclass(slots=True)
class Books:
    """Any ledger in one form: loans as (item, reader, act that began it, act that ended it or None), who has an item, where it is."""

    loans: list[tuple[Key, str, int, int | None]] = field(default_factory=list)
    holder: dict[Key, str] = field(default_factory=dict)
    place: dict[Key, str] = field(default_factory=dict)


@dataclass(slots=True)
class Figures:
    """Counts, so that runs can be added up. Shares come from ``share``.

    A loan is right where item, reader, begin and end are: a ledger that ends a loan by another act than the one that ended it has one
    loan missing and one ghost.
    """

    runs: int = 0
    loans: int = 0
    missing: int = 0
    """True loans that the ledger does not have as they were."""
    no_trace: int = 0
    """Of these, those of which it does not even have the begin."""
    booked: int = 0
    ghosts: int = 0
    """Booked loans that never were so."""
    phantoms: int = 0
    """Of these, those still open: a reader is charged for what they do not have."""
    items: int = 0
    wrong_holder: int = 0
    wrong_place: int = 0
    unscanned: int = 0
    """Items whose last movement nobody scanned: left out of the three figures above, for no record can know."""

    def add(self, other: Figures) -> None:
        """Add another run's counts."""
        for spec in fields(self):
            setattr(self, spec.name, getattr(self, spec.name) + getattr(other, spec.name))

    @property
    def wrong(self) -> int:
        """How much is wrong in all; 0 means: as it truly was."""
        return self.missing + self.ghosts + self.wrong_holder + self.wrong_place

    def share(self) -> dict[str, float]:
        """Per cent: of true loans, of booked loans, of items whose last movement was seen."""
        return {
            "missing_pct": _per_cent(self.missing, self.loans),
            "ghost_pct": _per_cent(self.ghosts, self.booked),
            "no_trace_pct": _per_cent(self.no_trace, self.loans),
            "phantom_pct": _per_cent(self.phantoms, self.booked),
            "wrong_holder_pct": _per_cent(self.wrong_holder, self.items),
            "wrong_place_pct": _per_cent(self.wrong_place, self.items),
        }


def _per_cent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0


def compare(truth: Truth, books: Books) -> Figures:
    """Hold a ledger against the truth."""
    out = Figures(runs=1, loans=len(truth.loans), booked=len(books.loans))
    true = {(loan.begun, loan.who): loan for loan in truth.loans}
    begun = set()
    for _, who, act, ended in books.loans:
        loan = true.get((act, who))
        begun.add((act, who))
        if loan is not None and loan.ended == ended:
            del true[act, who]
        else:
            out.ghosts += 1
            out.phantoms += ended is None
    out.missing = len(true)
    out.no_trace = sum(key not in begun for key in true)
    for item in truth.items:
        if not item.scanned:
            out.unscanned += 1
            continue
        key = (item.owner, item.item_no)
        out.items += 1
        out.wrong_holder += (item.loan.who if item.loan else None) != books.holder.get(key)
        out.wrong_place += item.place != books.place.get(key, f"at:{item.branch}")
    return out


def by_item(rows: Iterable[Row]) -> dict[Key, list[Logged]]:
    """What the hub logged of each item, in order of arrival."""
    found: dict[Key, list[Logged]] = defaultdict(list)
    for row in rows:
        item = row.event.item
        if item is not None and row.event.kind in ITEM_KINDS:
            found[item].append(Logged(row.event, row.who))
    return found


def folded(truth: Truth, logged: dict[Key, list[Logged]]) -> dict[Key, ItemHistory]:
    """Our refold of every item."""
    branch_of = {(item.owner, item.item_no): item.branch for item in truth.items}
    return {key: fold_item(*key, branch_of[key], events) for key, events in logged.items()}


_AWAY = {ItemStatus.ON_LOAN: OUT} | dict.fromkeys(
    (ItemStatus.LOST, ItemStatus.MISSING, ItemStatus.WITHDRAWN, ItemStatus.CLAIMED_RETURNED), GONE
)


def our_books(truth: Truth, histories: Iterable[ItemHistory]) -> Books:
    """The refold's histories as books."""
    out = Books()
    act_of = truth.act_of
    for history in histories:
        key = (history.owner, history.item_no)
        for loan in history.loans:
            out.loans.append((key, loan.who, act_of[loan.id], act_of[loan.end_event] if loan.end_event else None))
            if loan.open:
                out.holder[key] = loan.who
        transit = history.transit
        if transit is not None:
            out.place[key] = f"to:{transit.to}"
        else:
            out.place[key] = _AWAY.get(history.status, f"at:{history.branch}")
    return out


def rival_books(truth: Truth, ledger: Ledger) -> Books:
    """A rival's ledger as books."""
    act_of = truth.act_of
    return Books(
        [
            (loan.item, loan.who, act_of[loan.begun], act_of[loan.ended] if loan.ended else None)
            for loan in ledger.loans
        ],
        {key: loan.who for key, loan in ledger.open.items()},
        ledger.place,
    )


def wrong_visits(truth: Truth, rows: Iterable[Row]) -> int:
    """How many visits that were on a disk the fold of visits does not have as they were, or has and never were."""
    logged: dict[tuple[str, str], list[Logged]] = defaultdict(list)
    for row in rows:
        if row.event.kind in (Kind.ENTRY, Kind.EXIT):
            logged[row.event.branch, row.who or ""].append(Logged(row.event, row.who))
    act_of = truth.act_of
    found = {
        (who, branch, act_of[visit.id], act_of[visit.out_event] if visit.out_event else None)
        for (branch, who), events in logged.items()
        for visit in fold_visits(events)
    }
    return len(found ^ {(visit.who, visit.branch, visit.entered, visit.ended) for visit in truth.visits})
