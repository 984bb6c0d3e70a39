"""What a kiosk did while it was off line: recorded as what it is, something that already happened, and never refused.

The decision functions are asked all the same, for the record: a loan they would have refused stands and is marked with their codes.
Whose off-line record is that of a loan known already (it was told before, or came over another line) adds nothing to it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from consortium.calendar import DAY_MS
from consortium.decision import Decision, Outcome
from consortium.decisions import may_borrow, may_renew
from consortium.events import Kind
from consortium.identity import ItemKey
from consortium.record import record
from edge.answers import Answer, Happened, Identified, ItemRef, Transaction
from edge.lending import LONGEST_GUESS_DAYS
from edge.lookup import is_number
from edge.openloan import SCAN_MS
from edge.outbox import Draft
from edge.writing import OFFLINE, Writing, refusal

SAME_DUE_MS = 3_600_000
"""How far a kiosk's clock and ours may be apart where the loan's due day tells that it is the same loan."""

UNKNOWN_TYPE = "UNKNOWN"


class Afterwards(Writing):
    """Records for one branch what happened without it."""

    async def lent(
        self, who: Identified | str, ref: ItemRef, device: str, happened: Happened, *, memo: Transaction | None = None
    ) -> Answer:
        """Record a loan that a kiosk made off line. ``who`` is the reader, or the site id of one nobody can name yet."""
        if not is_number(ref.item_no):
            return refusal(ref, "ITEM_UNKNOWN")
        key = await self._placed(ref)
        async with self._locked([str(key)]):
            before = self._same_loan(who, key, happened)
            if before is not None:
                return before
            return await self._record_loan(who, key, device, happened, memo)

    async def _placed(self, ref: ItemRef) -> ItemKey:
        """The item named: a number nobody can place is first of all one of this library's own (domain §1)."""
        key = self.key_of(ref)
        if key is not None:
            return key
        told = await self.ask_item(ref)
        return ItemKey(told.facts.owner if told is not None else ref.owner or self.org, ref.item_no)

    def _same_loan(self, who: Identified | str, key: ItemKey, happened: Happened) -> Answer | None:
        """The answer where this reader's loan of this item at that time is known: the record is that loan."""
        if happened.t_eff is None or isinstance(who, str):
            return None
        due = self._facts.lent(key, who.srid, happened.t_eff, SCAN_MS)
        if due is None:
            near = self._facts.lent(key, who.srid, happened.t_eff, SAME_DUE_MS)
            same_day = near is not None and happened.due is not None and abs(near - happened.due) < DAY_MS
            due = near if same_day else None
        if due is None:
            return None
        return self._noted(key, due)

    def _noted(self, key: ItemKey, due: int, codes: tuple[str, ...] = ("OK",)) -> Answer:
        item = self._facts.item(key)
        return Answer(
            key.owner, key.item_no, Outcome.ALLOW, codes, self._facts.title(key),
            item_type=item.item_type if item is not None else "", due_ms=due, offline=True,
        )  # fmt: skip

    async def _record_loan(
        self, who: Identified | str, key: ItemKey, device: str, happened: Happened, memo: Transaction | None
    ) -> Answer:
        policy, now = self.policy, self.now()
        reader = None if isinstance(who, str) else who
        item, decision, kept = self._facts.item(key), None, None
        if policy is not None:
            person = reader.person if reader is not None else None
            pin = reader is not None and reader.pin
            facts = self._facts.borrow(person, key, self.device(device), now, pin=pin)
            decision = may_borrow(policy, facts, now)
            kept = record(decision, facts, now)
        due = self._due(decision, happened, now)
        data: dict[str, Any] = {
            "item": [key.owner, key.item_no],
            "type": item.item_type if item is not None else UNKNOWN_TYPE,
            "home": reader.home if reader is not None else self.org,
            "due": due,
            "basis": list(decision.basis) if decision is not None else [],
            "flags": _flags(decision),
        }
        if decision is not None and decision.terms is not None:
            data["terms"] = decision.terms.to_plain()
        await self._remember(reader, key)
        return await self._note(Kind.CHECKOUT, who, device, data, kept, happened, memo, self._noted(key, due))

    async def renewed(
        self, who: Identified | str, ref: ItemRef, device: str, happened: Happened, *, memo: Transaction | None = None
    ) -> Answer:
        """Record a renewal that a kiosk made off line; ``who`` as for ``lent``."""
        if not is_number(ref.item_no):
            return refusal(ref, "ITEM_UNKNOWN")
        key = await self._placed(ref)
        async with self._locked([str(key)]):
            policy, now = self.policy, self.now()
            reader = None if isinstance(who, str) else who
            decision, kept = None, None
            if policy is not None and reader is not None:
                facts = self._facts.renew(reader.srid, reader.person.reader, key, self.device(device), now)
                decision = may_renew(policy, facts, now)
                kept = record(decision, facts, now)
            loan = self._facts.loan(key)
            due = max(self._due(decision, happened, now), loan.due if loan is not None else 0)
            data: dict[str, Any] = {
                "item": [key.owner, key.item_no],
                "home": reader.home if reader is not None else self.org,
                "due": due,
                "basis": list(decision.basis) if decision is not None else [],
                "flags": _flags(decision),
            }
            await self._remember(reader, key)
            answer = replace(self._noted(key, due), renewed=True)
            return await self._note(Kind.RENEW, who, device, data, kept, happened, memo, answer)

    def _due(self, decision: Decision | None, happened: Happened, now: int) -> int:
        """The due instant: the later of what the kiosk printed and what our rules give; a month where neither says anything."""
        found = [due for due in (happened.due, decision.due_ms if decision is not None else None) if due is not None]
        if found:
            return max(found)
        at = (happened.t_eff or now) + LONGEST_GUESS_DAYS * DAY_MS
        return self.policy.end_of_open_day(self.branch, at) if self.policy is not None else at

    async def _remember(self, reader: Identified | None, key: ItemKey) -> None:
        """Where the ILS is in charge it is told of this later, under the number it knows its reader by."""
        ils = self._ils_for(reader, key) if reader is not None else None
        if ils is not None and reader is not None:
            await ils.remember(reader.srid, reader.number)

    async def _note(
        self, kind: Kind, who: Identified | str, device: str, data: dict[str, Any], kept: dict[str, Any] | None,
        happened: Happened, memo: Transaction | None, answer: Answer,
    ) -> Answer:  # fmt: skip
        srid = who if isinstance(who, str) else who.srid
        draft = Draft(
            kind, self.branch, device, data, srid=srid, decision=kept, t_eff=happened.t_eff, t_unc=happened.unc_ms
        )
        return await self._write(draft, memo, answer)


def _flags(decision: Decision | None) -> list[str]:
    if decision is None or decision.allowed:
        return [OFFLINE]
    return [OFFLINE, *(f"POLICY_BREACH:{code}" for code in decision.codes)]
