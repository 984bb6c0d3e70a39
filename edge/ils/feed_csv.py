"""Changes from CSV files dropped into a folder: taken in the order of their names, moved to ``done/`` when their last row is recorded.

The first line names the columns; one row is one line. A file that is still being written waits, and all after it with it. A line that
cannot be read is kept beside the file in ``NAME.bad``, with its number and code, and is counted.
"""

from __future__ import annotations

import asyncio
import codecs
import csv
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from edge.ils.feed_mapping import BadRow, RowReader, Table, number, row_reader, text
from edge.ils.feeds import Batch, Change, FeedError, LoanThere, Quarantined

MAX_LINE = 8_192
"""Bytes of one line."""

MAX_FILES = 10_000
"""Files looked at in one folder."""

_PAGE = 1_000
_UNENDED_S = 60.0  # a file whose last line has no end is taken after this long, for exporters that write none


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file is read: behind this byte, which ends line ``line`` (1 = the names of the columns).

    ``written``: when the file was, in ns: another file that is dropped under the same name begins at its beginning.
    """

    name: str
    written: int
    offset: int
    line: int

    def __str__(self) -> str:
        return f"{self.name}@{self.written}#{self.offset}#{self.line}"

    @classmethod
    def of(cls, cursor: str) -> Place | None:
        """A cursor read back, None for the beginning. Raises FeedError FEED_CURSOR."""
        if not cursor:
            return None
        name, _, place = cursor.rpartition("@")
        numbers = place.split("#")
        if not name or "/" in name or len(numbers) != 3 or not all(part.isdigit() for part in numbers):
            raise FeedError(
                "FEED_CURSOR", "the cursor kept is none of a drop folder; was the kind of feed changed?", retry=False
            )
        return cls(name, *map(int, numbers))


class CsvFeed:
    """A feed over a drop folder. ``wall`` is the time by which files age, seconds as in a file's mtime."""

    kind = "csv"

    def __init__(self, folder: Path, rows: RowReader, *, encoding: str, delimiter: str, loans: str, loans_age_s: float,
                 settle_s: float, wall: Callable[[], float] = time.time) -> None:  # fmt: skip
        self._folder, self._rows = folder, rows
        self._encoding, self._delimiter = encoding, delimiter
        self._loans, self._loans_age_s, self._settle_s, self._wall = loans, loans_age_s, settle_s, wall

    @property
    def tells_loans(self) -> bool:
        """Whether a file of the open loans was configured."""
        return bool(self._loans)

    async def poll(self, after: str, limit: int) -> Batch:
        """Rows behind the cursor, of one file at a time. Raises FeedError."""
        return await asyncio.to_thread(self._poll, after, limit)

    async def open_loans(self) -> AsyncGenerator[list[LoanThere], None]:
        """The open loans of the newest file, a page at a time. Raises FeedError."""
        pages = self._loan_pages()
        while page := await asyncio.to_thread(next, pages, None):
            yield page

    async def close(self) -> None:
        """Nothing is held open."""

    # --- in a thread ---

    def _poll(self, after: str, limit: int) -> Batch:
        place = Place.of(after)
        try:
            for path in self._files():
                stat = path.stat()
                at = (
                    place
                    if place is not None and (place.name, place.written) == (path.name, stat.st_mtime_ns)
                    else None
                )
                if at is not None and at.offset >= stat.st_size:
                    self._done(path)  # its last row was recorded: the cursor stands behind it
                    continue
                if not self._complete(path):
                    return Batch((), after)
                batch = self._read(path, at, limit)
                if batch is not None:
                    return batch
                self._done(path)  # nothing in it but the names of its columns
            return Batch((), after)
        except OSError as error:
            raise FeedError("FEED_FOLDER", f"the drop folder cannot be used ({error.strerror})") from error

    def _files(self) -> list[Path]:
        found = [
            Path(entry.path)
            for entry in os.scandir(self._folder)
            if entry.name.lower().endswith(".csv") and not entry.name.startswith(".") and entry.name != self._loans
            and entry.is_file(follow_symlinks=False)
        ]  # fmt: skip
        if len(found) > MAX_FILES:
            raise FeedError("FEED_FOLDER", f"the drop folder holds more than {MAX_FILES} files", retry=False)
        return sorted(found)

    def _complete(self, path: Path) -> bool:
        stat = path.stat()
        age = self._wall() - stat.st_mtime
        if stat.st_size == 0 or 0 <= age < self._settle_s:
            return False
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n" or age >= _UNENDED_S

    def _done(self, path: Path) -> None:
        folder = self._folder / "done"
        folder.mkdir(exist_ok=True)
        to, n = folder / path.name, 0
        while to.exists():  # the same name was dropped twice: both are kept
            n += 1
            to = folder / f"{path.name}.{n}"
        path.replace(to)

    def _read(self, path: Path, at: Place | None, limit: int) -> Batch | None:
        changes: list[Change] = []
        bad: list[Quarantined] = []
        lines: list[tuple[int, str, bytes]] = []
        with path.open("rb") as file:
            names = self._header(file)
            start = at or Place(path.name, os.fstat(file.fileno()).st_mtime_ns, file.tell(), 1)
            file.seek(start.offset)
            upto = start
            for raw in _lines(file):
                upto = replace(upto, offset=file.tell(), line=upto.line + 1)
                if raw.strip():
                    try:
                        row = self._row(raw, names)
                        changes.append(
                            replace(
                                self._rows.change({**row, self._rows.columns["cursor"]: str(upto)}), cursor=str(upto)
                            )
                        )
                    except BadRow as error:
                        bad.append(Quarantined(str(upto), error.code))
                        lines.append((upto.line, error.code, raw))
                if len(changes) + len(bad) >= limit:
                    break
            size = os.fstat(file.fileno()).st_size
        if upto == start:
            return None
        if lines:
            self._set_aside(path, lines)
        return Batch(tuple(changes), str(upto), tuple(bad), more=upto.offset < size or bool(self._files()[1:]))

    def _header(self, file: BinaryIO) -> list[str]:
        raw = file.readline(MAX_LINE + 1)
        if raw.startswith(codecs.BOM_UTF8):
            raw = raw[len(codecs.BOM_UTF8) :]
        try:
            names = [name.strip().lower() for name in self._cells(raw)]
        except BadRow as error:
            raise FeedError("FEED_HEADER", f"the first line of a file names no columns ({error.code})") from error
        needed = self._rows.columns["item"]
        if needed not in names:
            raise FeedError("FEED_HEADER", f"a file has no column {needed!r} in its first line")
        return names

    def _row(self, raw: bytes, names: list[str]) -> dict[str, object]:
        cells = self._cells(raw)
        if len(cells) != len(names):
            raise BadRow("ROW_CELLS")
        return dict(zip(names, cells, strict=True))

    def _cells(self, raw: bytes) -> list[str]:
        if len(raw) > MAX_LINE:
            raise BadRow("ROW_TOO_LONG")
        try:
            line = raw.decode(self._encoding)
            return next(csv.reader([line.rstrip("\r\n")], delimiter=self._delimiter, strict=True), [])
        except UnicodeDecodeError as error:
            raise BadRow("ROW_ENCODING") from error
        except csv.Error as error:
            raise BadRow("ROW_CSV") from error

    def _set_aside(self, path: Path, lines: list[tuple[int, str, bytes]]) -> None:
        """Keep bad lines once, also where the same part of a file is read again after a crash."""
        beside = path.with_name(f"{path.name}.bad")
        kept: set[bytes] = set()
        if beside.exists():
            with beside.open("rb") as file:
                kept = {line.split(b"\t", 1)[0] for line in file}
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as file:
            for line, code, raw in lines:
                if str(line).encode() not in kept:
                    file.write(b"%d\t%s\t%s\n" % (line, code.encode(), raw[:MAX_LINE].rstrip(b"\r\n")))

    def _loan_pages(self) -> Iterator[list[LoanThere]]:
        path = self._folder / self._loans
        try:
            if self._wall() - path.stat().st_mtime > self._loans_age_s:
                raise FeedError("FEED_LOANS_OLD", f"{self._loans} was not written anew in time")
            with path.open("rb") as file:
                names = self._header(file)
                page: list[LoanThere] = []
                for raw in _lines(file):
                    if raw.strip():
                        page.append(self._rows.loan(self._row(raw, names)))
                    if len(page) >= _PAGE:
                        yield page
                        page = []
                if page:
                    yield page
        except OSError as error:
            raise FeedError("FEED_FOLDER", f"{self._loans} cannot be read ({error.strerror})") from error
        except BadRow as error:
            raise FeedError("FEED_LOANS_BAD", f"an open loan cannot be read ({error.code})") from error


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines with their ends; of one that is too long, a beginning that is longer than allowed, and the rest is skipped."""
    while raw := file.readline(MAX_LINE + 1):
        if len(raw) > MAX_LINE and not raw.endswith(b"\n"):
            while (rest := file.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
        yield raw


def make_csv_feed(table: Table, zone: str, base: Path) -> CsvFeed:
    """The feed that an ``[ils.feed]`` of kind csv describes. Raises FeedError FEED_CONFIG.

    ``folder``; ``encoding`` ("utf-8"), ``delimiter`` (","); ``open_loans`` the file of open loans, at most ``open_loans_age_h`` old;
    ``settle_s`` how long a file must have rested.
    """
    encoding, delimiter = text(table, "encoding", "utf-8"), text(table, "delimiter", ",")
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise FeedError("FEED_CONFIG", "ils.feed.encoding is unknown", retry=False) from error
    loans = text(table, "open_loans", "")
    if len(delimiter) != 1 or "/" in loans:
        raise FeedError("FEED_CONFIG", "ils.feed.delimiter is one character, open_loans a file's name", retry=False)
    return CsvFeed(
        base / text(table, "folder"), row_reader(table, zone), encoding=encoding, delimiter=delimiter, loans=loans,
        loans_age_s=3_600.0 * number(table, "open_loans_age_h", 26, 1, 1_000), settle_s=number(table, "settle_s", 1, 0, 3_600),
    )  # fmt: skip
