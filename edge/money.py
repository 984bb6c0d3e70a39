"""Amounts of money as kiosks print them and as the ledger keeps them: whole minor units of an ISO 4217 currency."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

_EXPONENTS: dict[str, int] = {
    **dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF",
         "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}  # fmt: skip
"""Currencies whose minor unit is not a hundredth (ISO 4217, table A.1)."""

MOST = 10**12
"""Minor units of the largest amount taken: beyond it is a kiosk's fault, not a fee."""


def exponent(currency: str) -> int:
    """How many decimals an amount in this currency has."""
    return _EXPONENTS.get(currency, 2)


def is_currency(code: str) -> bool:
    """Whether a text has the form of an ISO 4217 code."""
    return len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()


def minor_units(text: str, currency: str) -> int | None:
    """A printed amount in minor units; None for what is no amount, is not positive, or has more decimals than the currency.

    A comma is read as the decimal sign where there is no point: kiosks print as their country does.
    """
    plain = text.strip()
    plain = plain.replace(",", ".") if "." not in plain else plain
    if not plain or len(plain) > 20 or not all(mark.isdigit() or mark == "." for mark in plain) or not plain.isascii():
        return None
    try:
        units = Decimal(plain).scaleb(exponent(currency))
    except InvalidOperation:
        return None
    if units != units.to_integral_value() or not 0 < units <= MOST:
        return None
    return int(units)


def printed(amount: int, currency: str) -> str:
    """An amount in minor units as SIP2 prints it: ``12.50``, ``500`` where the currency has no minor unit."""
    digits = exponent(currency)
    return f"{Decimal(amount).scaleb(-digits):.{digits}f}"
