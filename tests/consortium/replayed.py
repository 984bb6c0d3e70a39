"""A log of decisions for the tests of what if: steps as a branch would have written them, and drafts to replay them under."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from consortium.agreement import LimitScope, LimitSet, PolicyRule
from consortium.calendar import DAY_MS
from consortium.decisions import accept_return, may_borrow, may_enter, may_renew
from consortium.events import Kind
from consortium.facts import BorrowFacts, EnterFacts, LoanFacts, OpenLoans, Relation, RenewFacts
from consortium.record import Facts, record
from consortium.terms import Terms
from consortium.whatif import Step, WhatIf, replay
from consortium.whatif.draft import Draft
from tests.make import HOME, HOST, NOW, Make

THERE = f"{HOST}-01"


class Log:
    """Writes steps as a branch would have: decides under the policy of the time and records it."""

    def __init__(self, **more: Any) -> None:
        self.policy = Make.policy(**more)
        self.steps: list[Step] = []

    def add(self, kind: Kind, at: int, who: str | None, decision: dict[str, Any] | None = None, **more: Any) -> Step:
        """One step more, as it is given."""
        step = Step(
            f"n/e/{len(self.steps) + 1}", kind, at, more.pop("branch", THERE), who, HOME, decision=decision, **more
        )
        self.steps.append(step)
        return step

    def decided(self, facts: Facts, at: int) -> tuple[bool, dict[str, Any]]:
        """Whether the policy of the time allowed it, and the record of that."""
        if isinstance(facts, EnterFacts):
            made = may_enter(self.policy, facts, at)
        elif isinstance(facts, BorrowFacts):
            made = may_borrow(self.policy, facts, at)
        elif isinstance(facts, RenewFacts):
            made = may_renew(self.policy, facts, at)
        else:
            made = accept_return(self.policy, facts, at)
        return made.allowed, record(made, facts, at)

    def borrow(self, who: str | None, item_no: str, *, have: int = 0, at: int = NOW, **more: Any) -> Step:
        """Ask for an item with ``have`` books of its owner out: a CHECKOUT, or a REFUSED."""
        loans = (OpenLoans(HOST, "BOOK", have, have),) if have else ()
        fields = {
            "known": known(at),
            "item": Make.item(item_no=item_no),
            "reader": Make.reader(open_loans=loans),
            **more,
        }
        allowed, decision = self.decided(Make.borrow(**fields), at)
        return self.add(Kind.CHECKOUT if allowed else Kind.REFUSED, at, who, decision, item=(HOST, item_no))

    def renew(self, who: str, item_no: str, loan: LoanFacts, *, at: int) -> Step:
        """Ask for longer: a RENEW, or a REFUSED."""
        facts = RenewFacts(Make.device(), known(at), Make.reader(), Make.item(item_no=item_no), loan)
        allowed, decision = self.decided(facts, at)
        return self.add(Kind.RENEW if allowed else Kind.REFUSED, at, who, decision, item=(HOST, item_no))

    def bring_back(self, item_no: str, *, at: int) -> Step:
        """Hand an item in at its own branch."""
        facts = Make.give_back(known=known(at), item=Make.item(item_no=item_no, loan=Relation.OTHER))
        return self.add(Kind.RETURN, at, None, self.decided(facts, at)[1], item=(HOST, item_no))

    def enter(self, who: str | None, *, at: int = NOW, **more: Any) -> Step:
        """Come to the gate: an ENTRY, or a REFUSED."""
        allowed, decision = self.decided(Make.enter(known=known(at), **more), at)
        return self.add(Kind.ENTRY if allowed else Kind.REFUSED, at, who, decision)

    def under(self, draft: Draft, **more: Any) -> WhatIf:
        """All of it replayed under the draft."""
        return replay({self.policy.version: self.policy}, draft, self.steps, **more)


def known(at: int) -> Any:
    """Everything known at that very moment."""
    return Make.known(**dict.fromkeys(("policy", "cards", "blocks", "loans", "items"), at))


def limit(most: int) -> Draft:
    """A draft under which a reader has at most so many loans of one lender."""
    return Draft(limits=(LimitSet("lender", LimitScope.LENDER, most),))


def agreement(**more: Any) -> Draft:
    """A draft of the agreement there is, changed so."""
    return Draft(agreements=(replace(Make.agreement(), **more),))


def pairs(found: WhatIf) -> dict[tuple[str, str], int]:
    """How often each code then met each code now."""
    return dict(found.by_code)


TERMS = Terms(period_days=30, renewals=2)


def loan(**more: Any) -> LoanFacts:
    """The reader's own loan since NOW, on these terms."""
    return LoanFacts(**{"mine": True, "t_out": NOW, "due": NOW + 30 * DAY_MS, "place": THERE, "terms": TERMS, **more})


def renewable(**more: Any) -> Log:
    """A log under a policy that renews twice."""
    return Log(rules=(PolicyRule("general", lend=True, period_days=30, renewals=2),), **more)
