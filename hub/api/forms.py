"""How values look in the API: times in RFC 3339 UTC, items as ``{owner, item_no}``, opaque cursors."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hub.api.problems import Problem
from protocols.bus.envelope import rfc3339

__all__ = ["cursor_text", "cursor_values", "ms_of", "time_of", "time_or_none"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, the last instant RFC 3339 can write


def time_of(ms: int) -> str:
    """An instant in ms UTC as ``2025-03-01T08:00:00.123Z``; beyond the year 9999 it is that year's end."""
    return rfc3339(max(0, min(ms, _LAST)))


def time_or_none(ms: int | None) -> str | None:
    """``time_of`` for what may be absent."""
    return None if ms is None else time_of(ms)


def ms_of(text: str, field: str) -> int:
    """The instant an RFC 3339 time with a zone names, in ms UTC. Raises Problem 422 TIME_INVALID."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return (moment - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        pass
    raise Problem(
        422,
        "TIME_INVALID",
        "Write times as RFC 3339 with a zone, for example 2025-03-01T08:00:00Z.",
        errors=[{"field": field, "code": "TIME_INVALID", "message": "not an RFC 3339 time with a zone"}],
    )


def cursor_text(resource: str, values: list[Any]) -> str:
    """An opaque cursor: where the next page of ``resource`` begins."""
    raw = json.dumps([resource, *values], ensure_ascii=False, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def cursor_values(resource: str, cursor: str, kinds: tuple[type, ...]) -> list[Any]:
    """The values in a cursor of ``resource``. Raises Problem 422 CURSOR_INVALID for anything the hub did not give out."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        name, *values = json.loads(raw)
        fits = len(values) == len(kinds) and all(type(v) is k for v, k in zip(values, kinds, strict=True))
        # a database knows integers of 64 bits only
        if name == resource and fits and all(abs(v) < 2**63 for v in values if isinstance(v, int)):
            return list(values)
    except (binascii.Error, ValueError, TypeError, RecursionError):
        pass
    raise Problem(422, "CURSOR_INVALID", "Send next_cursor of the page before, unchanged, or no cursor at all.")
