"""How people write names, amounts and lists, and back (the forms of a policy source; dates and hours: ``source_times``).

Each form is a pair: ``read`` turns what stands in the TOML into the bundle's value, ``write`` the other way, so that a policy written
out reads back the same. A form that is not met raises FormError with a sentence that says what would be right.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

LONGEST_TEXT = 500
"""Characters in a name or code."""


class FormError(ValueError):
    """A value in a form that cannot be read; the message is a sentence for the person who wrote it.

    Where the fault lies deeper, the message begins with the rest of the way (".visitors_now: …") and ``code`` is that fault's.
    """

    def __init__(self, message: str, code: str = "SOURCE_VALUE") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Form:
    """How one kind of value is written. Both functions are also given the time zone in which dates are meant."""

    read: Callable[[Any, str], Any]
    write: Callable[[Any, str], Any]


def as_is(value: Any, tz: str) -> Any:
    """What stands in the source is the value itself."""
    return value


def read_text(value: Any, tz: str = "") -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_TEXT:
        raise FormError(f"must be text of 1 to {LONGEST_TEXT} characters")
    return value


def _number(value: Any, tz: str = "") -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**53:
        raise FormError("must be a whole number")
    return value


def _truth(value: Any, tz: str = "") -> bool:
    if not isinstance(value, bool):
        raise FormError("must be true or false")
    return value


TEXT = Form(read_text, as_is)
NUMBER = Form(_number, as_is)
TRUTH = Form(_truth, as_is)


def one_of(kind: type[StrEnum]) -> Form:
    """One of a fixed set of words."""

    def read(value: Any, tz: str) -> StrEnum:
        try:
            return kind(value)
        except ValueError:
            raise FormError(f"must be one of {', '.join(kind)}, not {value!r}") from None

    return Form(read, lambda value, tz: str(value))


def set_of(form: Form, order: list[str] | None = None) -> Form:
    """A list without order and repetition; written in ``order``, else sorted."""

    def read(value: Any, tz: str) -> frozenset[Any]:
        if not isinstance(value, list):
            raise FormError("must be a list")
        found = [form.read(one, tz) for one in value]
        if len(set(found)) < len(found):
            raise FormError("names something twice")
        return frozenset(found)

    def write(value: Any, tz: str) -> list[str]:
        return sorted((form.write(one, tz) for one in value), key=order.index if order else None)

    return Form(read, write)


TEXTS = set_of(TEXT)


def _read_money(value: Any, tz: str) -> int:
    found = (
        re.fullmatch(r"(\d{1,12})(?:\.(\d{1,2}))?(?: ?(?:元|yuan))?", value, re.ASCII)
        if isinstance(value, str)
        else None
    )
    if found is None:
        raise FormError('must be yuan as text, such as "0.10"')
    return int(found[1]) * 100 + int((found[2] or "0").ljust(2, "0"))


def money(fen: int) -> str:
    """Yuan as text: 10 → "0.10"."""
    return f"{fen // 100}.{fen % 100:02d}"


def _write_money(fen: int, tz: str) -> str:
    if fen < 0:
        raise FormError("an amount cannot be negative")
    return money(fen)


MONEY = Form(_read_money, _write_money)
"""An amount in fen."""


def _read_ages(value: Any, tz: str) -> tuple[int | None, int | None]:
    found = re.fullmatch(r"(\d{1,3})?\s*-\s*(\d{1,3})?", value, re.ASCII) if isinstance(value, str) else None
    if found is None or not (found[1] or found[2]):
        raise FormError('must be ages such as "16-", "14-17" or "-15"')
    return (int(found[1]) if found[1] else None, int(found[2]) if found[2] else None)


def _write_ages(value: tuple[int | None, int | None], tz: str) -> str:
    low, high = value
    if not all(age is None or 0 <= age <= 999 for age in value):
        raise FormError("ages are 0 to 999 years")
    return f"{'' if low is None else low}-{'' if high is None else high}"


AGES = Form(_read_ages, _write_ages)
"""Ages in whole years, both ends included: (from, to), either None."""


def _read_name(value: Any, tz: str) -> tuple[str, str]:
    if not isinstance(value, dict) or set(value) != {"zh", "en"}:
        raise FormError('must have both languages: { zh = "…", en = "…" }')
    return read_text(value["zh"]), read_text(value["en"])


NAME = Form(_read_name, lambda value, tz: {"zh": value[0], "en": value[1]})
"""A name in Chinese and English."""


def _millionths(value: Any) -> int:
    found = re.fullmatch(r"(-?)(\d{1,3})(?:\.(\d{1,6}))?", value, re.ASCII) if isinstance(value, str) else None
    if found is None:
        raise FormError('must be degrees as text, such as ["29.592100", "106.299800"]')
    return (-1 if found[1] else 1) * (int(found[2]) * 1_000_000 + int((found[3] or "0").ljust(6, "0")))


def _read_geo(value: Any, tz: str) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise FormError('must be latitude and longitude, such as ["29.592100", "106.299800"]')
    found = (_millionths(value[0]), _millionths(value[1]))
    if abs(found[0]) > 90_000_000 or abs(found[1]) > 180_000_000:
        raise FormError("lies outside the earth")
    return found


def _degrees(value: int) -> str:
    return f"{'-' if value < 0 else ''}{abs(value) // 1_000_000}.{abs(value) % 1_000_000:06d}"


GEO = Form(_read_geo, lambda value, tz: [_degrees(value[0]), _degrees(value[1])])
"""Latitude and longitude in millionths of a degree."""
