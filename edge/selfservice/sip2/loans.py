"""11, 29 and 65: borrowing and renewing at a kiosk (SIP2 2.00: Checkout, Renew, Renew All)."""

from __future__ import annotations

from consortium.decision import Outcome
from drivers.selfcheck import CheckoutResult, RenewAllResult, Reply
from edge.answers import Answer, Identified, ItemRef, Transaction
from edge.lending import FEE_DUE
from edge.money import printed
from edge.selfservice.sets import INCOMPLETE
from edge.selfservice.sip2 import repeats
from edge.selfservice.sip2.call import Call
from edge.selfservice.sip2.dates import happened
from edge.selfservice.sip2.front import Front
from edge.selfservice.sip2.media import media_of

DEPOSIT = "01"
"""SIP2's fee type "other": it has none for a deposit."""

RENEW_ALL_MOST = 100
"""Loans that one 65 renews: the reply names each of them."""


class Loans:
    """Answers about loans."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._desk = front.desk

    # --- 11 ---

    async def checkout(self, call: Call) -> Reply:
        """11 → 12."""
        memo = repeats.of_item(call)
        before = self._desk.answered(memo)
        if before is not None:
            return await self._lent(call, before, memo)
        if call.no_block:
            return await self._lent_before(call, memo)
        if self._front.incomplete(call):
            return call.refuse(INCOMPLETE)
        reader = await self._front.reader(call)
        if isinstance(reader, str):
            return call.refuse(reader)
        answer = self._undone(call, reader) or await self._borrow(call, reader, memo)
        self._front.count(call.device, "renew" if answer.renewed else "borrow", answer.code)
        return await self._lent(call, answer, memo)

    def _undone(self, call: Call, reader: Identified) -> Answer | None:
        """A checkin that failed at the kiosk and never reached us: the loan is still there, and that is the answer."""
        key = self._desk.key_of(call.item) if call.cancels else None
        due = self._desk.due_of(key, reader.srid) if key is not None else None
        if key is None or due is None:
            return None
        seen = self._desk.known_item(key)
        return Answer(
            key.owner, key.item_no, Outcome.ALLOW, ("ALREADY_YOURS",), seen.title if seen else "",
            item_type=seen.facts.item_type if seen else "", due_ms=due, renewed=True,
        )  # fmt: skip

    async def _borrow(self, call: Call, reader: Identified, memo: Transaction | None) -> Answer:
        """Lend, or renew what the reader has already, where the kiosk allows that (SIP2 2.00, SC renewal policy)."""
        renews = call.request.fixed.get("sc_renewal_policy") == "Y"
        key = self._desk.key_of(call.item) if renews else None
        if key is not None and self._desk.due_of(key, reader.srid) is not None:
            return await self._renew(call, reader, call.item, memo)
        (answer,) = await self._desk.borrow(
            reader, [call.item], call.device, memos=[memo], pin=call.pin, fee_ok=call.request.get("BO") == "Y"
        )
        if renews and answer.code == "ITEM_ON_LOAN_SELF":  # only the hub knew
            ref = call.item if answer.owner is None else ItemRef(answer.owner, answer.item_no)
            return await self._renew(call, reader, ref, memo)
        return answer

    async def _lent_before(self, call: Call, memo: Transaction | None) -> Reply:
        """A loan that the kiosk made while off line: it is recorded."""
        if not call.account.no_block:
            return call.refuse("DEVICE_UNAUTHORISED")
        who = await self._front.past_reader(call)
        if not who:
            return call.refuse("CARD_UNKNOWN")
        what = happened(call.request, call.site.now(), call.zone)
        answer = await self._desk.lent(who, call.item, call.device, what, memo=memo)
        self._front.count(call.device, "borrow-offline", answer.code)
        return self._loan(call, answer, memo)

    async def _lent(self, call: Call, answer: Answer, memo: Transaction | None) -> Reply:
        """The reply to a loan, and its tag; a repeat finishes a tag that the first time did not come to."""
        there = answer.ok and self._desk.on_loan(answer.key)
        if there and not await self._front.tag(call.account.pad, answer, secured=False):
            return self._loan(call, answer, memo, "PUT_BACK")
        return self._loan(call, answer, memo)

    def _loan(self, call: Call, answer: Answer, memo: Transaction | None, *more: str) -> Reply:
        """12 or 30. ``desensitize`` stays Y though the pad may have written the AFI: the kiosk may have a strip to treat as well."""
        fee = answer.fee if answer.code == FEE_DUE else None
        due = call.site.due_text(answer.due_ms) if answer.ok and answer.due_ms is not None else ""
        return call.reply(
            CheckoutResult(
                ok=answer.ok,
                renewal_ok=answer.renewed or answer.code == "ITEM_ON_LOAN_SELF",
                desensitize=answer.ok,
                title=answer.title,
                due=due,
                media=media_of(answer.item_type) if answer.item_type else None,
                fee_type=DEPOSIT if fee is not None else None,
                fee_amount=printed(fee, "CNY") if fee is not None else None,
                currency="CNY" if fee is not None else None,
                transaction_id=memo.identity[-16:] if answer.ok and memo is not None else None,
                screen=[*_screen(call, answer), *(call.text(code) for code in more)],
                print=self._receipt(call, answer, due) if answer.ok else (),
            )
        )

    def _receipt(self, call: Call, answer: Answer, due: str) -> list[str]:
        shown = self._desk.shown(answer.key) if answer.key is not None else answer.item_no
        place = self._front.branch_name(call.site.branch, call.lang)
        return call.receipt(answer.title or shown, f"{call.text('DUE')} {due}" if due else "", place)

    # --- 29 ---

    async def renew(self, call: Call) -> Reply:
        """29 → 30; the item by its number, or by its title among the reader's loans."""
        memo = repeats.of_item(call) if call.request.get("AB") else None
        before = self._desk.answered(memo)
        if before is not None:
            return self._loan(call, before, memo)
        if call.no_block:
            return await self._renewed_before(call, memo)
        reader = await self._front.reader(call)
        if isinstance(reader, str):
            return call.refuse(reader)
        ref = self._named(call, reader)
        if ref is None:
            return call.refuse("ITEM_UNKNOWN")
        answer = await self._renew(call, reader, ref, memo)
        self._front.count(call.device, "renew", answer.code)
        return self._loan(call, answer, memo)

    def _named(self, call: Call, reader: Identified) -> ItemRef | None:
        if call.request.get("AB").strip():
            return call.item
        return self._desk.titled((key for key, _ in self._desk.loans_of(reader.srid)), call.request.get("AJ"))

    async def _renew(self, call: Call, reader: Identified, ref: ItemRef, memo: Transaction | None) -> Answer:
        (answer,) = await self._desk.renew(reader, [ref], call.device, memos=[memo], pin=call.pin)
        return answer

    async def _renewed_before(self, call: Call, memo: Transaction | None) -> Reply:
        if not call.account.no_block:
            return call.refuse("DEVICE_UNAUTHORISED")
        who = await self._front.past_reader(call)
        if not who:
            return call.refuse("CARD_UNKNOWN")
        what = happened(call.request, call.site.now(), call.zone)
        answer = await self._desk.renewed(who, call.item, call.device, what, memo=memo)
        self._front.count(call.device, "renew-offline", answer.code)
        return self._loan(call, answer, memo)

    # --- 65 ---

    async def renew_all(self, call: Call) -> Reply:
        """65 → 66: what this branch knows of the reader's loans, own ones here, the rest in one question to the hub."""
        reader = await self._front.reader(call)
        if isinstance(reader, str):
            return call.refuse(reader)
        keys = [key for key, _ in self._desk.loans_of(reader.srid)][:RENEW_ALL_MOST]
        memos = [repeats.of_item(call, f"{key.owner}/{key.item_no}") for key in keys]
        answers = [self._desk.answered(memo) for memo in memos]
        open_ones = [n for n, answer in enumerate(answers) if answer is None]
        refs = [ItemRef(keys[n].owner, keys[n].item_no) for n in open_ones]
        fresh = await self._desk.renew(reader, refs, call.device, memos=[memos[n] for n in open_ones], pin=call.pin)
        for n, answer in zip(open_ones, fresh, strict=True):
            answers[n] = answer
            self._front.count(call.device, "renew", answer.code)
        done = [self._shown(answer) for answer in answers if answer is not None and answer.ok]
        left = [answer for answer in answers if answer is not None and not answer.ok]
        return call.reply(
            RenewAllResult(
                ok=bool(done) or not left,
                renewed=done,
                unrenewed=[self._shown(answer) for answer in left],
                screen=self._told(call, reader, len(done), left),
            )
        )

    def _shown(self, answer: Answer) -> str:
        return self._desk.shown(answer.key) if answer.key is not None else answer.item_no

    def _told(self, call: Call, reader: Identified, done: int, left: list[Answer]) -> list[str]:
        """What happened: how many were renewed, and each reason why others were not, once."""
        lines = [call.line(code) for code in dict.fromkeys(answer.code for answer in left)]
        if done:
            lines.insert(0, f"{call.text('RENEWED')}: {done}")
        if not done and not left:
            lines.append(call.text("NO_LOANS"))
        if sum(row.n for row in self._desk.reader_facts(reader).open_loans) > done + len(left):
            lines.append(call.text("LOANS_ELSEWHERE"))
        return lines


def _screen(call: Call, answer: Answer) -> list[str]:
    """The reason, then what the branch's own ILS said to its own reader."""
    code = "RENEWED" if answer.ok and answer.renewed and answer.code == "OK" else answer.code
    lines = [call.text("RENEWED") + " (OK)" if code == "RENEWED" else call.line(code)]
    return [*lines, answer.said] if answer.said else lines
