"""How a row of a feed is read: which column is what, in what form dates and amounts are, and which words stand for what.

Every value is bounded and checked here, once; a row that does not fit is a `BadRow` with a stable code and never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge.ils.feeds import Change, FeedError, LoanThere, What

Table = Mapping[str, str | int | bool]
"""The ``[ils.feed]`` table of ``edge.toml``."""

MAX_VALUE = 255
"""Characters of one value."""

MAX_NUMBER = 64
"""Characters of an item's or a reader's number."""

_COLUMNS = {
    "cursor": "id", "at": "changed_at", "what": "what", "item": "barcode", "reader": "cardnumber", "due": "date_due",
    "amount": "amount", "currency": "currency", "status": "status", "by": "operator", "issued": "issued_at",
}  # fmt: skip
_MINOR_DIGITS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "BHD": 3, "KWD": 3, "JOD": 3, "OMR": 3, "TND": 3}
_STATUSES = {
    What.READER: frozenset({"ACTIVE", "BLOCKED", "EXPIRED"}),
    What.ITEM: frozenset({"MISSING", "LOST", "WITHDRAWN", "AVAILABLE"}),
}
_OLDEST, _NEWEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class BadRow(ValueError):
    """A row that cannot be read; ``code`` says why and names no value."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class RowReader:
    """Columns by their part, date format ("iso", "epoch_s", "epoch_ms" or a strptime pattern), zone of dates without one, words."""

    columns: Mapping[str, str]
    date_format: str
    zone: ZoneInfo
    currency: str
    words: Mapping[str, str] = field(default_factory=dict)

    # --- rows ---

    def change(self, row: Mapping[str, object]) -> Change:
        """Read a row as a change. Raises BadRow."""
        what = self._what(row)
        currency = self._text(row, "currency", 3).upper() or self.currency
        change = Change(
            cursor=self.cursor(row),
            t_ms=self._instant(row, "at", day_end=False),
            what=what,
            item_no=self._text(row, "item", MAX_NUMBER),
            reader_no=self._text(row, "reader", MAX_NUMBER),
            due_ms=self._instant(row, "due", day_end=True),
            amount=self._amount(row, currency) if what is What.FEE else None,
            currency=currency,
            status=self._status(row, what),
            by=self._text(row, "by", MAX_VALUE),
        )
        if what in (What.LOAN, What.RENEWAL, What.RETURN, What.ITEM) and not change.item_no:
            raise BadRow("ROW_NO_ITEM")
        if what in (What.LOAN, What.READER, What.FEE) and not change.reader_no:
            raise BadRow("ROW_NO_READER")
        if what in (What.LOAN, What.RENEWAL) and change.due_ms is None:
            raise BadRow("ROW_NO_DUE")
        return change

    def loan(self, row: Mapping[str, object]) -> LoanThere:
        """Read a row as an open loan. Raises BadRow."""
        item_no = self._text(row, "item", MAX_NUMBER)
        if not item_no:
            raise BadRow("ROW_NO_ITEM")
        return LoanThere(
            item_no,
            self._text(row, "reader", MAX_NUMBER),
            self._instant(row, "due", day_end=True),
            self._instant(row, "issued", day_end=False),
        )

    def cursor(self, row: Mapping[str, object]) -> str:
        """The row's own cursor. Raises BadRow ROW_CURSOR where it has none."""
        text = self._text(row, "cursor", MAX_VALUE)
        if not text:
            raise BadRow("ROW_CURSOR")
        return text

    # --- values ---

    def _text(self, row: Mapping[str, object], part: str, most: int) -> str:
        value = row.get(self.columns[part])
        if value is None:
            return ""
        if isinstance(value, (bytes, bytearray)):
            try:
                value = bytes(value).decode()
            except UnicodeDecodeError as error:
                raise BadRow("ROW_ENCODING") from error
        elif isinstance(value, (int, Decimal, datetime, date)) and not isinstance(value, bool):
            value = value.isoformat() if isinstance(value, (datetime, date)) else str(value)
        if not isinstance(value, str):
            raise BadRow("ROW_TYPE")
        text = value.strip()
        if len(text) > most:
            raise BadRow("ROW_TOO_LONG")
        if _CONTROL.search(text):
            raise BadRow("ROW_CONTROL")
        return text

    def _what(self, row: Mapping[str, object]) -> What:
        word = self._text(row, "what", MAX_VALUE)
        try:
            return What(self.words.get(word.casefold(), word.upper()))
        except ValueError as error:
            raise BadRow("ROW_WHAT") from error

    def _status(self, row: Mapping[str, object], what: What) -> str:
        allowed = _STATUSES.get(what)
        if allowed is None:
            return ""
        word = self._text(row, "status", MAX_VALUE)
        status = self.words.get(word.casefold(), word.upper())
        if status not in allowed:
            raise BadRow("ROW_STATUS")
        return status

    def _amount(self, row: Mapping[str, object], currency: str) -> int:
        if len(currency) != 3 or not currency.isalpha() or not currency.isascii():
            raise BadRow("ROW_CURRENCY")
        value = row.get(self.columns["amount"])
        if isinstance(value, float):
            value = str(value)  # a DB-API module that knows no decimals: what it prints is what it was given
        elif not isinstance(value, Decimal):
            value = self._text(row, "amount", 32)
        try:
            exact = Decimal(value)
            minor = exact.scaleb(_MINOR_DIGITS.get(currency, 2))
            if not minor.is_finite() or minor != minor.to_integral_value() or abs(minor) >= 1 << 31:
                raise BadRow("ROW_AMOUNT")
        except InvalidOperation as error:
            raise BadRow("ROW_AMOUNT") from error
        return int(minor)

    def _instant(self, row: Mapping[str, object], part: str, *, day_end: bool) -> int | None:
        value = row.get(self.columns[part])
        if value is None or value == "":
            return None
        try:
            read = self._read(value, day_end=day_end)
        except (ValueError, OverflowError, OSError) as error:
            raise BadRow("ROW_DATE") from error
        aware = read if read.tzinfo is not None else read.replace(tzinfo=self.zone)
        if not _OLDEST <= aware < _NEWEST:
            raise BadRow("ROW_DATE")
        return int(aware.timestamp() * 1000)

    def _read(self, value: object, *, day_end: bool) -> datetime:
        if isinstance(value, datetime):
            return value
        if isinstance(value, date):
            return self._day(value, day_end=day_end)
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise ValueError("type")
        if self.date_format in ("epoch_s", "epoch_ms"):
            return datetime.fromtimestamp(int(value) / (1000 if self.date_format == "epoch_ms" else 1), UTC)
        text = str(value).strip()
        if len(text) > 40:
            raise ValueError("length")
        if self.date_format != "iso":
            read = datetime.strptime(text, self.date_format)
            whole_day = not any(mark in self.date_format for mark in ("%H", "%I", "%M", "%S", "%T", "%X", "%c", "%s"))
            return self._day(read.date(), day_end=day_end) if whole_day else read
        if len(text) == 10:
            return self._day(date.fromisoformat(text), day_end=day_end)
        return datetime.fromisoformat(text)

    def _day(self, day: date, *, day_end: bool) -> datetime:
        """An ILS that names a day means its end for a due date; for what happened the day's start is all that is known."""
        return datetime.combine(day, time(23, 59, 59) if day_end else time(0), self.zone)


def row_reader(table: Table, zone: str) -> RowReader:
    """The mapping that a feed's table describes. Raises FeedError FEED_CONFIG.

    ``col_cursor``, ``col_at``, ``col_what``, ``col_item``, ``col_reader``, ``col_due``, ``col_amount``,
    ``col_currency``, ``col_status``, ``col_by``, ``col_issued`` name columns (capitals do not matter); ``date_format``, ``zone``,
    ``currency``; ``words`` is ``issue=LOAN, lost=LOST``.
    """
    columns = {part: text(table, f"col_{part}", default).lower() for part, default in _COLUMNS.items()}
    for key in table:
        if key.startswith("col_") and key[4:] not in columns:
            raise FeedError("FEED_CONFIG", f"ils.feed.{key} names no part of a row", retry=False)
    words: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text(table, "words", "").split(","))):
        theirs, sign, ours = pair.partition("=")
        if not sign or not theirs.strip() or not ours.strip():
            raise FeedError("FEED_CONFIG", 'ils.feed.words is like "issue=LOAN, return=RETURN"', retry=False)
        words[theirs.strip().casefold()] = ours.strip().upper()
    name = text(table, "zone", zone)
    try:
        found = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise FeedError("FEED_CONFIG", "ils.feed.zone is no time zone", retry=False) from error
    return RowReader(columns, text(table, "date_format", "iso"), found, text(table, "currency", "CNY"), words)


def text(table: Table, key: str, default: str | None = None) -> str:
    """A text setting. Raises FeedError FEED_CONFIG where it is missing without a default, or no text."""
    value = table.get(key, default)
    if not isinstance(value, str):
        raise FeedError("FEED_CONFIG", f"ils.feed.{key} is missing or no text", retry=False)
    return value


def number(table: Table, key: str, default: int, least: int, most: int) -> int:
    """A whole number within bounds. Raises FeedError FEED_CONFIG."""
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise FeedError("FEED_CONFIG", f"ils.feed.{key} is a number from {least} to {most}", retry=False)
    return value
