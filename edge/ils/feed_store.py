"""What the feed remembers on disk (``ils-feed.db``): its cursor, rows set aside, what was last said of readers and of differences.

No number of a reader is ever in it. It mirrors the cursor only: the one that counts is the memo in the outbox, written with the event.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from pathlib import Path

_log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE cursor (one INTEGER PRIMARY KEY CHECK (one = 1), n INTEGER NOT NULL, cursor TEXT NOT NULL);
CREATE TABLE quarantine (cursor TEXT PRIMARY KEY, code TEXT NOT NULL, t INTEGER NOT NULL);
CREATE TABLE reader (srid TEXT PRIMARY KEY, status TEXT NOT NULL, fees INTEGER) WITHOUT ROWID;
CREATE TABLE differs (item_no TEXT PRIMARY KEY, how TEXT NOT NULL, ours TEXT NOT NULL, theirs TEXT NOT NULL, owner TEXT NOT NULL,
  run INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE healed (item_no TEXT PRIMARY KEY, what TEXT NOT NULL, sign TEXT NOT NULL, run INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
"""

MAX_QUARANTINE = 10_000
MAX_READERS = 100_000


class FeedStore:
    """The file, used on the loop: every statement touches a row or a page of rows. Raises sqlite3.Error.

    A damaged file is put aside as ``….damaged`` and begun anew: what it held is in the outbox's memo or is found again.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.db = self._open(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise  # the disk, not the file
            _log.error("ils feed: %s is damaged and begun anew", path.name)
            path.replace(path.with_name(f"{path.name}.damaged"))
            for beside in ("-wal", "-shm"):
                path.with_name(path.name + beside).unlink(missing_ok=True)
            self.db = self._open(path)

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        db = sqlite3.connect(path, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")  # as above: a power cut takes nothing that is not known elsewhere
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                db.executescript(_SCHEMA)
            if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("damaged")
        except sqlite3.Error:
            db.close()
            raise
        return db

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def cursor(self) -> tuple[int, str]:
        """How often the cursor moved, and where it stands."""
        row = self.db.execute("SELECT n, cursor FROM cursor").fetchone()
        return (int(row[0]), str(row[1])) if row else (0, "")

    def keep(self, n: int, cursor: str, bad: Iterable[tuple[str, str]], t: int) -> None:
        """Keep the cursor and the rows that were set aside, (cursor, code) each, in one transaction."""
        self.db.execute("BEGIN IMMEDIATE")
        self.db.execute("INSERT OR REPLACE INTO cursor VALUES (1, ?, ?)", (n, cursor))
        self.db.executemany(
            "INSERT OR IGNORE INTO quarantine VALUES (?, ?, ?)", [(where, code, t) for where, code in bad]
        )
        self.db.execute(
            "DELETE FROM quarantine WHERE rowid <= (SELECT max(rowid) FROM quarantine) - ?", (MAX_QUARANTINE,)
        )
        self.db.execute("COMMIT")

    def quarantined(self) -> dict[str, int]:
        """Rows set aside, by code."""
        return {str(code): int(n) for code, n in self.db.execute("SELECT code, count(*) FROM quarantine GROUP BY code")}

    def said_of_reader(self, srid: str) -> tuple[str, int | None]:
        """What was last recorded of a reader: status and what is owed."""
        row = self.db.execute("SELECT status, fees FROM reader WHERE srid = ?", (srid,)).fetchone()
        return (str(row[0]), row[1]) if row else ("", None)

    def say_of_reader(self, srid: str, status: str, fees: int | None) -> None:
        """Remember it; beyond the bound the table begins anew, which costs a repeated event and nothing else."""
        if self.db.execute("SELECT count(*) FROM reader").fetchone()[0] >= MAX_READERS:
            self.db.execute("DELETE FROM reader")
        self.db.execute("INSERT OR REPLACE INTO reader VALUES (?, ?, ?)", (srid, status, fees))

    def differs(self, item_no: str, how: str, ours: str, theirs: str, owner: str, run: int) -> bool:
        """Note a difference of this run; True where it is new or has changed."""
        row = self.db.execute("SELECT how, ours, theirs FROM differs WHERE item_no = ?", (item_no,)).fetchone()
        self.db.execute(
            "INSERT OR REPLACE INTO differs VALUES (?, ?, ?, ?, ?, ?)", (item_no, how, ours, theirs, owner, run)
        )
        return row is None or tuple(row) != (how, ours, theirs)

    def healed(self, item_no: str, what: str, sign: str, run: int) -> bool:
        """Note that a difference of this item was healed so in this run; False where an earlier run did just the same in vain."""
        row = self.db.execute("SELECT what, sign, run FROM healed WHERE item_no = ?", (item_no,)).fetchone()
        self.db.execute("INSERT OR REPLACE INTO healed VALUES (?, ?, ?, ?)", (item_no, what, sign, run))
        return row is None or (row[0], row[1]) != (what, sign) or row[2] == run

    def forget_others(self, run: int) -> None:
        """Differences that this run did not meet are gone."""
        self.db.execute("DELETE FROM differs WHERE run <> ?", (run,))
        self.db.execute("DELETE FROM healed WHERE run <> ?", (run,))

    def open_differences(self) -> list[tuple[str, str, int]]:
        """Open differences: how, the library that looks into them, how many."""
        found = self.db.execute("SELECT how, owner, count(*) FROM differs GROUP BY how, owner ORDER BY how, owner")
        return [(str(how), str(owner), int(n)) for how, owner, n in found]
