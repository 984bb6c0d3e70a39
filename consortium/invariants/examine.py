"""The two passes over a log that feed all eighteen checks.

First the rows as the nodes wrote them, each decoded once: chains, decisions, overrides, numbers, counts. Then item by item and reader
by reader. Nothing is kept of a row that has been looked at, so that a log of any length fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Protocol, TypeVar

from consortium.bundle import Bundle, BundleError, from_json
from consortium.events import Kind
from consortium.invariants.case import ItemCase, Reissues, waits
from consortium.invariants.chain import LogsAreWhole
from consortium.invariants.charges import ChargesRecompute
from consortium.invariants.decided import DecidedAgain, FreshEnough, UnderSealedPolicy, policies_of
from consortium.invariants.finding import Finding
from consortium.invariants.history import Log
from consortium.invariants.loans import (
    ClosedOnce,
    EndsAreTold,
    LoansAreItems,
    NoCheckoutVanishes,
    OneOpenLoan,
    PromisesAreKept,
)
from consortium.invariants.places import OneTransit, ReturnsLeadSomewhere
from consortium.invariants.privacy import NoNumbers
from consortium.invariants.reading import Clocks, Decided, read
from consortium.invariants.refold import RefoldsAlike
from consortium.invariants.staff import OverridesAreSigned
from consortium.invariants.totals import TotalsAgree
from consortium.invariants.visits import VisitsAreWhole

T = TypeVar("T")
_PORTION = 64


class _Check(Protocol):
    def result(self) -> Finding: ...


class _OfEvents(_Check, Protocol):
    def see(self, event: Decided) -> None: ...


class _OfItems(_Check, Protocol):
    def look(self, case: ItemCase) -> None: ...


def check(log: Log) -> list[Finding]:
    """All eighteen findings, in order, from any ``Log``: a ``History`` in memory, a hub's database, an export."""
    cursors, texts = dict(log.cursors), dict(log.bundles)
    bundles = _readable(texts)
    policies = policies_of(bundles.values())
    clocks = _clocks(log, cursors)

    chains = LogsAreWhole(cursors, log.quarantine())
    again, fresh = DecidedAgain(policies), FreshEnough(policies)
    sealed = UnderSealedPolicy(texts, bundles, log.sealed, log.policy_keys)
    numbers, signed = NoNumbers(log.secrets), OverridesAreSigned()
    reissues = Reissues(cursors, log.quarantine())
    refold, totals = RefoldsAlike(), TotalsAgree(log.totals, bundles.values())
    unreadable: set[str] = set()
    of_events: list[_OfEvents] = [again, fresh, sealed, signed]
    for rows in _portions(log.rows()):
        events = [read(row) for row in rows]
        for row, event in zip(rows, events, strict=True):
            chains.see(row, event)
        for row in rows:
            numbers.see(row)
        for one in of_events:
            for event in events:
                if event is not None:
                    one.see(event)
        for row, event in zip(rows, events, strict=True):
            if event is None:
                unreadable.add(row.id)
            elif not waits(row, cursors):
                refold.see(event)
                if reissues.counts(event):
                    clocks.set(event)
                    totals.see(event)
    for row in log.quarantine():
        numbers.see(row)

    charges = ChargesRecompute(log.charges, bundles.values())
    by_item: list[_OfItems] = [
        OneOpenLoan(), NoCheckoutVanishes(), ClosedOnce(), EndsAreTold(), OneTransit(), LoansAreItems(), PromisesAreKept(),
        ReturnsLeadSomewhere(bundles.values()), refold, totals, charges,
    ]  # fmt: skip
    for items in _portions(log.by_item()):
        cases = [ItemCase.of(item, cursors, clocks, unreadable) for item in items]
        for check_items in by_item:
            for case in cases:
                check_items.look(case)
    visits = VisitsAreWhole(cursors, clocks, unreadable)
    for visitor in log.by_visitor():
        visits.look(visitor)

    checks: list[_Check] = [chains, again, fresh, sealed, numbers, signed, visits, *by_item]
    findings = [one.result() for one in checks]
    return sorted(findings, key=lambda one: int(one.invariant[1:]))


def _portions(stream: Iterable[T]) -> Iterator[list[T]]:
    """The stream in short lists: a check that is given many things in a row keeps its own data close at hand."""
    source = iter(stream)
    while portion := list(islice(source, _PORTION)):
        yield portion


def _readable(texts: Mapping[int, str]) -> dict[int, Bundle]:
    """The bundles that can be read; what was decided under another is found by I8 and I10."""
    out: dict[int, Bundle] = {}
    for version, text in texts.items():
        try:
            out[version] = from_json(text)
        except BundleError:
            continue
    return out


def _clocks(log: Log, cursors: Mapping[tuple[str, str], int]) -> Clocks:
    events = (read(row) for row in log.corrections() if not waits(row, cursors))
    return Clocks(event for event in events if event is not None and event.kind is Kind.CLOCK_CORRECTED)
