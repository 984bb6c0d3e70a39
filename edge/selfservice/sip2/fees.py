"""37: a fee paid at a kiosk (SIP2 2.00: Fee Paid), as a whole or charge by charge, in any currency of ISO 4217.

The money is in the kiosk when we hear of it, so an answer never depends on chance: the hub takes a transaction once, however often
it is told, and what it would not take whole is refused whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.selfcheck import FeeResult, Reply
from edge.answers import Done, Identified, Transaction
from edge.hubrows import Charge, FeeList
from edge.money import is_currency, minor_units, printed
from edge.selfservice.sip2 import repeats
from edge.selfservice.sip2.call import Call
from edge.selfservice.sip2.front import Front

_OF_GROUP = frozenset(("FA", "FB", "FC", "FD", "FE", "FF", "FG"))
"""Gossip's fields of one fee; they follow its CG and belong to it."""

MOST_GROUPS = 50


@dataclass(frozen=True, slots=True)
class _Part:
    """One fee to pay: its id as the kiosk says it, the amount in minor units where it says one."""

    fee: str
    amount: int | None


@dataclass(frozen=True, slots=True)
class _Payment:
    """What the kiosk took: ``parts`` are single fees, none for the whole account."""

    amount: int
    currency: str
    parts: tuple[_Part, ...]


class Fees:
    """Answers about payments."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._desk = front.desk

    async def pay(self, call: Call) -> Reply:
        """37 → 38."""
        reader = await self._front.reader(call)
        if isinstance(reader, str):
            return self._answer(call, Done(False, (reader,)))
        payment = _payment(call)
        if payment is None:
            return self._answer(call, Done(False, ("AMOUNT_INVALID",)))
        memo = repeats.of_reader(call)
        done = self._desk.done_before(memo)
        if done is None:
            done = await self._pay(call, reader, payment, memo)
            await self._desk.remember(memo, done)
        self._front.count(call.device, "pay", done.code)
        return self._answer(call, done)

    async def _pay(self, call: Call, reader: Identified, payment: _Payment, memo: Transaction | None) -> Done:
        name = self._name(call, memo)
        if not payment.parts:
            return await self._part(call, reader, payment.amount, payment.currency, None, name)
        shares = self._desk.planned(name) or await self._divide(call, reader, payment)
        if isinstance(shares, str):
            return Done(False, (shares,))
        if not await self._desk.plan(name, shares):
            return Done(False, ("OUT_OF_SERVICE",))
        done = Done(False, ("FEE_UNKNOWN",))
        for n, (loan, amount) in enumerate(shares):
            done = await self._part(call, reader, amount, payment.currency, loan, f"{name}/{n}")
            if not done.ok:
                return done  # the repeat goes on here: each part is a transaction of its own, and the hub knows those it took
        return done

    async def _divide(self, call: Call, reader: Identified, payment: _Payment) -> list[tuple[str, int]] | str:
        fees = await self._desk.fees(reader, call.device)
        return "NOT_DECIDABLE_OFFLINE" if fees is None else _shares(self._desk.org, fees, payment)

    async def _part(
        self, call: Call, reader: Identified, amount: int, currency: str, loan: str | None, name: str
    ) -> Done:
        return await self._desk.pay(
            reader, call.device, amount=amount, currency=currency, loan=loan, transaction=name,
            fee_type=_code(call, "fee_type"), payment_type=_code(call, "payment_type"),
        )  # fmt: skip

    def _name(self, call: Call, memo: Transaction | None) -> str:
        """BK names the payment where the kiosk gives one: then it may come with another date. It is keyed with who pays."""
        given = call.request.get("BK").strip()
        return repeats.of_payment(call, given) if given else repeats.name_of(call, memo)

    def _answer(self, call: Call, done: Done) -> Reply:
        currency = _currency(call)
        lines = [call.line("PAID" if done.ok else done.code)]
        if done.ok and done.left:
            lines.append(f"{call.text('LEFT')} {printed(done.left, currency)} {currency}")
        return call.reply(
            FeeResult(
                ok=done.ok,
                transaction_id=call.request.get("BK") or None,
                groups=[pair for pair in call.request.fields if pair[0] == "CG" or pair[0] in _OF_GROUP],
                screen=lines,
                print=call.receipt(lines[0], f"{call.request.get('BV')} {currency}") if done.ok else (),
            )
        )


def _code(call: Call, name: str) -> str | None:
    """Two characters of the fixed part; None for blanks and what cannot be a code."""
    code = call.request.fixed.get(name, "").strip().upper()
    return code if len(code) == 2 and code.isascii() and code.isalnum() else None


def _currency(call: Call) -> str:
    return call.request.fixed.get("currency_type", "").strip().upper() or call.account.currency


def _payment(call: Call) -> _Payment | None:
    """The payment as it was said; None where an amount or the currency cannot be."""
    currency = _currency(call)
    amount = minor_units(call.request.get("BV"), currency) if is_currency(currency) else None
    parts = _parts(call, currency)
    return None if amount is None or parts is None else _Payment(amount, currency, parts)


def _parts(call: Call, currency: str) -> tuple[_Part, ...] | None:
    """The fees named one by one, in order: CG and, of Gossip, the amount FA after it."""
    parts: list[_Part] = []
    for name, value in call.request.fields:
        if name == "CG" and value.strip():
            parts.append(_Part(value.strip(), None))
        elif name == "FA" and parts:
            amount = minor_units(value, currency)
            if amount is None:
                return None
            parts[-1] = _Part(parts[-1].fee, amount)
    return tuple(parts) if len(parts) <= MOST_GROUPS else None


def _shares(org: str, fees: FeeList, payment: _Payment) -> list[tuple[str, int]] | str:
    """How the payment falls on the loans of the charges named, or the code of why it does not."""
    if payment.currency != fees.currency:
        return "PAY_CURRENCY"
    open_ones = list(fees.charges)
    shares: list[tuple[str, int]] = []
    for part in payment.parts:
        charge = next((one for one in open_ones if part.fee in (one.loan, _shown(org, one))), None)
        if charge is None:
            return "FEE_UNKNOWN"
        open_ones.remove(charge)
        only = payment.amount if len(payment.parts) == 1 else charge.amount
        amount = only if part.amount is None else part.amount
        if amount > charge.amount:
            return "PAY_TOO_MUCH"
        shares.append((charge.loan, amount))
    total = sum(amount for _, amount in shares)
    if total != payment.amount:
        return "PAY_TOO_MUCH" if total < payment.amount else "AMOUNT_INVALID"
    return shares


def _shown(org: str, charge: Charge) -> str:
    return charge.item_no if charge.owner in (None, org) else f"{charge.owner}:{charge.item_no}"
