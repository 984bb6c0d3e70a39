"""SIP2 messages as a kiosk writes them, and its replies taken apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from tests.edge.bed import BRANCH, PIN, Bed, RawKiosk, field, now_ms
from tests.make import HOME

AT = "20261122    101500"
NONE = " " * 18
ZONE = ZoneInfo("Asia/Shanghai")
ENDED = {"12": 24, "30": 24, "10": 24, "18": 26, "24": 37, "26": 37, "64": 61, "98": 36, "36": 21, "66": 29, "16": 22, "38": 21,
         "20": 21}  # fmt: skip


def date(ago_ms: int = 0, *, utc: bool = False) -> str:
    """A kiosk's date so long ago: in the branch's wall time, or marked as UTC."""
    at = (now_ms() - ago_ms) / 1000
    return (
        f"{datetime.fromtimestamp(at, UTC):%Y%m%d   Z%H%M%S}"
        if utc
        else f"{datetime.fromtimestamp(at, ZONE):%Y%m%d    %H%M%S}"
    )


def instant_of(text: str) -> int:
    """What ``date`` gave, back in ms UTC."""
    zone = UTC if "Z" in text else ZONE
    return int(datetime.strptime(text[:8] + text[12:], "%Y%m%d%H%M%S").replace(tzinfo=zone).timestamp() * 1000)


def _pin(pin: str | None) -> str:
    return f"AD{pin}|" if pin is not None else ""


def checkout(
    item_no: str, number: str = "R1", pin: str | None = PIN, at: str = AT, more: str = "", *, flags: str = "NN", due: str = NONE
) -> str:  # fmt: skip
    """11; ``flags``: SC renewal policy, no block."""
    return f"11{flags}{at}{due}AO{HOME}|AA{number}|AB{item_no}|AC|{_pin(pin)}{more}"


def checkin(item_no: str, at: str = AT, *, no_block: str = "N", returned: str | None = None, more: str = "") -> str:
    """09."""
    return f"09{no_block}{at}{returned if returned is not None else at}AP{BRANCH}|AO{HOME}|AB{item_no}|AC|{more}"


def renew(item_no: str, number: str = "R1", at: str = AT, *, flags: str = "NN", due: str = NONE, more: str = "") -> str:
    """29."""
    item = f"AB{item_no}|" if item_no else ""
    return f"29{flags}{at}{due}AO{HOME}|AA{number}|AD{PIN}|{item}{more}"


def renew_all(number: str = "R1", at: str = AT) -> str:
    """65."""
    return f"65{at}AO{HOME}|AA{number}|AD{PIN}|"


def information(
    number: str = "R1", pin: str | None = PIN, summary: str = "  Y       ", lang: str = "019", more: str = ""
) -> str:
    """63."""
    return f"63{lang}{AT}{summary}AO{HOME}|AA{number}|AC|{_pin(pin)}{more}"


def get(reply: str, name: str) -> str | None:
    """A field of a reply."""
    return field(reply, name, ENDED[reply[:2]])


def every(reply: str, name: str) -> list[str]:
    """All values of a field of a reply."""
    return [part[2:] for part in reply[ENDED[reply[:2]] :].split("|") if part.startswith(name)]


@asynccontextmanager
async def logged_in(bed: Bed, user: str = "kiosk1") -> AsyncIterator[RawKiosk]:
    """A kiosk that is logged in."""
    assert bed.agent.sip2_at is not None
    async with RawKiosk(bed.agent.sip2_at) as raw:
        yield await raw.login(user)
