"""The coded values of SIP2 2.00 by name. A member is also its code: `Media.BOOK == "001"`."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "LANGUAGES",
    "PATRON_STATUS",
    "Circulation",
    "FeeType",
    "HoldMode",
    "HoldType",
    "Media",
    "Payment",
    "ScStatus",
    "Security",
]


class Circulation(StrEnum):
    """Where an item stands (18, circulation status)."""

    OTHER = "01"
    ON_ORDER = "02"
    AVAILABLE = "03"
    CHARGED = "04"
    CHARGED_NO_RECALL_YET = "05"
    IN_PROCESS = "06"
    RECALLED = "07"
    HOLD_SHELF = "08"
    TO_RESHELVE = "09"
    IN_TRANSIT = "10"
    CLAIMED_RETURNED = "11"
    LOST = "12"
    MISSING = "13"


class Security(StrEnum):
    """How an item is secured (18, security marker)."""

    OTHER = "00"
    NONE = "01"
    STRIP = "02"
    WHISPER_TAPE = "03"


class FeeType(StrEnum):
    """What a fee is for (18 and 37, BT)."""

    OTHER = "01"
    ADMINISTRATIVE = "02"
    DAMAGE = "03"
    OVERDUE = "04"
    PROCESSING = "05"
    RENTAL = "06"
    REPLACEMENT = "07"
    COMPUTER = "08"
    HOLD = "09"


class Payment(StrEnum):
    """How a fee was paid (37, payment type)."""

    CASH = "00"
    VISA = "01"
    CARD = "02"


class Media(StrEnum):
    """What kind of thing an item is (CK, media type)."""

    OTHER = "000"
    BOOK = "001"
    MAGAZINE = "002"
    BOUND_JOURNAL = "003"
    AUDIO = "004"
    VIDEO = "005"
    CD = "006"
    DISKETTE = "007"
    BOOK_DISKETTE = "008"
    BOOK_CD = "009"
    BOOK_TAPE = "010"


class HoldMode(StrEnum):
    """What to do with a hold (15, hold mode)."""

    ADD = "+"
    DELETE = "-"
    CHANGE = "*"


class HoldType(StrEnum):
    """Which copy a hold wants (BY)."""

    OTHER = "1"
    ANY_COPY = "2"
    THIS_COPY = "3"
    ANY_AT_BRANCH = "4"


class ScStatus(StrEnum):
    """How the kiosk is (99, status code)."""

    OK = "0"
    NO_PAPER = "1"
    CLOSING = "2"


PATRON_STATUS: tuple[str, ...] = (
    "charge_denied", "renewal_denied", "recall_denied", "hold_denied", "card_lost", "too_many_charged",
    "too_many_overdue", "too_many_renewals", "too_many_claims_returned", "too_many_lost", "excessive_fines",
    "excessive_fees", "recall_overdue", "too_many_billed",
)  # fmt: skip
"""The fourteen places of patron status; a Y sets one."""

LANGUAGES: dict[str, str | None] = {
    "000": None, "001": "en", "002": "fr", "003": "de", "004": "it", "005": "nl", "006": "sv", "007": "fi", "008": "es",
    "009": "da", "010": "pt", "011": "fr-CA", "012": "no", "013": "he", "014": "ja", "015": "ru", "016": "ar",
    "017": "pl", "018": "el", "019": "zh", "020": "ko", "021": "es-US", "022": "ta", "023": "ms", "024": "en-GB",
    "025": "is", "026": "und-BE", "027": "zh-TW",
}  # fmt: skip
"""Language codes as BCP 47 tags; None is the standard's "unknown". 026 is "Belgian": which language it does not say."""
