"""A library's own list of chips, ``UID,OWNER,ITEM_NO`` in a CSV file: for tags that name no item, or no owner anybody knows.

The file may have two million rows, so another process makes a SQLite file of it whenever it changed; until that is done the one before
is used. A chip that stands there twice with different items is nobody's: it is left out and counted.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from pathlib import Path

from edge.replica.process import run
from edge.replica.rows import ReplicaInvalid

__all__ = ["UidMap"]

log = logging.getLogger(__name__)

BUILD_TIMEOUT_S = 300.0
LOOK_S = 60.0
"""How often the CSV file is looked at."""

AGAIN_S = 3_600.0
"""A file that could not be used is tried again after so long though it did not change: the fault may have been this machine's."""


class UidMap:
    """The list, if there is one. ``source`` the CSV file or None, ``folder`` where the built file lies."""

    def __init__(self, source: Path | None, folder: Path) -> None:
        self._source = source
        self._built = folder / "uids.db"
        self._conn: sqlite3.Connection | None = None
        self._state: tuple[int, int] | None = None
        self._failed: tuple[tuple[int, int], float] | None = None
        """The file that could not be used, and when it is tried again, by the loop's clock."""
        self._told = ""
        self.facts: dict[str, int] = {}
        """Rows used, rows that were no row, chips with two items."""

    def open(self) -> None:
        """Use what was built before, if anything."""
        if self._source is not None and self._built.exists():
            self._use()

    def find(self, uid: str) -> tuple[str, str] | None:
        """Owner as written and item number of a chip; None where the list does not have it."""
        if self._conn is None:
            return None
        try:
            row = self._conn.execute("SELECT owner, item_no FROM uids WHERE uid = ? AND owner <> ''", (uid,)).fetchone()
        except sqlite3.Error:
            return None
        return (str(row[0]), str(row[1])) if row is not None else None

    async def follow(self) -> None:
        """Build anew whenever the CSV file changed, until cancelled."""
        while self._source is not None:
            await self.refresh()
            await asyncio.sleep(LOOK_S)

    async def refresh(self) -> bool:
        """Build anew where the CSV file is another than the one used; gives whether it was.

        What is wrong with a file is logged once, and the same file is not tried again for `AGAIN_S`.
        """
        assert self._source is not None
        try:
            stat = self._source.stat()
        except OSError as error:
            self._say(f"{self._source.name} cannot be read: {error.strerror}")
            return False
        state = (stat.st_mtime_ns, stat.st_size)
        if state == self._state or self._failed_lately(state):
            return False
        self._failed = (state, asyncio.get_running_loop().time() + AGAIN_S)
        new = self._built.with_suffix(".new")
        try:
            await run(
                "edge.uidmap_build",
                (str(self._source), str(new), str(state[0]), str(state[1])),
                timeout_s=BUILD_TIMEOUT_S,
            )
            new.replace(self._built)
        except (ReplicaInvalid, OSError) as error:
            new.unlink(missing_ok=True)
            self._say(f"{self._source.name} is not used: {error}")
            return False
        if not self._use():
            return False
        self._failed, self._told = None, ""
        log.info("chips known by %s: %s", self._source.name, self.facts)
        return True

    def _failed_lately(self, state: tuple[int, int]) -> bool:
        return (
            self._failed is not None
            and self._failed[0] == state
            and asyncio.get_running_loop().time() < self._failed[1]
        )

    def _use(self) -> bool:
        try:
            conn = sqlite3.connect(f"file:{self._built}?mode=ro&immutable=1", uri=True)
            rows = dict(conn.execute("SELECT name, value FROM facts").fetchall())
        except sqlite3.Error:
            self._say(f"{self._built.name} cannot be read and is built anew")
            return False
        self.close()
        self._conn = conn
        self._state = (int(rows.pop("mtime", 0)), int(rows.pop("size", 0)))
        self.facts = {name: int(value) for name, value in rows.items()}
        return True

    def _say(self, what: str) -> None:
        if what != self._told:
            self._told = what
            log.error("the list of chips: %s", what)

    def close(self) -> None:
        """Close the file."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None
