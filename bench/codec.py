"""SIP2 codec speed: messages parsed and built in a second on one core, beside the bare work no codec can avoid.

The mix is one kiosk transaction: 99 23 63 17 11 09 and their replies, with AY and AZ, ASCII and Chinese text.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from protocols.sip2 import Outgoing, build, parse
from protocols.sip2.requests import checkin, checkout, item_information, reader_information, reader_status, sc_status

__all__ = ["run"]

_NOW = datetime(2026, 11, 22, 19, 37, 11, tzinfo=UTC)
_DATE = "20261122    193711"


def _mix() -> list[Outgoing]:
    who = (("AO", "251020"), ("AA", "20260001"), ("AE", "张三"), ("BL", "Y"), ("CQ", "Y"))
    reader = {"patron_status": " " * 14, "language": "019", "transaction_date": _DATE}
    counts = ("hold_items", "overdue_items", "charged_items", "fine_items", "recall_items")
    counted = {**reader, **{f"{name}_count": "0001" for name in counts}, "unavailable_holds_count": "0000"}
    item = (("AO", "251020"), ("AB", "0012345678"), ("AJ", "红楼梦"), ("AQ", "理工分馆"), ("CK", "001"))
    loan = (("AO", "251020"), ("AA", "20260001"), ("AB", "0012345678"), ("AJ", "Perl 5 desktop reference"))
    status = {
        "on_line_status": "Y", "checkin_ok": "Y", "checkout_ok": "Y", "acs_renewal_policy": "Y", "status_update_ok": "N",
        "off_line_ok": "Y", "timeout_period": "100", "retries_allowed": "003", "date_time_sync": _DATE,
        "protocol_version": "2.00",
    }  # fmt: skip
    return [
        sc_status(),
        Outgoing("98", status, (("AO", "251020"), ("AM", "重庆大学图书馆"), ("BX", "YYYNYYYYYNYNNNNN"))),
        reader_status("251020", "20260001", "123456", _NOW, "019"),
        Outgoing("24", reader, who),
        reader_information("251020", "20260001", "123456", _NOW, summary="charged", language="019"),
        Outgoing("64", counted, (*who, ("AU", "0012345678"), ("AF", "欢迎光临"))),
        item_information("251020", "0012345678", _NOW),
        Outgoing(
            "18",
            {"circulation_status": "03", "security_marker": "00", "fee_type": "01", "transaction_date": _DATE},
            item[1:],
        ),
        checkout("251020", "20260001", "0012345678", "123456", _NOW),
        Outgoing(
            "12",
            {"ok": "1", "renewal_ok": "N", "magnetic_media": "N", "desensitize": "Y", "transaction_date": _DATE},
            (*loan, ("AH", "2026-12-22"), ("CK", "001")),
        ),
        checkin("251020", "0012345678", _NOW),
        Outgoing(
            "10",
            {"ok": "1", "resensitize": "Y", "magnetic_media": "N", "alert": "N", "transaction_date": _DATE},
            (*item, ("CL", "1")),
        ),
    ]


def _bare(frame: bytes) -> tuple[int, list[str]]:
    """Checksum, decode, split and nothing else."""
    return (sum(frame[:-4]) + int(frame[-4:], 16)) & 0xFFFF, frame[:-9].decode("utf-8").split("|")


def _per_second(work: Callable[[], object], messages: int, seconds: float) -> float:
    """Messages in a second of CPU time, median of five stretches."""
    rates = []
    for _ in range(5):
        rounds, began = 0, time.process_time()
        while (spent := time.process_time() - began) < seconds / 5:
            work()
            rounds += 1
        rates.append(rounds * messages / spent)
    return statistics.median(rates)


def run(seconds: float = 2.0) -> dict[str, Any]:
    """Measure parse and build, each for about `seconds` of CPU time."""
    mix = _mix()
    frames = [build(out.code, out.fixed, out.fields, sequence=str(i % 10)) for i, out in enumerate(mix)]
    for frame in frames:
        if parse(frame).checksum != "ok":
            raise RuntimeError("the codec does not read what it writes")

    def parse_all() -> None:
        for frame in frames:
            parse(frame)

    def build_all() -> None:
        for out in mix:
            build(out.code, out.fixed, out.fields, sequence="3")

    def bare_all() -> None:
        for frame in frames:
            _bare(frame)

    return {
        "name": "codec",
        "runs": 5,
        "figures": {
            "parse_per_s": round(_per_second(parse_all, len(frames), seconds)),
            "build_per_s": round(_per_second(build_all, len(mix), seconds)),
            "messages": len(frames),
            "bytes_per_message": round(statistics.mean(map(len, frames))),
        },
        "beside": {"checksum_decode_split_per_s": round(_per_second(bare_all, len(frames), seconds))},
    }
