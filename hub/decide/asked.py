"""Reading a request: every field bounded and typed, every fault with a code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST_TOKENS = 8
"""Tokens of one request: as many as a card reader can mean by one card."""


class BadRequest(ValueError):
    """A request that asks nothing answerable; ``code`` goes back to the edge. Asking the same again changes nothing."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def text(data: Mapping[str, Any], name: str, most: int = 64) -> str:
    """A text of 1 to ``most`` characters. Raises BadRequest REQUEST_FIELD."""
    value = data.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise BadRequest("REQUEST_FIELD", f"{name} is a text of 1 to {most} characters")
    return value


def text_or_none(data: Mapping[str, Any], name: str, most: int = 64) -> str | None:
    """The same, or null."""
    return None if data.get(name) is None else text(data, name, most)


def number(data: Mapping[str, Any], name: str, default: int = 0) -> int:
    """A whole number from 0. Raises BadRequest REQUEST_FIELD."""
    value = data.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 53:
        raise BadRequest("REQUEST_FIELD", f"{name} is a whole number from 0")
    return value


def tokens(data: Mapping[str, Any], most: int = MOST_TOKENS) -> list[str]:
    """The tokens of a request: ``token``, or a list ``tokens`` of at most ``most``. Raises BadRequest REQUEST_FIELD."""
    many = data.get("tokens")
    given: list[Any] = many if isinstance(many, list) else [data.get("token")]
    if not 0 < len(given) <= most or not all(isinstance(one, str) and 0 < len(one) <= 64 for one in given):
        raise BadRequest("REQUEST_FIELD", f"token is a text, or tokens a list of at most {most}")
    return given


def items(data: Mapping[str, Any], most: int) -> list[tuple[str | None, str]]:
    """(owner or None, item_no) of each item. Raises BadRequest REQUEST_FIELD, STACK_TOO_LARGE."""
    given = data.get("items")
    if not isinstance(given, list) or not given or not all(isinstance(one, dict) for one in given):
        raise BadRequest("REQUEST_FIELD", "items is a list of {owner, item_no}")
    if len(given) > most:
        raise BadRequest("STACK_TOO_LARGE", f"ask for at most {most} items at once")
    return [(text_or_none(one, "owner", 16), text(one, "item_no")) for one in given]
