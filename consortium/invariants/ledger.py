"""Checks over loans, transits and item states: I1, I2, I3, I4, I7, I11, I18."""

from __future__ import annotations

from collections import Counter, defaultdict

from consortium.bundle import from_json
from consortium.events import Kind
from consortium.facts import ItemStatus
from consortium.invariants.history import History, Result
from consortium.states import EndKind, Loan

_FOREVER = 1 << 62
_DOUBLE_SCAN_MS = 120_000


def check_i1(history: History) -> Result:
    """No two loans of an item overlap in time."""
    by_item: dict[tuple[str, str], list[Loan]] = defaultdict(list)
    for loan in history.loans:
        by_item[loan.owner, loan.item_no].append(loan)
    bad = []
    for loans in by_item.values():
        loans.sort(key=lambda loan: (loan.t_out, loan.t_end if loan.t_end is not None else _FOREVER))
        end = -1
        for loan in loans:
            if loan.t_out < end:
                bad.append(loan.id)
            end = max(end, loan.t_end if loan.t_end is not None else _FOREVER)
    return len(history.loans), bad


def check_i2(history: History) -> Result:
    """Each CHECKOUT in the log is a loan, a renewal or a double scan, and only one of them."""
    fates: Counter[str] = Counter(loan.id for loan in history.loans)
    fates.update(event_id for loan in history.loans for event_id in loan.renewals)
    earlier: dict[tuple[str, ...], int] = {}
    checkouts = sorted(
        ((event, row) for row, event in history.events if event.kind is Kind.CHECKOUT), key=lambda pair: pair[0].order
    )
    bad = []
    for event, row in checkouts:
        who = (event.data["item"][0], event.data["item"][1], row.rid or row.id, event.device)
        doubled = event.t_eff - earlier.get(who, -_FOREVER) <= _DOUBLE_SCAN_MS
        if fates[row.id] != 1 and not (fates[row.id] == 0 and doubled):
            bad.append(row.id)
        if fates[row.id]:
            earlier[who] = event.t_eff
    logged = {row.id for _, row in checkouts}
    bad.extend(loan.id for loan in history.loans if loan.id not in logged)
    return len(checkouts), bad


def check_i3(history: History) -> Result:
    """No event ends two loans; no loan ends before it began."""
    enders = Counter(loan.end_event for loan in history.loans if loan.end_event is not None)
    ids = Counter(loan.id for loan in history.loans)
    bad = [event for event, times in enders.items() if times > 1 and event is not None]
    bad += [loan_id for loan_id, times in ids.items() if times > 1]
    bad += [loan.id for loan in history.loans if loan.t_end is not None and loan.t_end < loan.t_out]
    return len(history.loans), bad


def check_i4(history: History) -> Result:
    """Ended loans name their end; an implied return stands in a conflict."""
    disputed = {event for conflict in history.conflicts for event in conflict.events}
    logged = {row.id for row in history.log}
    bad = []
    for loan in history.loans:
        if loan.t_end is None:
            if loan.end_kind is not None or loan.end_event is not None:
                bad.append(loan.id)
        elif (
            loan.end_kind is None
            or loan.end_event not in logged
            or (loan.end_kind is EndKind.IMPLIED_RETURN and loan.id not in disputed)
        ):
            bad.append(loan.id)
    return len(history.loans), bad


def check_i7(history: History) -> Result:
    """One open transit per item at the most, and none while the item is on loan."""
    still_open = Counter((t.owner, t.item_no) for t in history.transits if t.open)
    on_loan = {(loan.owner, loan.item_no) for loan in history.loans if loan.open}
    bad = [f"{owner}/{number}" for (owner, number), n in still_open.items() if n > 1 or (owner, number) in on_loan]
    return len(history.transits), bad


def check_i11(history: History) -> Result:
    """Open loans, counted by reader, are as many as items on loan, and the same ones."""
    by_loan = {(loan.owner, loan.item_no) for loan in history.loans if loan.open}
    per_reader = Counter(loan.who for loan in history.loans if loan.open)
    on_loan = {(s.owner, s.item_no) for s in history.states if s.status is ItemStatus.ON_LOAN}
    bad = [f"{owner}/{number}" for owner, number in sorted(by_loan ^ on_loan)]
    if not bad and sum(per_reader.values()) != len(on_loan):
        bad = [f"{sum(per_reader.values())} open loans, {len(on_loan)} items on loan"]
    return len(on_loan), bad


def check_i18(history: History) -> Result:
    """After its last event was a return, an item is at a branch the policy knows, under way to one, or set aside."""
    branches = {branch.id for text in history.bundles.values() for branch in from_json(text).branches}
    last: dict[tuple[str, str], tuple[tuple[int, str, str, int], str, str]] = {}
    returns = 0
    for row, event in history.events:
        key = event.item
        if key is None or event.kind not in (Kind.RETURN, Kind.RECEIVE, Kind.CHECKOUT, Kind.RENEW, Kind.TRANSIT_SENT):
            continue
        returns += event.kind in (Kind.RETURN, Kind.RECEIVE)
        if key not in last or event.order > last[key][0]:
            last[key] = (event.order, event.kind, row.id)
    states = {(s.owner, s.item_no): s for s in history.states}
    bad = []
    for key, (_, kind, row_id) in last.items():
        if kind not in (Kind.RETURN, Kind.RECEIVE):
            continue
        state = states.get(key)
        if state is None or state.status is ItemStatus.ON_LOAN or state.branch not in branches:
            bad.append(row_id)
    return returns, bad
