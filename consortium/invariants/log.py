"""Checks over the log itself: I5, I6, I13, I15."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

from consortium.events import ITEM_KINDS, Kind
from consortium.fold import Logged, fold_item
from consortium.identity import CHAIN_START, chain, subject
from consortium.invariants.history import History, LoggedRow, Result


def check_i5(history: History) -> Result:
    """Seqs 1..upto are all there, logged or quarantined; hashes chain; subjects commit to the identities beside them."""
    nodes: dict[tuple[str, str], dict[int, LoggedRow]] = defaultdict(dict)
    bad: list[str] = []
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
    """Folding each item's events backwards and doubled gives the stored history."""
    by_item: dict[tuple[str, str], list[Logged]] = defaultdict(list)
    for row, event in history.events:
        if event.kind in ITEM_KINDS and event.item is not None:
            by_item[event.item].append(Logged(event, row.rid))
    stored = {(s.owner, s.item_no): s for s in history.states}
    bad = []
    for key, logged in by_item.items():
        home = history.items.get(key)
        if home is None:
            home = stored[key].owner_branch if key in stored else ""
        shuffled = [*reversed(logged), *logged[::2]]
        if stored.get(key) != fold_item(*key, home, shuffled):
            bad.append(f"{key[0]}/{key[1]}")
    bad.extend(
        f"{s.owner}/{s.item_no} has a state and no event" for s in history.states if (s.owner, s.item_no) not in by_item
    )
    return len(by_item), bad


def check_i13(history: History) -> Result:
    """One visit per entry, one exit per visit at the most, and never more exits than entries counted at a branch."""
    entries = {row.id for row, event in history.events if event.kind is Kind.ENTRY}
    ids = Counter(visit.id for visit in history.visits)
    bad = [visit_id for visit_id, n in ids.items() if n > 1 or visit_id not in entries]
    bad += [entry for entry in entries if entry not in ids]
    outs = Counter(visit.out_event for visit in history.visits if visit.out_event is not None)
    bad += [str(event) for event, n in outs.items() if n > 1]
    bad += [visit.id for visit in history.visits if visit.t_out is not None and visit.t_out < visit.t_in]
    return len(history.visits), bad


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
