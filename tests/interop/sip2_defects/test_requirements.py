"""The fifteen defects proved in other SIP2 servers, each as what ours must do, on a live socket.

Which server has which defect stands in the names of the tests; the numbers are those of the list they were drawn from.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import pytest

from drivers.selfcheck import Limits
from protocols.sip2 import parse, seal
from tests.drivers.selfcheck.test_server import BLANK_DATE, DATE, ITEM, checkout


async def test_01_every_request_of_a_segment_is_answered_where_invenio_drops_the_second(place: Any) -> None:
    await place.serve()
    line = await place.kiosk()
    line.send(line.wire(ITEM) + line.wire("9900802.00") + line.wire(checkout("1")))
    assert [(await line.frame())[:2] for _ in range(3)] == [b"18", b"98", b"12"]


async def test_02_a_split_request_with_an_unknown_field_is_answered_where_invenio_drops_all_kiosks(place: Any) -> None:
    await place.serve()
    line, other = await place.kiosk(), await place.kiosk()
    data = line.wire(f"17{DATE}ZZ?|AO251020|AB1|Q7x|")
    for cut in range(1, len(data)):
        line.send(data[:cut])
        await line.writer.drain()
        await asyncio.sleep(0.002)
        line.send(data[cut:])
        assert (await line.frame())[:2] == b"18"
        data = line.wire(f"17{DATE}ZZ?|AO251020|AB1|Q7x|")
    assert (await other.ask(ITEM)).code == "18"


async def test_03_nothing_is_executed_on_a_bad_checksum_where_invenio_executes(place: Any) -> None:
    await place.serve()
    line = await place.kiosk()
    for end in (b"AY1AZ0000", b"AY1AZ00", b"AY1AZ", b"AY1AZ123456", b"AY1AZ12X4", b"AZ00"):
        line.send(checkout("1").encode() + end + b"\r")
        assert await line.frame() == b"96AZFEF6\r"
    assert place.library.executed == []


async def test_04_az_and_counts_have_their_zeros_where_invenio_cuts_them(place: Any) -> None:
    await place.serve()
    line = await place.kiosk()
    widths = set()
    for n in range(300):
        line.send(line.wire(f"63019{DATE}          AO251020|AAR{n}|AC|AD|"))
        frame = await line.frame()
        assert frame[61 - 24 : 61] == b"000000000003000000000000"
        at = frame.rindex(b"AZ") + 2
        widths.add(len(frame) - at)
        assert parse(frame[:-1]).checksum == "ok"
    assert widths == {5}


async def test_05_what_is_sent_again_ends_with_its_terminator_where_invenio_leaves_it_out(place: Any) -> None:
    await place.serve()
    line = await place.kiosk()
    line.send(line.wire(ITEM))
    first = await line.frame()
    for _ in range(2):
        line.send(b"97AZFEF5\r")
        assert await line.frame() == first


async def test_06_what_is_sent_again_has_its_old_ay_where_sipserver_counts_from_0(place: Any) -> None:
    await place.serve()
    line = await place.kiosk()
    line.sequence = 7
    line.send(line.wire(checkout("1")))
    first = await line.frame()
    assert b"AY7AZ" in first
    line.send(b"97AZFEF5\r")
    assert await line.frame() == first
    assert place.library.executed == [("11", "1")]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (f"11YN{DATE}{BLANK_DATE}AO251020|AAR1|AB1|AC|AD|", "12"),
        (f"09N{DATE}{BLANK_DATE}AP|AO251020|AB1|AC|", "10"),
        (f"11YN{DATE}{BLANK_DATE}AO251020|AAR1|AB1|", "12"),
        (f"23019{DATE}AO251020|AAR1|", "24"),
        ("990 802.00", "98"),
        (f"17001{DATE}AO251020|AB1|", "18"),
        (f"17{DATE}AO251020|AB{'1' * 4000}|", "18"),
    ],
)
async def test_07_blank_dates_missing_fields_padding_and_long_values_are_taken_where_pysip2_closes(
    place: Any, body: str, code: str
) -> None:
    await place.serve()
    line = await place.kiosk()
    assert (await line.ask(body)).code == code


async def test_08_a_crlf_kiosk_is_served_for_ever_where_pysip2_says_96_from_the_second_message_on(place: Any) -> None:
    await place.serve()
    line = await place.dial()
    line.send(line.wire("9300CNkiosk1|COsecret|", b"\r\n"))
    assert (await line.frame(b"\r\n"))[:3] == b"941"
    for _ in range(50):
        line.send(line.wire(ITEM, b"\r\n"))
        assert (await line.frame(b"\r\n"))[:2] == b"18"


async def test_09_an_unknown_code_gets_nothing_and_the_line_stays_where_sipserver_and_invenio_close(
    place: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await place.serve()
    line = await place.kiosk()
    line.send(line.wire("77AAR1|"))
    assert await line.silent()
    assert (await line.ask(ITEM)).code == "18"
    assert "message 77: unknown_message" in caplog.text


async def test_10_before_login_94_0_or_98_off_line_and_the_line_stays_where_sipserver_and_pysip2_close(
    place: Any,
) -> None:
    await place.serve()
    line = await place.dial()
    assert (await line.ask(checkout("1"))).fixed == {"ok": "0"}
    assert (await line.ask("9900802.00")).fixed["on_line_status"] == "N"
    assert (await line.login("kiosk1", "wrong")).fixed == {"ok": "0"}
    assert (await line.login()).fixed == {"ok": "1"}
    assert place.library.executed == []


async def test_11_a_65_without_its_date_is_answered_where_invenio_dies(place: Any) -> None:
    await place.serve()
    line = await place.kiosk()
    assert (await line.ask("65AO251020|AAR1|AD1234|")).code == "66"
    assert (await line.ask(ITEM)).code == "18"


async def test_12_undecodable_bytes_are_replaced_answered_and_logged_where_invenio_closes(
    place: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await place.serve()
    line = await place.kiosk()
    line.send(seal(f"17{DATE}AO251020|AB".encode() + b"\xff\xff\xfe|", "1") + b"\r")
    assert (await line.frame())[:2] == b"18"
    assert "bytes that are no text" in caplog.text


async def test_13_nothing_but_sip2_is_ever_sent_where_edge_sip2_sends_its_errors(place: Any) -> None:
    await place.serve(limits=Limits(handler_s=0.1, frame_s=0.1))
    line = await place.dial()
    for data in (
        b"GET / HTTP/1.1\r\n\r\n", b"\x00\xff\xfe\x16\x03\x01\r", b"99\r", b"9900802.00\r", b"{}\r", b"93\r",
        line.wire("9300CNkiosk1|COsecret|"), line.wire(checkout("FAULT")), line.wire(checkout("FAULTY")),
        line.wire(checkout("SLOW")), b"1" * 70_000 + b"\r", line.wire(ITEM)[:20],
    ):  # fmt: skip
        line.send(data)
        await line.writer.drain()
        await asyncio.sleep(0.15)
    line.writer.write_eof()
    said = await asyncio.wait_for(line.reader.read(), 5.0)
    frames = said.replace(b"\r\n", b"\r").split(b"\r")
    assert frames.pop() == b""
    assert len(frames) >= 8
    for frame in frames:
        assert parse(frame).code in ("94", "96", "98", "12")


async def test_14_300_at_once_beyond_any_cap_are_answered_where_sipserver_leaves_40_waiting(place: Any) -> None:
    server = await place.serve(limits=Limits(connections=260))
    for wave in (300, 200):
        lines = await asyncio.gather(*[place.dial() for _ in range(wave)])
        answers = await asyncio.gather(*[line.login() for line in lines])
        oks = [answer.fixed["ok"] for answer in answers]
        assert (oks.count("1"), oks.count("0")) == (min(wave, 260), wave - min(wave, 260))
        for line, ok in zip(lines, oks, strict=True):
            if ok == "0":
                assert await line.closed()
            with contextlib.suppress(ConnectionError):
                await line.close()
        while server.connections or server.away:
            await asyncio.sleep(0.01)


async def test_15_a_slow_request_delays_no_other_kiosk(place: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    await place.serve()
    slow = [await place.kiosk() for _ in range(20)]
    quick = await place.kiosk()
    for n, line in enumerate(slow):
        line.send(line.wire(checkout(f"SLOW{n}")))
    clock = asyncio.get_running_loop().time
    began = clock()
    for _ in range(100):
        assert (await quick.ask(ITEM)).code == "18"
    assert clock() - began < 2.0
    place.library.slow.set()
    assert [(await line.frame())[:3] for line in slow] == [b"121"] * 20
