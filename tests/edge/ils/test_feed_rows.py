"""Reading a row: every value checked and bounded, a bad one named by a code and never guessed at."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ils.feed_mapping import BadRow, row_reader
from edge.ils.feeds import Change, FeedError, What

GOOD: dict[str, object] = {
    "id": 7, "changed_at": "2026-11-23T03:00:00Z", "what": "LOAN", "barcode": "1001", "cardnumber": "R1", "date_due": "2026-12-23",
}  # fmt: skip


def read(table: dict[str, Any] | None = None, **more: object) -> Change:
    """The good row, changed."""
    return row_reader(table or {}, "Asia/Shanghai").change({**GOOD, **more})


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"id": None}, "ROW_CURSOR"),
        ({"id": "x" * 256}, "ROW_TOO_LONG"),
        ({"what": "SALE"}, "ROW_WHAT"),
        ({"barcode": ""}, "ROW_NO_ITEM"),
        ({"barcode": "9" * 65}, "ROW_TOO_LONG"),
        ({"barcode": "10\n01"}, "ROW_CONTROL"),
        ({"barcode": b"\xff\xfe"}, "ROW_ENCODING"),
        ({"barcode": ["1001"]}, "ROW_TYPE"),
        ({"cardnumber": None}, "ROW_NO_READER"),
        ({"date_due": None}, "ROW_NO_DUE"),
        ({"date_due": "23/12/2026"}, "ROW_DATE"),
        ({"date_due": "2026-02-30"}, "ROW_DATE"),
        ({"date_due": "9999-12-31"}, "ROW_DATE"),
        ({"date_due": True}, "ROW_DATE"),
        ({"changed_at": "0001-01-01"}, "ROW_DATE"),
        ({"what": "READER", "status": "FRIEND"}, "ROW_STATUS"),
        ({"what": "ITEM", "status": "ACTIVE"}, "ROW_STATUS"),
        ({"what": "FEE", "amount": None}, "ROW_AMOUNT"),
        ({"what": "FEE", "amount": "12.345"}, "ROW_AMOUNT"),
        ({"what": "FEE", "amount": "NaN"}, "ROW_AMOUNT"),
        ({"what": "FEE", "amount": "1e400"}, "ROW_AMOUNT"),
        ({"what": "FEE", "amount": "1", "currency": "元"}, "ROW_CURRENCY"),
    ],
)
def test_a_bad_value_is_refused_with_its_code(more: dict[str, object], code: str) -> None:
    with pytest.raises(BadRow) as refused:
        read(**more)
    assert str(refused.value) == refused.value.code == code


@pytest.mark.parametrize(
    "table", [{"words": "LOAN"}, {"words": "a="}, {"zone": "Mars/Base"}, {"col_item": 3}, {"zone": "../etc"}]
)
def test_a_mapping_that_cannot_be_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(FeedError) as refused:
        row_reader(table, "UTC")
    assert refused.value.code == "FEED_CONFIG" and not refused.value.retry


VALUES = (
    st.none() | st.text() | st.binary() | st.integers() | st.floats() | st.booleans() | st.decimals() | st.datetimes()
    | st.lists(st.integers())
)  # fmt: skip
COLUMNS = st.sampled_from(sorted({*GOOD, "amount", "currency", "status", "operator"}))


@given(st.sampled_from(["LOAN", "FEE", "READER", "ITEM", "RETURN"]), st.dictionaries(COLUMNS, VALUES))
def test_whatever_stands_in_a_row_is_read_within_bounds_or_refused(what: str, more: dict[str, object]) -> None:
    with contextlib.suppress(BadRow):
        found = read(**{"what": what, **more})
        assert len(found.item_no) <= 64 and len(found.reader_no) <= 64 and len(found.cursor) <= 255
        assert found.amount is None or abs(found.amount) < 1 << 31


def test_a_due_day_is_its_end_in_the_librarys_zone_and_a_moment_stays_what_it_is() -> None:
    found = read()
    assert found.due_ms == int(datetime(2026, 12, 23, 15, 59, 59, tzinfo=UTC).timestamp()) * 1000
    assert found.t_ms == int(datetime(2026, 11, 23, 3, 0, tzinfo=UTC).timestamp()) * 1000
    assert read(changed_at="2026-11-23 11:00:00").t_ms == found.t_ms
    assert read(date_due=date(2026, 12, 23)).due_ms == found.due_ms
    assert read(changed_at=datetime(2026, 11, 23, 11, 0)).t_ms == found.t_ms


@pytest.mark.parametrize(
    ("pattern", "value"),
    [("%d/%m/%Y", "23/12/2026"), ("%Y年%m月%d日", "2026年12月23日"), ("%Y%m%d", "20261223"), ("%Y%m%d", 20261223)],
)
def test_dates_in_the_librarys_own_form(pattern: str, value: object) -> None:
    assert read({"date_format": pattern}, date_due=value, changed_at=None).due_ms == read().due_ms


def test_epochs() -> None:
    seconds = 1_795_402_800
    assert read({"date_format": "epoch_s"}, changed_at=seconds, date_due=str(seconds)).t_ms == seconds * 1000
    assert read({"date_format": "epoch_ms"}, changed_at=seconds * 1000, date_due=seconds * 1000).t_ms == seconds * 1000


def test_columns_and_words_of_the_librarys_own() -> None:
    table = {"col_item": "ItemBarcode", "words": "issue=LOAN, 遗失=LOST, item=ITEM"}
    assert read(table, what="Issue", itembarcode="1002").item_no == "1002"
    found = row_reader(table, "UTC").change({"id": "1", "what": "item", "itembarcode": "1002", "status": "遗失"})
    assert (found.what, found.status) == (What.ITEM, "LOST")


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("12.50", "CNY", 1250),
        (Decimal("12.5"), "EUR", 1250),
        (12.3, "CNY", 1230),
        (7, "JPY", 7),
        ("1.234", "KWD", 1234),
        ("0", "", 0),
    ],
)
def test_amounts_are_minor_units_of_their_currency(amount: object, currency: str, minor: int) -> None:
    assert read(what="FEE", amount=amount, currency=currency).amount == minor


def test_a_readers_number_shows_in_no_text_of_a_row() -> None:
    assert "R1" not in repr(read())
