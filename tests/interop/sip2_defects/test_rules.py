"""The standard's rules of framing, error detection and resending, on a live socket."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from drivers.selfcheck import Sip2Server
from protocols.sip2 import parse, seal
from tests.drivers.selfcheck.conftest import Place
from tests.drivers.selfcheck.test_server import DATE, ITEM, checkout

RESEND = b"96AZFEF6\r"


async def test_a_97_before_any_answer_is_asked_for_itself(place: Any) -> None:
    await place.serve()
    line = await place.dial()
    line.send(b"97AZFEF5\r")
    assert await line.frame() == RESEND


async def test_a_97_after_a_96_gets_the_last_answer_whatever_it_was(place: Any) -> None:
    await place.serve()
    line = await place.kiosk()
    line.send(checkout("1").encode() + b"AY1AZ0000\r")
    assert await line.frame() == RESEND
    line.send(b"97AZFEF5\r")
    assert await line.frame() == RESEND


async def test_a_value_never_holds_a_delimiter_or_a_terminator(place: Any) -> None:
    await place.serve()
    line = await place.kiosk()
    assert (await line.ask(ITEM)).get("AJ") == "红楼梦｜下"


async def test_the_checksum_is_over_every_byte_up_to_az(place: Any) -> None:
    await place.serve()
    line = await place.kiosk()
    line.send(line.wire(ITEM))
    frame = (await line.frame())[:-1]
    assert (sum(frame[:-4]) + int(frame[-4:], 16)) & 0xFFFF == 0
    assert frame[-4:] == frame[-4:].upper()


@pytest.mark.parametrize("sequence", "0123456789")
async def test_the_answer_has_the_requests_ay(place: Any, sequence: str) -> None:
    await place.serve()
    line = await place.dial()
    line.send(seal(b"9300CNkiosk1|COsecret|", sequence) + b"\r")
    assert (await line.frame())[3:6] == f"AY{sequence}".encode()


async def test_ay_wraps_from_9_to_0(place: Any) -> None:
    await place.serve()
    line = await place.kiosk()
    assert [(await line.ask(ITEM)).sequence for _ in range(12)] == list("123456789012")


async def test_the_same_ay_and_az_within_a_minute_is_answered_to_the_byte_and_executed_once(place: Any) -> None:
    await place.serve()
    line = await place.kiosk()
    data = line.wire(checkout("1"))
    line.send(data)
    first = await line.frame()
    line.send(data)
    assert await line.frame() == first
    assert place.library.executed == [("11", "1")]


async def test_after_a_minute_the_same_bytes_are_a_new_request(place: Place) -> None:
    now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    place.server = Sip2Server(place.accounts, place.library, clock=lambda: now)
    place.address = await place.server.start()
    line = await place.kiosk()
    data = line.wire(ITEM)
    line.send(data)
    await line.frame()
    now += timedelta(seconds=61)
    await asyncio.sleep(0.06)
    line.send(data)
    await line.frame()
    assert len(place.library.executed) == 2


async def test_the_same_az_with_other_bytes_is_another_request(place: Any) -> None:
    await place.serve()
    line = await place.kiosk()
    for item_no in ("12", "21"):
        line.send(seal(f"17{DATE}AO251020|AB{item_no}|".encode(), "1") + b"\r")
        assert parse((await line.frame())[:-1]).get("AB") == item_no


async def test_an_undated_message_is_answered_afresh_across_a_reconnect(place: Any) -> None:
    await place.serve()
    for _ in range(2):
        line = await place.kiosk()
        await line.ask("9900802.00")
        await line.ask("65AO251020|AAR1|AD1234|")
        await line.close()
    assert place.library.executed == [("99", ""), ("65", "")] * 2


async def test_a_transaction_is_known_again_across_a_reconnect(place: Any) -> None:
    await place.serve()
    first = await (await place.kiosk()).ask(checkout("1"))
    line = await place.kiosk()
    await line.ask("9900802.00")
    again = await line.ask(checkout("1"))
    assert (again.fixed, again.fields) == (first.fixed, first.fields)
    assert place.library.executed == [("11", "1"), ("99", "")]


async def test_another_account_has_its_own_transactions(place: Any) -> None:
    await place.serve()
    for user in ("kiosk1", "few"):
        await (await place.kiosk(user)).ask(checkout("1"))
    assert place.library.executed == [("11", "1")] * 2
