"""Asking the hub what it would decide: the same functions over the same fresh facts, with the trace, and without any effect."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.bundle import Policy
from consortium.decision import Decision
from consortium.decisions import may_borrow, may_enter
from consortium.facts import BorrowFacts, Device, EnterFacts, ReaderFacts
from consortium.identity import IdentityError, canonical_uid, org_of_branch
from hub.api.blocks import ReaderByNumber
from hub.api.forms import time_or_none
from hub.api.problems import Problem, documented
from hub.api.resources.base import names
from hub.api.schemas import ItemRef, Names, Out, Time
from hub.api.services import Asking, Decides
from hub.decide.facts import Person, house, is_inside, items_at, known_now
from hub.identity.readers import load_readers
from hub.ledger.items import ItemRecord
from hub.store import schema as t

__all__ = ["router"]

router = APIRouter(tags=["decisions"])


class Asked(BaseModel):
    """A question: may the reader behind this card or number enter the branch, or borrow this item there, now?

    ``card`` is the canonical UID in hex. ``pin`` says that a PIN was verified. For ``item`` a null owner means the bare number, as a
    kiosk of the branch would take it.
    """

    model_config = ConfigDict(extra="forbid")

    function: Literal["enter", "borrow"]
    branch: str = Field(min_length=3, max_length=32)
    card: Annotated[str | None, Field(min_length=8, max_length=64)] = None
    reader: ReaderByNumber | None = None
    item: AskedItem | None = None
    pin: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Asked:
        if (self.card is None) == (self.reader is None):
            raise ValueError("give either card or reader")
        if (self.item is None) == (self.function == "borrow"):
            raise ValueError("borrow needs an item, enter has none")
        return self


class AskedItem(BaseModel):
    """An item by key, or by bare number."""

    model_config = ConfigDict(extra="forbid")

    owner: str | None = Field(default=None, min_length=1, max_length=16)
    item_no: str = Field(min_length=1, max_length=64)


Asked.model_rebuild()


class AnswerOut(Out):
    """What the hub would decide; ``trace`` has one line a stage, in order, the last of them the one that refused."""

    function: str
    outcome: str
    primary_code: str
    codes: list[str]
    text: Names
    item: ItemRef | None
    due: Time | None
    basis: list[str]
    obligations: list[str]
    notes: list[str]
    mode: str
    policy_version: int
    trace: list[str]


async def _person(conn: AsyncConnection, asked: Asked, now: int) -> Person | None:
    uid = None
    if asked.card is not None:
        try:
            uid = canonical_uid(asked.card).hex()
        except IdentityError as error:
            raise Problem(422, error.code, "card is a UID in hex.") from None
        query = select(t.cards.c.rid).where(t.cards.c.uid == uid)
    else:
        assert asked.reader is not None
        query = select(t.readers.c.rid).where(
            t.readers.c.home == asked.reader.library, t.readers.c.reader_no == asked.reader.reader_no
        )
    rid = (await conn.execute(query)).scalar_one_or_none()
    record = (await load_readers(conn, [rid], now)).get(rid) if rid is not None else None
    if record is None:
        return None
    return Person(record, next((card for card in record.cards if card.uid == uid), record.card))


def _may_ask(ask: Asking, asked: Asked, person: Person | None) -> None:
    """A library asks for its own branches, and for its own readers anywhere; what it may not ask does not exist."""
    if ask.access.within(org_of_branch(asked.branch)):
        return
    if person is None or not ask.access.within(person.record.home):
        raise Problem(404, "NOT_FOUND", "A library asks for its own branches and its own readers.")


def _reader(ask: Asking, person: Person, branch: str, held: Any = ()) -> ReaderFacts:
    here = org_of_branch(branch)
    facts = person.record.facts(here, held)
    if ask.access.within(here):
        return facts
    # What a block is about is between its issuer and the reader: from outside only that there is one (M12).
    return dataclasses.replace(facts, blocks=tuple(dataclasses.replace(block, kind="") for block in facts.blocks))


async def _enter(ask: Asking, policy: Policy, asked: Asked, person: Person | None) -> Decision:
    at = Device("hub", asked.branch)
    if person is None:
        facts = EnterFacts(at, known_now(ask.now), None, None)
    else:
        counts = await house(ask.conn, policy, asked.branch, ask.now)
        inside = await is_inside(ask.conn, person.record.rid, asked.branch)
        facts = EnterFacts(
            at, known_now(ask.now), person.card.facts, _reader(ask, person, asked.branch), counts.occupancy, counts.partners,
            counts.partners_today, inside,
        )  # fmt: skip
    return may_enter(policy, facts, ask.now, source="hub", explain=True)


async def _borrow(
    ask: Asking, policy: Policy, asked: Asked, person: Person | None, item: ItemRecord | None
) -> Decision:
    reader = card = rid = None
    if person is not None:
        rid = person.record.rid
        held = ask.hub.worker.reservations.of(rid, ask.now, but=item.key if item is not None else None)
        reader, card = _reader(ask, person, asked.branch, held), person.card.facts
    facts = BorrowFacts(
        Device("hub", asked.branch), known_now(ask.now), card, reader, item.facts(rid) if item is not None else None,
        pin=asked.pin,
    )  # fmt: skip
    return may_borrow(policy, facts, ask.now, source="hub", explain=True)


@router.post("/decisions", response_model=AnswerOut, responses=documented(401, 403, 404, 409, 422))
async def ask_decision(ask: Decides, asked: Asked) -> Any:
    """What the hub would decide now; nothing is recorded, reserved or opened."""
    policy = ask.hub.policy
    if policy is None:
        raise Problem(409, "POLICY_MISSING", "No policy was published yet; load a consortium file first.")
    if asked.branch not in policy.branches:
        raise Problem(422, "BRANCH_UNKNOWN", "No branch of that id is in the policy.")
    person = await _person(ask.conn, asked, ask.now)
    _may_ask(ask, asked, person)
    item = None
    if asked.item is None:
        decision = await _enter(ask, policy, asked, person)
    else:
        found = await items_at(ask.conn, org_of_branch(asked.branch), [(asked.item.owner, asked.item.item_no)])
        item = found[0]
        decision = await _borrow(ask, policy, asked, person, item)
    return {
        "function": decision.function,
        "outcome": decision.outcome.value,
        "primary_code": decision.primary,
        "codes": list(decision.codes),
        "text": names(decision.primary),
        "item": None if item is None else {"owner": item.owner, "item_no": item.item_no},
        "due": time_or_none(decision.due_ms),
        "basis": list(decision.basis),
        "obligations": list(decision.obligations),
        "notes": list(decision.notes),
        "mode": decision.mode.value,
        "policy_version": decision.policy_version,
        "trace": list(decision.trace),
    }
