"""Lending at this branch: who decides a loan, and that nothing is promised before it is durable.

Own reader and own item, facts inside their bound: this edge, at once, or the branch's own ILS where it keeps those loans. Everything
else the hub, one question for the whole stack; while it is away, this edge under the offline caps, and the event says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from consortium.calendar import DAY_MS
from consortium.decision import Decision, Outcome
from consortium.decisions import may_borrow, may_renew
from consortium.events import Kind
from consortium.facts import BorrowFacts, ItemFacts, Relation
from consortium.identity import ItemKey
from consortium.mastership import BY_THE_ILS, ILS_AWAY
from consortium.record import record
from edge.answers import Answer, Identified, ItemRef, Transaction
from edge.asking import Asking
from edge.facts import Facts
from edge.hubrows import LoanAnswer
from edge.ils.port import IlsPort
from edge.lookup import is_number
from edge.outbox import Draft, Outbox
from edge.replica import Replica
from edge.writing import OFFLINE, Asked, Writing, refusal

BORROW_TIMEOUT_S = 0.8

LONGEST_GUESS_DAYS = 30
"""Until when a loan runs that somebody else made without saying until when, and that no rule of ours would have made."""

FEE_DUE = "FEE_DUE"
"""The code of an answer that waits for the reader to acknowledge a fee; nothing was decided yet, so it is no reason code."""


@dataclass(frozen=True, slots=True)
class _How:
    """How a stack is borrowed: at which device, with which PIN for the ILS, whether a fee was acknowledged."""

    device: str
    pin: str
    fee_ok: bool


class Lending(Writing):
    """Lends for one branch."""

    def __init__(
        self,
        facts: Facts,
        replica: Replica,
        outbox: Outbox,
        hub: Asking,
        *,
        now: Callable[[], int],
        ils: IlsPort | None = None,
    ) -> None:
        super().__init__(facts, replica, outbox, hub, now=now, ils=ils)
        self._under_way: dict[tuple[str, str, str], asyncio.Future[Answer]] = {}

    async def borrow(
        self,
        reader: Identified,
        items: Sequence[ItemRef],
        device: str,
        *,
        memos: Sequence[Transaction | None] | None = None,
        pin: str = "",
        fee_ok: bool = True,
    ) -> list[Answer]:
        """Lend a stack to a reader: one answer an item, in order. ``memos``: under which key each answer is remembered.

        The same item asked twice at once by the same reader and device is one transaction. ``pin`` goes to the branch's own ILS where
        it decides. Where a fee is due and ``fee_ok`` is False the answer is FEE_DUE, names it, and nothing was lent. Never raises for a
        refusal; where the outbox cannot record, the answer is OUT_OF_SERVICE and nothing was lent.
        """
        memos = memos if memos is not None else [None] * len(items)
        mine: list[Asked] = []
        waiting: list[asyncio.Future[Answer]] = []
        opened: list[tuple[tuple[str, str, str], asyncio.Future[Answer], Asked]] = []
        for ref, memo in zip(items, memos, strict=True):
            key = self.key_of(ref)
            slot = (reader.srid, str(key or ref), device)
            future = self._under_way.get(slot)
            if future is None:
                future = asyncio.get_running_loop().create_future()
                self._under_way[slot] = future
                asked = Asked(ref, key, memo)
                mine.append(asked)
                opened.append((slot, future, asked))
            waiting.append(future)
        try:
            if mine:
                async with self._locked([str(a.key or a.ref) for a in mine]):
                    await self._lend(reader, mine, _How(device, pin, fee_ok))
        finally:
            for slot, future, asked in opened:
                del self._under_way[slot]
                if not future.done():
                    future.set_result(asked.answer or refusal(asked.ref, "OUT_OF_SERVICE"))
        return [await asyncio.shield(future) for future in waiting]

    async def _lend(self, reader: Identified, stack: list[Asked], how: _How) -> None:
        if self.policy is None:
            for asked in stack:
                asked.answer = self._refuse(reader, asked, how.device, "NOT_DECIDABLE_OFFLINE", "borrow")
            return
        for asked in stack:
            if not is_number(asked.ref.item_no):
                asked.answer = self._refuse(reader, asked, how.device, "ITEM_UNKNOWN", "borrow")
        stack = [asked for asked in stack if asked.answer is None]
        by_ils = {id(a): ils for a in stack if (ils := self._ils_for(reader, a.key)) is not None}
        hub = [
            a for a in stack
            if id(a) not in by_ils and not self._is_ours(reader, a.key) and not self._refused_here(reader)
        ]  # fmt: skip
        told = await self._ask_loans(reader, hub, how.device) if hub else []
        answers = dict(zip((id(a) for a in hub), told, strict=False))
        asked_for = {id(a) for a in hub}
        for asked in stack:
            answer, ils = answers.get(id(asked)), by_ils.get(id(asked))
            if ils is not None:
                await self._lend_by_ils(ils, reader, asked, how)
            elif answer is None:
                await self._lend_here(reader, asked, how, offline=id(asked) in asked_for)
            else:
                await self._lend_as_told(reader, asked, answer, how)

    def _refused_here(self, reader: Identified) -> bool:
        """Whether a partner without card or PIN is refused before anybody need be asked: the hub cannot know what was shown."""
        return reader.home != self.org and reader.weak

    async def _ask_loans(self, reader: Identified, stack: list[Asked], device: str) -> list[LoanAnswer]:
        """One question for the whole stack; beyond what fits into one message, as many as it takes."""
        items = [{"owner": a.key.owner if a.key is not None else a.ref.owner, "item_no": a.ref.item_no} for a in stack]
        question = {
            "branch": self.branch,
            "device": device,
            "srid": reader.srid,
            "token": reader.token if reader.local else None,
            "pin": reader.pin,
            "t": self.now(),
        }
        return await self._ask_stack("borrow", question, items, BORROW_TIMEOUT_S)

    async def _lend_as_told(self, reader: Identified, asked: Asked, told: LoanAnswer, how: _How) -> None:
        answer = Answer(
            told.owner or asked.ref.owner, told.item_no, told.outcome, tuple(told.codes), told.title, told.type,
            due_ms=told.due,
        )  # fmt: skip
        if not answer.ok or told.due is None or told.owner is None:
            asked.answer = self._refused(reader, answer, how.device, told.record, "borrow")
            return
        if self._asks_first(asked, answer, told.terms, how):
            return
        data: dict[str, Any] = {
            "item": [told.owner, told.item_no],
            "type": told.type,
            "home": reader.home,
            "due": told.due,
            "basis": list(told.basis),
        }
        if told.terms:
            data["terms"] = told.terms
        if told.reservation is not None:
            data["reservation"] = told.reservation
        draft = Draft(Kind.CHECKOUT, self.branch, how.device, data, srid=reader.srid, decision=told.record)
        asked.answer = await self._write(draft, asked.memo, answer)

    async def _lend_here(self, reader: Identified, asked: Asked, how: _How, *, offline: bool) -> None:
        key = asked.key
        item_known = key is not None and self._facts.item(key) is not None
        if offline and not item_known:
            # Not the same as "no such item": the one who would know cannot be asked.
            asked.answer = self._refuse(reader, asked, how.device, "NOT_DECIDABLE_OFFLINE", "borrow")
            return
        now = self.now()
        facts = self._facts.borrow(reader.person, key, self.device(how.device), now, pin=reader.pin, away=offline)
        await self._decide(reader, asked, facts, now, how, flags=[OFFLINE] if offline else [])

    async def _decide(
        self, reader: Identified, asked: Asked, facts: BorrowFacts, now: int, how: _How, *, flags: list[str], said: str = ""
    ) -> None:  # fmt: skip
        """Decide from facts, then write the loan or tell the refusal."""
        policy = self.policy
        assert policy is not None
        decision = may_borrow(policy, facts, now)
        kept = record(decision, facts, now)
        answer = replace(self._answer(asked, decision, facts.item, offline=OFFLINE in flags), said=said)
        if not decision.allowed or facts.item is None or decision.due_ms is None:
            asked.answer = self._refused(reader, answer, how.device, kept, "borrow")
            return
        terms = decision.terms.to_plain() if decision.terms is not None else {}
        if self._asks_first(asked, answer, terms, how):
            return
        data = loan_data(facts.item, reader.home, decision, flags)
        draft = Draft(Kind.CHECKOUT, self.branch, how.device, data, srid=reader.srid, decision=kept)
        asked.answer = await self._write(draft, asked.memo, answer)

    def _asks_first(self, asked: Asked, answer: Answer, terms: dict[str, int], how: _How) -> bool:
        """Whether a deposit is due that nobody acknowledged: then that is the answer, and nothing was lent."""
        fee = terms.get("deposit", 0)
        if not fee or how.fee_ok:
            return False
        asked.answer = replace(answer, outcome=Outcome.REFER, codes=(FEE_DUE,), due_ms=None, fee=fee)
        return True

    # --- a branch whose own ILS keeps the loans ---

    async def _lend_by_ils(self, ils: IlsPort, reader: Identified, asked: Asked, how: _How) -> None:
        """Ask the ILS in charge, unless our own facts refuse already; where it is away, our rules decide and it is told later."""
        policy, key, now = self.policy, asked.key, self.now()
        assert policy is not None
        assert key is not None
        facts = self._facts.borrow(reader.person, key, self.device(how.device), now, pin=reader.pin)
        before = may_borrow(policy, replace(facts, ils_due_ms=now + 1), now)
        if not before.allowed:
            kept = record(before, replace(facts, ils_due_ms=now + 1), now)
            asked.answer = self._refused(reader, self._answer(asked, before, facts.item), how.device, kept, "borrow")
            return
        said = await ils.checkout(reader.number, key.item_no, how.pin)
        now = self.now()
        if said.outcome == "AWAY":
            await ils.remember(reader.srid, reader.number)
            await self._decide(reader, asked, facts, now, how, flags=[ILS_AWAY])
        elif said.outcome == "REFUSED":
            await self._decide(reader, asked, replace(facts, ils_refused=True), now, how, flags=[], said=said.text)
        else:
            due = said.due_ms or self.due_for_want_of_one(facts, now)
            if said.renewed and facts.item is not None and facts.item.loan is Relation.SELF:
                await self._renewed_by_ils(reader, asked, how, due, said.text)
            if asked.answer is None:
                lent = replace(facts, ils_due_ms=due)
                await self._decide(
                    reader, asked, lent, now, replace(how, fee_ok=True), flags=[BY_THE_ILS], said=said.text
                )

    async def _renewed_by_ils(self, reader: Identified, asked: Asked, how: _How, due: int, text: str) -> None:
        """The ILS found the item on loan to this reader, as we do, and renewed it."""
        policy, key, now = self.policy, asked.key, self.now()
        assert policy is not None
        assert key is not None
        facts = self._facts.renew(reader.srid, reader.person.reader, key, self.device(how.device), now)
        facts = replace(facts, ils_due_ms=due)
        decision = may_renew(policy, facts, now)
        if not decision.allowed or decision.due_ms is None:
            return
        answer = replace(self._answer(asked, decision, facts.item), said=text, renewed=True)
        data = renewal_data(key, reader.home, decision, [BY_THE_ILS])
        kept = record(decision, facts, now)
        draft = Draft(Kind.RENEW, self.branch, how.device, data, srid=reader.srid, decision=kept)
        asked.answer = await self._write(draft, asked.memo, answer)

    def due_for_want_of_one(self, facts: BorrowFacts, now: int) -> int:
        """Until when a loan runs that was made elsewhere without a due date we can read: by our rules, else a month."""
        policy = self.policy
        assert policy is not None
        due = may_borrow(policy, facts, now).due_ms
        return due or policy.end_of_open_day(self.branch, now + LONGEST_GUESS_DAYS * DAY_MS)

    # --- without asking ---

    def preview(self, reader: Identified, key: ItemKey, device: str) -> Answer | None:
        """What this edge would say now, without writing or asking; None where it is the hub's or the ILS's to say."""
        policy, now = self.policy, self.now()
        if policy is None:
            return refusal(ItemRef(key.owner, key.item_no), "NOT_DECIDABLE_OFFLINE")
        if self._ils_for(reader, key) is not None:
            return None
        if not self._is_ours(reader, key) and not self._refused_here(reader):
            return None
        facts = self._facts.borrow(reader.person, key, self.device(device), now, pin=reader.pin)
        asked = Asked(ItemRef(key.owner, key.item_no), key, None)
        return self._answer(asked, may_borrow(policy, facts, now), facts.item)


def loan_data(item: ItemFacts, home: str, decision: Decision, flags: list[str]) -> dict[str, Any]:
    """A CHECKOUT's data as decided; the due instant is the decision's where it has one."""
    data: dict[str, Any] = {
        "item": [item.owner, item.item_no],
        "type": item.item_type,
        "home": home,
        "due": decision.due_ms,
        "basis": list(decision.basis),
    }
    if decision.terms is not None:
        data["terms"] = decision.terms.to_plain()
    if flags:
        data["flags"] = flags
    return data


def renewal_data(key: ItemKey, home: str, decision: Decision, flags: list[str]) -> dict[str, Any]:
    """A RENEW's data as decided."""
    data: dict[str, Any] = {
        "item": [key.owner, key.item_no],
        "home": home,
        "due": decision.due_ms,
        "basis": list(decision.basis),
    }
    if decision.terms is not None:
        data["terms"] = decision.terms.to_plain()
    if flags:
        data["flags"] = flags
    return data
