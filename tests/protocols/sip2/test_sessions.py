"""The library system's end of a connection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sip2 import (
    NEED_DATA,
    PAUSED,
    Answer,
    Ignored,
    LocalProtocolError,
    Login,
    Request,
    ServerSession,
    State,
    parse,
    seal,
)

NOW = datetime(2026, 11, 22, 19, 37, 11, tzinfo=UTC)
LATER = NOW + timedelta(seconds=61)
DATE = "20261122    193711"
ITEM_REPLY = {"circulation_status": "03", "security_marker": "00", "fee_type": "01", "transaction_date": DATE}


def wire(body: str, sequence: str | None, end: bytes = b"\r", encoding: str = "utf-8") -> bytes:
    return seal(body.encode(encoding), sequence) + end


def logged_in() -> ServerSession:
    session = ServerSession()
    session.receive(wire("9300CNkiosk1|COsecret|", "0"))
    assert isinstance(session.next_event(NOW), Login)
    session.answer({"ok": "1"}, ())
    return session


def item(number: int) -> str:
    return f"17{DATE}AO251020|AB{number:010d}|"


class TestBeforeLogin:
    def test_a_request_is_answered_94_0_and_nothing_is_executed(self) -> None:
        session = ServerSession()
        session.receive(wire(item(1), "3"))
        event = session.next_event(NOW)
        assert event == Answer(b"940AY3AZFDFB\r", "not_logged_in", "17")
        assert session.state is State.NEW

    def test_99_is_answered_offline(self) -> None:
        session = ServerSession()
        session.receive(wire("9900802.00", "1"))
        event = session.next_event(NOW)
        assert isinstance(event, Answer)
        message = parse(event.data[:-1])
        assert (message.code, message.fixed["on_line_status"], message.sequence) == ("98", "N", "1")
        assert message.checksum == "ok"

    def test_97_with_nothing_sent_yet_is_answered_96(self) -> None:
        session = ServerSession()
        session.receive(b"97AZFEF5\r")
        assert session.next_event(NOW) == Answer(b"96AZFEF6\r", "resend", "97")

    def test_a_refused_login_stays_outside(self) -> None:
        session = ServerSession()
        session.receive(wire("9300CNkiosk1|COwrong|", "0"))
        session.next_event(NOW)
        assert session.answer({"ok": "0"}, ()) == b"940AY0AZFDFE\r"
        assert session.state is State.NEW

    def test_a_refused_second_login_logs_out(self) -> None:
        session = logged_in()
        session.receive(wire("9300CNkiosk1|COwrong|", "1"))
        assert isinstance(session.next_event(NOW), Login)
        session.answer({"ok": "0"}, ())
        assert session.state is State.NEW


class TestErrorDetection:
    def test_a_bad_checksum_executes_nothing(self) -> None:
        session = logged_in()
        session.receive(item(1).encode() + b"AY1AZ0000\r")
        assert session.next_event(NOW) == Answer(b"96AZFEF6\r", "bad_checksum", "17")
        assert session.next_event(NOW) is NEED_DATA

    def test_a_bad_checksum_on_what_cannot_be_read_either(self) -> None:
        session = logged_in()
        session.receive(b"1\x06" + item(1)[2:].encode() + b"AY1AZ0000\r" + b"17AY1AZ0000\r")
        assert [session.next_event(NOW), session.next_event(NOW)] == [
            Answer(b"96AZFEF6\r", "bad_checksum", "??"),
            Answer(b"96AZFEF6\r", "bad_checksum", "17"),
        ]

    def test_a_checksum_over_code_points_is_accepted(self) -> None:
        body = f"17{DATE}AO理工分馆|AB1|AY1AZ"
        frame = body + f"{-sum(map(ord, body)) & 0xFFFF:04X}"
        session = logged_in()
        session.receive(frame.encode() + b"\r")
        assert isinstance(session.next_event(NOW), Request)

    def test_the_same_frame_again_gives_the_same_bytes_and_is_executed_once(self) -> None:
        session = logged_in()
        frame = wire(item(1), "1")
        session.receive(frame)
        assert isinstance(session.next_event(NOW), Request)
        first = session.answer(ITEM_REPLY, [("AB", "1"), ("AJ", "Book")])
        session.receive(frame)
        assert session.next_event(NOW + timedelta(seconds=59)) == Answer(first, "duplicate", "17")

    def test_the_same_frame_after_a_minute_is_a_new_request(self) -> None:
        session = logged_in()
        frame = wire(item(1), "1")
        session.receive(frame + frame)
        assert isinstance(session.next_event(NOW), Request)
        session.answer(ITEM_REPLY, ())
        assert isinstance(session.next_event(LATER), Request)

    def test_two_barcodes_with_one_sum_are_two_requests(self) -> None:
        session = logged_in()
        session.receive(wire(f"17{DATE}AB12|", "0") + wire(f"17{DATE}AB21|", "0"))
        assert isinstance(session.next_event(NOW), Request)
        session.answer(ITEM_REPLY, ())
        assert isinstance(session.next_event(NOW), Request)

    def test_a_kiosk_without_error_detection_is_never_taken_for_a_repeat(self) -> None:
        session = logged_in()
        session.receive((item(1) + "\r").encode() * 2)
        assert isinstance(session.next_event(NOW), Request)
        assert session.answer(ITEM_REPLY, ()) == f"18030001{DATE}\r".encode()
        assert isinstance(session.next_event(NOW), Request)

    def test_97_sends_the_last_bytes_again_with_ay_and_terminator(self) -> None:
        session = logged_in()
        session.receive(wire(item(1), "8"))
        session.next_event(NOW)
        first = session.answer(ITEM_REPLY, ())
        session.receive(b"97AZFEF5\r97AZFEF5\r")
        assert session.next_event(NOW) == session.next_event(NOW) == Answer(first, "resend", "97")
        assert first.endswith(b"\r") and b"AY8AZ" in first

    def test_a_spoilt_97_does_not_turn_the_last_reply_into_96(self) -> None:
        session = logged_in()
        session.receive(b"97AZ0000\r97AZFEF5\r")
        assert session.next_event(NOW) == Answer(b"96AZFEF6\r", "bad_checksum", "97")
        assert session.next_event(NOW) == Answer(b"941AY0AZFDFD\r", "resend", "97")

    def test_the_sequence_wraps_without_a_96(self) -> None:
        session = logged_in()
        for number in range(25):
            session.receive(wire(item(number), str(number % 10)))
            assert isinstance(session.next_event(NOW), Request)
            assert f"AY{number % 10}".encode() in session.answer(ITEM_REPLY, ())


class TestDialect:
    @pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
    def test_answers_end_as_the_kiosk_ends(self, end: bytes) -> None:
        session = ServerSession()
        for number in range(3):
            session.receive(wire("9300CNkiosk1|COsecret|", str(number), end))
            session.next_event(NOW)
            assert session.answer({"ok": "1"}, ()).endswith(b"AY%dAZ%s" % (number, session_az(number)) + end)

    def test_gbk_is_learned_from_the_first_text_and_kept(self) -> None:
        session = logged_in()
        session.receive(wire(f"17{DATE}AO理工分馆|AB1|", "1", encoding="gbk"))
        event = session.next_event(NOW)
        assert isinstance(event, Request)
        assert event.message.get("AO") == "理工分馆"
        assert "馆".encode("gbk") in session.answer(ITEM_REPLY, [("AB", "1"), ("AJ", "馆")])
        session.receive(wire(f"17{DATE}AO东|AB1|", "2", encoding="gbk"))
        event = session.next_event(NOW)
        assert isinstance(event, Request) and event.message.get("AO") == "东"

    def test_latin_1_letters_do_not_make_a_kiosk_chinese(self) -> None:
        session = logged_in()
        session.receive(wire(f"17{DATE}AOCaf\xe9|AB1|", "1", encoding="latin-1"))
        event = session.next_event(NOW)
        assert isinstance(event, Request)
        assert (event.message.get("AB"), event.message.get("AO"), event.message.replaced) == ("1", "Café", False)
        assert session.dialect.encoding == "latin-1"

    def test_bytes_spoilt_on_the_way_settle_no_encoding(self) -> None:
        session = logged_in()
        spoilt = wire(f"17{DATE}AO理工分馆|AB1|", "1").replace("理".encode(), b"\xc0\xed\xb9")
        session.receive(spoilt + wire(f"17{DATE}AO理工分馆|AB1|", "1"))
        assert session.next_event(NOW) == Answer(b"96AZFEF6\r", "bad_checksum", "17")
        event = session.next_event(NOW)
        assert isinstance(event, Request) and event.message.get("AO") == "理工分馆"

    def test_an_account_without_an_encoding_does_not_undo_what_was_learned(self) -> None:
        session = ServerSession()
        session.receive(wire("9300CNkiosk1|COsecret|CP理工|", "0", encoding="gbk"))
        session.next_event(NOW)
        session.use()
        assert session.dialect.encoding == "gb18030"

    def test_an_account_without_error_detection_is_answered_without_it(self) -> None:
        session = logged_in()
        session.use(error_detection=False)
        session.receive(wire(item(1), "1"))
        assert isinstance(session.next_event(NOW), Request)
        assert session.answer(ITEM_REPLY, [("AB", "1")]) == f"18030001{DATE}AB1|\r".encode()

    def test_an_account_with_another_delimiter_is_read_and_answered_with_it(self) -> None:
        session = logged_in()
        session.use(delimiter="^")
        session.receive(wire(item(1).replace("|", "^"), "1"))
        event = session.next_event(NOW)
        assert isinstance(event, Request) and event.message.get("AB") == "0000000001"
        answer = session.answer(ITEM_REPLY, [("AB", "1"), ("AJ", "a^b|c")])
        assert answer == wire(f"18030001{DATE}AB1^AJa b|c^", "1")

    def test_unknown_codes_and_lines_that_are_no_messages_get_no_answer(self) -> None:
        session = logged_in()
        session.receive(wire("55hello", "1") + b"GET / HTTP/1.1\r\n" + wire("941", "2") + b"96AZFEF6\r")
        assert [session.next_event(NOW) for _ in range(4)] == [
            Ignored("unknown_message", "55"),
            Ignored("not_a_message", "??"),
            Ignored("not_a_request", "94"),
            Ignored("not_a_request", "96"),
        ]
        assert session.state is State.READY

    def test_an_endless_frame_is_answered_and_the_next_one_served(self) -> None:
        session = logged_in()
        session.receive(b"17" + b"x" * 20_000 + b"\r" + wire(item(1), "1"))
        assert session.next_event(NOW) == Answer(b"96AZFEF6\r", "too_long", "??")
        assert isinstance(session.next_event(NOW), Request)


def session_az(number: int) -> bytes:
    return seal(b"941", str(number))[-4:]


class TestOrder:
    def test_an_answer_without_a_request_is_our_own_fault(self) -> None:
        with pytest.raises(LocalProtocolError):
            logged_in().answer(ITEM_REPLY, ())

    def test_one_request_is_open_at_a_time(self) -> None:
        session = logged_in()
        session.receive(wire(item(1), "1") + wire(item(2), "2"))
        assert isinstance(session.next_event(NOW), Request)
        assert session.next_event(NOW) is PAUSED
        session.answer(ITEM_REPLY, ())
        event = session.next_event(NOW)
        assert isinstance(event, Request) and event.message.sequence == "2"

    def test_a_reply_that_cannot_be_written_leaves_the_request_open(self) -> None:
        session = logged_in()
        session.receive(wire(item(1), "1"))
        session.next_event(NOW)
        with pytest.raises(LocalProtocolError):
            session.answer({}, ())
        assert session.answer(ITEM_REPLY, ())

    def test_98_may_answer_any_request(self) -> None:
        session = logged_in()
        session.receive(wire(item(1), "1"))
        session.next_event(NOW)
        from protocols.sip2.server import offline_status

        assert session.answer(*offline_status(NOW), code="98").startswith(b"98NNNNNN")

    def test_without_login_a_listener_serves_at_once(self) -> None:
        session = ServerSession(login_required=False)
        session.receive(wire(item(1), "1"))
        assert isinstance(session.next_event(NOW), Request)


@given(st.binary(max_size=300))
def test_garbage_never_breaks_a_session(data: bytes) -> None:
    session = logged_in()
    session.receive(data + b"\r")
    while (event := session.next_event(NOW)) is not NEED_DATA:
        assert isinstance(event, Answer | Ignored | Request | Login)
        if isinstance(event, Request | Login):
            break
