"""The hub's answers: enter, borrow, reader, item. The same functions as at the edge, over fresh facts (source "hub")."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from consortium.decision import Decision
from consortium.decisions import may_borrow, may_enter
from consortium.facts import BorrowFacts, Device
from consortium.record import record
from hub.decide import asked
from hub.decide.facts import Person, enter_facts, known_now, person_meant, person_shown
from hub.decide.pins import Pins
from hub.decide.reservations import LASTS_MS, Reservation, Reservations
from hub.devices.nodes import Node
from hub.identity.keys import Identity
from hub.ils.asking import IlsAsking, ItemWord, ReaderWord
from hub.ledger.items import ItemRecord, Key, items_meant
from hub.metrics import Metrics
from hub.policy.current import CurrentPolicy
from hub.store.engine import Store

MAX_STACK = 30
MAX_ANSWER = 15_000
"""Bytes of reader and answers in one reply; the envelope has 16,384."""


class Decider:
    """Answers the requests of edges. Every handler takes the asking node and the request's data; raises asked.BadRequest."""

    def __init__(
        self,
        store: Store,
        identity: Identity,
        policy: CurrentPolicy,
        reservations: Reservations,
        pins: Pins,
        metrics: Metrics,
        clock: Callable[[], int],
        *,
        new_id: Callable[[], str] = lambda: secrets.token_hex(8),
        ils: IlsAsking | None = None,
    ) -> None:
        self._store = store
        self._identity = identity
        self._policy = policy
        self._reservations = reservations
        self._pins = pins
        self._metrics = metrics
        self._clock = clock
        self._new_id = new_id
        self._ils = ils

    def _count(self, decision: Decision) -> None:
        self._metrics.decisions.labels(decision.function, decision.outcome.value, decision.primary).inc()

    def _name(self, org: str, person: Person | None) -> dict[str, Any]:
        if person is None:
            return {"srid": None, "home": None}
        return {"srid": self._identity.srid(org, person.record.rid), "home": person.record.home}

    async def enter(self, node: Node, data: Mapping[str, Any]) -> dict[str, Any]:
        """Whether the gate may open: the decision with its facts, and whom it was about."""
        now = self._clock()
        branch, device = asked.text(data, "branch", 32), asked.text(data, "device")
        token = asked.text(data, "token")
        policy = self._policy.policy
        facts, person = await enter_facts(self._store, policy, node, branch, device, token, now)
        decision = may_enter(policy, facts, now, source="hub")
        self._count(decision)
        return {"record": record(decision, facts, now), **self._name(node.org, person)}

    async def borrow(self, node: Node, data: Mapping[str, Any]) -> dict[str, Any]:
        """One answer for each item of the stack, in order; an ALLOW holds a reservation that counts for the next.

        ``more`` is true where not all answers fitted one message: ask again for the rest, which are as many items at the end of the
        stack as answers are missing. Raises asked.BadRequest ANSWER_TOO_LARGE where not even one fits.
        """
        now = self._clock()
        branch, device = asked.text(data, "branch", 32), asked.text(data, "device")
        wanted = asked.items(data, MAX_STACK)
        pin = data.get("pin") is True
        at = Device(device, branch, authorised=branch == node.branch)
        person_, items_ = person_meant(self._identity, node.org, data, now), items_meant(node.org, wanted)
        person, found = await self._store.know(person_, items_)
        said: dict[Key, ItemWord] = {}
        if self._ils is not None and (where := self._ils.to_ask(node, self._policy.policy, found)):
            said = await self._ils.items(where, data.get("deadline_at"))
            # time has passed: what the ledger knows is read as of now
            now = self._clock()
            person, found = await self._store.know(person_, items_)
        row = {**person.record.row(node.org), "pin": None} if person is not None else None
        answers: list[dict[str, Any]] = []
        size = len(msgspec.json.encode(row))
        for (owner, item_no), item in zip(wanted, found, strict=True):
            word = said.get(item.key) if item is not None else None
            answer = self._answer(node, at, person, pin, owner, item_no, item, word, now)
            size += len(msgspec.json.encode(answer)) + 1
            if size > MAX_ANSWER:
                self.forget([answer])
                break
            answers.append(answer)
        if not answers:
            raise asked.BadRequest("ANSWER_TOO_LARGE", "what is known of this reader does not fit a message")
        out = {**self._name(node.org, person), "reader": row, "answers": answers}
        return {**out, "more": True} if len(answers) < len(wanted) else out

    def forget(self, answers: list[dict[str, Any]]) -> None:
        """These answers will not reach anybody: their reservations end."""
        for answer in answers:
            if answer.get("reservation"):
                self._reservations.consume(answer["reservation"])

    def _answer(
        self,
        node: Node,
        at: Device,
        person: Person | None,
        pin: bool,
        owner: str | None,
        item_no: str,
        item: ItemRecord | None,
        word: ItemWord | None,
        now: int,
    ) -> dict[str, Any]:
        rid = person.record.rid if person is not None else None
        reader = card = None
        if person is not None:
            held = self._reservations.of(person.record.rid, now, but=item.key if item is not None else None)
            reader, card = person.record.facts(node.org, held), person.card.facts
        known = item.facts(rid) if item is not None else None
        if known is not None and word is not None:
            known = word.merged(known)
        facts = BorrowFacts(at, known_now(now), card, reader, known, pin=pin)
        decision = may_borrow(self._policy.policy, facts, now, source="hub")
        self._count(decision)
        reservation = None
        if decision.allowed and item is not None and rid is not None:
            reservation = self._new_id()
            self._reservations.hold(
                Reservation(reservation, rid, node.org, item.item_type, item.key, item.value, now + LASTS_MS)
            )
        return {
            **told(decision, owner, item_no, item),
            "record": record(decision, facts, now),
            "reservation": reservation,
        }

    async def reader(self, node: Node, data: Mapping[str, Any]) -> dict[str, Any]:
        """Who somebody is at this library, and whether their PIN is right: ``pin_ok`` null where none was given.

        ``code`` is OK, CARD_UNKNOWN, PIN_WRONG or PIN_LOCKED.
        """
        now = self._clock()
        given = asked.tokens(data)
        pin = asked.text_or_none(data, "pin", 128)
        person = await self._store.know(person_shown(node.org, given, now))
        if person is None:
            return {
                "found": False,
                "srid": None,
                "home": None,
                "token": None,
                "reader": None,
                "pin_ok": None,
                "code": "CARD_UNKNOWN",
            }
        code, word = await self._verified(node, person, pin, data.get("deadline_at"), now)
        return {
            "found": True,
            **self._name(node.org, person),
            "token": person.card.row,
            "reader": {**_standing(person.record.row(node.org), word), "pin": None},
            "pin_ok": None if pin is None else code == "OK",
            "code": code,
        }

    async def _verified(
        self, node: Node, person: Person, pin: str | None, deadline_at: Any, now: int
    ) -> tuple[str, ReaderWord | None]:
        """The PIN's code, by the home library's ILS where it says, and what else that says of the reader."""
        word: ReaderWord | None = None

        async def at_home() -> bool | None:
            nonlocal word
            if self._ils is not None:
                word = await self._ils.reader(node, self._policy.policy, person.record, pin, deadline_at)
            return word.pin_ok if word is not None else None

        if pin is None:
            await at_home()
            return "OK", word
        record = person.record
        return await self._pins.check(record.rid, node.node, record.pin_verifier, pin, now, at_home), word

    async def item(self, node: Node, data: Mapping[str, Any]) -> dict[str, Any]:
        """What is known of an item, by key or bare number."""
        owner, item_no = asked.text_or_none(data, "owner", 16), asked.text(data, "item_no")
        (found,) = await self._store.know(items_meant(node.org, [(owner, item_no)]))
        if found is None:
            return {"found": False, "owner": owner, "item_no": item_no, "item": None}
        row = found.row(self._identity, node.org)
        return {"found": True, "owner": found.owner, "item_no": found.item_no, "item": row}


def told(decision: Decision, owner: str | None, item_no: str, item: ItemRecord | None) -> dict[str, Any]:
    """What an edge is told of a decision about one item of its stack."""
    return {
        "owner": item.owner if item is not None else owner,
        "item_no": item_no,
        "type": item.item_type if item is not None else "",
        "title": item.title if item is not None else "",
        "outcome": decision.outcome.value,
        "codes": list(decision.codes),
        "due": decision.due_ms,
        "basis": list(decision.basis),
        "terms": decision.terms.to_plain() if decision.terms is not None else {},
    }


_STOPPED = ("BORROW", "HOLD", "RENEW")


def _standing(row: dict[str, Any], word: ReaderWord | None) -> dict[str, Any]:
    """A reader's row with what the home library's ILS says of them at this moment."""
    if word is None:
        return row
    out = dict(row)
    if word.valid is False:
        out["status"] = "INACTIVE"
    if word.blocked:
        block = {
            "issuer": row["home"],
            "scope": "issuer",
            "actions": list(_STOPPED),
            "kind": "",
            "from_ms": 0,
            "to_ms": None,
        }
        out["blocks"] = [*row["blocks"], block]
    return out
