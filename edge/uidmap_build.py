"""Makes the file of chips from a library's CSV file, as a process of its own: ``python -m edge.uidmap_build CSV OUT MTIME SIZE``.

Says one JSON object: ``{"rows", "bad_rows", "ambiguous"}``, or ``{"error", "message"}``.
"""

from __future__ import annotations

import csv
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

from consortium.identity import MAX_NUMBER

ROWS_MOST = 2_000_000
BYTES_MOST = 256 * 1024 * 1024
_SCHEMA = """
CREATE TABLE uids(uid TEXT PRIMARY KEY, owner TEXT NOT NULL, item_no TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE facts(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
_PUT = """INSERT INTO uids VALUES(?,?,?) ON CONFLICT(uid) DO UPDATE SET owner = '', item_no = ''
    WHERE owner <> excluded.owner OR item_no <> excluded.item_no"""
_HEX = frozenset("0123456789ABCDEF")


class BadList(Exception):
    """The list cannot be used; ``code`` is UIDS_TOO_LONG or UIDS_UNREADABLE."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def build(source: Path, out: Path, mtime: int, size: int) -> dict[str, int]:
    """Write ``out``; gives the counts. Rows that are no UID, owner and number are counted and left out. Raises BadList."""
    out.unlink(missing_ok=True)
    counts = {"rows": 0, "bad_rows": 0, "ambiguous": 0}
    conn = sqlite3.connect(out, isolation_level=None)
    try:
        conn.execute("PRAGMA journal_mode=OFF")
        conn.execute("PRAGMA synchronous=OFF")
        conn.executescript(_SCHEMA)
        conn.execute("BEGIN")
        conn.executemany(_PUT, _rows(source, counts))
        counts["ambiguous"] = conn.execute("SELECT COUNT(*) FROM uids WHERE owner = ''").fetchone()[0]
        counts["rows"] = conn.execute("SELECT COUNT(*) FROM uids").fetchone()[0] - counts["ambiguous"]
        conn.executemany("INSERT INTO facts VALUES(?,?)", [*counts.items(), ("mtime", mtime), ("size", size)])
        conn.execute("COMMIT")
    finally:
        conn.close()
    return counts


def _rows(source: Path, counts: dict[str, int]) -> Iterator[tuple[str, str, str]]:
    try:
        if source.stat().st_size > BYTES_MOST:
            raise BadList("UIDS_TOO_LONG", f"the list has more than {BYTES_MOST} bytes")
        with source.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.reader(file)):
                if number > ROWS_MOST:
                    raise BadList("UIDS_TOO_LONG", f"the list has more than {ROWS_MOST} rows")
                found = _row(row)
                if found is not None:
                    yield found
                elif row and not (number == 0 and row[0].strip().upper() == "UID"):
                    counts["bad_rows"] += 1
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadList("UIDS_UNREADABLE", f"the list cannot be read: {error}") from error


def _row(row: list[str]) -> tuple[str, str, str] | None:
    if len(row) < 3:
        return None
    uid, owner, item_no = row[0].replace(":", "").strip().upper(), row[1].strip(), row[2].strip()
    sound = 8 <= len(uid) <= 128 and len(uid) % 2 == 0 and set(uid) <= _HEX
    return (uid, owner, item_no) if sound and 0 < len(owner) <= 32 and 0 < len(item_no) <= MAX_NUMBER else None


def main(argv: list[str]) -> int:
    """Build; 0 = done, 1 = the list cannot be used."""
    try:
        answer: dict[str, object] = dict(build(Path(argv[0]), Path(argv[1]), int(argv[2]), int(argv[3])))
    except BadList as error:
        answer = {"error": error.code, "message": str(error)}
    except sqlite3.Error as error:
        answer = {"error": "UIDS_UNREADABLE", "message": f"the built file cannot be written: {error}"}
    print(json.dumps(answer))  # noqa: T201 - a program of its own: its one line on standard output is what the edge reads
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
