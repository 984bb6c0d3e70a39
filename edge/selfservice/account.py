"""What a kiosk may show a reader of the reader's own account, and whether an ordinary item would be lent now."""

from __future__ import annotations

from dataclasses import dataclass, replace

from consortium.agreement import LimitScope
from consortium.bundle import Policy
from consortium.decisions import may_borrow
from consortium.facts import BorrowFacts, Device, ItemFacts, Known, ReaderFacts
from consortium.identity import org_of_branch
from edge.answers import Identified
from edge.desk import Desk


@dataclass(frozen=True, slots=True)
class Account:
    """Standing and open items. Item numbers as a kiosk prints them: bare for own items, ``ORG:NUMBER`` for others.

    ``standing`` are the codes that would refuse any loan now, empty where none would. ``charged_count`` is over the whole
    consortium, the lists hold what this branch knows of. ``holds`` are ready on a shelf, ``unavailable`` still awaited.
    """

    standing: tuple[str, ...] = ()
    charged_count: int = 0
    charged: tuple[str, ...] = ()
    overdue: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    unavailable: tuple[str, ...] = ()
    charged_limit: int | None = None

    @property
    def valid(self) -> bool:
        """Whether the reader is one we know in good standing as a person (limits and blocks leave a reader valid)."""
        return not any(code.startswith(("CARD_", "READER_")) and code != "READER_AGE" for code in self.standing)


def standing(
    policy: Policy, reader: Identified, facts: ReaderFacts, device: Device, known: Known, now: int
) -> tuple[str, ...]:
    """Codes of ``may_borrow`` for an ordinary item of this library that lies on its own shelf; empty where it would be lent.

    The same function as for a real loan, so that screen and kiosk cannot disagree. An item type that the rules do not
    lend says nothing about the reader, so the types are tried in turn.
    """
    here = org_of_branch(device.branch)
    types = dict.fromkeys(["BOOK", *sorted(rule.item_type for rule in policy.rules if rule.item_type != "*")])
    codes: tuple[str, ...] = ()
    for item_type in types:
        item = ItemFacts(here, "-", item_type, device.branch)
        decision = may_borrow(policy, BorrowFacts(device, known, reader.person.card, facts, item, pin=True), now)
        if decision.allowed:
            return ()
        codes = decision.codes
        if not codes[0].startswith(("ITEM_", "RULE_")):
            return codes
    return codes


def charged_limit(policy: Policy, facts: ReaderFacts, branch: str) -> int | None:
    """The tightest limit on open loans of all types that the bundle puts on this reader here; None where there is none."""
    here = org_of_branch(branch)
    found = [
        limit.max_open
        for limit in policy.limits
        if not limit.item_types
        and limit.scope is not LimitScope.GROUP
        and (not limit.categories or facts.category in limit.categories)
        and limit.lender in ("*", here)
        and not (limit.partners_only and here == facts.home)
    ]
    return min(found, default=None)


def account_of(desk: Desk, reader: Identified) -> Account:
    """The reader's account as this edge knows it now."""
    summary = summary_of(desk, reader)
    loans, holds, now = desk.loans_of(reader.srid), desk.holds_of(reader.srid), desk.now()
    return replace(
        summary,
        charged_count=max(summary.charged_count, len(loans)),
        charged=tuple(desk.shown(key) for key, _ in loans),
        overdue=tuple(desk.shown(key) for key, due in loans if due is not None and due < now),
        holds=tuple(desk.shown(key) for key in holds if desk.on_hold_shelf(key)),
        unavailable=tuple(desk.shown(key) for key in holds if not desk.on_hold_shelf(key)),
    )


def summary_of(desk: Desk, reader: Identified) -> Account:
    """Standing, count and limit, without the lists."""
    policy = desk.policy
    if policy is None:
        return Account(standing=("NOT_DECIDABLE_OFFLINE",))
    facts = desk.reader_facts(reader)
    return Account(
        standing=standing(policy, reader, facts, desk.device("-"), desk.known(), desk.now()),
        charged_count=sum(row.n for row in facts.open_loans),
        charged_limit=charged_limit(policy, facts, desk.branch),
    )
