"""Facts at an edge: the replica ⊕ the edge's own later events (domain §6), gathered for the decision functions.

Nothing here decides. Whoever decides asks for facts, calls a function of ``consortium.decisions``, and records the facts with
the answer.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from consortium.facts import (
    BorrowFacts,
    CardFacts,
    Device,
    EnterFacts,
    HoldFacts,
    ItemFacts,
    ItemStatus,
    LoanFacts,
    OpenLoans,
    ReaderFacts,
    Relation,
    RenewFacts,
    ReturnFacts,
)
from consortium.identity import IdentityError, ItemKey, TokenKind, canonical_uid, org_of_branch
from consortium.identity import token as make_token
from edge.clock import EdgeClock
from edge.openloan import OpenLoan, open_loan
from edge.overlay import Overlay, Own
from edge.replica import ReaderRow, Replica

_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Person:
    """Who stands in front of the machine: ``reader`` includes own later events; ``pin`` is the verifier, own readers only."""

    srid: str
    card: CardFacts
    reader: ReaderFacts
    pin: str | None = None

    @property
    def home(self) -> str:
        """The reader's library."""
        return self.reader.home


class Facts:
    """What one branch's edge knows. All methods are synchronous point reads; ``now`` is ms UTC by the edge's clock."""

    def __init__(
        self, replica: Replica, overlay: Overlay, clock: EdgeClock, *, branch: str, org: str, site_key: bytes
    ) -> None:
        self.branch = branch
        self.org = org
        self._replica = replica
        self._overlay = overlay
        self._clock = clock
        self._key = site_key
        self._day: tuple[int, int] = (-1, 0)  # minute, start of that minute's day

    # --- who ---

    def token_of_uid(self, canonical: bytes) -> str:
        """Token of a card's canonical chip bytes (after its cardreader's CardProfile)."""
        return make_token(self._key, TokenKind.UID, canonical)

    def tokens_of_number(self, text: str) -> tuple[str, ...]:
        """Tokens a typed or scanned number may mean: a reader number (bare or ``ORG:NUMBER``), then a chip number in hex."""
        number = text.strip()
        if not number:
            return ()
        tokens = [make_token(self._key, TokenKind.READER_NO, number.encode())]
        with contextlib.suppress(IdentityError):  # not hex: a number only
            tokens.append(self.token_of_uid(canonical_uid(number)))
        return tuple(tokens)

    def person(self, token: str) -> Person | None:
        """The reader behind a token; None where token or reader is not in the replica."""
        found = self._replica.holder(token)
        if found is None:
            return None
        card, row = found
        if self._overlay.about(card.srid):
            # Own events are compared with the items' rows: those and the reader's are read at one version.
            facts = self.reader(card.srid)
            return Person(card.srid, card.card(), facts, row.pin) if facts else None
        return Person(card.srid, card.card(), self._reader_facts(card.srid, row), row.pin)

    def find(self, number: str) -> tuple[str, Person] | None:
        """The first token of a number that somebody stands behind, with the reader."""
        typed = number.strip()
        if not typed:
            return None
        token = make_token(self._key, TokenKind.READER_NO, typed.encode())
        person = self.person(token)
        if person is not None:
            return token, person
        for token in self.tokens_of_number(typed)[1:]:  # only who is no reader number may be a chip's
            person = self.person(token)
            if person is not None:
                return token, person
        return None

    def reader(self, srid: str) -> ReaderFacts | None:
        """A reader by site id, own later events included."""
        with self._replica.at_one_version():
            row = self._replica.reader(srid)
            return self._reader_facts(srid, row) if row else None

    def with_own_events(self, srid: str, row: ReaderRow) -> ReaderFacts:
        """Facts of a reader whose row came from elsewhere (the hub's fresh answer), own later events included."""
        return self._reader_facts(srid, row)

    def _reader_facts(self, srid: str, row: ReaderRow) -> ReaderFacts:
        loans = {(lender, item_type): (n, value) for lender, item_type, n, value in row.open_loans}
        unsynced = 0
        for key, own in self._overlay.about(srid):
            known = self._replica.item(key.owner, key.item_no)
            value = known.value if known else 0
            had = known is not None and known.loan_srid == srid
            has = own.srid == srid
            if had and not has:
                assert known is not None
                _count(loans, (org_of_branch(known.branch or self.branch), known.type), -1, -value)
            elif has and not had:
                item_type = own.item_type or (known.type if known else "")
                _count(loans, (org_of_branch(own.branch), item_type), 1, value)
                unsynced += 1
        return ReaderFacts(
            home=row.home,
            category=row.category,
            status=row.status,
            valid_to_ms=row.valid_to_ms,
            shared=row.shared,
            age=row.age,
            blocks=row.block_facts(),
            open_loans=tuple(OpenLoans(*place, n, value) for place, (n, value) in sorted(loans.items()) if n > 0),
            unsynced=unsynced,
        )

    # --- what ---

    def owner_of_number(self, item_no: str) -> str | None:
        """Whose a bare item number is that a person typed or scanned, as far as this edge can say (domain §1)."""
        return self._replica.owner_of_number(item_no)

    def owns_number(self, item_no: str) -> bool:
        """Whether the branch's own library has an item of that number: all that a tag without an owner may mean."""
        return self._replica.item(self.org, item_no) is not None

    def title(self, key: ItemKey) -> str:
        """The item's title; empty where it is not known here."""
        row = self._replica.item(key.owner, key.item_no)
        return row.title if row else ""

    def due(self, key: ItemKey) -> int | None:
        """When the item's open loan is due, as far as this edge knows; None where there is none."""
        own = self._overlay.item(key)
        if own is not None:
            return own.due if own.status is ItemStatus.ON_LOAN else None
        row = self._replica.item(key.owner, key.item_no)
        return row.due if row else None

    def loan_srid(self, key: ItemKey) -> str | None:
        """Who has the item on loan, as far as this edge knows."""
        own = self._overlay.item(key)
        if own is not None:
            return own.srid
        row = self._replica.item(key.owner, key.item_no)
        return row.loan_srid if row else None

    def loan(self, key: ItemKey) -> OpenLoan | None:
        """The item's open loan, own later events included; None where this edge knows of none."""
        return open_loan(self._replica.item(key.owner, key.item_no), self._overlay.owns(key))

    def should_be_secured(self, key: ItemKey) -> bool | None:
        """What the ledger says of an item's security: unsecured while it is on loan.

        None where this edge knows nothing of it, or where an own event about it is not durable yet: no tag is written by that.
        """
        owns = self._overlay.owns(key)
        if any(not own.durable for own in owns):
            return None
        if owns:
            return owns[-1].status is not ItemStatus.ON_LOAN
        row = self._replica.item(key.owner, key.item_no)
        return None if row is None else row.status is not ItemStatus.ON_LOAN

    def lent(self, key: ItemKey, srid: str, at: int, within_ms: int) -> int | None:
        """Until when this reader was lent this item at about ``at``, whether it came back since or not; None where it was not."""
        row = self._replica.item(key.owner, key.item_no)
        if row is not None and row.loan_srid == srid and row.t_out is not None and abs(row.t_out - at) <= within_ms:
            return self.due(key) or row.due
        for own in self._overlay.owns(key):
            if own.srid == srid and not own.renews and abs(own.t_eff - at) <= within_ms:
                return own.due
        return None

    def loans_of(self, srid: str) -> list[ItemKey]:
        """Items the reader has on loan, as far as this edge knows: the replica's and own later ones."""
        keys = set(self._replica.loans_of(srid))
        for key, own in self._overlay.about(srid):
            if own.srid == srid:
                keys.add(key)
            else:
                keys.discard(key)
        return sorted(keys)

    def holds_of(self, srid: str) -> list[ItemKey]:
        """Items that wait for the reader, of those known here."""
        return sorted(self._replica.holds_of(srid))

    def item(self, key: ItemKey, srid: str | None = None) -> ItemFacts | None:
        """An item, seen from a reader (None: from nobody in particular); None where this edge knows nothing of it."""
        row = self._replica.item(key.owner, key.item_no)
        own = self._overlay.item(key)
        if row is None:
            item_type = self._overlay.item_type(key)
            home = self._first_branch(key.owner)
            if own is None or item_type is None or home is None:
                return None
            return ItemFacts(
                key.owner, key.item_no, item_type, home, status=own.status, loan=_whose(own, srid),
                transit_to=own.transit_to,
            )  # fmt: skip
        return ItemFacts(
            owner=key.owner,
            item_no=key.item_no,
            item_type=row.type,
            owner_branch=row.owner_branch,
            status=own.status if own else row.status,
            loan=_whose(own, srid) if own else _relation(row.loan_srid, srid),
            hold=_relation(row.hold_srid, srid),
            value=row.value,
            shareable=row.shareable,
            reference=row.reference,
            transit_to=own.transit_to if own else row.transit_to,
            collection=row.collection,
        )

    def _first_branch(self, org: str) -> str | None:
        policy = self._replica.policy
        return next((b.id for b in policy.bundle.branches if b.org == org), None) if policy else None

    # --- for the decision functions ---

    def device(self, device_id: str, branch: str | None = None) -> Device:
        """The machine that asks."""
        return Device(device_id, branch or self.branch, clock_trusted=self._clock.trusted)

    def enter(self, token: str, device: Device, now: int) -> tuple[EnterFacts, Person | None]:
        """Facts for ``may_enter``, and who it is about."""
        person = self.person(token)
        house = self._overlay.house(device.branch)
        facts = EnterFacts(
            device=device,
            known=self._replica.known(now),
            card=person.card if person else None,
            reader=person.reader if person else None,
            occupancy=house.occupancy(now),
            partner_visitors=house.partners,
            visits_today=house.partner_entries(self._day_start(device.branch, now)),
            inside=person is not None and house.holds(person.srid),
        )
        return facts, person

    def borrow(
        self,
        person: Person | None,
        item: ItemKey | None,
        device: Device,
        now: int,
        *,
        pin: bool = False,
        tag_agrees: bool = True,
        away: bool = False,
    ) -> BorrowFacts:
        """Facts for ``may_borrow``. The reader is read again, so that the second item of a stack counts the first."""
        with self._replica.at_one_version():
            reader = None
            if person is not None:
                row = self._replica.reader(person.srid)
                reader = self._reader_facts(person.srid, row) if row else person.reader
            return BorrowFacts(
                device=device,
                known=self._replica.known(now),
                card=person.card if person else None,
                reader=reader,
                item=self.item(item, person.srid if person else None) if item else None,
                pin=pin,
                tag_agrees=tag_agrees,
                away=away,
            )

    def renew(self, srid: str, reader: ReaderFacts, item: ItemKey, device: Device, now: int) -> RenewFacts:
        """Facts for ``may_renew`` of an item that is on loan to this reader or to somebody else."""
        with self._replica.at_one_version():
            loan = self.loan(item)
            row = self._replica.reader(srid)
            return RenewFacts(
                device=device,
                known=self._replica.known(now),
                reader=self._reader_facts(srid, row) if row else reader,
                item=self.item(item, srid),
                loan=_loan_facts(loan, srid) if loan is not None else None,
            )

    def give_back(self, item: ItemKey | None, device: Device, now: int, *, can_hand_back: bool = False) -> ReturnFacts:
        """Facts for ``accept_return``."""
        return ReturnFacts(
            device=device,
            known=self._replica.known(now),
            item=self.item(item) if item else None,
            holds=self._holds(item) if item else (),
            can_hand_back=can_hand_back,
        )

    def _holds(self, item: ItemKey) -> tuple[HoldFacts, ...]:
        """The hold that comes first, where the hub told where it is fetched."""
        row = self._replica.item(item.owner, item.item_no)
        if row is None or row.hold is None or not row.pickup:
            return ()
        return (HoldFacts(row.hold, row.pickup, row.hold_placed),)

    def occupancy(self, now: int, branch: str | None = None) -> int:
        """Persons inside a branch, by own ENTRY and EXIT events."""
        return self._overlay.house(branch or self.branch).occupancy(now)

    def _day_start(self, branch: str, now: int) -> int:
        minute = now // _MINUTE_MS
        if self._day[0] != minute:
            policy = self._replica.policy
            zone = policy.calendar_of(branch).tz if policy and branch in policy.branches else "UTC"
            local = datetime.fromtimestamp(now / 1000, ZoneInfo(zone))
            start = local.replace(hour=0, minute=0, second=0, microsecond=0)
            self._day = (minute, int(start.timestamp()) * 1000)
        return self._day[1]


def _loan_facts(loan: OpenLoan, srid: str) -> LoanFacts:
    return LoanFacts(
        mine=loan.srid == srid,
        t_out=loan.t_out,
        due=loan.due,
        place=loan.place,
        terms=loan.terms,
        renewed=loan.renewed,
        recalled=loan.recalled,
        unsynced=loan.unsynced,
    )


def _relation(who: str | None, srid: str | None) -> Relation:
    if who is None:
        return Relation.NOBODY
    return Relation.SELF if who == srid else Relation.OTHER


def _whose(own: Own, srid: str | None) -> Relation:
    """Whose loan an own event left; one that an ILS made for a reader nobody here knows is somebody else's."""
    if own.status is ItemStatus.ON_LOAN and own.srid is None:
        return Relation.OTHER
    return _relation(own.srid, srid)


def _count(loans: dict[tuple[str, str], tuple[int, int]], place: tuple[str, str], n: int, value: int) -> None:
    have, worth = loans.get(place, (0, 0))
    loans[place] = (have + n, max(0, worth + value))
