"""The hub's answer to ``fee``: what a reader owes, and payments of it as events of the hub's own.

Nobody pays more than is owed. A payment is for one loan's charge, or for the oldest charges first; a transaction is paid once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from consortium.events import Kind
from hub.decide import asked
from hub.decide.facts import person_called
from hub.decide.once import Once
from hub.decide.service import MAX_ANSWER
from hub.devices.nodes import Node
from hub.ingest import HubEvent, Ingest
from hub.ledger.payments import Owed, owed
from hub.store.engine import Store
from hub.store.reads import ask

OVERDUE = "04"
"""SIP2's fee type of what the ledger charges for."""

PAY_NOTHING_OWED = "PAY_NOTHING_OWED"
PAY_TOO_MUCH = "PAY_TOO_MUCH"
PAY_CURRENCY = "PAY_CURRENCY"

MAX_AMOUNT = 1 << 31
_TYPE = re.compile(r"[0-9A-Z]{2}")
_TITLE_MOST = 80


class Paying:
    """Answers fee. ``currency`` is ISO 4217; amounts are in its minor unit."""

    def __init__(self, store: Store, ingest: Ingest, clock: Callable[[], int], currency: str = "CNY") -> None:
        self._store = store
        self._ingest = ingest
        self._clock = clock
        self._currency = currency

    async def fee(self, node: Node, data: Mapping[str, Any]) -> dict[str, Any]:
        """A list (``list`` true) or a payment. Raises asked.BadRequest REQUEST_FIELD, TRANSACTION_REUSED."""
        branch, device = asked.text(data, "branch", 32), asked.text(data, "device")
        srid = asked.text(data, "srid")
        if data.get("list") is True:
            return await self._list(node, branch, srid)
        amount, currency = asked.number(data, "amount"), asked.text(data, "currency", 3)
        if not 0 < amount < MAX_AMOUNT:
            raise asked.BadRequest("REQUEST_FIELD", "amount is at least one minor unit")
        loan = asked.text_or_none(data, "loan", 160)
        how = {name: asked.text(data, name, 2) for name in ("fee_type", "payment_type") if data.get(name) is not None}
        if not all(_TYPE.fullmatch(value) for value in how.values()):
            raise asked.BadRequest("REQUEST_FIELD", "fee_type and payment_type are two characters")
        once = Once(node.node, "fee", data, needed=True)
        now = self._clock()
        async with self._store.write() as conn:
            before = await once.before(conn)
            if before is not None:
                return before
            person = await ask(conn, person_called(node.org, srid, now))
            open_ = await owed(conn, person.record.rid, node.org) if person is not None else []
            due = [one for one in open_ if loan is None or one.loan == loan]
            code = _refusal(branch == node.branch, person is not None, currency == self._currency, due, amount)
            if code is not None or person is None:
                total = sum(one.amount for one in open_)
                return self._done(data, False, code or "CARD_UNKNOWN", total)  # not kept: what is right later is taken
            paid = _shares(due, amount)
            how["currency"] = currency
            born = [
                HubEvent(
                    Kind.CHARGE_PAID, branch, device, {"item": [one.owner, one.item_no], "loan": one.loan, "amount": part, **how},
                    person.record.rid,
                )
                for one, part in paid
            ]  # fmt: skip
            committed = await self._ingest.record(conn, born)
            answer = self._done(data, True, "OK", sum(one.amount for one in open_) - amount)
            await once.keep(conn, answer, now)
        self._ingest.tell(committed)
        return answer

    async def _list(self, node: Node, branch: str, srid: str) -> dict[str, Any]:
        found: Sequence[Owed] = ()
        if branch == node.branch:
            async with self._store.read() as conn:
                person = await ask(conn, person_called(node.org, srid, self._clock()))
                found = await owed(conn, person.record.rid, node.org) if person is not None else ()
        rows: list[dict[str, Any]] = []
        size = 0
        for one in found:
            row = {
                "loan": one.loan, "item_no": one.item_no, "owner": one.owner, "title": one.title[:_TITLE_MOST],
                "type": OVERDUE, "amount": one.amount,
            }  # fmt: skip
            size += len(msgspec.json.encode(row)) + 1
            if size > MAX_ANSWER:
                break  # the total counts them all
            rows.append(row)
        return {"currency": self._currency, "charges": rows, "total": sum(one.amount for one in found)}

    def _done(self, data: Mapping[str, Any], accepted: bool, code: str, left: int) -> dict[str, Any]:
        return {
            "accepted": accepted, "codes": [code], "transaction": data["transaction"], "left": left, "currency": self._currency,
        }  # fmt: skip


def _refusal(authorised: bool, known: bool, currency: bool, due: Sequence[Owed], amount: int) -> str | None:
    """Why a payment is not taken, None where it is."""
    total = sum(one.amount for one in due)
    reasons = (
        (not authorised, "DEVICE_UNAUTHORISED"),
        (not known, "CARD_UNKNOWN"),
        (not currency, PAY_CURRENCY),
        (total == 0, PAY_NOTHING_OWED),
        (amount > total, PAY_TOO_MUCH),
    )
    return next((code for wrong, code in reasons if wrong), None)


def _shares(due: Sequence[Owed], amount: int) -> list[tuple[Owed, int]]:
    """What of a payment goes to each charge, the oldest first."""
    out = []
    for one in due:
        part = min(amount, one.amount)
        if part:
            out.append((one, part))
        amount -= part
    return out
