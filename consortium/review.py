"""The second pure pass: what only all facts together show of a reader's loans and of an item's (domain §4).

A decision is a fact and stays one: an ALLOW made on what a branch knew keeps its loan. Where the whole log now shows a block, a limit,
a hold or an ended agreement that the branch could not see, the loan is marked POLICY_BREACH and somebody is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from consortium.agreement import Service
from consortium.bundle import Policy
from consortium.facts import BlockFacts, CardStatus, ItemFacts, OpenLoans, ReaderFacts
from consortium.lending import limit_codes
from consortium.serving import find_agreement
from consortium.stages import block_codes, lending_agreements, lending_rule
from consortium.states import Conflict, Hold, Loan

PolicyAt = Callable[[int], Policy | None]
"""The policy in force at an instant, None where none was."""

_DONE_ELSEWHERE = frozenset({"IMPORTED"})


@dataclass(frozen=True, slots=True)
class ReaderTimeline:
    """A reader as the whole log knows one: every loan, every block, and what became of the cards.

    ``cards`` are (card, instant, status) as they changed; ``values`` the value of items by (owner, item_no), where known.
    """

    home: str
    category: str
    loans: Sequence[Loan]
    blocks: Sequence[BlockFacts] = ()
    cards: Sequence[tuple[str, int, CardStatus]] = ()
    age: int | None = None
    values: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Breach:
    """A loan that the whole log would not have made: the kind of conflict and the codes that speak against it."""

    kind: str
    loan: str
    codes: tuple[str, ...]

    @property
    def flag(self) -> str:
        """What the loan is marked with."""
        return f"POLICY_BREACH:{self.codes[0]}"


def review_reader(policy_at: PolicyAt, reader: ReaderTimeline) -> list[Breach]:
    """What speaks against each of a reader's loans, judged at the instant it was made, oldest loan first."""
    out: list[Breach] = []
    for loan in sorted(reader.loans, key=lambda one: (one.t_out, one.id)):
        policy = policy_at(loan.t_out)
        if policy is None or loan.observed or _DONE_ELSEWHERE & set(loan.flags):
            continue
        item = ItemFacts(
            loan.owner, loan.item_no, loan.item_type, loan.place, value=reader.values.get((loan.owner, loan.item_no), 0)
        )
        facts = ReaderFacts(
            reader.home, reader.category, shared=True, age=reader.age, open_loans=_open_at(reader, loan)
        )
        for kind, codes in (
            ("CF_READER_BLOCKED_MEANWHILE", _blocked(reader, loan)),
            ("CF_CARD_REVOKED_MEANWHILE", _revoked(reader.cards, loan.t_out)),
            ("CF_AGREEMENT_ENDED", _agreement(policy, facts, loan)),
            ("CF_LIMIT_EXCEEDED", _limits(policy, facts, item, loan)),
        ):
            if codes:
                out.append(Breach(kind, loan.id, tuple(codes)))
    return out


def _open_at(reader: ReaderTimeline, loan: Loan) -> tuple[OpenLoans, ...]:
    """The reader's other loans that were open when this one was made; of two made at once the one with the smaller id came first."""
    counts: dict[tuple[str, str], list[int]] = {}
    for other in reader.loans:
        before = (other.t_out, other.id) < (loan.t_out, loan.id)
        if before and (other.t_end is None or other.t_end > loan.t_out):
            count = counts.setdefault((other.lender, other.item_type), [0, 0])
            count[0] += 1
            count[1] += reader.values.get((other.owner, other.item_no), 0)
    return tuple(OpenLoans(*place, n, value) for place, (n, value) in sorted(counts.items()))


def _blocked(reader: ReaderTimeline, loan: Loan) -> list[str]:
    return block_codes(tuple(reader.blocks), "BORROW", reader.home, loan.lender, loan.t_out)


def _revoked(cards: Iterable[tuple[str, int, CardStatus]], at: int) -> list[str]:
    """The code where every card that the reader had by then was out of use."""
    standing = {card: status for card, since, status in sorted(cards, key=lambda one: one[1]) if since <= at}
    if not standing or CardStatus.ACTIVE in standing.values():
        return []
    return sorted({f"CARD_{status.value}" for status in standing.values()})


def _agreement(policy: Policy, facts: ReaderFacts, loan: Loan) -> list[str]:
    for other in dict.fromkeys((loan.lender, loan.owner)):
        if other != facts.home:
            agreement, codes = find_agreement(policy, facts, other, Service.BORROW, loan.t_out)
            if agreement is None:
                return codes
    return []


def _limits(policy: Policy, facts: ReaderFacts, item: ItemFacts, loan: Loan) -> list[str]:
    agreements, _ = lending_agreements(policy, facts, item, loan.lender, Service.BORROW, loan.t_out)
    _, category = lending_rule(policy, facts, item, loan.place, agreements, loan.t_out)
    return limit_codes(policy, facts, item, loan.lender, category)


def review_item(loans: Iterable[Loan], holds: Sequence[Hold], *, reference: bool = False) -> list[Breach]:
    """What speaks against an item's loans: a hold of somebody else that was placed before, or that it is not for lending."""
    out: list[Breach] = []
    for loan in loans:
        if loan.observed:
            continue
        waiting = any(
            hold.who != loan.who and hold.t < loan.t_out and (hold.t_end is None or hold.t_end > loan.t_out)
            for hold in holds
        )
        if waiting:
            out.append(Breach("CF_HELD_FOR_OTHER", loan.id, ("ITEM_HELD",)))
        if reference:
            out.append(Breach("CF_ITEM_NOT_LENDABLE", loan.id, ("ITEM_REFERENCE",)))
    return out


def conflicts_of(breaches: Iterable[Breach], loans: Iterable[Loan]) -> list[Conflict]:
    """The breaches as conflicts, each about its loan's item."""
    of = {loan.id: loan for loan in loans}
    return [
        Conflict(f"{one.kind}:{one.loan}", one.kind, of[one.loan].owner, of[one.loan].item_no, [one.loan], of[one.loan].t_out)
        for one in breaches
    ]  # fmt: skip
