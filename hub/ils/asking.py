"""Asking the members' own ILS through the edge beside it, while a reader waits: with a deadline, and never remembered as truth.

What is said counts for the one decision it was asked for. No answer in time, or none that can be read, is no answer: then what the
ledger knows decides.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
from msgspec import Meta

from bus import BusError
from consortium.agreement import Master
from consortium.bundle import Policy
from consortium.facts import ItemFacts, Relation
from hub.devices.nodes import Node
from hub.identity.readers import ReaderRecord
from hub.ils.places import Places
from hub.ledger.items import ItemRecord, Key
from protocols.bus import ProtocolError

T = TypeVar("T")
_log = logging.getLogger(__name__)

ITEM_MS = 300
"""The longest that a decision about an item waits for its owner's ILS."""

READER_MS = 400
"""The longest that a PIN waits for the home library's ILS."""

_KEEP_MS = 100  # of a request's own time, for deciding and the way back
_LEAST_MS = 20  # below it nobody is asked: no answer could come

_CHARGED = frozenset({"04", "05", "07", "11"})
"""SIP2 circulation states in which somebody has the item (charged, recalled, claimed returned)."""
_HOLD_SHELF = "08"


class Asks(Protocol):
    """The bus's asking side (``bus.Asker``)."""

    async def ask(self, node: str, name: str, data: Mapping[str, Any], *, timeout_s: float) -> dict[str, Any]: ...


class ItemWord(msgspec.Struct, frozen=True):
    """What an ILS says of an item: SIP2's two digits, how many wait. ``found`` None = it could not be asked."""

    found: bool | None
    circulation: Annotated[str, Meta(max_length=2)] | None = ""
    due: int | None = None
    holds: Annotated[int, Meta(ge=0, lt=1 << 31)] | None = 0

    def merged(self, facts: ItemFacts) -> ItemFacts:
        """The item's facts with this word. What the ledger lent or keeps for this very reader stays theirs: the ILS has it
        under a proxy account."""
        loan, hold = facts.loan, facts.hold
        if self.circulation in _CHARGED and loan is Relation.NOBODY:
            loan = Relation.OTHER
        if (self.holds or self.circulation == _HOLD_SHELF) and hold is Relation.NOBODY and loan is not Relation.SELF:
            hold = Relation.OTHER
        return dataclasses.replace(facts, loan=loan, hold=hold)


class ReaderWord(msgspec.Struct, frozen=True):
    """What an ILS says of its own reader; ``pin_ok`` None = it was not asked for the PIN, or does not say."""

    found: bool | None
    valid: bool | None = None
    pin_ok: bool | None = None
    blocked: bool | None = False


class IlsAsking:
    """Asks on behalf of the hub's decisions. ``clock`` ms UTC."""

    def __init__(self, places: Places, asks: Asks, clock: Callable[[], int]) -> None:
        self._places = places
        self._asks = asks
        self._clock = clock

    def _left_ms(self, most: int, deadline_at: Any) -> int:
        given = isinstance(deadline_at, int) and not isinstance(deadline_at, bool)
        return min(most, deadline_at - self._clock() - _KEEP_MS) if given else most

    def _node(self, org: str, node: Node) -> str | None:
        """Where to ask a library's ILS, unless it is the asking node that stands beside it: that has asked already."""
        where = self._places.to_ask(org, self._clock())
        return None if where == node.node else where

    def to_ask(self, node: Node, policy: Policy, found: Iterable[ItemRecord | None]) -> dict[Key, str]:
        """At which node to ask for each of those items whose owner's ILS is master of items and in reach."""
        out: dict[Key, str] = {}
        for item in found:
            library = policy.libraries.get(item.owner) if item is not None else None
            if item is None or library is None or library.masters.items is not Master.ILS:
                continue
            if (where := self._node(item.owner, node)) is not None:
                out[item.key] = where
        return out

    async def items(self, where: Mapping[Key, str], deadline_at: Any) -> dict[Key, ItemWord]:
        """What the owners' ILS say of these items, all asked at once; those that said nothing are left out."""
        left_ms = self._left_ms(ITEM_MS, deadline_at)
        if left_ms < _LEAST_MS:
            return {}
        answers = await asyncio.gather(
            *(self._ask(node, "item", {"item_no": key[1]}, left_ms, ItemWord) for key, node in where.items())
        )
        return {key: word for key, word in zip(where, answers, strict=True) if word is not None and word.found}

    async def reader(
        self, node: Node, policy: Policy, record: ReaderRecord, pin: str | None, deadline_at: Any
    ) -> ReaderWord | None:
        """What the home library's ILS says of its reader; None where it is not master of readers, or said nothing."""
        library = policy.libraries.get(record.home)
        if library is None or library.masters.readers is not Master.ILS:
            return None
        where, left_ms = self._node(record.home, node), self._left_ms(READER_MS, deadline_at)
        if where is None or left_ms < _LEAST_MS:
            return None
        word = await self._ask(where, "reader", {"number": record.reader_no, "pin": pin}, left_ms, ReaderWord)
        return word if word is not None and word.found else None

    async def _ask(self, where: str, name: str, data: Mapping[str, Any], left_ms: int, kind: type[T]) -> T | None:
        try:
            return msgspec.convert(await self._asks.ask(where, name, data, timeout_s=left_ms / 1000), kind)
        except (BusError, ProtocolError) as error:
            _log.info("ils: %s did not say what it knows of one %s (%s)", where, name, error.code)
        except msgspec.ValidationError:
            _log.warning("ils: what %s says of one %s cannot be read", where, name)
        return None
