"""SIP2 codec speed: messages read and written in a second on one core, beside rivals and the work no codec can avoid.

The mix is one kiosk transaction: 99 23 63 17 11 09 and their replies, with AY and AZ, ASCII and Chinese text in UTF-8.
Reading is `parse` and `typed_fixed`: the checksum compared, every field split off, the whole fixed part turned into values
(flags to bool, dates to datetimes, counts to int, codes to enums); `parse_all_typed_per_s` types the fields too. pysip2
holds the strings of both to patterns and converts none, invenio-sip2 cuts strings and checks none. Writing is from names
and values, the checksum counted; pysip2 writes from models that are ready made. All work on the same bytes, in stretches
of CPU time, round by round in the same run, each in a process of its own.
"""

from __future__ import annotations

import statistics
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.rivals import RIVALS, EnvironmentMissing, measured
from bench.rivals._pace import STRETCHES, per_second
from protocols.sip2 import Outgoing, build, parse
from protocols.sip2.requests import checkin, checkout, item_information, reader_information, reader_status, sc_status
from protocols.sip2.typed import typed, typed_fixed

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
        # With a due date: pysip2 refuses the blanks that kiosks send when they have none.
        checkout("251020", "20260001", "0012345678", "123456", _NOW, no_block_due=_NOW + timedelta(days=30)),
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


def _ours(frames: list[bytes], mix: list[Outgoing], seconds: float) -> dict[str, float]:
    def parse_all() -> None:
        for frame in frames:
            typed_fixed(parse(frame))

    def fields_all() -> None:
        for frame in frames:
            typed(parse(frame))

    def text_all() -> None:
        for frame in frames:
            parse(frame)

    def build_all() -> None:
        for out in mix:
            build(out.code, out.fixed, out.fields, sequence="3")

    def bare_all() -> None:
        for frame in frames:
            _bare(frame)

    works = {
        "parse": parse_all,
        "parse_all_typed": fields_all,
        "parse_untyped": text_all,
        "build": build_all,
        "checksum_decode_split": bare_all,
    }
    return {f"{name}_per_s": per_second(work, len(frames), seconds) for name, work in works.items()}


def run(seconds: float = 1.0, rounds: int = 3) -> dict[str, Any]:
    """Measure each codec `rounds` times, reading and writing for about `seconds` of CPU time each; medians are told."""
    mix = _mix()
    frames = [build(out.code, out.fixed, out.fields, sequence=str(i % 10)) for i, out in enumerate(mix)]
    for frame, out in zip(frames, mix, strict=True):
        message = parse(frame)
        if (message.checksum, message.fields) != ("ok", tuple(out.fields)) or typed(message).problems:
            raise RuntimeError("the codec does not read what it writes")
    given = {"frames": [frame.hex() for frame in frames], "seconds": seconds}
    found: dict[str, list[float]] = {}
    notes: list[str] = []
    rivals = dict(RIVALS)
    for _ in range(rounds):
        _add(found, "", _ours(frames, mix, seconds))
        for name, script in list(rivals.items()):
            try:
                _add(found, f"{name}_", measured(script, given))
            except (EnvironmentMissing, RuntimeError) as error:
                notes.append(f"{name} is missing: {error}")
                del rivals[name]
    middle = {key: round(statistics.median(values)) for key, values in found.items()}
    figures: dict[str, float] = {
        key: middle.pop(key) for key in ("parse_per_s", "build_per_s", "parse_all_typed_per_s", "parse_untyped_per_s")
    }
    for what in ("parse", "build"):
        best = max((middle[f"{name}_{what}_per_s"] for name in rivals), default=0)
        if best:
            figures[f"ratio_{what}"] = round(figures[f"{what}_per_s"] / best, 2)
    figures |= {"messages": len(frames), "bytes_per_message": round(statistics.mean(map(len, frames)))}
    return {"name": "codec", "runs": rounds * STRETCHES, "figures": figures, "beside": middle, "notes": notes}


def _add(found: dict[str, list[float]], prefix: str, figures: dict[str, float]) -> None:
    for key, value in figures.items():
        found.setdefault(prefix + key, []).append(value)
