"""What happened inside a member's own ILS becomes events of this edge, once each (ILS_OBSERVED, domain §10).

A row that only repeats what this edge did itself, or that is a partner's loan under its proxy account, is no news. A reader is known
by a number there and by a site id here: the number itself goes into no event, no log and no file of ours.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consortium.events import Kind
from consortium.facts import ItemStatus
from consortium.identity import ItemKey
from consortium.mastership import DAY_APART_MS, Difference
from edge.facts import Facts, Person
from edge.ils.feed_journal import Journal
from edge.ils.feed_store import FeedStore
from edge.ils.feeds import Batch, Change, What
from edge.ils.port import ItemSaid, ReaderSaid
from edge.outbox import Draft, Outbox
from edge.outbox.errors import DraftInvalid
from edge.outbox.rows import Memo

DEVICE = "ils"
"""The device that observed events name."""

MEMO = "ils-feed"
"""Key of the cursor's memo in the outbox."""

HOLD_MS = 60_000
"""How long rows wait for the answer to a booking of the same item; one that never comes must not hold the feed up."""

_LOOK_BACK_MS = 3 * 86_400_000  # own transactions that a row of the feed may still repeat
_OUT = frozenset(
    {"04", "05", "07", "11"}
)  # SIP2 2.00 §2 circulation: charged, charged no recall, recalled, claimed returned
_IN = frozenset({"03", "08", "09"})
_GONE = {"12": "LOST", "13": "MISSING"}
_STATUS = {"MISSING": ItemStatus.MISSING, "LOST": ItemStatus.LOST, "WITHDRAWN": ItemStatus.WITHDRAWN}


@dataclass(frozen=True, slots=True)
class Out:
    """An item that is out as far as this edge knows: with whom (None = unknown to us), since and until when, lent at which branch."""

    srid: str | None
    t_out: int
    due: int
    place: str


class Observer:
    """Turns changes into events. ``proxies``: the ILS's account of each partner, by library; ``now`` ms UTC by the edge's clock.

    ``fed`` while a feed is followed: what is seen on touch is then the feed's to tell. ``waits_for`` says whether a booking
    about an item waits for the ILS or is on its way; whoever books sets it.
    """

    def __init__(self, outbox: Outbox, facts: Facts, branch: str, org: str, proxies: Mapping[str, str], now: Callable[[], int], *,
                 store: Path) -> None:  # fmt: skip
        self.fed = False
        self.waits_for: Callable[[ItemKey], bool] = lambda _item: False
        self.counts: Counter[str] = Counter()
        self.journal = Journal(outbox, org)
        self._outbox, self._facts = outbox, facts
        self._branch, self._org = branch, org
        self._proxies = frozenset(proxies.values())
        self._now = now
        self._path = store
        self._store: FeedStore | None = None
        self._n, self._cursor = 0, ""
        self._held: int | None = None  # since when rows wait for a booking's answer

    # --- life ---

    def start(self) -> None:
        """Open the file and read back what this edge did; with the outbox running. Raises sqlite3.Error, OutboxError."""
        self._store = FeedStore(self._path)
        self._n, self._cursor = self._store.cursor()
        memo = self._outbox.memo(MEMO)
        if memo is not None:
            n, cursor = json.loads(memo)
            if n > self._n:  # the event was durable and the mirror was not
                self._n, self._cursor = n, cursor
        self.journal.load(self._now() - _LOOK_BACK_MS)

    def stop(self) -> None:
        """Close the file. Safe to call twice."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    @property
    def store(self) -> FeedStore:
        """The open file."""
        assert self._store is not None, "the observer has not started"
        return self._store

    @property
    def cursor(self) -> str:
        """Up to where the feed is recorded; "" before its first row."""
        return self._cursor

    # --- from a feed ---

    async def take(self, batch: Batch) -> bool:
        """Record what a poll found, in its order. Each event carries the cursor behind its row, so that a crash repeats and loses none.

        False where a row must wait for the answer to a booking; it and what follows is to be polled again. Raises OutboxError; what was
        recorded by then is not asked for again.
        """
        bad = [(row.cursor, row.code) for row in batch.bad]
        try:
            for change in batch.changes:
                if self._must_wait(change):
                    return False
                draft = self.draft(change)
                self._n += 1
                if draft is None:
                    self.counts["repeated"] += 1
                else:
                    await self._taken(change, draft, bad)
                self._cursor = change.cursor
            self._n += 1
            self._cursor = batch.cursor
            return True
        finally:
            self.store.keep(self._n, self._cursor, bad, self._now())

    async def _taken(self, change: Change, draft: Draft, bad: list[tuple[str, str]]) -> None:
        try:
            await self.record(draft, (MEMO, json.dumps([self._n, change.cursor]).encode()))
        except DraftInvalid as error:  # what the hub would not take must not stand before all that follows
            bad.append((change.cursor, error.event_code))

    async def record(self, draft: Draft, memo: Memo | None = None) -> None:
        """Append an event and count it. Raises OutboxError."""
        await self._outbox.append(draft, memo)
        self.counts[str(draft.data["what"])] += 1

    def draft(self, change: Change) -> Draft | None:
        """The event that a change is, None where it is no news."""
        now = self._now()
        t = min(change.t_ms if change.t_ms is not None else now, now)
        if change.what is What.READER:
            return self._about_reader(change, t, status=change.status)
        if change.what is What.FEE:
            return self._about_reader(change, t, amount=change.amount)
        key = ItemKey(self._org, change.item_no)
        if self._facts.item(key) is None:
            self.counts["item_unknown"] += 1
            return None
        if change.what is What.ITEM:
            return self._marked(key, change.status, t)
        person = self.who(change.reader_no)
        proxy = change.reader_no in self._proxies
        srid = person.srid if person else None
        asked = None if proxy or not change.reader_no else srid or "?"
        if self.journal.repeats(key.item_no, change.what, t, asked, now):
            return None
        out = self.out(key)
        if change.what is What.RETURN:
            return self.returned(key, t) if out is not None else None
        if proxy:
            return None  # a partner's loan is ours to make; what the ILS thinks of it is the reconciliation's
        assert change.due_ms is not None
        if out is None:
            if change.what is What.RENEWAL and not change.reader_no:
                return None  # of whose loan, nobody says
        elif (
            out.srid == srid or not change.reader_no
        ):  # the same loan as far as we know; two readers unknown to us are taken for one
            return self.renewed(key, out.srid, change.due_ms, t) if change.due_ms - out.due >= DAY_APART_MS else None
        return self.lent(key, person, change.reader_no, change.due_ms, t)

    def _must_wait(self, change: Change) -> bool:
        """Whether the row may be the echo of a booking whose answer is not here yet. That is waited for, but not for ever."""
        if not change.item_no:
            return False
        if not self.waits_for(ItemKey(self._org, change.item_no)):
            self._held = None
            return False
        now = self._now()
        if self._held is None:
            self._held = now
        return now - self._held < HOLD_MS  # from then on nothing waits until the bookings have caught up

    # --- what is known ---

    def who(self, number: str) -> Person | None:
        """The own reader behind a number of the ILS; its numbers are this library's, whatever else a number may mean here."""
        if not number:
            return None
        for text in (f"{self._org}:{number}", number):
            person = self._facts.person(self._facts.tokens_of_number(text)[0])
            if person is not None and person.home == self._org:
                return person
        return None

    def srid_of(self, number: str) -> str | None:
        """The site id of the own reader behind a number of the ILS, None where nobody here knows one."""
        person = self.who(number)
        return person.srid if person is not None else None

    def is_proxy(self, number: str) -> bool:
        """Whether a number is the account of a partner library."""
        return number in self._proxies

    def token(self, number: str) -> str:
        """What stands for a number of a reader that nobody here knows."""
        return self._facts.tokens_of_number(number)[0] if number.strip() else ""

    def out(self, key: ItemKey) -> Out | None:
        """The item's open loan as this edge knows it; also one whose reader nobody here knows."""
        loan = self._facts.loan(key)
        if loan is not None:
            return Out(loan.srid, loan.t_out, loan.due, loan.place or self._branch)
        item = self._facts.item(key)
        if item is not None and item.status is ItemStatus.ON_LOAN:
            return Out(None, 0, self._facts.due(key) or 0, self._branch)
        return None

    # --- the events ---

    def lent(self, key: ItemKey, person: Person | None, number: str, due: int, t: int) -> Draft:
        """The ILS lent the item; a reader nobody here knows is named by a token."""
        return self.lent_to(key, person.srid if person else None, "" if person else self.token(number), due, t)

    def lent_to(self, key: ItemKey, srid: str | None, token: str, due: int, t: int) -> Draft:
        """The ILS lent the item to this own reader, or to one nobody here knows."""
        item = self._facts.item(key)
        data = {"item": [key.owner, key.item_no], "home": self._org, "due": due, "type": item.item_type if item else ""}
        return self._draft(What.LOAN, t, {**data, "ref": token} if token else data, srid)

    def renewed(self, key: ItemKey, srid: str | None, due: int, t: int) -> Draft:
        """The ILS renewed the loan."""
        return self._draft(What.RENEWAL, t, {"item": [key.owner, key.item_no], "home": self._org, "due": due}, srid)

    def returned(self, key: ItemKey, t: int) -> Draft:
        """The ILS took the item back."""
        return self._draft(What.RETURN, t, {"item": [key.owner, key.item_no]}, None)

    def differs(self, found: Difference, out: Out | None) -> Draft:
        """The books disagree, and ``found.owner`` looks into it; the due dates go along where there are any."""
        data: dict[str, Any] = {
            "item": [found.item.owner, found.item.item_no],
            "status": found.how.value,
            "home": found.owner,
        }
        if out is not None:
            data |= {"due": out.due, "ref": self.journal.loan_name(found.item.item_no, out.t_out)}
        return self._draft("DIFFERS", self._now(), data, out.srid if out is not None else None)

    def _marked(self, key: ItemKey, status: str, t: int) -> Draft | None:
        item = self._facts.item(key)
        assert item is not None
        if status == "AVAILABLE":
            return self.returned(key, t) if item.status in (ItemStatus.MISSING, ItemStatus.LOST) else None
        if item.status is _STATUS[status]:
            return None
        return self._draft(What.ITEM, t, {"item": [key.owner, key.item_no], "status": status}, None)

    def _about_reader(self, change: Change, t: int, *, status: str = "", amount: int | None = None) -> Draft | None:
        if change.reader_no in self._proxies:
            return None
        person = self.who(change.reader_no)
        data: dict[str, Any] = {"home": self._org}
        if status:
            data["status"] = status
        if amount is not None:
            data["amount"] = amount
        if person is None:
            data["ref"] = self.token(change.reader_no)
        return self._draft(change.what, t, data, person.srid if person else None)

    def _draft(self, what: str, t: int, data: dict[str, Any], srid: str | None) -> Draft:
        fields = {"what": str(what), "as_of": self._now(), **data}
        return Draft(Kind.ILS_OBSERVED, self._branch, DEVICE, fields, srid, t_eff=t)

    # --- on touch, where there is no feed ---

    async def touch_item(self, item_no: str, said: ItemSaid) -> None:
        """The ILS was asked about an own item (SIP2 17): record where it says otherwise. Raises OutboxError."""
        key = ItemKey(self._org, item_no)
        item = None if self.fed else self._facts.item(key)
        if item is None or self.unsettled(item_no):
            return
        out, now = self.out(key), self._now()
        draft: Draft | None = None
        if said.circulation in _OUT:
            if out is None and said.due_ms is not None:
                draft = self.lent(key, None, "", said.due_ms, now)
            elif out is not None and said.due_ms is not None and said.due_ms - out.due >= DAY_APART_MS:
                draft = self.renewed(key, out.srid, said.due_ms, now)
        elif said.circulation in _IN and out is not None and self.is_theirs(out):
            draft = self.returned(key, now)
        elif said.circulation in _GONE:
            draft = self._marked(key, _GONE[said.circulation], now)
        if draft is not None:
            await self.record(draft)

    async def touch_reader(self, srid: str, number: str, said: ReaderSaid) -> None:
        """The ILS was asked about an own reader (SIP2 63): record where it says otherwise than before. Raises OutboxError."""
        if self.fed:
            return
        status = "BLOCKED" if said.blocked else "ACTIVE" if said.valid else "EXPIRED"
        was, owed = self.store.said_of_reader(srid)
        known, now = self._facts.reader(srid), self._now()
        news = status != was if was else (status == "ACTIVE") != (known is None or known.status == "ACTIVE")
        if news:
            await self.record(self._draft(What.READER, now, {"home": self._org, "status": status}, srid))
        if said.fees is not None and said.fees != (owed or 0):
            await self.record(self._draft(What.FEE, now, {"home": self._org, "amount": said.fees}, srid))
        if (status, said.fees) != (was, owed):
            self.store.say_of_reader(srid, status, said.fees if said.fees is not None else owed)

    def is_theirs(self, out: Out) -> bool:
        """Whether the ILS keeps this loan: an own reader's, or one that nobody but the ILS knows, lent in this library."""
        if out.place and not out.place.startswith(f"{self._org}-"):
            return False
        if out.srid is None:
            return True
        reader = self._facts.reader(out.srid)
        return reader is not None and reader.home == self._org

    def unsettled(self, item_no: str) -> bool:
        """Whether something about the item is not known to have reached the ILS."""
        return self.journal.pending(item_no) or self.waits_for(ItemKey(self._org, item_no))

    # --- shown ---

    def public(self) -> dict[str, Any]:
        """Counts of events by what they tell, of rows that were no news, and of rows set aside by code."""
        return {"counts": dict(self.counts), "quarantine": self.store.quarantined() if self._store else {}}
