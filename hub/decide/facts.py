"""Fresh facts for a decision at the hub, read from the ledger at this moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BindParameter, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.bundle import Policy
from consortium.facts import Device, EnterFacts, Known
from consortium.identity import org_of_branch
from hub.decide import asked
from hub.decide.asked import MOST_TOKENS
from hub.devices.nodes import Node
from hub.identity.keys import Identity
from hub.identity.readers import CardRecord, ReaderQueries, ReaderRecord, assemble
from hub.ledger.items import ItemRecord, items_meant
from hub.store.engine import Store
from hub.store.reads import Need, Query, Rows, ask
from hub.store.schema import presence, site_readers, site_tokens, visits


def known_now(now: int) -> Known:
    """What is known at the hub is known now."""
    return Known(now, now, now, now, now)


@dataclass(frozen=True, slots=True)
class Person:
    """A reader in front of a machine, and the card they showed (their newest, where they gave a number)."""

    record: ReaderRecord
    card: CardRecord


class _Shown:
    """Readers by ``n`` tokens of a library, given as ``t0`` and so on."""

    __slots__ = ("readers", "tokens")

    def __init__(self, n: int) -> None:
        given: list[BindParameter[str]] = [bindparam(f"t{place}") for place in range(n)]
        of_org = site_tokens.c.org == bindparam("org")
        where = of_org & (site_tokens.c.token == given[0] if n == 1 else site_tokens.c.token.in_(given))
        self.tokens = Query(select(site_tokens.c.token, site_tokens.c.rid, site_tokens.c.uid).where(where))
        self.readers = ReaderQueries(select(site_tokens.c.rid).where(where))


_ONE, _MANY = _Shown(1), _Shown(MOST_TOKENS)
_CALLED = ReaderQueries(
    select(site_readers.c.rid).where(site_readers.c.org == bindparam("org"), site_readers.c.srid == bindparam("srid"))
)


def person_shown(org: str, tokens: Sequence[str], now: int) -> Need[Person | None]:
    """Whom these tokens, at most ``asked.MOST_TOKENS``, lead to at a library: the first that leads anywhere."""
    by = _ONE if len(tokens) == 1 else _MANY
    given = [*tokens, *repeat(tokens[-1], MOST_TOKENS - len(tokens))] if by is _MANY else tokens
    values = {"org": org, **{f"t{place}": token for place, token in enumerate(given)}}

    def make(found: Sequence[Rows]) -> Person | None:
        cards = {token: (rid, uid) for token, rid, uid in found[0]}
        rid, uid = next((cards[token] for token in tokens if token in cards), (None, None))
        record = assemble(found[1:], now).get(rid or "")
        if record is None:
            return None
        return Person(record, next((card for card in record.cards if card.uid == uid), record.card))

    return Need([by.tokens(**values), *by.readers(**values)], make)


def person_called(org: str, srid: str, now: int) -> Need[Person | None]:
    """Whom a library calls by this srid."""

    def make(found: Sequence[Rows]) -> Person | None:
        record = next(iter(assemble(found, now).values()), None)
        return None if record is None else Person(record, record.card)

    return Need(_CALLED(org=org, srid=srid), make)


def person_meant(identity: Identity, org: str, data: Mapping[str, Any], now: int) -> Need[Person | None]:
    """Whom a request means: by the card shown, else by the srid of the session; where both are given they must name the same reader.

    Raises asked.BadRequest REQUEST_FIELD where neither is given.
    """
    srid = asked.text_or_none(data, "srid")
    if data.get("token") is None and data.get("tokens") is None:
        if srid is None:
            raise asked.BadRequest("REQUEST_FIELD", "a reader is named by srid or token")
        return person_called(org, srid, now)
    shown = person_shown(org, asked.tokens(data), now)
    if srid is None:
        return shown

    def same(found: Sequence[Rows]) -> Person | None:
        person = shown.make(found)
        return person if person is not None and identity.srid(org, person.record.rid) == srid else None

    return Need(shown.asked, same)


async def items_at(
    conn: AsyncConnection, org: str, wanted: Sequence[tuple[str | None, str]]
) -> list[ItemRecord | None]:
    """``items_meant`` on a connection that is open already."""
    return await ask(conn, items_meant(org, wanted))


@dataclass(frozen=True, slots=True)
class House:
    """A branch as the hub counts it: people inside, partners inside, partner visits since local midnight."""

    occupancy: int
    partners: int
    partners_today: int


_PARTNER = visits.c.visitor_class == "partner"
_INSIDE = Query(
    select(func.count(), func.count().filter(_PARTNER))
    .select_from(presence.join(visits, visits.c.id == presence.c.visit_id))
    .where(presence.c.branch == bindparam("branch"), presence.c.visit_id.is_not(None))
)
_TODAY = Query(
    select(func.count())
    .select_from(visits)
    .where(visits.c.branch == bindparam("branch"), visits.c.t_in >= bindparam("since"), _PARTNER)
)
_OPEN = Query(
    select(presence.c.visit_id).where(presence.c.rid == bindparam("rid"), presence.c.branch == bindparam("branch"))
)


async def house(conn: AsyncConnection, policy: Policy, branch: str, now: int) -> House:
    """Counts of a branch now; they walk over everybody inside and today's visits, so they are no point reads."""
    queries = [_INSIDE(branch=branch), _TODAY(branch=branch, since=midnight(policy, branch, now))]
    return await ask(conn, Need(queries, lambda found: House(*(*found[0][0], *found[1][0]))))


def midnight(policy: Policy, branch: str, now: int) -> int:
    """The last midnight by the branch's own clock, in ms UTC."""
    found = policy.branches.get(branch)
    zone = ZoneInfo(policy.calendars[found.calendar_id].tz if found else "UTC")
    local = datetime.fromtimestamp(now / 1000, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return int(local.timestamp() * 1000)


async def is_inside(conn: AsyncConnection, rid: str, branch: str) -> bool:
    """Whether the reader has an open visit there."""
    need = Need([_OPEN(rid=rid, branch=branch)], lambda found: bool(found[0]) and found[0][0][0] is not None)
    return await ask(conn, need)


async def enter_facts(
    store: Store, policy: Policy, node: Node, branch: str, device: str, token: str, now: int
) -> tuple[EnterFacts, Person | None]:
    """Facts for ``may_enter`` at a gate of this node."""
    person = await store.know(person_shown(node.org, [token], now))
    at = Device(device, branch, authorised=branch == node.branch)
    if person is None:
        return EnterFacts(at, known_now(now), None, None), None
    async with store.read() as conn:
        counts = await house(conn, policy, branch, now)
        inside = await is_inside(conn, person.record.rid, branch)
    facts = EnterFacts(
        at, known_now(now), person.card.facts, person.record.facts(org_of_branch(branch)), counts.occupancy,
        counts.partners, counts.partners_today, inside,
    )  # fmt: skip
    return facts, person
