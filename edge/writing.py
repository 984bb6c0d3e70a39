"""What every transaction of a desk has in common: one at a time for an item, durable before it is promised, refusals told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from consortium.agreement import Master
from consortium.decision import Decision, Outcome, Route
from consortium.events import Kind
from consortium.facts import ItemFacts
from consortium.identity import ItemKey
from edge.answers import Answer, Identified, ItemRef, Transaction
from edge.asking import Asking
from edge.facts import Facts
from edge.hubrows import HubAnswerInvalid, LoanAnswer, loan_answers
from edge.ils.port import IlsPort
from edge.lookup import Lookup
from edge.outbox import Draft, Memo, Outbox, OutboxError
from edge.replica import Replica

STACK_MOST = 20
"""Items of one question: what fits into one message of the bus."""

LOCAL_FRESH_MS = 15 * 60_000
"""Own facts older than this are asked of the hub where it answers (domain §6, BORROW fresh)."""

OFFLINE = "OFFLINE"
"""The flag of a transaction that was decided, or happened, while the one to ask could not be."""


@dataclass(slots=True)
class Asked:
    """One item of a stack under way."""

    ref: ItemRef
    key: ItemKey | None
    memo: Transaction | None
    answer: Answer | None = None


class Writing(Lookup):
    """Writes for one branch. ``full``: the last event could not be recorded; ``ils``: the branch's own ILS, if it has one."""

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
        super().__init__(facts, replica, outbox, hub, now=now)
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}
        self.ils = ils
        self.full = False

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

    @asynccontextmanager
    async def held(self, key: ItemKey) -> AsyncIterator[None]:
        """Meanwhile nobody lends, renews or takes back the item here."""
        async with self._locked([str(key)]):
            yield

    def _release(self, name: str) -> None:
        lock, users = self._locks[name]
        if users == 1:
            del self._locks[name]
        else:
            self._locks[name] = (lock, users - 1)

    # --- who decides ---

    def _is_ours(self, reader: Identified, key: ItemKey | None) -> bool:
        """Whether this edge decides without asking: own reader, own item, both known, facts inside their bound."""
        if not reader.local or reader.home != self.org or key is None or key.owner != self.org:
            return False
        known = self.known()
        oldest = min(known.policy, known.cards, known.blocks, known.loans, known.items)
        return self.now() - oldest <= LOCAL_FRESH_MS and self._facts.item(key) is not None

    def _ils_for(self, reader: Identified, key: ItemKey | None) -> IlsPort | None:
        """The ILS that decides on this loan, None where none does or the item is not known to be one of its own."""
        ils = self.ils
        if ils is None or key is None or not reader.local or not reader.number:
            return None
        return ils if ils.in_charge(reader.home, key.owner) and self._facts.item(key) is not None else None

    def _ils_keeps_loans(self) -> bool:
        library = self.policy.libraries.get(self.org) if self.policy is not None else None
        return library is not None and library.masters.loans is Master.ILS

    async def _ask_stack(
        self, name: str, question: dict[str, Any], items: list[dict[str, Any]], timeout_s: float
    ) -> list[LoanAnswer]:
        """The hub's answers about a stack, in order; fewer than were asked where it stopped answering in ``timeout_s``.

        What does not fit into one message of the hub is asked for again, within the same time.
        """
        loop = asyncio.get_running_loop()
        until, answers = loop.time() + timeout_s, list[LoanAnswer]()
        while rest := items[len(answers) : len(answers) + STACK_MOST]:
            left_s = until - loop.time()
            told = await self._hub.ask(name, {**question, "items": rest}, timeout_s=left_s) if left_s > 0 else None
            try:
                answers += loan_answers(told, len(rest)) if told is not None else []
            except HubAnswerInvalid:
                told = None
            if told is None:
                break
        return answers

    # --- writing ---

    async def _write(self, draft: Draft, memo: Transaction | None, answer: Answer) -> Answer:
        remembered: Memo | None = (memo.slot, memo.keep(answer)) if memo is not None else None
        try:
            recorded = await self._outbox.append(draft, memo=remembered)
        except OutboxError:
            self.full = True
            return replace(answer, outcome=Outcome.REFER, codes=("OUT_OF_SERVICE",), due_ms=None, route=None)
        self.full = False
        return replace(answer, recorded=str(recorded.event_id))

    async def note(self, kind: Kind, key: ItemKey, device: str, data: dict[str, Any]) -> bool:
        """Record something about an item that needs no decision; False where it could not be."""
        draft = Draft(kind, self.branch, device, {"item": [key.owner, key.item_no], **data})
        try:
            await self._outbox.append(draft)
        except OutboxError:
            self.full = True
            return False
        self.full = False
        return True

    def _refuse(self, reader: Identified, asked: Asked, device: str, code: str, function: str) -> Answer:
        return self._refused(reader, refusal(asked.ref, code), device, None, function)

    def _refused(
        self, reader: Identified, answer: Answer, device: str, kept: dict[str, Any] | None, function: str
    ) -> Answer:
        """Tell a refusal; it promises nothing, so nobody waits for the disk."""
        data: dict[str, Any] = {"function": function, "codes": list(answer.codes), "home": reader.home}
        if answer.owner is not None and answer.item_no:
            data["item"] = [answer.owner, answer.item_no]
        self._outbox.append_nowait(Draft(Kind.REFUSED, self.branch, device, data, srid=reader.srid, decision=kept))
        return answer

    def _answer(self, asked: Asked, decision: Decision, item: ItemFacts | None, *, offline: bool = False) -> Answer:
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


def refusal(ref: ItemRef, code: str, outcome: Outcome = Outcome.REFER) -> Answer:
    """The answer where nothing could be decided about an item, or nothing need be."""
    return Answer(ref.owner, ref.item_no, outcome, (code,))


def plain_route(route: Route) -> dict[str, Any]:
    """A route as it stands in an event."""
    plain: dict[str, Any] = {"action": route.action, "dest": route.dest, "reason": route.reason}
    if route.via is not None:
        plain["via"] = route.via
    if route.hold_id is not None:
        plain["hold_id"] = route.hold_id
    if route.until is not None:
        plain["until"] = route.until
    return plain
