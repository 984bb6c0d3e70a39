"""Amounts as kiosks print them and as the ledger keeps them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.money import MOST, exponent, is_currency, minor_units, printed


@pytest.mark.parametrize(
    ("text", "currency"),
    [("", "CNY"), ("0", "CNY"), ("-1", "CNY"), ("1.005", "CNY"), ("1.5", "JPY"), ("NaN", "CNY"), ("Infinity", "CNY"),
     ("1e3", "CNY"), ("٣", "CNY"), ("1_000", "CNY"), ("9" * 30, "CNY"), (".", "CNY"), ("1.2.3", "CNY"), ("1,000.00", "CNY")],
)  # fmt: skip
def test_what_is_no_amount_is_none(text: str, currency: str) -> None:
    assert minor_units(text, currency) is None


@pytest.mark.parametrize(
    ("text", "currency", "units"),
    [("12.50", "CNY", 1250), ("12,50", "EUR", 1250), (" 3 ", "USD", 300), ("500", "JPY", 500), ("1.250", "KWD", 1250),
     ("0.0001", "CLF", 1), ("1.5", "CNY", 150)],
)  # fmt: skip
def test_an_amount_is_counted_in_the_currencys_minor_unit(text: str, currency: str, units: int) -> None:
    assert minor_units(text, currency) == units


@given(st.integers(1, MOST), st.sampled_from(["CNY", "JPY", "KWD", "CLF", "EUR"]))
def test_what_is_printed_is_read_back(units: int, currency: str) -> None:
    assert minor_units(printed(units, currency), currency) == units


def test_printing_shows_every_decimal() -> None:
    assert (printed(5, "CNY"), printed(0, "CNY"), printed(500, "JPY"), printed(1250, "KWD")) == (
        "0.05",
        "0.00",
        "500",
        "1.250",
    )
    assert exponent("CNY") == 2


@pytest.mark.parametrize("code", ["", "CN", "cny", "CNYX", "元元元", "C1Y"])
def test_what_is_no_currency_code(code: str) -> None:
    assert not is_currency(code)
    assert is_currency("CNY")
