"""99 and 98: what works now, and only that."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import OutboxConfig
from edge.sip2_config import AccountConfig
from protocols.sip2 import BX_ORDER
from tests.edge.bed import Bed, Hub, make_config, standard_rows, until, write_replica
from tests.edge.selfservice.messages import AT, checkin, checkout, get, logged_in
from tests.make import HOME

STATUS = "9900402.00"
HOLD = f"15+{AT}AO{HOME}|AAR1|AD2468|AB2002|"


def supported(reply: str) -> set[str]:
    """What a 98 says it supports."""
    marks = get(reply, "BX") or ""
    return {code for code, mark in zip(BX_ORDER, marks, strict=True) if mark == "Y"}


async def test_offline_it_does_not_promise_what_only_the_hub_may_do(bed: Bed) -> None:
    async with logged_in(bed) as kiosk:
        reply = await kiosk.ask(STATUS)
    assert reply[2:8] == "YYYYNY"
    assert supported(reply) == set(BX_ORDER) - {"15", "37", "01", "25"}


async def test_online_everything_works(hub_bed: Bed) -> None:
    async with logged_in(hub_bed) as kiosk:
        reply = await kiosk.ask(STATUS)
    assert reply[2:8] == "YYYYYY"
    assert supported(reply) == set(BX_ORDER)


async def test_timeout_retries_and_library_are_the_accounts(tmp_path: Path) -> None:
    write_replica(tmp_path, standard_rows())
    accounts = (
        AccountConfig("kiosk1", "secret", HOME, "kiosk1", timeout_tenths=45, retries=7, lang="en", no_block=False),
    )
    async with Bed(make_config(tmp_path, accounts=accounts)) as bed, logged_in(bed) as kiosk:
        reply = await kiosk.ask(STATUS)
        assert reply[7:14] == "N045007"
        assert get(reply, "AM") == bed.agent.desk.library_name("en")


async def test_without_a_replica_kiosks_may_only_return(tmp_path: Path) -> None:
    async with Bed(make_config(tmp_path)) as bed, logged_in(bed) as kiosk:
        reply = await kiosk.ask(STATUS)
        assert reply[2:6] == "NYNN"
        assert (await kiosk.ask(checkin("1001"))).startswith("101Y")


async def test_a_full_outbox_is_told_once_by_98_and_then_tried_again(tmp_path: Path, hub: Hub, broker: object) -> None:
    write_replica(tmp_path, standard_rows())
    async with Bed(make_config(tmp_path, outbox=OutboxConfig(max_rows=10))) as bed, logged_in(bed) as kiosk:
        assert (await kiosk.ask(STATUS))[2:5] == "YYY"
        n = 0
        while bed.agent.outbox.depth < 10:
            n += 1
            await kiosk.ask(checkin("1009", at=f"20261122    1015{n:02d}"))
        refused = await kiosk.ask(checkout("1001"))  # nobody knew: the try says so
        assert refused.startswith("120N")
        told = await kiosk.ask(checkout("1001"))
        assert told.startswith("98NNN")
        assert get(told, "AF") == "暂停服务 (OUT_OF_SERVICE)"
        assert (await kiosk.ask(checkout("1001"))).startswith("120N")  # the repeat is answered for itself


async def test_a_hub_that_went_away_is_told_once(hub_bed: Bed, hub: Hub) -> None:
    async with logged_in(hub_bed) as kiosk:
        assert "15" in supported(await kiosk.ask(STATUS))
        await kiosk.ask(HOLD)  # this hub does not answer: the link counts as away from now on
        await until(lambda: not hub_bed.agent.link.online)
        told = await kiosk.ask(HOLD.replace("101500", "101501"))
        assert told.startswith("98YYYYN")
        assert "15" not in supported(told)
        assert (await kiosk.ask(HOLD.replace("101500", "101501"))).startswith("160N")


@pytest.mark.parametrize(
    ("kind", "works"), [("sorter", {"09", "17", "19", "93", "97", "99"}), ("drop", {"09", "17", "93", "97", "99"})]
)
async def test_a_machine_without_readers_is_offered_no_loans(tmp_path: Path, kind: str, works: set[str]) -> None:
    write_replica(tmp_path, standard_rows())
    accounts = (AccountConfig("kiosk1", "secret", HOME, "kiosk1", kind=kind),)
    async with Bed(make_config(tmp_path, accounts=accounts)) as bed, logged_in(bed) as kiosk:
        reply = await kiosk.ask(STATUS)
        assert (reply[4], reply[5]) == ("N", "N")
        assert supported(reply) == works
        refused = await kiosk.ask(checkout("1001"))
        assert get(refused, "AF") == "本设备不办理此项业务 (NOT_FOR_THIS_MACHINE)"
