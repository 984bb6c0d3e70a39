"""The ring of lines: bounded in lines, kiosks and bytes; latencies; followers that cannot keep up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from drivers.selfcheck.tracing import TraceLine
from edge.trace.book import TraceBook

AT = datetime(2026, 11, 22, 19, 37, 11, tzinfo=UTC)
DATE = "20261122    193711"


class Ticks:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def line(
    frame: str, direction: Literal["in", "out"] = "in", account: str | None = "kiosk1", connection: int = 1, **more: Any
) -> TraceLine:
    fields: dict[str, Any] = {"listener": "hall", "address": "192.0.2.7", "encoding": "utf-8", **more}
    return TraceLine(AT, connection, account=account, direction=direction, frame=frame.encode(), **fields)


def item(number: int) -> str:
    return f"17{DATE}AO251020|AB{number:010d}|"


def test_only_the_last_lines_of_a_kiosk_are_kept() -> None:
    book = TraceBook(lines=5)
    for number in range(20):
        book.note(line(item(number)))
    assert [kept.text[-11:-1] for kept in book.lines("kiosk1")] == [f"{number:010d}" for number in range(15, 20)]
    assert [row["lines"] for row in book.kiosks()] == [20]


def test_the_kiosk_silent_longest_gives_way() -> None:
    book = TraceBook(kiosks=3)
    for account in ("a", "b", "c", "a", "d"):
        book.note(line(item(1), account=account))
    assert [row["kiosk"] for row in book.kiosks()] == ["c", "a", "d"]
    assert book.lines("b") == []


def test_all_lines_together_are_bounded_and_the_largest_kiosk_gives() -> None:
    book = TraceBook(most_bytes=40_000)
    book.note(line(item(1), account="quiet"))
    for number in range(400):
        book.note(line(f"{item(number)}AJ{'题' * 200}|", account="loud"))
    assert book.size <= 40_000
    assert len(book.lines("quiet")) == 1
    assert 5 < len(book.lines("loud")) < 100


def test_what_is_kept_was_masked_before(tmp_path: Any) -> None:
    book = TraceBook()
    book.note(line(f"23001{DATE}AO251020|AAR2026000042|AC|AD246813|"))
    book.note(line("my PIN is 246813", account=None))
    kept = repr([book.lines("kiosk1"), book.lines("(hall)"), book.kiosks()])
    assert "R2026000042" not in kept
    assert "246813" not in kept


def test_before_a_login_a_line_belongs_to_its_listener() -> None:
    book = TraceBook(called=lambda user: f"251020-01-{user}")
    book.note(line("9300CNx|COy|", account=None))
    book.note(line("941", "out"))
    assert [row["kiosk"] for row in book.kiosks()] == ["(hall)", "251020-01-kiosk1"]


def test_an_answer_tells_how_long_it_took_in_the_order_of_the_requests() -> None:
    ticks = Ticks()
    book = TraceBook(ticks=ticks)
    book.note(line(item(1)))
    ticks.now = 0.004
    book.note(line(item(2)))
    book.note(line(item(9), connection=2))
    ticks.now = 0.010
    book.note(line(f"18030001{DATE}AB1|AJx|", "out"))
    ticks.now = 0.012
    book.note(line(f"18030001{DATE}AB2|AJx|", "out"))
    assert [kept.ms for kept in book.lines("kiosk1")] == [None, None, None, 10.0, 8.0]


def test_an_ignored_request_takes_no_answer_of_another() -> None:
    ticks = Ticks()
    book = TraceBook(ticks=ticks)
    book.note(line("77nonsense", note="unknown_message"))
    ticks.now = 1.0
    book.note(line(item(1)))
    ticks.now = 1.002
    book.note(line(f"18030001{DATE}AB1|AJx|", "out"))
    assert book.lines("kiosk1")[-1].ms == 2.0


def test_notes_of_the_server_and_what_was_seen_stand_together() -> None:
    book = TraceBook()
    book.note(line(f"{item(1)}AY1AZ0000", note="bad_checksum"))
    book.note(line("xyz", note="unreadable"))
    book.note(line(item(1), note="duplicate"))
    notes = [kept.note for kept in book.lines("kiosk1")]
    assert notes[0].startswith("bad_checksum right=")
    assert notes[1:] == ["unreadable not_a_message", "duplicate"]
    assert book.kiosks()[0]["odd"] == 3


def test_an_encoding_that_does_not_exist_stops_nothing() -> None:
    book = TraceBook()
    book.note(line(item(1), encoding="klingon"))
    assert book.lines("kiosk1")[0].code == "17"


async def test_a_follower_hears_only_its_kiosk() -> None:
    book = TraceBook()
    follower, all_of_them = book.follow("kiosk1"), book.follow()
    book.note(line(item(1)))
    book.note(line(item(2), account="kiosk2"))
    assert [kept.kiosk for kept in (await follower.taken(0.1))[0]] == ["kiosk1"]
    assert [kept.kiosk for kept in (await all_of_them.taken(0.1))[0]] == ["kiosk1", "kiosk2"]
    assert await follower.taken(0.01) == ([], 0)
    book.unfollow(follower)
    book.note(line(item(3)))
    assert await follower.taken(0.01) == ([], 0)


async def test_a_follower_that_is_too_slow_loses_the_oldest_and_is_told_how_many() -> None:
    book = TraceBook()
    follower = book.follow("kiosk1")
    for number in range(300):
        book.note(line(item(number)))
    lines, left_out = await follower.taken(0.1)
    assert (len(lines), left_out, lines[-1].number) == (200, 100, 300)


def test_connections_without_answers_do_not_pile_up() -> None:
    book = TraceBook()
    for connection in range(5_000):
        book.note(line(item(1), connection=connection))
    assert len(book._open) <= 2_000
