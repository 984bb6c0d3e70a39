"""The dialects seen in the field, each on a live socket: accepted, answered in kind, and shown."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.selfcheck import Account
from protocols.sip2 import parse, seal
from protocols.sip2.checksum import az_of_sum, code_point_sum
from tests.drivers.selfcheck.test_server import BLANK_DATE, DATE, ITEM


@pytest.mark.parametrize(("end", "name"), [(b"\r", "CR"), (b"\n", "LF"), (b"\r\n", "CRLF")])
async def test_the_answer_ends_as_the_request_did_blank_lines_or_not(place: Any, end: bytes, name: str) -> None:
    server = await place.serve()
    line = await place.dial()
    line.send(end + line.wire("9300CNkiosk1|COsecret|", end))
    assert (await line.frame(end)).startswith(b"941")
    for _ in range(3):
        line.send(end + end + line.wire(ITEM, end))
        assert (await line.frame(end)).startswith(b"18")
    assert server.public()[0]["dialect"]["terminator"] == name


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("ascii", "plain"),
        ("utf-8", "红楼梦"),
        ("gb18030", "東方雜誌遼質觸億"),
        ("cp850", "München"),
        ("latin-1", "Åsa Öberg"),
    ],
)
async def test_a_configured_encoding_is_read_and_written(place: Any, encoding: str, text: str) -> None:
    place.accounts = {"one": Account("kiosk1", "secret", "251020", encoding=encoding)}
    await place.serve()
    line = await place.kiosk()
    answer = await line.ask(f"17{DATE}AO251020|AB{text}|AC|", encoding=encoding)
    assert (answer.code, answer.get("AB")) == ("18", text)


@pytest.mark.parametrize(("encoding", "text"), [("utf-8", "红楼梦"), ("gb18030", "东方杂志理工分馆")])
async def test_an_encoding_is_learned_from_the_kiosks_own_bytes(place: Any, encoding: str, text: str) -> None:
    server = await place.serve()
    line = await place.kiosk()
    answer = await line.ask(f"17{DATE}AO{text}|AB1|AC|", encoding=encoding)
    assert answer.get("AJ") == "红楼梦｜下"
    assert server.public()[0]["dialect"]["encoding"] in (encoding, "gbk" if encoding == "gb18030" else encoding)


async def test_a_checksum_over_code_points_is_accepted_and_ours_is_over_bytes(place: Any) -> None:
    await place.serve()
    line = await place.kiosk()
    text = f"17{DATE}AO理工分馆|AB1|AC|AY1AZ"
    line.send(text.encode() + az_of_sum(code_point_sum(text)) + b"\r")
    assert parse((await line.frame())[:-1]).checksum == "ok"


async def test_error_detection_is_the_clients_choice_message_by_message(place: Any) -> None:
    place.accounts = {"one": Account("kiosk1", "secret", "251020", error_detection=True)}
    await place.serve()
    line = await place.kiosk()
    line.send(ITEM.encode() + b"\r")
    assert b"AZ" not in await line.frame()
    line.send(line.wire(ITEM))
    assert b"AY1AZ" in await line.frame()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (f"11YN{DATE}{BLANK_DATE}AAR1|AB1|", "12"),
        (f"23019{DATE}AO251020|AAR1|AC|AD1234", "24"),
        ("990 802.00", "98"),
        ("9900801.00", "98"),
        ("9900802.0E|", "98"),
        ("65AO251020|AAR1|AD1234|", "66"),
        (f"17001{DATE}AO251020|AB1|", "18"),
        (f"17{DATE}|AO251020|AB1|", "18"),
        (f"17{DATE}1AO251020|AB1|", "18"),
        (f"17{DATE}AB1|XXwhat|AO251020|AB2|Q7|", "18"),
        (f"63019{DATE}  Y       AO251020|AAR1|AC|AD|BP1|BQ00005|", "64"),
        (f"17{DATE}AO251020|AB1|AM{'x' * 10}{' ' * 150}|", "18"),
        (f"17{DATE}AO251020|AB1|{' ' * 150}", "18"),
        (f"17{DATE}AO251020|AB{'1' * 300}|", "18"),
    ],
)
async def test_a_deviation_is_accepted_and_the_line_goes_on(place: Any, body: str, code: str) -> None:
    await place.serve()
    line = await place.kiosk()
    assert (await line.ask(body)).code == code
    assert (await line.ask(ITEM)).code == "18"


async def test_several_63_in_a_row_are_answered_each(place: Any) -> None:
    await place.serve()
    line = await place.kiosk()
    for summary in ("Y         ", " Y        ", "  Y       ", "          "):
        assert (await line.ask(f"63019{DATE}{summary}AO251020|AAR1|AC|AD|")).code == "64"


async def test_what_was_learned_is_shown_for_the_kiosk(place: Any) -> None:
    server = await place.serve()
    line = await place.dial()
    line.send(seal(b"9300CNkiosk1|COsecret|", "0") + b"\r\n")
    await line.frame(b"\r\n")
    for body in ("990 801.00", f"17001{DATE}AO东方杂志|AB1|"):
        line.send(line.wire(body, b"\r\n", "gb18030"))
        await line.frame(b"\r\n")
    shown = server.public()[0]["dialect"]
    assert shown["terminator"] == "CRLF"
    assert shown["error_detection"] is True
    assert {"stray_001", "version_1_00"} <= set(shown["quirks"])
