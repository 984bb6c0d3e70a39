"""The tracer sees every frame as it was on the wire, with what became of it; and the counts for metrics."""

from __future__ import annotations

from typing import Any

from drivers.selfcheck import Limits, TraceLine
from tests.drivers.selfcheck.conftest import NOW
from tests.drivers.selfcheck.test_server import ITEM, checkout


class Book:
    def __init__(self) -> None:
        self.lines: list[TraceLine] = []

    def note(self, line: TraceLine) -> None:
        self.lines.append(line)

    def brief(self) -> list[tuple[str, bytes, str]]:
        return [(line.direction, line.frame[:3], line.note) for line in self.lines]


async def test_every_frame_in_and_out_is_noted_spoilt_and_ignored_ones_too(place: Any) -> None:
    book = Book()
    await place.serve(tracer=book)
    line = await place.dial()
    await line.ask(ITEM)
    await line.login()
    line.send(line.wire(checkout("1"), b"\r\n"))
    answer = await line.frame(b"\r\n")
    line.send(b"GET / HTTP/1.1\r\n" + checkout("1").encode() + b"AY1AZ0000\r\n97AZFEF5\r\n")
    for _ in range(2):
        await line.frame(b"\r\n")
    assert book.brief() == [
        ("in", b"172", "not_logged_in"), ("out", b"940", "not_logged_in"),
        ("in", b"930", ""), ("out", b"941", ""),
        ("in", b"11Y", ""), ("out", b"121", ""),
        ("in", b"GET", "not_a_message"),
        ("in", b"11Y", "bad_checksum"), ("out", b"96A", "bad_checksum"),
        ("in", b"97A", "resend"), ("out", b"96A", "resend"),
    ]  # fmt: skip
    noted = book.lines[5]
    assert noted.frame == answer[:-2]
    assert (noted.at, noted.connection, noted.address, noted.account) == (NOW, 1, "127.0.0.1", "kiosk1")
    assert (noted.listener, noted.encoding) == ("tcp://127.0.0.1:0", "utf-8")
    assert book.lines[0].account is None


async def test_an_answer_that_had_to_be_waited_for_and_one_that_has_no_room_are_noted(place: Any) -> None:
    book = Book()
    await place.serve(tracer=book, limits=Limits(connections=1))
    line = await place.kiosk()
    line.send(line.wire(checkout("SLOW")))
    late = await place.dial()
    await late.login()
    place.library.slow.set()
    await line.frame()
    assert book.brief()[2:] == [("in", b"11Y", ""), ("in", b"930", ""), ("out", b"940", "no_room"), ("out", b"121", "")]


async def test_messages_are_counted_by_listener_account_and_code_and_nothing_else(place: Any) -> None:
    server = await place.serve()
    line = await place.kiosk()
    for body in (ITEM, ITEM.replace("AB", "ABX"), checkout("1")):
        await line.ask(body)
    await line.login("nobody")
    assert server.messages() == {("tcp://127.0.0.1:0", "kiosk1", "17"): 2, ("tcp://127.0.0.1:0", "kiosk1", "11"): 1}
    assert server.stats.opened == {"tcp://127.0.0.1:0": 1}
    assert "R1" not in repr(server.stats)
