"""The hub's answer to ``hold``: placed, cancelled or changed as events of the hub's own, in one transaction with the answer."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.decision import Outcome
from consortium.events import Kind
from consortium.facts import Device, ItemStatus
from consortium.states import Hold, HoldState
from hub.decide import asked
from hub.decide.facts import Person, known_now, person_called
from hub.decide.may_hold import may_hold
from hub.decide.once import Once
from hub.devices.nodes import Node
from hub.ingest import HubEvent, Ingest
from hub.ledger import holds
from hub.ledger.items import HOLD_OVER, ItemRecord, items_meant
from hub.policy.current import CurrentPolicy
from hub.store import schema
from hub.store.engine import Store
from hub.store.reads import ask

MOST_HOLDS = 20
"""Open holds of one reader, unless the hub's settings say otherwise."""

_MODES = ("+", "-", "*")


class Holding:
    """Answers hold. ``most`` open holds of one reader."""

    def __init__(
        self,
        store: Store,
        policy: CurrentPolicy,
        ingest: Ingest,
        clock: Callable[[], int],
        *,
        most: int = MOST_HOLDS,
        new_id: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._store = store
        self._policy = policy
        self._ingest = ingest
        self._clock = clock
        self._most = most
        self._new_id = new_id

    async def hold(self, node: Node, data: Mapping[str, Any]) -> dict[str, Any]:
        """Place (``+``), cancel (``-``) or change (``*``: pickup or expiry, its place in the queue stays) a hold of a reader.

        Raises asked.BadRequest REQUEST_FIELD, TRANSACTION_REUSED.
        """
        now = self._clock()
        branch, device = asked.text(data, "branch", 32), asked.text(data, "device")
        mode, srid = asked.text(data, "mode", 1), asked.text(data, "srid")
        if mode not in _MODES:
            raise asked.BadRequest("REQUEST_FIELD", "mode is one of + - *")
        wanted = (asked.text_or_none(data, "owner", 16), asked.text(data, "item_no"))
        pickup = asked.text_or_none(data, "pickup", 32)
        expiry = asked.number(data, "expiry") if data.get("expiry") is not None else None
        if expiry is not None and expiry <= now and mode != "-":
            raise asked.BadRequest("REQUEST_FIELD", "expiry lies in the past")
        once = Once(node.node, "hold", data)
        async with self._store.write() as conn:
            before = await once.before(conn)
            if before is not None:
                return before
            person = await ask(conn, person_called(node.org, srid, now))
            (item,) = await ask(conn, items_meant(node.org, [wanted]))
            on_item = (await holds.on(conn, [item.key])).get(item.key, []) if item is not None else []
            waiting = sorted((one for one in on_item if one.open), key=lambda one: (one.t, one.id))
            mine = next((one for one in waiting if person is not None and one.who == person.record.rid), None)
            at = Device(device, branch, authorised=branch == node.branch)
            wish = _Wish(node.org, at, person, item, waiting, mine, pickup, expiry, wanted, now)
            answer, born = await self._answer(conn, mode, wish)
            committed = await self._ingest.record(conn, born) if born else None
            if committed is not None:  # a refusal may be an answer of its time
                await once.keep(conn, answer, now)
        if committed is not None:
            self._ingest.tell(committed)
        return answer

    async def _answer(self, conn: AsyncConnection, mode: str, wish: _Wish) -> tuple[dict[str, Any], list[HubEvent]]:
        if mode == "-":
            return _cancel(wish)
        refused = _beforehand(mode, wish)
        if refused is not None:
            return refused, []
        kept, person, item, now = wish.mine, wish.person, wish.item, wish.now
        pickup = wish.pickup or (kept.pickup if kept is not None else wish.at.branch)
        rid = person.record.rid if person is not None else None
        n = await _open_holds(conn, rid) if rid is not None else 0
        decision = may_hold(
            self._policy.policy, wish.at, known_now(now), person.record.facts(wish.org) if person is not None else None,
            item.facts(rid) if item is not None else None, pickup, n - (kept is not None), self._most, now,
        )  # fmt: skip
        said = {**wish.said(), "outcome": decision.outcome.value, "codes": list(decision.codes)}
        if not decision.allowed or item is None or rid is None:
            return said, []
        name = self._new_id()
        queue = wish.waiting.index(kept) + 1 if kept is not None else len(wish.waiting) + 1
        return {**said, "hold": name, "queue": queue}, _placed(wish, name, pickup, item, rid)


def _beforehand(mode: str, wish: _Wish) -> dict[str, Any] | None:
    """What stops a wish because of the hold that the reader has on the item, or has not; None where nothing does."""
    if mode == "+":
        return {**wish.refused("ITEM_HELD"), **wish.place(wish.mine)} if wish.mine is not None else None
    if wish.mine is None:
        return wish.refused("ITEM_UNKNOWN")
    if wish.mine.state is not HoldState.WAITING:  # on its way, or ready on the shelf: a person has to move it
        return wish.refused("OUT_OF_SERVICE", Outcome.REFER)
    return None


def _placed(wish: _Wish, name: str, pickup: str, item: ItemRecord, rid: str) -> list[HubEvent]:
    """The hold as events; one that is changed is placed anew as of when it was first, so that its place in the queue stays."""
    kept, at = wish.mine, wish.at
    expiry = wish.expiry if wish.expiry is not None or kept is None else kept.expiry
    data: dict[str, Any] = {"item": list(item.key), "hold": name, "pickup": pickup}
    if expiry is not None:
        data["expiry"] = expiry
    if kept is None:
        return [HubEvent(Kind.HOLD_PLACED, at.branch, at.id, data, rid)]
    gone = {"item": list(item.key), "hold": kept.id, "reason": "CHANGED"}
    return [
        HubEvent(Kind.HOLD_CANCELLED, at.branch, at.id, gone, rid),
        HubEvent(Kind.HOLD_PLACED, at.branch, at.id, data, rid, t_eff=kept.t),
    ]


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is asked for at a place of ``org``, with what is known: the item, who waits for it in order, and the reader's own
    hold on it."""

    org: str
    at: Device
    person: Person | None
    item: ItemRecord | None
    waiting: list[Hold]
    mine: Hold | None
    pickup: str | None
    expiry: int | None
    wanted: tuple[str | None, str]
    now: int

    def said(self) -> dict[str, Any]:
        """The parts every answer has."""
        item = self.item
        free = item is not None and item.status == ItemStatus.SHELVED.value and not self.waiting
        return {
            "hold": None, "queue": None, "available": free, "title": item.title if item is not None else "",
            "owner": item.owner if item is not None else self.wanted[0], "item_no": self.wanted[1],
        }  # fmt: skip

    def refused(self, code: str, outcome: Outcome = Outcome.DENY) -> dict[str, Any]:
        """A refusal with one code."""
        return {**self.said(), "outcome": outcome.value, "codes": [code]}

    def place(self, hold: Hold) -> dict[str, Any]:
        """A hold that stands, and its place in the queue, counted from 1."""
        return {"hold": hold.id, "queue": self.waiting.index(hold) + 1}


def _cancel(wish: _Wish) -> tuple[dict[str, Any], list[HubEvent]]:
    if not wish.at.authorised:
        return wish.refused("DEVICE_UNAUTHORISED", Outcome.REFER), []
    if wish.mine is None or wish.person is None or wish.item is None:
        return wish.refused("CARD_UNKNOWN" if wish.person is None else "ITEM_UNKNOWN"), []
    gone = {"item": list(wish.item.key), "hold": wish.mine.id}
    born = [HubEvent(Kind.HOLD_CANCELLED, wish.at.branch, wish.at.id, gone, wish.person.record.rid)]
    return {**wish.said(), "outcome": Outcome.ALLOW.value, "codes": ["OK"], "hold": wish.mine.id}, born


async def _open_holds(conn: AsyncConnection, rid: str) -> int:
    table = schema.holds
    query = select(func.count()).where(table.c.rid == rid, table.c.state.not_in(sorted(HOLD_OVER)))
    return int((await conn.execute(query)).scalar_one())
