"""Renewing: own readers' loans of own items here, everything else by one question to the hub; offline one step and no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from consortium.decision import Outcome
from consortium.decisions import may_renew
from consortium.events import Kind
from consortium.facts import RenewFacts
from consortium.identity import ItemKey
from consortium.mastership import BY_THE_ILS, ILS_AWAY
from consortium.record import record
from edge.answers import Answer, Identified, ItemRef, Transaction
from edge.hubrows import LoanAnswer
from edge.ils.port import IlsPort, Said
from edge.lending import renewal_data
from edge.outbox import Draft
from edge.writing import OFFLINE, Asked, Writing

RENEW_TIMEOUT_S = 0.8


class Renewing(Writing):
    """Renews for one branch."""

    async def renew(
        self,
        reader: Identified,
        items: Sequence[ItemRef],
        device: str,
        *,
        memos: Sequence[Transaction | None] | None = None,
        pin: str = "",
    ) -> list[Answer]:
        """Renew a reader's loans: one answer an item, in order, all within the time of one question. Never raises for a refusal."""
        memos = memos if memos is not None else [None] * len(items)
        stack = [Asked(ref, self.key_of(ref), memo) for ref, memo in zip(items, memos, strict=True)]
        async with self._locked([str(a.key or a.ref) for a in stack]):
            await self._renew(reader, stack, device, pin)
        return [asked.answer for asked in stack if asked.answer is not None]

    async def _renew(self, reader: Identified, stack: list[Asked], device: str, pin: str) -> None:
        hub: list[Asked] = []
        for asked in stack:
            if self.policy is None:
                asked.answer = self._refuse(reader, asked, device, "NOT_DECIDABLE_OFFLINE", "renew")
            elif asked.key is None:
                asked.answer = self._refuse(reader, asked, device, "ITEM_UNKNOWN", "renew")
            elif (ils := self._ils_for(reader, asked.key)) is not None:
                await self._renew_by_ils(ils, reader, asked, asked.key, device, pin)
            elif self._renews_here(reader, asked.key):
                await self._renew_here(reader, asked, asked.key, device, flags=[])
            else:
                hub.append(asked)
        if hub:
            await self._renew_elsewhere(reader, hub, device)

    def _renews_here(self, reader: Identified, key: ItemKey) -> bool:
        """Whether the terms and the place of the loan are known well enough to decide it here."""
        if not self._is_ours(reader, key):
            return False
        loan, policy = self._facts.loan(key), self.policy
        return loan is None or (policy is not None and loan.place in policy.branches)

    async def _renew_elsewhere(self, reader: Identified, stack: list[Asked], device: str) -> None:
        question = {
            "branch": self.branch,
            "device": device,
            "srid": reader.srid,
            "token": reader.token if reader.local else None,
        }
        items = [{"owner": a.key.owner, "item_no": a.key.item_no} for a in stack if a.key is not None]
        answers = await self._ask_stack("renew", question, items, RENEW_TIMEOUT_S)
        for n, asked in enumerate(stack):
            if n < len(answers):
                await self._renew_as_told(reader, asked, answers[n], device)
            else:
                await self._renew_away(reader, asked, device)

    async def _renew_as_told(self, reader: Identified, asked: Asked, told: LoanAnswer, device: str) -> None:
        answer = Answer(
            told.owner or asked.ref.owner, told.item_no, told.outcome, tuple(told.codes), told.title, told.type,
            due_ms=told.due, renewed=True,
        )  # fmt: skip
        if not answer.ok or told.due is None or told.owner is None:
            asked.answer = self._refused(reader, replace(answer, renewed=False), device, told.record, "renew")
            return
        data: dict[str, Any] = {
            "item": [told.owner, told.item_no], "home": reader.home, "due": told.due, "basis": list(told.basis),
        }  # fmt: skip
        if told.terms:
            data["terms"] = told.terms
        draft = Draft(Kind.RENEW, self.branch, device, data, srid=reader.srid, decision=told.record)
        asked.answer = await self._write(draft, asked.memo, answer)

    async def _renew_away(self, reader: Identified, asked: Asked, device: str) -> None:
        key = asked.key
        if key is None or self._facts.loan(key) is None or self._facts.item(key) is None:
            asked.answer = self._refuse(reader, asked, device, "NOT_DECIDABLE_OFFLINE", "renew")
            return
        await self._renew_here(reader, asked, key, device, flags=[OFFLINE])

    async def _renew_here(
        self, reader: Identified, asked: Asked, key: ItemKey, device: str, *, flags: list[str]
    ) -> None:
        facts = self._facts.renew(reader.srid, reader.person.reader, key, self.device(device), self.now())
        facts = replace(facts, away=OFFLINE in flags)
        await self._settle(reader, asked, key, facts, device, flags=flags)

    async def _renew_by_ils(
        self, ils: IlsPort, reader: Identified, asked: Asked, key: ItemKey, device: str, pin: str
    ) -> None:
        """Ask the ILS in charge, unless our own facts refuse already; where it is away, our rules decide and it is told later."""
        policy, now = self.policy, self.now()
        assert policy is not None
        facts = self._facts.renew(reader.srid, reader.person.reader, key, self.device(device), now)
        if facts.loan is not None and not may_renew(policy, replace(facts, ils_due_ms=now + 1), now).allowed:
            await self._settle(reader, asked, key, replace(facts, ils_due_ms=now + 1), device, flags=[])
            return
        said = await ils.renew(reader.number, key.item_no, pin)
        if said.outcome == "AWAY":
            await ils.remember(reader.srid, reader.number)
            await self._settle(reader, asked, key, facts, device, flags=[ILS_AWAY])
        elif said.outcome == "REFUSED":
            await self._settle(reader, asked, key, replace(facts, ils_refused=True), device, flags=[], said=said.text)
        elif facts.loan is None:
            await self._renewed_there(reader, asked, key, device, said)
        else:
            due = said.due_ms or may_renew(policy, facts, now).due_ms or facts.loan.due
            facts = replace(facts, ils_due_ms=due)
            await self._settle(reader, asked, key, facts, device, flags=[BY_THE_ILS], said=said.text)

    async def _renewed_there(self, reader: Identified, asked: Asked, key: ItemKey, device: str, said: Said) -> None:
        """The ILS renewed a loan that it made itself and that has not reached us yet: there is nothing of ours to decide from."""
        policy = self.policy
        assert policy is not None
        due = said.due_ms or policy.end_of_open_day(self.branch, self.now())
        answer = Answer(
            key.owner, key.item_no, Outcome.ALLOW, ("OK",), self._facts.title(key) or said.title, due_ms=due,
            renewed=True, said=said.text,
        )  # fmt: skip
        data = {
            "item": [key.owner, key.item_no], "home": reader.home, "due": due, "basis": [BY_THE_ILS],
            "flags": [BY_THE_ILS],
        }  # fmt: skip
        draft = Draft(Kind.RENEW, self.branch, device, data, srid=reader.srid)
        asked.answer = await self._write(draft, asked.memo, answer)

    async def _settle(
        self, reader: Identified, asked: Asked, key: ItemKey, facts: RenewFacts, device: str, *, flags: list[str], said: str = ""
    ) -> None:  # fmt: skip
        """Decide from facts, then write the renewal or tell the refusal."""
        policy, now = self.policy, self.now()
        assert policy is not None
        decision = may_renew(policy, facts, now)
        kept = record(decision, facts, now)
        answer = replace(
            self._answer(asked, decision, facts.item, offline=OFFLINE in flags), said=said, renewed=decision.allowed
        )
        if not decision.allowed or decision.due_ms is None:
            asked.answer = self._refused(reader, answer, device, kept, "renew")
            return
        data = renewal_data(key, reader.home, decision, flags)
        draft = Draft(Kind.RENEW, self.branch, device, data, srid=reader.srid, decision=kept)
        asked.answer = await self._write(draft, asked.memo, answer)
