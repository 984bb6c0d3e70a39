"""Receipts at the edge's own kiosk: what was lent or returned, on paper, for whoever holds it.

A receipt names the library, the items and when they are due, never a reader (domain M13). It is printed when a person asks for it,
after the transaction is durable: a printer in trouble delays no loan and fails none, and the answer says why there is no paper.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from drivers.base import BadCommand, DriverError, Printer, Receipt, ReceiptLine
from edge.metrics import Metrics

log = logging.getLogger(__name__)

PRINT_TIMEOUT_S = 45.0
"""A driver gives up by itself before that (10 s for its turn, 10 s to print and the time of a slow wire): this only bounds one
that does not."""

OFFER_S = 120.0
"""Seconds in which a receipt can be asked for; then whoever stands there may be somebody else."""

MOST_OFFERED = 32
MOST_ITEMS = 60
"""Items on one receipt; a stack holds 40."""

_WIDTH = 100

What = Literal["borrow", "return"]

TEXTS: Mapping[str, tuple[str, str]] = {
    "borrow": ("借书凭条", "Loan receipt"),
    "return": ("还书凭条", "Return receipt"),
    "due": ("应还", "Due"),
    "to": ("送往", "Goes to"),
    "more": ("另有 {n} 件未列出", "{n} more not listed"),
    "count": ("共 {n} 件", "{n} in all"),
    "untitled": ("（无题名）", "(no title)"),
    "keep": ("请妥善保管", "Please keep this receipt"),
    "OK": ("凭条已打印", "Receipt printed"),
    "NO_PRINTER": ("本机不能打印凭条", "There is no receipt printer here"),
    "NOTHING_TO_PRINT": ("没有可打印的凭条", "There is nothing to print"),
    "PAPER_OUT": ("没有凭条：打印机缺纸", "No receipt: out of paper"),
    "COVER_OPEN": ("没有凭条：打印机盖未合上", "No receipt: the printer is open"),
    "QUEUE_FULL": ("没有凭条：打印机忙", "No receipt: the printer is busy"),
    "PRINT_UNCERTAIN": ("凭条可能没有打印完整", "The receipt may not be complete"),
    "NO_RECEIPT": ("没有凭条：打印机故障", "No receipt: the printer is out of service"),
}
"""Key → (zh-CN, en). The loan or return itself is done, whatever stands here."""

_AGAIN = frozenset({"PAPER_OUT", "COVER_OPEN", "QUEUE_FULL", "DEVICE_OFFLINE"})
"""A person can put this right, and may then ask for the same receipt again. Nothing is printed twice by itself."""


def say(key: str, lang: str, **values: int) -> str:
    """A text of `TEXTS` in zh or en."""
    return TEXTS[key][lang == "en"].format(**values)


@dataclass(frozen=True, slots=True)
class Slip:
    """A transaction that can be put on paper. ``items`` as the kiosk answered them; ``until`` on the monotonic clock, in seconds."""

    what: What
    items: tuple[Mapping[str, Any], ...]
    at: datetime
    until: float


class Receipts:
    """What one kiosk may print. ``names`` gives {"library": {zh, en}, "branch": {zh, en}}, ``wall`` the branch's time of day."""

    def __init__(
        self,
        printer: Callable[[], Printer | None],
        *,
        names: Callable[[], Mapping[str, Mapping[str, str]]],
        wall: Callable[[], datetime],
        metrics: Metrics,
        mono: Callable[[], float] = time.monotonic,
        new_id: Callable[[], str] = lambda: secrets.token_urlsafe(18),
    ) -> None:
        self._printer = printer
        self._names = names
        self._wall = wall
        self._metrics = metrics
        self._mono = mono
        self._new_id = new_id
        self._slips: dict[str, Slip] = {}

    @property
    def possible(self) -> bool:
        """Whether there is a printer at all."""
        return self._printer() is not None

    def offer(self, what: What, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer of a loan or return with ``receipt``, by which it can be printed once: None where there is nothing to print."""
        done = tuple(item for item in answer["items"] if item.get("outcome") == "ALLOW")
        if not done or not self.possible:
            return {**answer, "receipt": None}
        self._sweep()
        while len(self._slips) >= MOST_OFFERED:
            del self._slips[next(iter(self._slips))]
        name = self._new_id()
        self._slips[name] = Slip(what, done, self._wall(), self._mono() + OFFER_S)
        return {**answer, "receipt": name}

    def _sweep(self) -> None:
        now = self._mono()
        self._slips = {name: slip for name, slip in self._slips.items() if slip.until > now}

    async def print(self, name: str, lang: str) -> dict[str, Any]:
        """Print an offered receipt: ``printed``, ``code`` and ``text``. Never raises; what did not come out may be tried again."""
        self._sweep()
        slip = self._slips.pop(name, None)
        printer = self._printer()
        if slip is None or printer is None:
            return self._told("NOTHING_TO_PRINT" if slip is None else "NO_PRINTER", lang)
        try:
            async with asyncio.timeout(PRINT_TIMEOUT_S):
                await printer.print_receipt(receipt_of(slip, self._names(), lang))
        except TimeoutError:
            return self._told("PRINT_UNCERTAIN", lang)
        except (DriverError, BadCommand) as error:
            log.warning("no receipt was printed: %s", error.code)
            if error.code in _AGAIN:
                self._slips[name] = slip
            # What a printer's driver adds to its errors where it knows (`drivers.selfcheck.receipt.PrinterError`).
            return self._told(error.code, lang, uncertain=bool(getattr(error, "uncertain", False)))
        return self._told("OK", lang)

    def _told(self, code: str, lang: str, *, uncertain: bool = False) -> dict[str, Any]:
        self._metrics.receipts.labels(self._metrics.library, code[:24]).inc()
        text = say("PRINT_UNCERTAIN" if uncertain else code if code in TEXTS else "NO_RECEIPT", lang)
        return {"printed": code == "OK", "code": code, "text": text}


def receipt_of(slip: Slip, names: Mapping[str, Mapping[str, str]], lang: str) -> Receipt:
    """The lines of a receipt, in ``lang``: library and branch, what and when, each item with its due day or where it goes."""
    lines = [
        ReceiptLine(_cut(names["library"][lang]), bold=True, align="center", size=2),
        ReceiptLine(_cut(names["branch"][lang]), align="center"),
        ReceiptLine(say(slip.what, lang), bold=True, align="center"),
        ReceiptLine(f"{slip.at:%Y-%m-%d %H:%M}", align="center"),
        ReceiptLine(""),
    ]
    for number, item in enumerate(slip.items[:MOST_ITEMS], 1):
        lines += _item(number, item, lang)
    if len(slip.items) > MOST_ITEMS:
        lines.append(ReceiptLine(say("more", lang, n=len(slip.items) - MOST_ITEMS)))
    lines += [
        ReceiptLine(""),
        ReceiptLine(say("count", lang, n=len(slip.items)), bold=True),
        ReceiptLine(say("keep", lang), align="center"),
    ]
    return Receipt(tuple(lines))


def _item(number: int, item: Mapping[str, Any], lang: str) -> Sequence[ReceiptLine]:
    lines = [ReceiptLine(_cut(f"{number}. {item.get('title') or say('untitled', lang)}"))]
    under = str(item.get("item_no") or "")
    dest = item.get("dest_name")
    if item.get("due"):
        under += f"  {say('due', lang)} {item['due']}"
    elif isinstance(dest, Mapping):
        under += f"  {say('to', lang)} {dest.get(lang, '')}"
    lines.append(ReceiptLine(_cut(f"   {under}")))
    return lines


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
