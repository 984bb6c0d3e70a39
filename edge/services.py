"""What only the hub can do for a reader: holds, fees, blocks. An edge must not do them on its own (domain §6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from edge.answers import Done, Identified, ItemRef
from edge.hubrows import (
    FeeList,
    HubAnswerInvalid,
    block_answer,
    fee_answer,
    fee_list,
    hold_answer,
)
from edge.outbox import OutboxError
from edge.writing import Writing

SERVICE_TIMEOUT_S = 0.8
FEES_TIMEOUT_S = 0.4
MOST_TEXT = 200
"""Characters of a blocked card's text that are passed on."""

AWAY = Done(False, ("NOT_DECIDABLE_OFFLINE",))
"""The answer where the hub cannot be asked."""

REFUSED = Done(False, ("OUT_OF_SERVICE",))
"""The answer where the hub does not take the question."""

T = TypeVar("T")


class Services(Writing):
    """Asks the hub for one branch."""

    async def hold(
        self,
        reader: Identified,
        ref: ItemRef,
        device: str,
        *,
        mode: str,
        transaction: str,
        pickup: str | None = None,
        expiry: int | None = None,
    ) -> Done:
        """Place (``+``), cancel (``-``) or change (``*``) a hold; ``expiry`` ms UTC. Never raises."""
        key = self.key_of(ref)
        question: dict[str, Any] = {
            **self._who(reader, device),
            "mode": mode,
            "owner": key.owner if key is not None else ref.owner,
            "item_no": ref.item_no,
            "pickup": pickup,
            "expiry": expiry,
            "transaction": transaction,
        }
        told = await self._ask("hold", question, hold_answer)
        if told is None:
            return self._no_answer()
        return Done(
            ok=told.outcome.value == "ALLOW",
            codes=tuple(told.codes),
            owner=told.owner or question["owner"],
            item_no=told.item_no or ref.item_no,
            title=told.title,
            queue=told.queue,
            available=told.available,
            pickup=pickup or "",
            expiry=expiry,
        )

    async def fees(self, reader: Identified, device: str) -> FeeList | None:
        """What the reader owes, oldest first; None where the hub cannot be asked: then nobody here knows."""
        question = {**self._who(reader, device), "list": True}
        return await self._ask("fee", question, fee_list, timeout_s=FEES_TIMEOUT_S)

    async def pay(
        self, reader: Identified, device: str, *, amount: int, currency: str, fee_type: str | None, payment_type: str | None,
        transaction: str, loan: str | None = None,
    ) -> Done:  # fmt: skip
        """Record a payment of ``amount`` minor units, for one loan's charge or the oldest ones; a ``transaction`` is paid once."""
        question: dict[str, Any] = {
            **self._who(reader, device),
            "amount": amount,
            "currency": currency,
            "fee_type": fee_type,
            "payment_type": payment_type,
            "loan": loan,
            "transaction": transaction,
        }
        told = await self._ask("fee", question, fee_answer)
        return self._no_answer() if told is None else Done(told.accepted, tuple(told.codes), left=told.left)

    async def plan(self, transaction: str, shares: Sequence[tuple[str, int]]) -> bool:
        """Keep how a payment of several charges is divided, before the first is paid: a repeat goes on where it stopped.

        ``shares`` are loans and minor units. False where it cannot be kept: then nothing is paid.
        """
        try:
            await self._outbox.remember(f"pay/{transaction}", msgspec.json.encode(shares))
        except OutboxError:
            return False
        return True

    def planned(self, transaction: str) -> list[tuple[str, int]] | None:
        """How the payment was divided before, None where this is the first time."""
        kept = self._outbox.memo(f"pay/{transaction}")
        return None if kept is None else msgspec.json.decode(kept, type=list[tuple[str, int]])

    async def set_block(
        self, reader: Identified, device: str, *, enable: bool, transaction: str, retained: bool = False, text: str = ""
    ) -> Done:
        """Block a reader at this library, or lift what a kiosk of this library set. The text stays with the issuer."""
        question: dict[str, Any] = {
            **self._who(reader, device),
            "enable": enable,
            "retained": retained,
            "text": text[:MOST_TEXT],
            "transaction": transaction,
        }
        told = await self._ask("block", question, block_answer)
        return self._no_answer() if told is None else Done(told.ok, tuple(told.codes))

    def _no_answer(self) -> Done:
        return AWAY if self._hub.away else REFUSED

    def _who(self, reader: Identified, device: str) -> dict[str, Any]:
        return {"branch": self.branch, "device": device, "srid": reader.srid}

    async def _ask(
        self,
        name: str,
        question: Mapping[str, Any],
        read: Callable[[dict[str, Any]], T],
        *,
        timeout_s: float = SERVICE_TIMEOUT_S,
    ) -> T | None:
        told = await self._hub.ask(name, question, timeout_s=timeout_s)
        if told is None:
            return None
        try:
            return read(told)
        except HubAnswerInvalid:
            return None
