"""Returns: accepted whatever is known, durable, routed, hub or no hub, ILS or no ILS (domain §3, accept_return)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from consortium.decision import Outcome, Route
from consortium.decisions import accept_return
from consortium.events import Kind
from consortium.facts import HoldFacts, ItemFacts, ItemStatus, ReturnFacts
from consortium.identity import ItemKey
from consortium.mastership import BY_THE_ILS
from consortium.record import record
from edge.answers import Answer, Happened, ItemRef, Transaction
from edge.ils.port import Said
from edge.lookup import LoanId, is_number
from edge.outbox import Draft
from edge.writing import OFFLINE, Writing, plain_route, refusal

CREDIT_LEAST_MS = 60_000
"""A drop box emptied within this time needs no credit: the scan is the return."""

CREDIT_MOST_MS = 31 * 86_400_000
"""No drop box stands unopened for longer; an earlier date is a kiosk's clock."""

LOOK_AT_IT = "99"
"""SIP2's alert type for what a person must look at."""


@dataclass(frozen=True, slots=True)
class HowReturned:
    """What is special about a return.

    ``happened``: a kiosk took it while off line; ``credit_ms``: since when it lay in a drop box, UTC, for fees alone; ``flags`` go into
    the event; ``can_hand_back``: the machine can still give the item back. ``loan``: it undoes this loan and no other; where another
    one is open, or none, nothing is done.
    """

    happened: Happened | None = None
    credit_ms: int | None = None
    flags: tuple[str, ...] = ()
    can_hand_back: bool = False
    loan: LoanId | None = None


_AS_USUAL = HowReturned()
_DESK = "DESK"


class Returning(Writing):
    """Takes items back for one branch."""

    async def give_back(
        self, ref: ItemRef, device: str, *, memo: Transaction | None = None, how: HowReturned = _AS_USUAL
    ) -> Answer:
        """Take an item back: accepted, durable, routed, hub or no hub. Where nothing can be recorded: OUT_OF_SERVICE."""
        if not is_number(ref.item_no):
            return refusal(ref, "ITEM_UNKNOWN")
        async with self._locked([str(self.key_of(ref) or ref)]):
            return await self._take_back(ref, device, memo, how)

    async def _take_back(self, ref: ItemRef, device: str, memo: Transaction | None, how: HowReturned) -> Answer:
        key = self.key_of(ref)
        if how.loan is not None and (key is None or self.loan_of(key) != how.loan):
            return refusal(ref, "RETURN_NO_LOAN")
        said = await self._ask_ils(key, how)
        now = self.now()
        title = (self._facts.title(key) if key is not None else "") or (said.title if said is not None else "")
        facts = self._facts.give_back(key, self.device(device), now, can_hand_back=how.can_hand_back)
        if facts.item is None:
            told = await self.ask_item(ref)
            if told is not None:
                key, title = ItemKey(told.facts.owner, told.facts.item_no), told.title
                facts = replace(facts, item=told.facts)
            elif key is not None:
                facts = replace(facts, item=self._by_owner(key))
        facts = replace(facts, holds=(*facts.holds, *self._holds_there(said, now)))
        codes, route, kept = self._route(facts, said, now)
        if route is None:
            return Answer(ref.owner, ref.item_no, Outcome.DENY, codes, title)
        # A number nobody can place is first of all one of this library's own (domain §1); the desk finds out.
        key = key or ItemKey(self.org, ref.item_no)
        row = self._replica.item(key.owner, key.item_no)
        answer = Answer(
            key.owner, key.item_no, Outcome.ALLOW, codes, title,
            item_type=facts.item.item_type if facts.item is not None else "",
            owner_branch=facts.item.owner_branch if facts.item is not None else "",
            route=route,
            said=said.text if said is not None else "",
            alert=said.alert if said is not None else "",
            collection=row.collection if row is not None else "",
            call_number=row.call_number if row is not None else "",
        )  # fmt: skip
        draft = self._draft(key, facts, answer, device, kept, how, now, by_ils=said is not None)
        return await self._write(draft, memo, answer)

    def _route(
        self, facts: ReturnFacts, said: Said | None, now: int
    ) -> tuple[tuple[str, ...], Route | None, dict[str, Any] | None]:
        """Codes, route (None where the item is handed back) and the record of the decision."""
        policy = self.policy
        if policy is None:  # a box without its first replica still takes every return
            return ("RETURN_SET_ASIDE",), Route(_DESK, self.branch, reason="UNKNOWN"), None
        decision = accept_return(policy, facts, now)
        if not decision.allowed:
            return decision.codes, None, None
        if said is not None and said.alert == LOOK_AT_IT:
            # The item goes another way than our rules would send it, so the record of our decision is not that of this return.
            return ("RETURN_SET_ASIDE",), Route(_DESK, self.branch, reason=BY_THE_ILS), None
        route = decision.route or Route(_DESK, self.branch, reason="UNKNOWN")
        return decision.codes, route, record(decision, facts, now)

    def _draft(
        self, key: ItemKey, facts: ReturnFacts, answer: Answer, device: str, kept: dict[str, Any] | None,
        how: HowReturned, now: int, *, by_ils: bool,
    ) -> Draft:  # fmt: skip
        assert answer.route is not None
        data: dict[str, Any] = {
            "item": [key.owner, key.item_no], "route": plain_route(answer.route), "code": answer.code,
        }  # fmt: skip
        if answer.item_type:
            data["type"] = answer.item_type
        flags = [*how.flags, *([BY_THE_ILS] if by_ils else []), *([OFFLINE] if how.happened is not None else [])]
        if flags:
            data["flags"] = flags
        credit = self._credit(key, how.credit_ms, now)
        if credit is not None:
            data["t_credit"] = credit
        kind = _kind(facts, self.branch)
        happened = how.happened
        if happened is None:
            return Draft(kind, self.branch, device, data, decision=kept)
        return Draft(kind, self.branch, device, data, decision=kept, t_eff=happened.t_eff, t_unc=happened.unc_ms)

    def _credit(self, key: ItemKey, credit_ms: int | None, now: int) -> int | None:
        """The instant that counts for fees: as the box says, but never before the loan, nor later than now (domain §3, 4)."""
        if credit_ms is None or not now - CREDIT_MOST_MS <= credit_ms <= now - CREDIT_LEAST_MS:
            return None
        loan = self._facts.loan(key)
        return max(credit_ms, loan.t_out) if loan is not None else credit_ms

    # --- a branch whose own ILS keeps the loans ---

    async def _ask_ils(self, key: ItemKey | None, how: HowReturned) -> Said | None:
        """What the branch's own ILS said to its item coming back; None where it did not take it: the booker tells it later."""
        ils = self.ils
        own = key is not None and key.owner == self.org and self._ils_keeps_loans()
        if ils is None or key is None or not own or not ils.up or how.happened is not None:
            return None
        said = await ils.checkin(key.item_no)
        return said if said.outcome == "OK" else None

    def _holds_there(self, said: Said | None, now: int) -> tuple[HoldFacts, ...]:
        """The hold that the ILS found, as a fact for our own routing."""
        if said is None or self.policy is None:
            return ()
        if said.alert == "01":
            return (HoldFacts(BY_THE_ILS, self.branch, now),)
        if said.alert == "02" and said.pickup in self.policy.branches:
            return (HoldFacts(BY_THE_ILS, said.pickup, now),)
        return ()

    def _by_owner(self, key: ItemKey) -> ItemFacts | None:
        """An item of which only the tag's owner is known: it goes to that library's first branch."""
        policy = self.policy
        if policy is None:
            return None
        home = next((branch.id for branch in policy.bundle.branches if branch.org == key.owner), None)
        return None if home is None else ItemFacts(key.owner, key.item_no, "UNKNOWN", home)


def _kind(facts: ReturnFacts, branch: str) -> Kind:
    item = facts.item
    arrives = item is not None and item.status is ItemStatus.IN_TRANSIT and item.transit_to == branch
    return Kind.RECEIVE if arrives else Kind.RETURN
