"""The books of a simulated ILS: its readers, items, loans and holds in its own SQLite file, and an append-only table of changes.

Here are the ILS's own rules and nothing of a consortium. The desk (`lend`, `give_back`, …) and SIP2 use the same functions.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

_SCHEMA = """
CREATE TABLE patrons (number TEXT PRIMARY KEY, name TEXT NOT NULL, pin TEXT NOT NULL DEFAULT '', blocked INTEGER NOT NULL DEFAULT 0,
  expiry TEXT, fees INTEGER NOT NULL DEFAULT 0, proxy INTEGER NOT NULL DEFAULT 0);
CREATE TABLE items (item_no TEXT PRIMARY KEY, title TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'AVAILABLE',
  location TEXT NOT NULL DEFAULT '');
CREATE TABLE loans (item_no TEXT PRIMARY KEY, number TEXT NOT NULL, t_out INTEGER NOT NULL,
  due TEXT NOT NULL, renewals INTEGER NOT NULL DEFAULT 0);
CREATE INDEX loans_of ON loans (number);
CREATE TABLE holds (id INTEGER PRIMARY KEY, item_no TEXT NOT NULL, number TEXT NOT NULL,
  pickup TEXT NOT NULL DEFAULT '', UNIQUE (item_no, number));
CREATE TABLE changes (id INTEGER PRIMARY KEY AUTOINCREMENT, t INTEGER NOT NULL, what TEXT NOT NULL, item_no TEXT, number TEXT, due TEXT,
  amount INTEGER, status TEXT, who TEXT NOT NULL);
CREATE TRIGGER changes_stay BEFORE UPDATE ON changes BEGIN SELECT RAISE(ABORT, 'changes are only added'); END;
CREATE TRIGGER changes_last BEFORE DELETE ON changes BEGIN SELECT RAISE(ABORT, 'changes are only added'); END;
CREATE VIEW tongjie_changes AS SELECT id, strftime('%Y-%m-%dT%H:%M:%SZ', t / 1000, 'unixepoch') AS changed_at, what, item_no AS barcode,
  number AS cardnumber, due AS date_due, CASE WHEN amount IS NULL THEN NULL ELSE printf('%.2f', amount / 100.0) END AS amount,
  CASE WHEN amount IS NULL THEN NULL ELSE 'CNY' END AS currency, status, who AS operator FROM changes;
CREATE VIEW tongjie_open_loans AS SELECT item_no AS barcode, number AS cardnumber, due AS date_due,
  strftime('%Y-%m-%dT%H:%M:%SZ', t_out / 1000, 'unixepoch') AS issued_at FROM loans;
PRAGMA user_version = 1;
"""

STATUS_WORDS = ("AVAILABLE", "MISSING", "LOST", "WITHDRAWN")


class Refused(Exception):
    """The ILS says no; ``text`` is its own message for the screen."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Books:
    """One library's books. ``now`` is ms UTC, ``tz`` the library's zone: a loan is due at the end of a day there."""

    def __init__(self, path: Path, now: Callable[[], int], *, tz: str = "Asia/Shanghai", days: int = 30, most: int = 20,
                 renewals: int = 2) -> None:  # fmt: skip
        self.zone = ZoneInfo(tz)
        self._now = now
        self._days, self._most, self._renewals = days, most, renewals
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA busy_timeout = 5000")
        if self.db.execute("PRAGMA user_version").fetchone()[0] == 0:
            self.db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def seed(self, given: Mapping[str, Any]) -> None:
        """Put in ``patrons``, ``items`` and ``loans`` of a seed, leaving what is there. Raises KeyError, TypeError, sqlite3.Error."""
        with self.db:
            self.db.execute("BEGIN IMMEDIATE")
            for p in given.get("patrons", ()):
                self.db.execute(
                    "INSERT OR IGNORE INTO patrons VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (p["number"], p.get("name", ""), p.get("pin", ""), int(p.get("blocked", False)), p.get("expiry"),
                     int(p.get("fees", 0)), int(p.get("proxy", False))),
                )  # fmt: skip
            for i in given.get("items", ()):
                self.db.execute(
                    "INSERT OR IGNORE INTO items VALUES (?, ?, ?, ?)",
                    (i["item_no"], i.get("title", ""), i.get("status", "AVAILABLE"), i.get("location", "")),
                )
            for loan in given.get("loans", ()):
                self.db.execute(
                    "INSERT OR IGNORE INTO loans VALUES (?, ?, ?, ?, 0)",
                    (loan["item_no"], loan["number"], int(loan.get("t_out", self._now())), loan["due"]),
                )

    # --- what there is ---

    def patron(self, number: str) -> sqlite3.Row | None:
        """A reader by number."""
        return self._row("SELECT * FROM patrons WHERE number = ?", number)

    def item(self, item_no: str) -> sqlite3.Row | None:
        """An item."""
        return self._row("SELECT * FROM items WHERE item_no = ?", item_no)

    def loan(self, item_no: str) -> sqlite3.Row | None:
        """An item's open loan."""
        return self._row("SELECT * FROM loans WHERE item_no = ?", item_no)

    def loans_of(self, number: str) -> list[sqlite3.Row]:
        """A reader's open loans by item."""
        return self.db.execute("SELECT * FROM loans WHERE number = ? ORDER BY item_no", (number,)).fetchall()

    def holds_on(self, item_no: str) -> list[sqlite3.Row]:
        """Who waits for an item, first come first."""
        return self.db.execute("SELECT * FROM holds WHERE item_no = ? ORDER BY id", (item_no,)).fetchall()

    def holds_of(self, number: str) -> list[sqlite3.Row]:
        """What a reader waits for."""
        return self.db.execute("SELECT * FROM holds WHERE number = ? ORDER BY id", (number,)).fetchall()

    def overdue(self, loan: sqlite3.Row) -> bool:
        """Whether a loan's last day is over."""
        return str(loan["due"]) < self.today().isoformat()

    def expired(self, patron: sqlite3.Row) -> bool:
        """Whether a reader's last day is over."""
        return patron["expiry"] is not None and str(patron["expiry"]) < self.today().isoformat()

    def today(self) -> date:
        """Today in the library's zone."""
        return datetime.fromtimestamp(self._now() / 1000, self.zone).date()

    def _row(self, sql: str, key: str) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self.db.execute(sql, (key,)).fetchone()
        return found

    # --- what happens ---

    def lend(self, number: str, item_no: str, *, who: str, t: int | None = None, due: str | None = None,
             happened: bool = False) -> tuple[str, bool]:  # fmt: skip
        """Lend an item until the day given back, and say whether this reader had it already. Raises `Refused`.

        ``happened``: it took place off line at ``t`` until ``due`` (SIP2 no_block): recorded whatever the rules say, once.
        """
        patron, item, loan = self.patron(number), self.item(item_no), self.loan(item_no)
        if patron is None:
            raise Refused("Patron not found")
        if item is None:
            raise Refused("Item not found")
        mine = loan is not None and loan["number"] == number
        if happened:
            if mine:
                assert loan is not None
                return self._renewed(loan, max(str(loan["due"]), due or str(loan["due"])), who, t), True
        elif mine:
            assert loan is not None
            return self.renew(number, item_no, who=who), True
        else:
            self._may(patron)
            if loan is not None:
                raise Refused("Item is checked out to another patron")
            if item["status"] != "AVAILABLE":
                raise Refused(f"Item is {item['status'].lower()}")
            waiting = self.holds_on(item_no)
            if waiting and waiting[0]["number"] != number:
                raise Refused("Item is on hold for another patron")
            if not patron["proxy"] and len(self.loans_of(number)) >= self._most:
                raise Refused("Too many items checked out")
        at = self._now() if t is None else t
        due = due or (datetime.fromtimestamp(at / 1000, self.zone).date() + timedelta(days=self._days)).isoformat()
        with self.db:
            self.db.execute("BEGIN IMMEDIATE")
            if loan is not None:  # only off line: the book was in the other reader's hand
                self._ended(loan, at, who)
            self.db.execute("INSERT INTO loans VALUES (?, ?, ?, ?, 0)", (item_no, number, at, due))
            self.db.execute("DELETE FROM holds WHERE item_no = ? AND number = ?", (item_no, number))
            self.db.execute("UPDATE items SET status = 'AVAILABLE' WHERE item_no = ?", (item_no,))
            self._change("LOAN", who, at, item_no=item_no, number=number, due=due)
        return due, False

    def renew(self, number: str, item_no: str, *, who: str, t: int | None = None, due: str | None = None,
              happened: bool = False) -> str:  # fmt: skip
        """Renew a loan and give its new last day. Raises `Refused`. ``happened`` as in `lend`."""
        patron, loan = self.patron(number), self.loan(item_no)
        if patron is None:
            raise Refused("Patron not found")
        if loan is None or loan["number"] != number:
            raise Refused("Item is not checked out to this patron")
        if happened:
            return self._renewed(loan, max(str(loan["due"]), due or str(loan["due"])), who, t)
        self._may(patron)
        if loan["renewals"] >= self._renewals:
            raise Refused("Renewal limit reached")
        if self.holds_on(item_no):
            raise Refused("Item is on hold for another patron")
        return self._renewed(loan, (self.today() + timedelta(days=self._days)).isoformat(), who, None)

    def _renewed(self, loan: sqlite3.Row, due: str, who: str, t: int | None) -> str:
        if due > str(loan["due"]):
            with self.db:
                self.db.execute("BEGIN IMMEDIATE")
                self.db.execute(
                    "UPDATE loans SET due = ?, renewals = renewals + 1 WHERE item_no = ?", (due, loan["item_no"])
                )
                self._change("RENEWAL", who, t, item_no=loan["item_no"], number=loan["number"], due=due)
        return max(due, str(loan["due"]))

    def give_back(self, item_no: str, *, who: str, t: int | None = None) -> tuple[str | None, sqlite3.Row | None]:
        """Take an item back: who had it, and the first hold on it. Raises `Refused`.

        A return from before the loan now open ends nothing.
        """
        if self.item(item_no) is None:
            raise Refused("Item not found")
        loan, had = self.loan(item_no), None
        with self.db:
            self.db.execute("BEGIN IMMEDIATE")
            if loan is not None and (t is None or t >= loan["t_out"] - 1000):  # a SIP2 date has no milliseconds
                had = str(loan["number"])
                self._ended(loan, t, who)
            self.db.execute("UPDATE items SET status = 'AVAILABLE' WHERE item_no = ?", (item_no,))
        waiting = self.holds_on(item_no)
        return had, waiting[0] if waiting else None

    def _ended(self, loan: sqlite3.Row, t: int | None, who: str) -> None:
        self.db.execute("DELETE FROM loans WHERE item_no = ?", (loan["item_no"],))
        self._change("RETURN", who, t, item_no=loan["item_no"], number=loan["number"])

    def hold(self, number: str, item_no: str, pickup: str, *, cancel: bool = False) -> int:
        """Place or cancel a hold and give the place in the queue (0 = cancelled). Raises `Refused`."""
        if self.patron(number) is None or self.item(item_no) is None:
            raise Refused("Patron or item not found")
        with self.db:
            self.db.execute("BEGIN IMMEDIATE")
            if cancel:
                if not self.db.execute(
                    "DELETE FROM holds WHERE item_no = ? AND number = ?", (item_no, number)
                ).rowcount:
                    raise Refused("There is no such hold")
                return 0
            self.db.execute(
                "INSERT OR REPLACE INTO holds (item_no, number, pickup) VALUES (?, ?, ?)", (item_no, number, pickup)
            )
        return [h["number"] for h in self.holds_on(item_no)].index(number) + 1

    def pay(self, number: str, amount: int, *, who: str) -> int:
        """Take a payment in fen and give what is still owed. Raises `Refused`."""
        patron = self.patron(number)
        if patron is None:
            raise Refused("Patron not found")
        if not 0 < amount <= patron["fees"]:
            raise Refused("Amount exceeds what is owed")
        return self._owes(number, int(patron["fees"]) - amount, who)

    def charge(self, number: str, amount: int, *, who: str) -> int:
        """Charge a reader in fen and give what is owed then. Raises `Refused`."""
        patron = self.patron(number)
        if patron is None:
            raise Refused("Patron not found")
        return self._owes(number, int(patron["fees"]) + amount, who)

    def _owes(self, number: str, owed: int, who: str) -> int:
        with self.db:
            self.db.execute("BEGIN IMMEDIATE")
            self.db.execute("UPDATE patrons SET fees = ? WHERE number = ?", (owed, number))
            self._change("FEE", who, None, number=number, amount=owed)
        return owed

    def register(self, number: str, name: str, pin: str, expiry: str | None, *, who: str) -> None:
        """Enter a new reader, or an old one's new name, PIN and last day."""
        with self.db:
            self.db.execute("BEGIN IMMEDIATE")
            self.db.execute(
                "INSERT INTO patrons (number, name, pin, expiry) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (number) DO UPDATE SET name = excluded.name, pin = excluded.pin, expiry = excluded.expiry",
                (number, name, pin, expiry),
            )
            self._change("READER", who, None, number=number, status=self.standing(number))

    def block(self, number: str, blocked: bool, *, who: str) -> None:
        """Stop a reader or let one go on. Raises `Refused`."""
        with self.db:
            self.db.execute("BEGIN IMMEDIATE")
            if not self.db.execute("UPDATE patrons SET blocked = ? WHERE number = ?", (int(blocked), number)).rowcount:
                raise Refused("Patron not found")
            self._change("READER", who, None, number=number, status=self.standing(number))

    def standing(self, number: str) -> str:
        """ACTIVE, BLOCKED or EXPIRED; raises `Refused`."""
        patron = self.patron(number)
        if patron is None:
            raise Refused("Patron not found")
        return "BLOCKED" if patron["blocked"] else "EXPIRED" if self.expired(patron) else "ACTIVE"

    def mark(self, item_no: str, status: str, *, who: str) -> None:
        """Mark an item AVAILABLE, MISSING, LOST or WITHDRAWN. Raises `Refused`."""
        if status not in STATUS_WORDS:
            raise Refused(f"status is one of {', '.join(STATUS_WORDS)}")
        with self.db:
            self.db.execute("BEGIN IMMEDIATE")
            if not self.db.execute("UPDATE items SET status = ? WHERE item_no = ?", (status, item_no)).rowcount:
                raise Refused("Item not found")
            self._change("ITEM", who, None, item_no=item_no, status=status)

    def _may(self, patron: sqlite3.Row) -> None:
        if patron["blocked"]:
            raise Refused("Patron is blocked")
        if self.expired(patron):
            raise Refused("Patron card has expired")

    def _change(self, what: str, who: str, t: int | None, *, item_no: str | None = None, number: str | None = None,
                due: str | None = None, amount: int | None = None, status: str | None = None) -> None:  # fmt: skip
        self.db.execute(
            "INSERT INTO changes (t, what, item_no, number, due, amount, status, who) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (self._now() if t is None else t, what, item_no, number, due, amount, status, who),
        )

    # --- what it offers ---

    def changes(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Changes behind a cursor as the view shows them."""
        rows = self.db.execute("SELECT * FROM tongjie_changes WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        return [dict(row) for row in rows.fetchall()]

    def open_loans(self, after: str, limit: int) -> list[dict[str, Any]]:
        """Open loans behind an item number as the view shows them, by item number."""
        rows = self.db.execute(
            "SELECT * FROM tongjie_open_loans WHERE barcode > ? ORDER BY barcode LIMIT ?", (after, limit)
        )
        return [dict(row) for row in rows.fetchall()]


def day_end_ms(day: str, zone: ZoneInfo) -> int:
    """The last second of a day ``YYYY-MM-DD`` in a zone, ms UTC."""
    return int(datetime.combine(date.fromisoformat(day), time(23, 59, 59), zone).astimezone(UTC).timestamp()) * 1000


def read_seed(path: Path) -> dict[str, Any]:
    """A seed file: JSON with ``patrons``, ``items`` and ``loans``. Raises OSError, ValueError."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError("a seed is one JSON object")
    return found
