"""23, 63, 35, 01 and 25: a reader's standing, account, end of session, block and enable (SIP2 2.00)."""

from __future__ import annotations

from dataclasses import dataclass

from consortium.agreement import Master
from drivers.selfcheck import EndResult, ReaderResult, Reply
from edge.answers import Done, Identified
from edge.hubrows import FeeList
from edge.ils.port import ReaderSaid
from edge.money import printed
from edge.selfservice.account import Account, account_of, summary_of
from edge.selfservice.identify import Presented, Unidentified
from edge.selfservice.pin import PinAnswer
from edge.selfservice.sip2 import repeats
from edge.selfservice.sip2.call import Call
from edge.selfservice.sip2.front import Front

DENIED = frozenset(("charge_denied", "renewal_denied", "recall_denied", "hold_denied"))

_CARD_CODES = frozenset(("CARD_LOST", "CARD_REPLACED"))
_LIMIT_CODES = frozenset(("LIMIT_LENDER", "LIMIT_TYPE", "LIMIT_CONSORTIUM", "LIMIT_VALUE", "LIMIT_OFFLINE"))
_NOT_SHOWN = (PinAnswer.WRONG, PinAnswer.LOCKED)


@dataclass(frozen=True, slots=True)
class Owed:
    """What a reader owes, as far as somebody could be asked: ``lines`` are the charges one by one, None where nobody told them."""

    amount: str | None = None
    currency: str | None = None
    lines: tuple[str, ...] | None = None


class Readers:
    """Answers about readers."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._desk = front.desk

    # --- 23, 63 ---

    async def status(self, call: Call) -> Reply:
        """23 → 24: the short form."""
        who = await self._front.identify(call)
        if isinstance(who, Unidentified):
            return self._nobody(call, who.code)
        return self._about(call, who, summary_of(self._desk, who.reader))

    async def information(self, call: Call) -> Reply:
        """63 → 64: counts, the list asked for, limits, what is owed where somebody can be asked."""
        who = await self._front.identify(call)
        if isinstance(who, Unidentified):
            return self._nobody(call, who.code)
        account = account_of(self._desk, who.reader)
        if who.pin in _NOT_SHOWN:
            # The PIN was asked for and not answered right: a kiosk must not show whose loans these are.
            return self._about(call, who, Account(standing=account.standing, charged_limit=account.charged_limit))
        said = await self._ask_ils(call, who.reader)
        return self._about(call, who, account, await self._owed(call, who.reader, said), said)

    def _nobody(self, call: Call, code: str) -> Reply:
        return call.reply(ReaderResult(valid=False, status=DENIED, screen=[call.line(code)]))

    def _about(
        self, call: Call, who: Presented, account: Account, owed: Owed | None = None, said: ReaderSaid | None = None
    ) -> Reply:
        reader, codes = who.reader, list(account.standing)
        if who.pin in _NOT_SHOWN and who.pin is not None:
            codes.insert(0, who.pin.value)
        owed = owed or Owed()
        screen = [call.line(code) for code in codes[:1]]
        if said is not None and said.text:
            screen.append(said.text)
        if call.request.code == "63" and account.charged_count > len(account.charged):
            screen.append(call.text("LOANS_ELSEWHERE"))
        blocked = said is not None and (said.blocked or not said.valid)
        return call.reply(
            ReaderResult(
                valid=account.valid and not (said is not None and not said.valid),
                valid_password=None if who.pin in (None, PinAnswer.UNCHECKED) else who.pin is PinAnswer.RIGHT,
                name=reader.initials if call.account.names == "initials" else "",
                status=_flags(account.standing) | (DENIED if blocked else frozenset()),
                hold_count=len(account.holds),
                overdue_count=len(account.overdue),
                charged_count=len(account.charged),  # as many as the list holds; the rest is said on the screen
                fine_count=len(owed.lines) if owed.lines is not None else None if call.account.blank_counts else 0,
                unavailable_count=len(account.unavailable),
                holds=account.holds,
                overdues=account.overdue,
                charged=account.charged,
                fines=owed.lines or (),
                unavailable=account.unavailable,
                charged_limit=account.charged_limit,
                currency=owed.currency,
                fee_amount=owed.amount,
                home_library=reader.home,
                expiry=self._expiry(call, reader),
                screen=screen,
            )
        )

    def _expiry(self, call: Call, reader: Identified) -> str | None:
        ends = self._desk.reader_facts(reader).valid_to_ms
        return f"{call.local(ends):%Y%m%d}" if ends is not None and call.request.code == "63" else None

    async def _ask_ils(self, call: Call, reader: Identified) -> ReaderSaid | None:
        """An own reader as the branch's own ILS sees one, where it keeps the readers."""
        ils, policy = self._desk.ils, self._desk.policy
        library = policy.libraries.get(self._desk.org) if policy is not None else None
        own = reader.home == self._desk.org and library is not None and library.masters.readers is Master.ILS
        return await ils.reader(reader.number, call.pin) if ils is not None and own and ils.up else None

    async def _owed(self, call: Call, reader: Identified, said: ReaderSaid | None) -> Owed:
        """From the ILS where it keeps the fees, else from the hub; nothing where neither can be asked."""
        if said is not None and said.fees is not None:
            currency = said.currency or call.account.currency
            return Owed(printed(said.fees, currency), currency)
        fees = await self._desk.fees(reader, call.device) if self._desk.online else None
        return Owed() if fees is None else _owed(self._desk.org, fees)

    # --- 35 ---

    async def end(self, call: Call) -> Reply:
        """35 → 36: nothing of the reader is remembered any more."""
        call.session_pin.forget()
        return call.reply(EndResult())

    # --- 01, 25 ---

    async def block(self, call: Call) -> Reply:
        """01 → 24: the hub sets the block; an edge on its own must not (domain §6), and says so."""
        retained = call.request.fixed.get("card_retained") == "Y"
        return await self._set(call, enable=False, retained=retained, text=call.request.get("AL"))

    async def enable(self, call: Call) -> Reply:
        """25 → 26: the hub lifts what a kiosk of this library set."""
        return await self._set(call, enable=True)

    async def _set(self, call: Call, *, enable: bool, retained: bool = False, text: str = "") -> Reply:
        who = await self._front.identify(call)
        if isinstance(who, Unidentified):
            return self._nobody(call, who.code)
        if enable and who.pin in _NOT_SHOWN:
            return self._about(call, who, summary_of(self._desk, who.reader))
        memo = repeats.of_reader(call)
        done = self._desk.done_before(memo)
        if done is None:
            done = await self._desk.set_block(
                who.reader, call.device, enable=enable, retained=retained, text=text,
                transaction=repeats.name_of(call, memo),
            )  # fmt: skip
            await self._desk.remember(memo, done)
        self._front.count(call.device, "enable" if enable else "block", done.code)
        return self._set_so(call, who.reader, done, enable=enable)

    def _set_so(self, call: Call, reader: Identified, done: Done, *, enable: bool) -> Reply:
        """The standing as it is after the hub's answer: its rows about this reader are on their way to us."""
        account = summary_of(self._desk, reader)
        standing = tuple(code for code in account.standing if not (done.ok and enable and code == "BLOCK_HERE"))
        stopped = done.ok and not enable
        code = ("ENABLED" if enable else "BLOCKED") if done.ok else done.code
        return call.reply(
            ReaderResult(
                valid=account.valid and not stopped,
                status=_flags(standing) | (DENIED if stopped else frozenset()),
                screen=[call.line(code)],
            )
        )


def _owed(org: str, fees: FeeList) -> Owed:
    """What the hub told, one line a charge: item, amount, title."""
    lines = []
    for charge in fees.charges:
        shown = charge.item_no if charge.owner in (None, org) else f"{charge.owner}:{charge.item_no}"
        lines.append(f"{shown} {printed(charge.amount, fees.currency)} {charge.title}".rstrip())
    return Owed(printed(fees.total, fees.currency), fees.currency, tuple(lines))


def _flags(standing: tuple[str, ...]) -> frozenset[str]:
    """Places of patron status that a standing raises."""
    if not standing:
        return frozenset()
    flags = set(DENIED)
    if _CARD_CODES & set(standing):
        flags.add("card_lost")
    if _LIMIT_CODES & set(standing):
        flags.add("too_many_charged")
    if "BLOCK_OVERDUE" in standing:
        flags.add("too_many_overdue")
    if "BLOCK_FEES" in standing:
        flags.add("excessive_fees")
    return frozenset(flags)
