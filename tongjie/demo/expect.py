"""What each demo reader should meet at each branch: computed by the domain from the data, not by the running system.

A borrow expectation is for an ordinary lendable book of that branch with the reader's right PIN given; an enter expectation is
for the reader's card at the branch's gate.
"""

from __future__ import annotations

from typing import Any

import msgspec

from consortium.bundle import Policy, from_plain
from consortium.decisions import may_borrow, may_enter
from consortium.facts import (
    BlockFacts,
    BorrowFacts,
    CardFacts,
    Device,
    EnterFacts,
    ItemFacts,
    Known,
    OpenLoans,
    ReaderFacts,
)


def _reader_facts(
    row: dict[str, Any], loans: list[dict[str, Any]], items: dict[tuple[str, str], dict[str, Any]]
) -> ReaderFacts:
    counts: dict[tuple[str, str], list[int]] = {}
    for loan in loans:
        item = items[loan["owner"], loan["item_no"]]
        entry = counts.setdefault((loan["place"].split("-")[0], item["item_type"]), [0, 0])
        entry[0] += 1
        entry[1] += item["value"]
    return ReaderFacts(
        home=row["home"],
        category=row["category"],
        status=row["status"],
        valid_to_ms=row["valid_to_ms"],
        shared=row["shared"],
        age=row["age"],
        blocks=tuple(
            msgspec.convert({k: v for k, v in block.items() if k != "reason"}, type=BlockFacts)
            for block in row["blocks"]
        ),
        open_loans=tuple(OpenLoans(lender, kind, n, value) for (lender, kind), (n, value) in sorted(counts.items())),
    )


def expectations(
    data: dict[str, Any], now: int, *, ils_lends: bool = False
) -> dict[tuple[str, str], dict[str, dict[str, str]]]:
    """(home, reader_no) → {"enter": {branch: code}, "borrow": {branch: code}} at the instant ``now``.

    ``ils_lends``: as it is where a member's own ILS is asked and lends. In the demo that changes nothing: nobody meets anything else
    while the ILS is away.
    """
    policy = Policy(from_plain(data["bundle"]))
    items = {(row["owner"], row["item_no"]): row for row in data["items"]}
    loans: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for loan in data["open_loans"]:
        loans.setdefault((loan["home"], loan["reader_no"]), []).append(loan)
    known = Known(now, now, now, now, now)
    out: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for row in data["readers"]:
        key = (row["home"], row["reader_no"])
        reader = _reader_facts(row, loans.get(key, []), items)
        newest = max(row["cards"], key=lambda card: card["issued_ms"])
        card = msgspec.convert({k: newest[k] for k in ("status", "assurance", "to_ms")}, type=CardFacts)
        enter, borrow = {}, {}
        for branch in policy.branches.values():
            device = Device("expectation", branch.id)
            book = ItemFacts(branch.org, "expected", "BOOK", branch.id, value=1)
            enter[branch.id] = may_enter(policy, EnterFacts(device, known, card, reader), now).primary
            pin = row["pin"] is not None
            due = now + 1 if ils_lends else None  # only heard where an ILS is in charge
            lent = may_borrow(policy, BorrowFacts(device, known, card, reader, book, pin=pin, ils_due_ms=due), now)
            borrow[branch.id] = lent.primary
        out[key] = {"enter": enter, "borrow": borrow}
    return out
