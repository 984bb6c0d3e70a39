"""Checks over the log itself: I5, I6, I13, I15."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from consortium.events import ITEM_KINDS, Kind
from consortium.fold import Logged, fold_item
from consortium.identity import CHAIN_START, chain, subject
from consortium.invariants.history import History, LoggedRow, Result
from consortium.states import Conflict, ItemHistory, Loan, Transit


def check_i5(history: History) -> Result:
    """Seqs 1..upto are all there, logged or quarantined; hashes chain; subjects commit to the identities beside them."""
    nodes: dict[tuple[str, str], dict[int, LoggedRow]] = defaultdict(dict)
    bad = [f"{row.id} unreadable" for row in history.unreadable]
    for row in [*history.quarantined, *history.log]:
        nodes[row.node, row.epoch][row.seq] = row
    for (node, epoch), upto in history.cursors.items():
        rows = nodes.get((node, epoch), {})
        missing = [seq for seq in range(1, upto + 1) if seq not in rows]
        bad.extend(f"{node}/{epoch}/{seq} missing" for seq in missing[:20])
        previous = CHAIN_START
        for seq in range(1, upto + 1):
            found = rows.get(seq)
            if found is None:
                break
            if chain(previous, found.body) != found.hash:
                bad.append(f"{found.id} chain")
                break
            previous = found.hash
    for row, event in history.events:
        if row.salt is not None and row.srid is not None and subject(row.salt, row.srid) != event.subject:
            bad.append(f"{row.id} subject")
    return len(history.log), bad


def check_i6(history: History) -> Result:
    """Folding each item's events backwards and doubled gives the stored state, loans, transits and conflicts."""
    by_item: dict[Key, list[Logged]] = defaultdict(list)
    for row, event in history.events:
        if event.kind in ITEM_KINDS and event.item is not None:
            by_item[event.item].append(Logged(event, row.rid))
    stored = {(s.owner, s.item_no): s for s in history.states}
    projected = {key: _Projected() for key in {*by_item, *stored}}
    for loan in history.loans:
        projected.setdefault((loan.owner, loan.item_no), _Projected()).loans[loan.id] = loan
    for transit in history.transits:
        projected.setdefault((transit.owner, transit.item_no), _Projected()).transits[transit.id] = transit
    for conflict in history.conflicts:
        projected.setdefault((conflict.owner, conflict.item_no), _Projected()).conflicts[conflict.id] = conflict
    bad = []
    for key, found in projected.items():
        logged, state = by_item.get(key, []), stored.get(key)
        if state is None or not logged:
            bad.append(f"{key[0]}/{key[1]}")
            continue
        again = fold_item(*key, history.items.get(key, state.owner_branch), [*reversed(logged), *logged[::2]])
        if _of_fold(again) != found or _place(again) != _place(state):
            bad.append(f"{key[0]}/{key[1]}")
    return len(by_item), bad


Key = tuple[str, str]


@dataclass
class _Projected:
    """What the projections hold of one item."""

    loans: dict[str, Loan] = field(default_factory=dict)
    transits: dict[str, Transit] = field(default_factory=dict)
    conflicts: dict[str, Conflict] = field(default_factory=dict)


def _of_fold(history: ItemHistory) -> _Projected:
    return _Projected(
        {loan.id: loan for loan in history.loans},
        {transit.id: transit for transit in history.transits},
        {conflict.id: conflict for conflict in history.conflicts},
    )


def _place(history: ItemHistory) -> tuple[str, str, str, str, tuple[int, str, str, int]]:
    return (history.status, history.branch, history.circ_branch, history.owner_branch, history.last)


def check_i13(history: History) -> Result:
    """One visit per entry, one exit per visit at the most, and never more exits than entries counted at a branch."""
    entries = {row.id for row, event in history.events if event.kind is Kind.ENTRY}
    ids = Counter(visit.id for visit in history.visits)
    bad = [visit_id for visit_id, n in ids.items() if n > 1 or visit_id not in entries]
    bad += [entry for entry in entries if entry not in ids]
    outs = Counter(visit.out_event for visit in history.visits if visit.out_event is not None)
    bad += [str(event) for event, n in outs.items() if n > 1]
    bad += [visit.id for visit in history.visits if visit.t_out is not None and visit.t_out < visit.t_in]
    bad += _negative(history)
    return len(history.visits), bad


def _negative(history: History) -> list[str]:
    """Exits after which a branch had fewer than nobody inside, counted from the log's own entries and the visits' ends."""
    steps: list[tuple[int, int, str, str]] = []
    for row, event in history.events:
        if event.kind is Kind.ENTRY:
            steps.append((event.t_eff, 0, event.branch, row.id))
    steps.extend(
        (visit.t_out, 1, visit.branch, f"{visit.id} ended by {visit.out_event}")
        for visit in history.visits
        if visit.t_out is not None
    )
    inside: Counter[str] = Counter()
    bad = []
    for _, leaves, branch, what in sorted(steps):
        inside[branch] += -1 if leaves else 1
        if inside[branch] < 0:
            bad.append(what)
    return bad


def check_i15(history: History) -> Result:
    """No string in any event body is a chip number or reader number of the vault."""
    bad = []
    for row in [*history.log, *history.quarantined]:
        try:
            found = any(text in history.secrets for text in _strings(json.loads(row.body)))
        except ValueError:
            found = any(secret in row.body for secret in history.secrets)
        if found:
            bad.append(row.id)
    return len(history.log), bad


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value, *value.replace("/", " ").replace(":", " ").split()]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, *_strings(item))]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return []
