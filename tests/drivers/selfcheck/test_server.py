"""The server over live sockets; the numbers in names are those of the defects proved in peers."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from drivers.selfcheck import Limits
from protocols.sip2 import parse, seal
from protocols.sip2.dates import BLANK_DATE

DATE = "20261122    193711"
ITEM = f"17{DATE}AO251020|AB0012345678|"


def checkout(item_no: str, date: str = DATE) -> str:
    return f"11YN{date}{BLANK_DATE}AO251020|AAR1|AB{item_no}|AC|AD1234|"


def waiting_bytes(place: Any) -> int:
    """What the server holds unread of its kiosks."""
    return max(connection.session.buffered for connection in place.server.connections)


class TestRefusals:
    async def test_10_before_login_94_0_or_98_offline_and_the_line_stays(self, place: Any) -> None:
        await place.serve()
        line = await place.dial()
        assert (await line.ask(ITEM)).fixed == {"ok": "0"}
        status = await line.ask("9900802.00")
        assert (status.code, status.fixed["on_line_status"]) == ("98", "N")
        assert (await line.login()).fixed == {"ok": "1"}
        assert (await line.ask("9900802.00")).fixed["on_line_status"] == "Y"
        assert place.library.executed == [("99", "")]

    @pytest.mark.parametrize("login", [("kiosk1", "wrong"), ("nobody", "secret"), ("kiosk1", ""), ("", "")])
    async def test_a_wrong_login_is_refused_and_the_line_stays(self, place: Any, login: tuple[str, str]) -> None:
        server = await place.serve()
        line = await place.dial()
        assert (await line.login(*login)).fixed == {"ok": "0"}
        assert (await line.ask(ITEM)).code == "94"
        assert (await line.login()).fixed == {"ok": "1"}
        assert (server.stats.login_failures, server.stats.logins) == (1, 1)

    async def test_3_a_bad_checksum_executes_nothing(self, place: Any) -> None:
        await place.serve()
        line = await place.kiosk()
        line.send(checkout("1").encode() + b"AY1AZ0000\r")
        assert await line.frame() == b"96AZFEF6\r"
        assert place.library.executed == []

    async def test_9_an_unknown_code_gets_no_answer_and_the_line_stays(
        self, place: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        await place.serve()
        line = await place.kiosk()
        with caplog.at_level(logging.WARNING):
            line.send(line.wire("55AA2026001|"))
            assert await line.silent()
        assert (await line.ask(ITEM)).code == "18"
        assert "message 55: unknown_message" in caplog.text
        assert "2026001" not in caplog.text

    async def test_13_lines_of_another_protocol_get_nothing(self, place: Any) -> None:
        await place.serve()
        line = await place.dial()
        line.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await line.silent()

    async def test_the_line_is_ended_without_login_in_time(self, place: Any) -> None:
        server = await place.serve(limits=Limits(login_s=0.1))
        line, kiosk = await place.dial(), await place.kiosk()
        assert (await line.ask("9900802.00")).code == "98"
        assert await line.closed()
        assert (await kiosk.ask(ITEM)).code == "18"
        assert server.stats.ended_idle == 1

    async def test_an_idle_line_is_ended(self, place: Any) -> None:
        await place.serve(limits=Limits(idle_s=0.1))
        assert await (await place.kiosk()).closed()

    async def test_a_kiosk_that_takes_no_answers_is_not_read_any_further(self, place: Any) -> None:
        await place.serve()
        line = await place.kiosk()
        line.send(line.wire(ITEM) * 100_000)
        other = await place.kiosk()
        for _ in range(20):
            assert (await other.ask(ITEM)).code == "18"
        assert waiting_bytes(place) < 500_000

    async def test_a_kiosk_that_sends_ahead_of_its_answers_is_not_read_any_further(self, place: Any) -> None:
        await place.serve()
        line = await place.kiosk()
        line.send(line.wire(checkout("SLOW")) + line.wire(ITEM) * 100_000)
        await asyncio.sleep(0.1)
        assert 0 < waiting_bytes(place) < 500_000
        place.library.slow.set()
        assert [(await line.frame())[:2] for _ in range(1000)] == [b"12"] + [b"18"] * 999

    async def test_a_flood_of_repeats_leaves_the_others_their_turn(self, place: Any) -> None:
        server = await place.serve()
        line, other = await place.kiosk(), await place.kiosk()
        await line.ask(ITEM)
        line.sequence = 1
        line.send(line.wire(ITEM) * 2000)
        other.send(other.wire(ITEM))
        await other.frame()
        assert server.stats.settled["duplicate"] < 500
        assert len({await line.frame() for _ in range(2000)}) == 1

    async def test_an_endless_frame_is_dropped(self, place: Any) -> None:
        await place.serve()
        line = await place.kiosk()
        line.send(b"17" + b"x" * 200_000 + b"\r")
        assert await line.frame() == b"96AZFEF6\r"
        assert (await line.ask(ITEM)).code == "18"

    async def test_failures_are_slowed_down_and_right_logins_are_not(self, place: Any) -> None:
        await place.serve()
        await place.kiosk()
        lines = [await place.dial() for _ in range(40)]
        for line in lines:
            line.send(line.wire("9300CNkiosk1|COwrong|"))
        clock = asyncio.get_running_loop().time
        began = clock()
        for _ in range(20):
            await place.kiosk()
        assert clock() - began < 1.0

    async def test_nothing_secret_is_logged(self, place: Any, caplog: pytest.LogCaptureFixture) -> None:
        await place.serve()
        with caplog.at_level(logging.DEBUG):
            line = await place.kiosk()
            await line.ask("2301920261122    193711AO251020|AAR2026001|ACterm|ADpin77|")
            await line.ask(checkout("FAULT").replace("R1", "R2026001"))
            await line.login("kiosk1", "wrong-password")
        assert caplog.text.count("kiosk") > 3
        for secret in ("R2026001", "pin77", "term|", "1234|", "secret", "wrong-password"):
            assert secret not in caplog.text


class TestFraming:
    async def test_1_every_request_of_a_segment_is_answered(self, place: Any) -> None:
        await place.serve()
        line = await place.kiosk()
        line.send(line.wire("9900802.00") + line.wire(ITEM) + line.wire(checkout("1")))
        assert [(await line.frame())[:2] for _ in range(3)] == [b"98", b"18", b"12"]

    async def test_2_a_request_in_single_bytes_with_unknown_fields(self, place: Any) -> None:
        await place.serve()
        line = await place.kiosk()
        for byte in line.wire(f"17{DATE}ZZwhat|AO251020|AB1|Q9|"):
            line.send(bytes([byte]))
            await line.writer.drain()
            await asyncio.sleep(0)
        assert (await line.frame())[:2] == b"18"

    @pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
    async def test_8_every_terminator_for_ever(self, place: Any, end: bytes) -> None:
        await place.serve()
        line = await place.dial()
        for _ in range(30):
            line.send(line.wire("9300CNkiosk1|COsecret|", end))
            frame = await line.frame(end)
            assert frame.endswith(end) and frame.startswith(b"941AY")

    async def test_4_checksums_and_counts_are_padded_with_zeros(self, place: Any) -> None:
        await place.serve()
        line = await place.kiosk()
        message = await line.ask(f"63019{DATE}          AO251020|AAR1|AC|AD|")
        assert message.fixed["charged_items_count"] == "0003"
        assert message.checksum == "ok"

    async def test_a_kiosk_without_error_detection_gets_none(self, place: Any) -> None:
        await place.serve()
        line = await place.dial()
        line.send(b"9300CNkiosk1|COsecret|\r" + ITEM.encode() + b"\r")
        assert await line.frame() == b"941\r"
        frame = (await line.frame()).decode()
        assert frame == f"18030001{DATE}AB0012345678|AJ红楼梦｜下|\r"


class TestDialects:
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (f"11YN{DATE}{BLANK_DATE}AAR1|AB1|", "12"),
            (f"23019{DATE}AO251020|AAR1", "24"),
            ("990 802.00", "98"),
            ("9900302.0E|", "98"),
            ("9900301.00", "98"),
            (f"17001{DATE}AO251020|AB1|", "18"),
            (f"17{DATE}|AO251020|AB1|", "18"),
            (f"17{DATE}AO251020|AB{'1' * 3000}|", "18"),
            (f"63019{DATE}  Y       AO251020|AAR1|BP1|BQ00002|", "64"),
        ],
    )
    async def test_7_what_kiosks_send_is_accepted(self, place: Any, body: str, code: str) -> None:
        await place.serve()
        line = await place.kiosk()
        assert (await line.ask(body)).code == code

    async def test_11_65_without_its_date_is_answered(self, place: Any) -> None:
        await place.serve()
        line = await place.kiosk()
        message = await line.ask("65AO251020|AAR1|AD1234|BON|")
        assert (message.code, message.all("BM"), message.all("BN")) == ("66", ("1",), ("2",))

    async def test_12_bytes_that_are_no_text_are_answered_and_logged(
        self, place: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        await place.serve()
        line = await place.kiosk()
        line.send(seal(f"17{DATE}AB".encode() + b"\xff\xfe|", "1") + b"\r")
        assert (await line.frame())[:2] == b"18"
        assert "bytes that are no text" in caplog.text

    async def test_gbk_by_account(self, place: Any) -> None:
        await place.serve()
        line = await place.kiosk("gbk")
        assert (await line.ask(ITEM, encoding="gbk")).get("AJ") == "红楼梦｜下"

    async def test_gbk_learned(self, place: Any) -> None:
        await place.serve()
        line = await place.kiosk()
        assert (await line.ask(f"17{DATE}AO東方雜誌|AB1|", encoding="gbk")).get("AJ") == "红楼梦｜下"

    async def test_the_language_a_kiosk_asked_in_is_remembered(self, place: Any) -> None:
        await place.serve()
        line = await place.kiosk()
        await line.ask(ITEM)
        await line.ask(f"23001{DATE}AO251020|AAR1|AC|AD|")
        await line.ask(f"63000{DATE}          AO251020|AAR1|AC|AD|")
        assert place.library.sessions[0] is place.library.sessions[-1]
        assert place.library.sessions[-1].language == "001"


class TestResend:
    async def test_5_6_what_is_sent_again_is_the_same_to_the_byte(self, place: Any) -> None:
        await place.serve()
        line = await place.kiosk()
        line.send(line.wire(checkout("1")))
        first = await line.frame()
        line.send(b"97AZFEF5\r")
        assert await line.frame() == first
        assert b"AY1AZ" in first and first.endswith(b"\r")

    async def test_a_repeat_is_executed_once(self, place: Any) -> None:
        await place.serve()
        line = await place.kiosk()
        data = line.wire(checkout("1"))
        line.send(data + data + data)
        assert len({await line.frame() for _ in range(3)}) == 1
        assert place.library.executed == [("11", "1")]

    async def test_a_transaction_that_comes_again_after_a_reconnect_is_executed_once(self, place: Any) -> None:
        server = await place.serve()
        line = await place.kiosk()
        first = await line.ask(checkout("1"))
        await line.close()
        again = await place.kiosk()
        await again.ask("9900802.00")
        second = await again.ask(checkout("1"))
        assert (second.fixed, second.fields) == (first.fixed, first.fields)
        assert second.sequence == "2"
        assert place.library.executed == [("11", "1"), ("99", "")]
        assert server.stats.replayed == 1

    async def test_a_repeat_while_the_first_is_still_executed_waits_for_it(self, place: Any) -> None:
        await place.serve()
        line = await place.kiosk()
        line.send(line.wire(checkout("SLOW")))
        await line.writer.drain()
        await asyncio.sleep(0.02)
        await line.close()
        again = await place.kiosk()
        again.send(again.wire(checkout("SLOW")))
        assert await again.silent()
        place.library.slow.set()
        assert parse((await again.frame())[:-1]).fixed["ok"] == "1"
        assert place.library.executed == [("11", "SLOW")]

    async def test_what_was_refused_is_asked_again(self, place: Any) -> None:
        await place.serve()
        line = await place.kiosk()
        await line.ask(checkout("NO"))
        await line.ask(checkout("NO"))
        assert place.library.executed == [("11", "NO")] * 2

    async def test_another_date_is_another_transaction(self, place: Any) -> None:
        await place.serve()
        line = await place.kiosk()
        await line.ask(checkout("1"))
        await line.ask(checkout("1", "20261122    193712"))
        assert place.library.executed == [("11", "1")] * 2

    async def test_borrowed_returned_and_borrowed_with_one_date_is_three_transactions(self, place: Any) -> None:
        await place.serve()
        line = await place.kiosk()
        for body in (checkout("1"), f"09N{DATE}{DATE}AP|AO251020|AB1|AC|", checkout("1")):
            await line.ask(body)
        assert place.library.executed == [("11", "1"), ("09", "1"), ("11", "1")]


class TestRoom:
    async def test_14_beyond_the_cap_a_kiosk_is_answered_and_closed(self, place: Any) -> None:
        server = await place.serve(limits=Limits(connections=3))
        inside = [await place.kiosk() for _ in range(3)]
        late = [await place.dial() for _ in range(10)]
        assert [(await line.login()).fixed for line in late[:5]] == [{"ok": "0"}] * 5
        for line in late[5:]:
            assert (await line.ask("9900802.00")).fixed["on_line_status"] == "N"
        assert all([await line.closed() for line in late])
        assert server.stats.turned_away == 10
        for line in inside:
            assert (await line.ask(ITEM)).code == "18"
        await inside[0].close()
        await asyncio.sleep(0.02)
        await place.kiosk()

    async def test_a_silent_peer_beyond_the_cap_is_closed(self, place: Any) -> None:
        await place.serve(limits=Limits(connections=0, turn_away_s=0.1))
        assert await (await place.dial()).closed()

    async def test_an_account_has_its_own_cap(self, place: Any) -> None:
        await place.serve()
        first, _ = await place.kiosk("few"), await place.kiosk("few")
        late = await place.dial()
        assert (await late.login("few")).fixed == {"ok": "0"}
        assert await late.closed()
        assert (await first.login("few")).fixed == {"ok": "1"}

    async def test_14_300_at_once_and_200_after_them_are_all_served(self, place: Any) -> None:
        server = await place.serve()
        for wave in (300, 200):
            lines = await asyncio.gather(*[place.dial() for _ in range(wave)])
            answers = await asyncio.gather(*[line.login() for line in lines])
            assert [answer.fixed["ok"] for answer in answers] == ["1"] * wave
        assert len(server.kiosks) == 500


class TestSlowHandler:
    async def test_15_a_slow_request_never_delays_another_kiosk(self, place: Any) -> None:
        await place.serve()
        slow, quick = await place.kiosk(), await place.kiosk()
        slow.send(slow.wire(f"17{DATE}AO251020|ABSLOW|"))
        clock = asyncio.get_running_loop().time
        began = clock()
        for _ in range(50):
            await quick.ask(ITEM)
        assert clock() - began < 1.0
        place.library.slow.set()
        assert (await slow.frame())[:2] == b"18"

    async def test_a_request_that_takes_too_long_is_refused_with_a_text(self, place: Any) -> None:
        server = await place.serve(limits=Limits(handler_s=0.05))
        line = await place.kiosk()
        message = await line.ask(checkout("SLOW"))
        assert (message.code, message.fixed["ok"], message.fixed["desensitize"]) == ("12", "0", "N")
        assert "OUT_OF_SERVICE" in message.get("AF")
        assert server.stats.timeouts == 1

    @pytest.mark.parametrize("item_no", ["FAULT", "FAULTY"])
    async def test_a_fault_of_the_handler_is_a_refusal_and_the_line_stays(self, place: Any, item_no: str) -> None:
        server = await place.serve()
        line = await place.kiosk()
        assert (await line.ask(checkout(item_no))).fixed["ok"] == "0"
        assert (await line.ask(ITEM)).code == "18"
        assert server.stats.handler_errors == 1

    async def test_closing_finishes_what_is_under_way(self, place: Any) -> None:
        server = await place.serve()
        line = await place.kiosk()
        line.send(line.wire(checkout("SLOW")) + line.wire(ITEM))
        await line.writer.drain()
        await asyncio.sleep(0.02)
        closing = asyncio.create_task(server.close())
        await asyncio.sleep(0.02)
        place.library.slow.set()
        assert (await line.frame())[:2] == b"12"
        await closing
        assert await line.closed()
        assert server.kiosks == ()

    async def test_closing_does_not_wait_for_ever(self, place: Any) -> None:
        server = await place.serve(limits=Limits(close_s=0.05))
        line = await place.kiosk()
        line.send(line.wire(checkout("SLOW")))
        await asyncio.sleep(0.02)
        async with asyncio.timeout(1.0):
            await server.close()


async def test_presence_is_told(place: Any) -> None:
    told: list[tuple[str, bool]] = []
    await place.serve(on_presence=lambda session, here: told.append((session.account.user, here)))
    line = await place.kiosk()
    await line.close()
    await asyncio.sleep(0.02)
    assert told == [("kiosk1", True), ("kiosk1", False)]
