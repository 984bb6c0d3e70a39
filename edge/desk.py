"""Decide, write, act: the one transaction of a loan or a return at this branch.

Who decides a loan: own reader, own item, facts inside their bound: this edge, at once. Everything else the hub, one question
for the whole stack; while it is away, this edge under the offline caps, and the event says so. Nothing is promised before
the event is durable. A return is accepted whatever is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from consortium.decision import Decision, Outcome, Route
from consortium.decisions import accept_return, may_borrow
from consortium.events import Kind
from consortium.facts import ItemFacts, ItemStatus, ReturnFacts
from consortium.identity import ItemKey
from consortium.record import record
from edge.answers import Answer, Identified, ItemRef, Transaction
from edge.asking import Asking
from edge.facts import Facts
from edge.hubrows import HubAnswerInvalid, LoanAnswer, loan_answers
from edge.lookup import Lookup, is_number
from edge.outbox import Draft, Memo, Outbox, OutboxError
from edge.replica import Replica

BORROW_TIMEOUT_S = 0.8
STACK_MOST = 20
"""Items of one question: what fits into one message of the bus."""

LOCAL_FRESH_MS = 15 * 60_000
"""Own facts older than this are asked of the hub where it answers (domain §6, BORROW fresh)."""


@dataclass(slots=True)
class _Asked:
    """One item of a stack under way."""

    ref: ItemRef
    key: ItemKey | None
    memo: Transaction | None
    answer: Answer | None = None


class Desk(Lookup):
    """The desk of one branch. ``full`` says whether the last event could not be recorded."""

    def __init__(self, facts: Facts, replica: Replica, outbox: Outbox, hub: Asking, *, now: Callable[[], int]) -> None:
        super().__init__(facts, replica, outbox, hub, now=now)
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}
        self._under_way: dict[tuple[str, str, str], asyncio.Future[Answer]] = {}
        self.full = False

    # --- lending ---

    async def borrow(
        self,
        reader: Identified,
        items: Sequence[ItemRef],
        device: str,
        *,
        memos: Sequence[Transaction | None] | None = None,
    ) -> list[Answer]:
        """Lend a stack to a reader: one answer an item, in order. ``memos``: under which key each answer is remembered.

        The same item asked twice at once by the same reader and device is one transaction. Never raises for a refusal;
        where the outbox cannot record, the answer is OUT_OF_SERVICE and nothing was lent.
        """
        memos = memos if memos is not None else [None] * len(items)
        mine: list[_Asked] = []
        waiting: list[asyncio.Future[Answer]] = []
        opened: list[tuple[tuple[str, str, str], asyncio.Future[Answer], _Asked]] = []
        for ref, memo in zip(items, memos, strict=True):
            key = self.key_of(ref)
            slot = (reader.srid, str(key or ref), device)
            future = self._under_way.get(slot)
            if future is None:
                future = asyncio.get_running_loop().create_future()
                self._under_way[slot] = future
                asked = _Asked(ref, key, memo)
                mine.append(asked)
                opened.append((slot, future, asked))
            waiting.append(future)
        try:
            if mine:
                async with self._locked([str(a.key or a.ref) for a in mine]):
                    await self._lend(reader, mine, device)
        finally:
            for slot, future, asked in opened:
                del self._under_way[slot]
                if not future.done():
                    future.set_result(asked.answer or _refusal(asked.ref, "OUT_OF_SERVICE", Outcome.REFER))
        return [await asyncio.shield(future) for future in waiting]

    @asynccontextmanager
    async def _locked(self, names: list[str]) -> AsyncIterator[None]:
        """Hold the lock of each item, taken in one order so that two stacks cannot wait for each other."""
        async with AsyncExitStack() as stack:
            for name in sorted(set(names)):
                lock, users = self._locks.get(name, (asyncio.Lock(), 0))
                self._locks[name] = (lock, users + 1)
                stack.callback(self._release, name)
                await stack.enter_async_context(lock)
            yield

    def _release(self, name: str) -> None:
        lock, users = self._locks[name]
        if users == 1:
            del self._locks[name]
        else:
            self._locks[name] = (lock, users - 1)

    def _is_ours(self, reader: Identified, key: ItemKey | None) -> bool:
        """Whether this edge decides without asking: own reader, own item, both known, facts inside their bound."""
        if not reader.local or reader.home != self.org or key is None or key.owner != self.org:
            return False
        known = self.known()
        oldest = min(known.policy, known.cards, known.blocks, known.loans, known.items)
        return self.now() - oldest <= LOCAL_FRESH_MS and self._facts.item(key) is not None

    async def _lend(self, reader: Identified, stack: list[_Asked], device: str) -> None:
        if self.policy is None:
            for asked in stack:
                asked.answer = await self._refuse(reader, asked, device, "NOT_DECIDABLE_OFFLINE", None)
            return
        for asked in stack:
            if not is_number(asked.ref.item_no):
                asked.answer = await self._refuse(reader, asked, device, "ITEM_UNKNOWN", None)
        stack = [asked for asked in stack if asked.answer is None]
        hub = [a for a in stack if not self._is_ours(reader, a.key) and not self._refused_here(reader, a)]
        answers: dict[int, LoanAnswer] = {}
        # One question for the whole stack; beyond what fits into one message, as many as it takes.
        for first in range(0, len(hub), STACK_MOST):
            part = hub[first : first + STACK_MOST]
            told = await self._ask(reader, part, device)
            answers.update(zip((id(a) for a in part), told or (), strict=False))
        asked_for = {id(a) for a in hub}
        for asked in stack:
            answer = answers.get(id(asked))
            if answer is None:
                await self._lend_here(reader, asked, device, offline=id(asked) in asked_for)
            else:
                await self._lend_as_told(reader, asked, answer, device)

    def _refused_here(self, reader: Identified, asked: _Asked) -> bool:
        """Whether a partner without card or PIN is refused before anybody need be asked: the hub cannot know what was shown."""
        return reader.home != self.org and reader.weak

    async def _ask(self, reader: Identified, stack: list[_Asked], device: str) -> list[LoanAnswer] | None:
        items = [{"owner": a.key.owner if a.key is not None else a.ref.owner, "item_no": a.ref.item_no} for a in stack]
        question = {
            "branch": self.branch,
            "device": device,
            "srid": reader.srid,
            "token": reader.token if reader.local else None,
            "pin": reader.pin,
            "items": items,
            "t": self.now(),
        }
        told = await self._hub.ask("borrow", question, timeout_s=BORROW_TIMEOUT_S)
        try:
            return loan_answers(told, len(stack)) if told is not None else None
        except HubAnswerInvalid:
            return None

    async def _lend_as_told(self, reader: Identified, asked: _Asked, told: LoanAnswer, device: str) -> None:
        answer = Answer(
            told.owner or asked.ref.owner, told.item_no, told.outcome, tuple(told.codes), told.title, told.type,
            due_ms=told.due,
        )  # fmt: skip
        if not answer.ok or told.due is None or told.owner is None:
            asked.answer = await self._refused(reader, asked, answer, device, told.record)
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
        asked.answer = await self._checkout(reader, asked, answer, device, data, told.record)

    async def _lend_here(self, reader: Identified, asked: _Asked, device: str, *, offline: bool) -> None:
        policy, now, key = self.policy, self.now(), asked.key
        assert policy is not None
        item_known = key is not None and self._facts.item(key) is not None
        if offline and not item_known:
            # Not the same as "no such item": the one who would know cannot be asked.
            asked.answer = await self._refuse(reader, asked, device, "NOT_DECIDABLE_OFFLINE", None)
            return
        facts = self._facts.borrow(reader.person, key, self.device(device), now, pin=reader.pin, away=offline)
        decision = may_borrow(policy, facts, now)
        kept = record(decision, facts, now)
        answer = self._answer(asked, decision, facts.item, offline=offline)
        if not decision.allowed or facts.item is None or decision.due_ms is None:
            asked.answer = await self._refused(reader, asked, answer, device, kept)
            return
        data: dict[str, Any] = {
            "item": [facts.item.owner, facts.item.item_no],
            "type": facts.item.item_type,
            "home": reader.home,
            "due": decision.due_ms,
            "basis": list(decision.basis),
        }
        if decision.terms is not None:
            data["terms"] = decision.terms.to_plain()
        if offline:
            data["flags"] = ["OFFLINE"]
        asked.answer = await self._checkout(reader, asked, answer, device, data, kept)

    def preview(self, reader: Identified, key: ItemKey, device: str) -> Answer | None:
        """What this edge would say now, without writing or asking; None where it is the hub's to say."""
        policy, now = self.policy, self.now()
        if policy is None:
            return _refusal(ItemRef(key.owner, key.item_no), "NOT_DECIDABLE_OFFLINE", Outcome.REFER)
        asked = _Asked(ItemRef(key.owner, key.item_no), key, None)
        if not self._is_ours(reader, key) and not self._refused_here(reader, asked):
            return None
        facts = self._facts.borrow(reader.person, key, self.device(device), now, pin=reader.pin)
        return self._answer(asked, may_borrow(policy, facts, now), facts.item)

    def _answer(self, asked: _Asked, decision: Decision, item: ItemFacts | None, *, offline: bool = False) -> Answer:
        key = asked.key
        return Answer(
            owner=key.owner if key is not None else asked.ref.owner,
            item_no=asked.ref.item_no,
            outcome=decision.outcome,
            codes=decision.codes,
            title=self._facts.title(key) if key is not None else "",
            item_type=item.item_type if item is not None else "",
            owner_branch=item.owner_branch if item is not None else "",
            due_ms=decision.due_ms,
            route=decision.route,
            offline=offline,
        )

    async def _checkout(
        self, reader: Identified, asked: _Asked, answer: Answer, device: str, data: dict[str, Any], kept: dict[str, Any]
    ) -> Answer:
        draft = Draft(Kind.CHECKOUT, self.branch, device, data, srid=reader.srid, decision=kept)
        return await self._write(draft, asked.memo, answer)

    async def _write(self, draft: Draft, memo: Transaction | None, answer: Answer) -> Answer:
        remembered: Memo | None = (memo.slot, memo.keep(answer)) if memo is not None else None
        try:
            recorded = await self._outbox.append(draft, memo=remembered)
        except OutboxError:
            self.full = True
            return replace(answer, outcome=Outcome.REFER, codes=("OUT_OF_SERVICE",), due_ms=None, route=None)
        self.full = False
        return replace(answer, recorded=str(recorded.event_id))

    async def _refuse(
        self, reader: Identified, asked: _Asked, device: str, code: str, kept: dict[str, Any] | None
    ) -> Answer:
        answer = _refusal(asked.ref, code, Outcome.REFER)
        return await self._refused(reader, asked, answer, device, kept)

    async def _refused(
        self, reader: Identified, asked: _Asked, answer: Answer, device: str, kept: dict[str, Any] | None
    ) -> Answer:
        """Tell a refusal; it promises nothing, so nobody waits for the disk."""
        data: dict[str, Any] = {"function": "borrow", "codes": list(answer.codes), "home": reader.home}
        if answer.owner is not None and answer.item_no:
            data["item"] = [answer.owner, answer.item_no]
        self._outbox.append_nowait(Draft(Kind.REFUSED, self.branch, device, data, srid=reader.srid, decision=kept))
        return answer

    # --- returning ---

    async def give_back(self, ref: ItemRef, device: str, *, memo: Transaction | None = None) -> Answer:
        """Take an item back: accepted, durable, routed, hub or no hub. Where nothing can be recorded: OUT_OF_SERVICE."""
        if not is_number(ref.item_no):
            return _refusal(ref, "ITEM_UNKNOWN", Outcome.REFER)
        async with self._locked([str(self.key_of(ref) or ref)]):
            return await self._take_back(ref, device, memo)

    async def _take_back(self, ref: ItemRef, device: str, memo: Transaction | None) -> Answer:
        now, key = self.now(), self.key_of(ref)
        title = self._facts.title(key) if key is not None else ""
        facts = self._facts.give_back(key, self.device(device), now)
        if facts.item is None:
            told = await self.ask_item(ref)
            if told is not None:
                key, title = ItemKey(told.facts.owner, told.facts.item_no), told.title
                facts = replace(facts, item=told.facts)
            elif key is not None:
                facts = replace(facts, item=self._by_owner(key))
        policy = self.policy
        kept: dict[str, Any] | None = None
        codes: tuple[str, ...] = ("RETURN_SET_ASIDE",)
        route = Route("DESK", self.branch, reason="UNKNOWN")
        if policy is None:
            pass  # a box without its first replica still takes every return
        else:
            decision = accept_return(policy, facts, now)
            kept = record(decision, facts, now)
            route, codes = decision.route or Route("DESK", self.branch, reason="UNKNOWN"), decision.codes
            if not decision.allowed:
                return Answer(ref.owner, ref.item_no, decision.outcome, codes, title)
        # A number nobody can place is first of all one of this library's own (domain §1); the desk finds out.
        key = key or ItemKey(self.org, ref.item_no)
        answer = Answer(
            key.owner, key.item_no, Outcome.ALLOW, codes, title,
            item_type=facts.item.item_type if facts.item is not None else "",
            owner_branch=facts.item.owner_branch if facts.item is not None else "",
            route=route,
        )  # fmt: skip
        data: dict[str, Any] = {"item": [key.owner, key.item_no], "route": _plain_route(route), "code": codes[0]}
        if answer.item_type:
            data["type"] = answer.item_type
        draft = Draft(_kind(facts, self.branch), self.branch, device, data, decision=kept)
        return await self._write(draft, memo, answer)

    def _by_owner(self, key: ItemKey) -> ItemFacts | None:
        """An item of which only the tag's owner is known: it goes to that library's first branch."""
        policy = self.policy
        if policy is None:
            return None
        home = next((branch.id for branch in policy.bundle.branches if branch.org == key.owner), None)
        return None if home is None else ItemFacts(key.owner, key.item_no, "UNKNOWN", home)


def _refusal(ref: ItemRef, code: str, outcome: Outcome) -> Answer:
    return Answer(ref.owner, ref.item_no, outcome, (code,))


def _kind(facts: ReturnFacts, branch: str) -> Kind:
    item = facts.item
    arrives = item is not None and item.status is ItemStatus.IN_TRANSIT and item.transit_to == branch
    return Kind.RECEIVE if arrives else Kind.RETURN


def _plain_route(route: Route) -> dict[str, Any]:
    plain: dict[str, Any] = {"action": route.action, "dest": route.dest, "reason": route.reason}
    if route.via is not None:
        plain["via"] = route.via
    if route.hold_id is not None:
        plain["hold_id"] = route.hold_id
    if route.until is not None:
        plain["until"] = route.until
    return plain
