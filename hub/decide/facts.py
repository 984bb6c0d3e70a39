"""Fresh facts for a decision at the hub, read from the ledger at this moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from consortium.bundle import Policy
from consortium.facts import Device, EnterFacts, Known
from consortium.identity import org_of_branch
from hub.devices.nodes import Node
from hub.identity.index import shown_by
from hub.identity.readers import CardRecord, ReaderRecord, load_readers
from hub.ledger.items import ItemRecord, Key, bare_item_means, load_items, owners_of
from hub.store.schema import presence, site_readers, visits


def known_now(now: int) -> Known:
    """What is known at the hub is known now."""
    return Known(now, now, now, now, now)


@dataclass(frozen=True, slots=True)
class Person:
    """A reader in front of a machine, and the card they showed (their newest, where they gave a number)."""

    record: ReaderRecord
    card: CardRecord


async def person_of_tokens(conn: AsyncConnection, org: str, tokens: list[str], now: int) -> Person | None:
    """Whom these tokens lead to at a library."""
    shown = await shown_by(conn, org, tokens)
    if shown is None:
        return None
    record = (await load_readers(conn, [shown.rid], now)).get(shown.rid)
    if record is None:
        return None
    return Person(record, next((card for card in record.cards if card.uid == shown.uid), record.card))


async def person_of_srid(conn: AsyncConnection, org: str, srid: str, now: int) -> Person | None:
    """Whom a library calls by this srid."""
    query = select(site_readers.c.rid).where(site_readers.c.org == org, site_readers.c.srid == srid)
    rid = (await conn.execute(query)).scalar_one_or_none()
    record = (await load_readers(conn, [rid], now)).get(rid) if rid is not None else None
    return None if record is None else Person(record, record.card)


async def items_at(conn: AsyncConnection, org: str, wanted: list[tuple[str | None, str]]) -> list[ItemRecord | None]:
    """The items of these keys, in order; a bare number (owner None) as the library means it."""
    bare = await owners_of(conn, (item_no for owner, item_no in wanted if owner is None))
    owned = [(owner or bare_item_means(org, bare.get(item_no, [])), item_no) for owner, item_no in wanted]
    keys: list[Key | None] = [(owner, item_no) if owner is not None else None for owner, item_no in owned]
    found = await load_items(conn, (key for key in keys if key is not None))
    return [found.get(key) if key is not None else None for key in keys]


@dataclass(frozen=True, slots=True)
class House:
    """A branch as the hub counts it: people inside, partners inside, partner visits since local midnight."""

    occupancy: int
    partners: int
    partners_today: int


async def house(conn: AsyncConnection, policy: Policy, branch: str, now: int) -> House:
    """Counts of a branch now."""
    inside = (presence.c.branch == branch) & (presence.c.visit_id.is_not(None))
    joined = presence.join(visits, visits.c.id == presence.c.visit_id)
    partner = visits.c.visitor_class == "partner"
    counted = (
        await conn.execute(
            select(func.count().label("n"), func.count().filter(partner).label("partners"))
            .select_from(joined)
            .where(inside)
        )
    ).one()
    today = select(func.count()).where(
        visits.c.branch == branch, visits.c.t_in >= midnight(policy, branch, now), partner
    )
    return House(counted.n, counted.partners, (await conn.execute(today)).scalar_one())


def midnight(policy: Policy, branch: str, now: int) -> int:
    """The last midnight by the branch's own clock, in ms UTC."""
    found = policy.branches.get(branch)
    zone = ZoneInfo(policy.calendars[found.calendar_id].tz if found else "UTC")
    local = datetime.fromtimestamp(now / 1000, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return int(local.timestamp() * 1000)


async def is_inside(conn: AsyncConnection, rid: str, branch: str) -> bool:
    """Whether the reader has an open visit there."""
    query = select(presence.c.visit_id).where(presence.c.rid == rid, presence.c.branch == branch)
    return (await conn.execute(query)).scalar_one_or_none() is not None


async def enter_facts(
    conn: AsyncConnection, policy: Policy, node: Node, branch: str, device: str, token: str, now: int
) -> tuple[EnterFacts, Person | None]:
    """Facts for ``may_enter`` at a gate of this node."""
    person = await person_of_tokens(conn, node.org, [token], now)
    at = Device(device, branch, authorised=branch == node.branch)
    if person is None:
        return EnterFacts(at, known_now(now), None, None), None
    counts = await house(conn, policy, branch, now)
    facts = EnterFacts(
        at, known_now(now), person.card.facts, person.record.facts(org_of_branch(branch)), counts.occupancy,
        counts.partners, counts.partners_today, await is_inside(conn, person.record.rid, branch),
    )  # fmt: skip
    return facts, person
