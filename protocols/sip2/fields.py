"""The variable fields: their names, which of them are secret, and how a value is made fit for the wire."""

from __future__ import annotations

__all__ = ["FIELDS", "MAX_VALUE", "PRIVATE", "REPEATABLE", "SECRET", "clean_value", "count", "flag"]

FIELDS: dict[str, str] = {
    "AA": "patron identifier", "AB": "item identifier", "AC": "terminal password", "AD": "patron password",
    "AE": "personal name", "AF": "screen message", "AG": "print line", "AH": "due date", "AJ": "title identifier",
    "AL": "blocked card message", "AM": "library name", "AN": "terminal location", "AO": "institution id",
    "AP": "current location", "AQ": "permanent location", "AS": "hold items", "AT": "overdue items",
    "AU": "charged items", "AV": "fine items", "AY": "sequence number", "AZ": "checksum", "BD": "home address",
    "BE": "e-mail address", "BF": "home phone number", "BG": "owner", "BH": "currency type", "BI": "cancel",
    "BK": "transaction id", "BL": "valid patron", "BM": "renewed items", "BN": "unrenewed items",
    "BO": "fee acknowledged", "BP": "start item", "BQ": "end item", "BR": "queue position", "BS": "pickup location",
    "BT": "fee type", "BU": "recall items", "BV": "fee amount", "BW": "expiration date", "BX": "supported messages",
    "BY": "hold type", "BZ": "hold items limit", "CA": "overdue items limit", "CB": "charged items limit",
    "CC": "fee limit", "CD": "unavailable hold items", "CF": "hold queue length", "CG": "fee identifier",
    "CH": "item properties", "CI": "security inhibit", "CJ": "recall date", "CK": "media type", "CL": "sort bin",
    "CM": "hold pickup date", "CN": "login user id", "CO": "login password", "CP": "location code",
    "CQ": "valid patron password",
    # 3M extensions of the checkin response, as Koha, FOLIO and the sorters use them
    "CR": "collection code", "CS": "call number", "CT": "destination location", "CV": "alert type",
    "CY": "hold patron id", "DA": "hold patron name",
    # extensions met in traffic: Symphony, Evergreen, Gossip, dp2
    "MA": "bibliographic id", "PA": "patron expiry", "PB": "patron birth date", "PC": "patron class",
    "PI": "patron internet profile", "VN": "version", "SV": "server version", "XI": "internal id",
    "KP": "shelf, permanent", "KQ": "shelf, current",
}  # fmt: skip
"""Field identifiers of SIP2 2.00 and of the extensions met in the wild. Others are kept all the same."""

REPEATABLE: frozenset[str] = frozenset({"AF", "AG", "AS", "AT", "AU", "AV", "BU", "CD", "BM", "BN"})
"""Fields that the standard allows more than once in a message."""

SECRET: frozenset[str] = frozenset({"AC", "AD", "CO"})
"""Passwords and PINs, masked wherever a message is shown, empty ones too."""

PRIVATE: frozenset[str] = SECRET | {"AA", "AE", "BD", "BE", "BF", "CN", "CY", "DA", "PB"}
"""SECRET and all that names a person or an account: masked in logs."""

MAX_VALUE = 255
"""Characters of a value (SIP2 2.00: 0 to 255). Longer ones are accepted from peers and never sent."""

# A delimiter inside a title would end the field early: the full-width bar reads the same.
_UNFIT = {ord("|"): "｜", **dict.fromkeys(range(32), " "), 127: " "}


def clean_value(text: str) -> str:
    """Text as a field may carry it: no delimiter, no control character, at most 255 characters."""
    if text.isascii() and text.isprintable() and len(text) <= MAX_VALUE and "|" not in text:
        return text
    return text.translate(_UNFIT)[:MAX_VALUE]


def count(number: int | None, width: int = 4) -> str:
    """A count with leading zeros, capped at what the width holds; None (not known) is blanks."""
    if number is None:
        return " " * width
    return f"{min(max(number, 0), 10**width - 1):0{width}d}"


def flag(value: bool | None, unknown: str = "U") -> str:
    """Y or N; None is the standard's U (not known)."""
    return unknown if value is None else ("Y" if value else "N")
