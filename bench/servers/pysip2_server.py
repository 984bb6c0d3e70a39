"""pysip2's server with the stub handlers, in the rivals' environment: ``python pysip2_server.py [--uvloop]``."""

from __future__ import annotations

import os
import sys
import threading

import anyio
import stub
from pysip2 import models, routes
from pysip2.server import SIP2Server

app = SIP2Server(encoding="utf-8", institution_id=stub.INSTITUTION, login_required=True)


@app.route(routes.LOGIN)
async def login(request, context):
    """93."""
    right = (request.login_user_id, request.login_password) == (stub.USER, stub.PASSWORD)
    return models.LoginResponse(ok="1" if right else "0")


@app.route(routes.SC_STATUS)
async def status(request, context):
    """99."""
    return models.ACSStatusResponse(
        online_status="Y", checkin_ok="Y", checkout_ok="Y", acs_renewal_policy="N", status_update_ok="N",
        offline_ok="Y", timeout_period="100", retries_allowed="003", date_time_sync=stub.CLOCK,
        protocol_version="2.00", institution_id=stub.INSTITUTION, supported_messages=stub.SUPPORTED,
    )  # fmt: skip


@app.route(routes.PATRON_STATUS)
async def reader_status(request, context):
    """23."""
    return models.PatronStatusResponse(
        patron_status=" " * 14, language=request.language, transaction_date=request.transaction_date,
        institution_id=stub.INSTITUTION, patron_identifier=request.patron_identifier, personal_name=stub.NAME,
        valid_patron="Y", valid_patron_password="Y", screen_message=(stub.SCREEN,),
    )  # fmt: skip


@app.route(routes.PATRON_INFORMATION)
async def reader(request, context):
    """63."""
    return models.PatronInformationResponse(
        patron_status=" " * 14, language=request.language, transaction_date=request.transaction_date,
        hold_items_count="0000", overdue_items_count="0000", charged_items_count="0003", fine_items_count="0000",
        recall_items_count="0000", unavailable_holds_count="0000", institution_id=stub.INSTITUTION,
        patron_identifier=request.patron_identifier, personal_name=stub.NAME, valid_patron="Y",
        valid_patron_password="Y", charged_items=stub.CHARGED, screen_message=(stub.SCREEN,),
    )  # fmt: skip


@app.route(routes.ITEM_INFORMATION)
async def item(request, context):
    """17."""
    return models.ItemInformationResponse(
        circulation_status="03", security_marker="02", fee_type="01", transaction_date=request.transaction_date,
        item_identifier=request.item_identifier, title_identifier=stub.TITLE, permanent_location=stub.PLACE,
    )  # fmt: skip


@app.route(routes.CHECKOUT)
async def checkout(request, context):
    """11."""
    return models.CheckoutResponse(
        ok="1", renewal_ok="N", magnetic_media="N", desensitize="Y", transaction_date=request.transaction_date,
        institution_id=stub.INSTITUTION, patron_identifier=request.patron_identifier,
        item_identifier=request.item_identifier, title_identifier=stub.TITLE, due_date=stub.DUE,
        screen_message=(stub.SCREEN,),
    )  # fmt: skip


@app.route(routes.CHECKIN)
async def checkin(request, context):
    """09."""
    return models.CheckinResponse(
        ok="1", resensitize="Y", magnetic_media="N", alert="N", transaction_date=request.transaction_date,
        institution_id=stub.INSTITUTION, item_identifier=request.item_identifier, permanent_location=stub.PLACE,
        title_identifier=stub.TITLE, sort_bin=stub.SORT_BIN, screen_message=(stub.SCREEN,),
    )  # fmt: skip


def _end_when_told():
    stub.until_told()
    os._exit(0)


async def main():
    """Serve until standard input closes."""
    threading.Thread(target=_end_when_told, daemon=True).start()
    async with app.start(backlog=1024) as port:
        stub.ready(port)
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, backend_options={"use_uvloop": "--uvloop" in sys.argv})
