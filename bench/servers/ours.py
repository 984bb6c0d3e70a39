"""Our server with stub handlers: ``python -m bench.servers.ours [--uvloop FOLDER]``, a folder of packages with uvloop in it."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

from bench.servers import stub
from drivers.selfcheck import Account, KioskSession, Limits, Reply, Sip2Server, refusal
from protocols.sip2 import Message

NOW = datetime(2026, 11, 22, 19, 37, 11, tzinfo=UTC)


class Library:
    """Answers at once."""

    async def handle(self, session: KioskSession, request: Message) -> Reply:
        """The reply of a message, put together as a handler does it."""
        return _REPLIES[request.code](request)

    def on_timeout(self, session: KioskSession, request: Message) -> Reply:
        """Never comes to pass."""
        return refusal(session, request, NOW, ["OUT_OF_SERVICE"])


def _status(request: Message) -> Reply:
    fixed = {
        "on_line_status": "Y", "checkin_ok": "Y", "checkout_ok": "Y", "acs_renewal_policy": "N", "status_update_ok": "N",
        "off_line_ok": "Y", "timeout_period": "100", "retries_allowed": "003", "date_time_sync": stub.CLOCK,
        "protocol_version": "2.00",
    }  # fmt: skip
    return Reply(fixed, (("AO", stub.INSTITUTION), ("BX", stub.SUPPORTED)))


def _reader_status(request: Message) -> Reply:
    fixed = {
        "patron_status": " " * 14, "language": request.fixed["language"],
        "transaction_date": request.fixed["transaction_date"],
    }  # fmt: skip
    fields = (
        ("AO", stub.INSTITUTION), ("AA", request.get("AA")), ("AE", stub.NAME), ("BL", "Y"), ("CQ", "Y"),
        ("AF", stub.SCREEN),
    )  # fmt: skip
    return Reply(fixed, fields)


def _reader(request: Message) -> Reply:
    fixed = {
        "patron_status": " " * 14, "language": request.fixed["language"],
        "transaction_date": request.fixed["transaction_date"], "hold_items_count": "0000",
        "overdue_items_count": "0000", "charged_items_count": "0003", "fine_items_count": "0000",
        "recall_items_count": "0000", "unavailable_holds_count": "0000",
    }  # fmt: skip
    fields = (
        ("AO", stub.INSTITUTION), ("AA", request.get("AA")), ("AE", stub.NAME), ("BL", "Y"), ("CQ", "Y"),
        *(("AU", item_no) for item_no in stub.CHARGED), ("AF", stub.SCREEN),
    )  # fmt: skip
    return Reply(fixed, fields)


def _item(request: Message) -> Reply:
    fixed = {
        "circulation_status": "03", "security_marker": "02", "fee_type": "01",
        "transaction_date": request.fixed["transaction_date"],
    }  # fmt: skip
    return Reply(fixed, (("AB", request.get("AB")), ("AJ", stub.TITLE), ("AQ", stub.PLACE)))


def _checkout(request: Message) -> Reply:
    fixed = {
        "ok": "1", "renewal_ok": "N", "magnetic_media": "N", "desensitize": "Y",
        "transaction_date": request.fixed["transaction_date"],
    }  # fmt: skip
    fields = (
        ("AO", stub.INSTITUTION), ("AA", request.get("AA")), ("AB", request.get("AB")), ("AJ", stub.TITLE),
        ("AH", stub.DUE), ("AF", stub.SCREEN),
    )  # fmt: skip
    return Reply(fixed, fields)


def _checkin(request: Message) -> Reply:
    fixed = {
        "ok": "1", "resensitize": "Y", "magnetic_media": "N", "alert": "N",
        "transaction_date": request.fixed["transaction_date"],
    }  # fmt: skip
    fields = (
        ("AO", stub.INSTITUTION), ("AB", request.get("AB")), ("AQ", stub.PLACE), ("AJ", stub.TITLE),
        ("CL", stub.SORT_BIN), ("AF", stub.SCREEN),
    )  # fmt: skip
    return Reply(fixed, fields)


_REPLIES = {"99": _status, "23": _reader_status, "63": _reader, "17": _item, "11": _checkout, "09": _checkin}


async def main() -> None:
    """Serve until standard input closes."""
    account = Account(stub.USER, stub.PASSWORD, stub.INSTITUTION, max_connections=5000)
    server = Sip2Server(
        {stub.USER: account}, Library(), clock=lambda: datetime.now(UTC), limits=Limits(connections=2000)
    )
    _, port = await server.start()
    stub.ready(port)
    await asyncio.to_thread(stub.until_told)
    await server.close()


if __name__ == "__main__":
    if "--uvloop" in sys.argv:
        sys.path.append(sys.argv[sys.argv.index("--uvloop") + 1])  # last: only uvloop comes from there
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
