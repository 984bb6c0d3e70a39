"""A trace as a text file that can be given to a vendor's support: says what it is, what is masked, and how the kiosk speaks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from edge.trace.book import Line
from protocols.sip2.messages import TITLES

__all__ = ["line_text", "report"]

_MASKED = (
    "Cut out before it was kept: terminal passwords AC, PINs AD, login passwords CO.",
    "Masked (***): reader numbers AA CY, names AE DA, addresses BD BE BF, birth dates PB, login users CN, staff texts AL,",
    "  fields that the standard does not know, all values of frames with a bad checksum, all of frames that are no message.",
    "Kept: item numbers AB, titles AJ, dates, reply codes. AZ is left out; the remark says where it was wrong.",
    "密码与 PIN 在保存之前已删除；读者证号、姓名等以 *** 代替；单册条码号保留。",
)
_ARROW = {"in": ">", "out": "<"}


def report(kiosk: Mapping[str, Any], lines: Iterable[Line], *, software: str, at: datetime) -> str:
    """The whole file. ``kiosk`` is a row of `Kiosks.all`; > is what the kiosk sent, < what it was answered."""
    head = [
        f"Tongjie SIP2 trace of {kiosk['kiosk']}",
        f"software     {software}",
        f"written      {at.isoformat(timespec='seconds')}",
        f"configured   {_plain(kiosk.get('configured', {})) or 'nothing'}",
    ]
    head += [f"connection   {_plain(connection)}" for connection in kiosk.get("connections", ())]
    head += [
        f"lines        {kiosk.get('lines', 0)} since the start, {kiosk.get('odd', 0)} of them odd",
        "",
        *_MASKED,
        "",
    ]
    return "\n".join([*head, *(line_text(line.public()) for line in lines), ""])


def line_text(line: Mapping[str, Any]) -> str:
    """One line: time, connection, direction, message, text, how long the answer took, and what was odd."""
    title = TITLES.get(line["code"], "no message")
    took = "" if line["ms"] is None else f"  [{line['ms']:.1f} ms]"
    odd = f"  !{line['note']}" if line["note"] else ""
    return f"{line['at']}  #{line['connection']} {_ARROW[line['direction']]} {line['text']}  ({title}){took}{odd}"


def _plain(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str, sort_keys=True)}"
        for name, value in values.items()
        if value not in (None, "", [], {})
    )
