"""A member that keeps its own ILS: whose word counts, whose books must be told, and where two sets of books differ (domain §10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from consortium.agreement import Master
from consortium.bundle import Policy
from consortium.events import Event, Kind
from consortium.identity import ItemKey, org_of_branch
from consortium.states import Loan

BY_THE_ILS = "ILS"
"""The basis of a decision that a member's ILS made, and the flag of an event whose transaction its ILS knows already."""

ILS_AWAY = "ILS_AWAY"
"""The flag of a transaction that the ILS in charge should have made and was down: taken by our rules, told to it later."""


def in_charge_of_loan(policy: Policy, home: str, owner: str, lender: str) -> Master:
    """Who decides and keeps a loan: the ILS only for its own reader with its own item at its own branch; all else is ours."""
    library = policy.libraries.get(home)
    local = home == owner == lender
    return library.masters.loans if local and library is not None else Master.TONGJIE


def to_be_told(policy: Policy, home: str, owner: str, lender: str) -> tuple[str, ...]:
    """Libraries whose ILS books a loan that is ours, under its proxy account of the partner: the owner's, then the lender's."""
    if in_charge_of_loan(policy, home, owner, lender) is Master.ILS:
        return ()  # it knows already: it made the loan

    def keeps(org: str) -> bool:
        library = policy.libraries.get(org)
        return library is not None and library.masters.loans is Master.ILS

    return tuple(org for org in dict.fromkeys((owner, lender)) if keeps(org))


class Task(StrEnum):
    """What an ILS is told to book."""

    CHECKOUT = "CHECKOUT"
    RENEW = "RENEW"
    CHECKIN = "CHECKIN"


@dataclass(frozen=True, slots=True)
class Booking:
    """Something that happened and that the ILS of ``org`` must book: idempotent by (``org``, ``of``).

    ``of``: name of the event it follows from; ``t`` when it happened, ``due`` until when (CHECKIN: None), ms UTC. ``home``: the
    reader's library, "" for a return; where it is ``org`` itself the loan is its own reader's, else it goes to the proxy account of
    that partner.
    """

    org: str
    task: Task
    item: ItemKey
    of: str
    t: int
    home: str = ""
    due: int | None = None


_TASKS = {Kind.CHECKOUT: Task.CHECKOUT, Kind.RENEW: Task.RENEW, Kind.RETURN: Task.CHECKIN, Kind.RECEIVE: Task.CHECKIN}


def bookings(policy: Policy, event: Event) -> list[Booking]:
    """What follows from an event for the books of the members' own ILS, the item's owner first.

    A loan or renewal goes to the owner's and the lender's; a return to the owner's and, where the item is another's, to that of the
    place, which may have lent it. What an event is flagged to be known by the ILS of its own place (``BY_THE_ILS``) is not told there.
    """
    task, item = _TASKS.get(event.kind), event.item
    if task is None or item is None or event.data.get("route", {}).get("reason") == "UNKNOWN":
        return []  # what no catalogue has, no ILS can book
    place, key, data = org_of_branch(event.branch), ItemKey(*item), event.data
    out = []
    for org in dict.fromkeys((key.owner, place)):
        library = policy.libraries.get(org)
        if library is None or library.masters.loans is not Master.ILS:
            continue
        if org == place and BY_THE_ILS in data.get("flags", ()):
            continue
        out.append(Booking(org, task, key, event.name, event.t_eff, data.get("home", ""), data.get("due")))
    return out


class Differs(StrEnum):
    """How our books and an ILS's disagree about an item."""

    ONLY_OURS = "ONLY_OURS"
    ONLY_THEIRS = "ONLY_THEIRS"
    DUE = "DUE"
    READER = "READER"


@dataclass(frozen=True, slots=True)
class Theirs:
    """An open loan as an ILS reports it; ``who`` as we know that reader, None where the ILS names a proxy account or nobody."""

    due: int
    who: str | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of the nightly reconciliation; ``owner`` is the library whose staff look into it."""

    item: ItemKey
    how: Differs
    owner: str
    ours: str
    theirs: str


DAY_APART_MS = 86_400_000
"""Due dates on the same day are the same: an ILS keeps days, we keep instants."""


def differences(org: str, ours: Iterable[Loan], theirs: Mapping[ItemKey, Theirs]) -> list[Difference]:
    """Where a library's ILS and the ledger disagree about open loans of its items, in the order of the items.

    What the lender made is the lender's to look into; what only the ILS has is the library's own.
    """
    out: list[Difference] = []
    mine = {ItemKey(loan.owner, loan.item_no): loan for loan in ours if loan.open and loan.owner == org}
    for key in sorted({*mine, *theirs}):
        loan, found = mine.get(key), theirs.get(key)
        if loan is None and found is not None:
            out.append(Difference(key, Differs.ONLY_THEIRS, org, "", str(found.due)))
        elif loan is not None and found is None:
            out.append(Difference(key, Differs.ONLY_OURS, loan.lender, loan.id, ""))
        elif loan is not None and found is not None:
            if found.who is not None and found.who != loan.who:
                out.append(Difference(key, Differs.READER, loan.lender, loan.id, str(found.due)))
            elif abs(found.due - loan.due) >= DAY_APART_MS:
                out.append(Difference(key, Differs.DUE, loan.lender, str(loan.due), str(found.due)))
    return out
