"""Values behind the text: every name has a kind, what is read is right, what is not is said and nothing raises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sip2 import LAYOUTS, Message, parse
from protocols.sip2.codes import PATRON_STATUS, Circulation, FeeType, HoldMode, HoldType, Media, Payment, ScStatus
from protocols.sip2.dates import format_date, parse_date
from protocols.sip2.fields import FIELDS, REPEATABLE
from protocols.sip2.messages import BX_ORDER
from protocols.sip2.requests import SUMMARIES
from protocols.sip2.typed import FIELD_TYPES, FIXED_TYPES, KINDS, Instant, Problem, typed, typed_fixed

DATE = "20261122    193711"
AT = datetime(2026, 11, 22, 19, 37, 11)
CHINA = timezone(timedelta(hours=8))


def fields(*pairs: tuple[str, str]) -> Message:
    return Message("17", {"transaction_date": DATE}, pairs)


class TestNotReadable:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("BL", "X"), ("BL", "YY"), ("BI", "y"), ("BW", "tomorrow"), ("BW", "20260231    000000"),
            ("BW", "2026W471    193711"), ("BW", "2026-W47    193711"), ("CM", "20261122    193711 "),
            ("BP", "-1"), ("BP", "1_0"), ("BP", "1.0"), ("BP", "١"), ("BP", "9" * 5000), ("BV", "free"), ("BV", "NaN"),
            ("BV", "1e9"), ("BV", "1.234,50"), ("CC", "9" * 30), ("BH", "EURO"), ("BH", "€"), ("BX", "JJ"), ("BT", "99"),
            ("BY", "9"), ("CK", "book"),
        ],
    )  # fmt: skip
    def test_a_field_is_left_out_and_named_without_its_text(self, name: str, text: str) -> None:
        found = typed(fields((name, text), ("AB", "1")))
        assert found.problems == (Problem(name, FIELD_TYPES[name]),)
        assert found.fields == {"AB": "1"}
        assert text not in repr(found.problems)

    def test_a_part_of_the_fixed_part_is_left_out_and_the_others_stay(self) -> None:
        found = typed_fixed(parse(f"18990102{DATE}AB1|AJ|".encode()))
        assert found.problems == (Problem("circulation_status", "circulation"),)
        assert (found.fixed["fee_type"], found.fixed["transaction_date"]) == (FeeType.ADMINISTRATIVE, Instant(AT))

    def test_two_lists_in_a_summary_are_one_too_many(self) -> None:
        found = typed(parse(f"63019{DATE}Y Y       AOx|AA1|".encode()))
        assert found.problems == (Problem("summary", "summary"),)

    def test_a_date_that_is_missing_is_absent(self) -> None:
        found = typed(parse(b"65AOx|AA1|"))
        assert (found.fixed, found.fields) == ({}, {"AO": "x", "AA": "1"})


class TestRead:
    def test_a_checkout(self) -> None:
        text = f"11YN{DATE}{' ' * 18}AOx|AA1|AB2|AC|BON|"
        found = typed(parse(text.encode()))
        assert found.fixed == {
            "sc_renewal_policy": True, "no_block": False, "transaction_date": Instant(AT), "nb_due_date": None,
        }  # fmt: skip
        assert found.fields == {"AO": "x", "AA": "1", "AB": "2", "AC": "", "BO": False}

    def test_a_reader_with_lists(self) -> None:
        text = f"64 Y   Y        019{DATE}00020000    000000010001AOx|AA1|AEn|BLY|ASa|ASb|AUc|BV-1.50|BHeur|BZ0010|"
        found = typed(parse(text.encode()))
        fixed, values = found.fixed, found.fields
        assert fixed["patron_status"] == {"renewal_denied", "too_many_charged"}
        assert (fixed["language"], fixed["hold_items_count"], fixed["charged_items_count"]) == ("zh", 2, None)
        assert (values["AS"], values["AU"], values["BL"]) == (("a", "b"), ("c",), True)
        assert (values["BV"], values["BH"], values["BZ"]) == (Decimal("-1.50"), "EUR", 10)

    def test_codes_are_members_and_their_digits(self) -> None:
        found = typed(parse(f"37{DATE}0402EURBV2,00|AOx|AA1|BY2|CK001|".encode()))
        fixed, values = found.fixed, found.fields
        assert (fixed["fee_type"], fixed["payment_type"]) == (FeeType.OVERDUE, Payment.CARD)
        assert (values["BV"], values["BY"], values["CK"]) == (Decimal("2.00"), HoldType.ANY_COPY, Media.BOOK)
        assert values["CK"] == "001"
        assert typed(parse(f"15*{DATE}AOx|AA1|AB1|".encode())).fixed["hold_mode"] is HoldMode.CHANGE
        assert typed(parse(f"18050000{DATE}".encode())).fixed["circulation_status"] is Circulation.CHARGED_NO_RECALL_YET

    def test_a_padded_width_and_the_status_of_a_kiosk(self) -> None:
        values = typed(parse(b"991 802.00")).fixed
        assert values == {"status_code": ScStatus.NO_PAPER, "max_print_width": 80, "protocol_version": "2.00"}

    def test_what_a_library_system_supports(self) -> None:
        marks = "".join("Y" if code in ("23", "65") else "N" for code in BX_ORDER)
        assert typed(fields(("BX", marks))).fields["BX"] == {"23", "65"}

    @pytest.mark.parametrize(("text", "value"), [("U", None), ("Y", True), ("N", False)])
    def test_unknown_is_none_but_for_desensitize(self, text: str, value: bool | None) -> None:
        values = typed(parse(f"121N{text}{text}{DATE}".encode())).fixed
        assert values["magnetic_media"] is value
        assert values["desensitize"] is bool(value)

    def test_the_first_of_a_field_that_may_not_repeat_counts(self) -> None:
        assert typed(fields(("AB", "1"), ("AB", "2"), ("BL", "Y"), ("BL", "N"))).fields == {"AB": "1", "BL": True}


def test_a_field_that_is_called_like_a_part_changes_no_part() -> None:
    found = typed(parse(f"101YNN{DATE}ok0|AB1|".encode()))
    assert (found.fixed["ok"], found.fields["ok"]) == (True, "0")


class TestDates:
    @pytest.mark.parametrize(
        ("text", "zone", "at"),
        [
            (DATE, None, AT), ("20261122   Z193711", "Z", AT.replace(tzinfo=UTC)), ("20261122 EST193711", "EST", AT),
            ("20261122+080193711", "+080", AT),
        ],
    )  # fmt: skip
    def test_zones(self, text: str, zone: str | None, at: datetime) -> None:
        found = typed(fields(("BW", text))).fields["BW"]
        assert found == Instant(at, zone)
        assert isinstance(found, Instant) and found.aware(CHINA) == parse_date(text, CHINA)

    @pytest.mark.parametrize("text", [" " * 18, "00000000    000000", ""])
    def test_no_date(self, text: str) -> None:
        assert typed(fields(("BW", text))).fields["BW"] is None

    @given(st.datetimes(min_value=datetime(1, 1, 1)))
    def test_every_date_that_is_written_is_read(self, at: datetime) -> None:
        second = at.replace(microsecond=0)
        text = f"{second.year:04d}{second:%m%d}    {second:%H%M%S}"
        assert typed(fields(("CJ", text))).fields["CJ"] == Instant(second)
        if second.year >= 1000:
            assert text == format_date(second)


def test_every_name_of_the_standard_has_a_kind() -> None:
    assert {name for layout in LAYOUTS.values() for name in layout.names} == set(FIXED_TYPES)
    assert set(FIELD_TYPES) <= set(FIELDS) - REPEATABLE
    assert {*FIXED_TYPES.values(), *FIELD_TYPES.values()} <= set(KINDS)


@given(st.sampled_from(sorted(KINDS)), st.text(max_size=20) | st.text("YN 0123456789.,UZ", max_size=18))
def test_a_kind_reads_a_text_or_says_that_it_cannot(kind: str, text: str) -> None:
    try:
        value = KINDS[kind](text)
    except (KeyError, ValueError):
        return
    assert value is None or isinstance(value, bool | int | str | Decimal | Instant | frozenset)


@given(st.sets(st.sampled_from(PATRON_STATUS)))
def test_patron_status_and_back(marks: set[str]) -> None:
    text = "".join("Y" if name in marks else " " for name in PATRON_STATUS)
    assert typed(parse(f"24{text}000{DATE}".encode())).fixed["patron_status"] == marks


@pytest.mark.parametrize("name", [None, *SUMMARIES])
def test_summary_and_back(name: str | None) -> None:
    text = "".join("Y" if name == one else " " for one in SUMMARIES).ljust(10)
    assert typed(parse(f"63000{DATE}{text}".encode())).fixed["summary"] == name


@given(st.integers(0, 9999))
def test_counts_and_back(number: int) -> None:
    found = typed_fixed(parse(f"661{number:04d}    {DATE}AOx|".encode())).fixed
    assert (found["renewed_count"], found["unrenewed_count"]) == (number, None)


@given(st.decimals(-9999, 9999, places=2))
def test_amounts_and_back(amount: Decimal) -> None:
    assert typed(fields(("BV", str(amount)))).fields["BV"] == amount
