"""Both ends of a connection, each alone and joined in memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sip2 import (
    NEED_DATA,
    PAUSED,
    Answer,
    Answered,
    ClientSession,
    Dropped,
    Ignored,
    LocalProtocolError,
    Login,
    Outgoing,
    RemoteProtocolError,
    Request,
    SendAgain,
    ServerSession,
    State,
    parse,
    seal,
)
from protocols.sip2.requests import checkout, item_information, login, sc_status

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
        assert (event.message.get("AB"), event.message.replaced) == ("1", True)
        assert session.dialect.encoding == "utf-8"

    def test_bytes_spoilt_on_the_way_settle_no_encoding(self) -> None:
        session = logged_in()
        spoilt = wire(f"17{DATE}AO理工分馆|AB1|", "1").replace("理".encode(), b"\xc0\xed\xb9")
        session.receive(spoilt + wire(f"17{DATE}AO理工分馆|AB1|", "1"))
        assert session.next_event(NOW) == Answer(b"96AZFEF6\r", "bad_checksum", "17")
        event = session.next_event(NOW)
        assert isinstance(event, Request) and event.message.get("AO") == "理工分馆"

    def test_an_account_encoding_does_not_undo_what_was_learned(self) -> None:
        session = ServerSession()
        session.receive(wire("9300CNkiosk1|COsecret|CP理工|", "0", encoding="gbk"))
        session.next_event(NOW)
        session.use_encoding("utf-8")
        assert session.dialect.encoding == "gb18030"

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


class Pair:
    """A client and a server session, joined by a line that can be spoilt."""

    def __init__(self, **client: object) -> None:
        self.client = ClientSession(**client)  # type: ignore[arg-type]
        self.server = ServerSession(login_required=False)
        self.executed: list[str] = []

    def serve(self, data: bytes) -> bytes:
        """What the server sends back for these bytes."""
        self.server.receive(data)
        out = b""
        while (event := self.server.next_event(NOW)) is not NEED_DATA:
            if isinstance(event, Answer):
                out += event.data
            elif isinstance(event, Request):
                self.executed.append(event.message.get("AB"))
                out += self.server.answer(ITEM_REPLY, [("AB", event.message.get("AB")), ("AJ", "红楼梦")])
        return out

    def give(self, data: bytes) -> object:
        self.client.receive(data)
        return self.client.next_event()


def ask(number: int) -> Outgoing:
    return item_information("251020", f"{number:010d}", NOW)


class TestClient:
    def test_two_requests_at_a_time_are_our_own_fault(self) -> None:
        client = ClientSession()
        client.send(sc_status())
        with pytest.raises(LocalProtocolError):
            client.send(sc_status())

    def test_retries_are_bounded(self) -> None:
        client = ClientSession(retries=2)
        data = client.send(sc_status())
        assert [client.timed_out(), client.timed_out()] == [data, data]
        with pytest.raises(RemoteProtocolError) as caught:
            client.timed_out()
        assert caught.value.code == "no_answer"
        assert not client.waiting

    def test_96_for_ever_ends(self) -> None:
        client = ClientSession(retries=3)
        client.send(sc_status())
        client.receive(b"96AZFEF6\r" * 4)
        assert [type(client.next_event()) for _ in range(3)] == [SendAgain] * 3
        with pytest.raises(RemoteProtocolError):
            client.next_event()

    def test_a_reply_to_another_request_is_dropped(self) -> None:
        pair = Pair()
        first = pair.serve(pair.client.send(ask(1)))
        pair.client.give_up()
        second = pair.serve(pair.client.send(ask(2)))
        assert pair.give(first + second) == Dropped("other_sequence", "18")
        event = pair.client.next_event()
        assert isinstance(event, Answered) and event.message.get("AB") == "0000000002"
        assert pair.give(second) == Dropped("unexpected", "18")

    def test_98_without_version_is_refused_with_a_clear_error(self) -> None:
        client = ClientSession()
        client.send(sc_status())
        client.receive(wire("98YYYYYN18018020250226    095853AOCN-0000001-ZG|AF|AG|", "0"))
        with pytest.raises(RemoteProtocolError) as caught:
            client.next_event()
        assert (caught.value.code, caught.value.message_code) == ("fixed_part", "98")

    def test_ay_counts_from_9_to_0(self) -> None:
        pair = Pair()
        for number in range(12):
            data = pair.client.send(ask(number))
            assert f"AY{number % 10}AZ".encode() in data
            assert isinstance(pair.give(pair.serve(data)), Answered)

    def test_a_spoilt_reply_is_asked_for_again_and_executed_once(self) -> None:
        pair = Pair()
        reply = pair.serve(pair.client.send(ask(1)))
        event = pair.give(reply.replace(b"1803", b"1804"))
        assert event == SendAgain(b"97AZFEF5\r", "bad_checksum")
        assert isinstance(pair.give(pair.serve(b"97AZFEF5\r")), Answered)
        assert pair.executed == ["0000000001"]

    def test_a_spoilt_request_is_sent_again_and_executed_once(self) -> None:
        pair = Pair()
        data = pair.client.send(ask(1))
        event = pair.give(pair.serve(data.replace(b"AB0", b"AB1")))
        assert event == SendAgain(data, "asked_to_resend")
        assert isinstance(pair.give(pair.serve(data)), Answered)
        assert pair.executed == ["0000000001"]

    def test_a_lost_reply_is_repeated_after_a_timeout_and_executed_once(self) -> None:
        pair = Pair()
        pair.serve(pair.client.send(ask(1)))
        assert isinstance(pair.give(pair.serve(pair.client.timed_out())), Answered)
        assert pair.executed == ["0000000001"]

    def test_a_server_that_renumbers_what_it_resends_is_understood(self) -> None:
        client = ClientSession()
        for number in range(3):
            client.send(ask(number))
            client.give_up()
        client.send(ask(3))
        client.receive(b"18030001" + DATE.encode() + b"AB3|AY3AZ0000\r")
        assert isinstance(client.next_event(), SendAgain)
        client.receive(wire(f"18030001{DATE}AB3|AJx|", "0"))
        assert isinstance(client.next_event(), Answered)

    def test_without_error_detection_replies_are_matched_by_code(self) -> None:
        pair = Pair(error_detection=False)
        data = pair.client.send(checkout("251020", "R1", "1", None, NOW))
        assert b"AY" not in data
        assert pair.give(b"941\r") == Dropped("unexpected", "94")
        assert isinstance(pair.give(f"120NUN{DATE}AOx|AA1|AB1|AJ|AH|\r".encode()), Answered)

    def test_text_typed_by_hand_is_sent_as_it_stands(self) -> None:
        client = ClientSession()
        assert client.send_text("9900802.00") == b"9900802.00AY0AZFCA1\r"
        client.give_up()
        assert client.send_text("9900802.00AY5AZ0000") == b"9900802.00AY5AZ0000\r"
        client.give_up()
        assert client.send_text("97") == b"97AZFEF5\r"
        client.receive(b"96AZFEF6\r")
        assert isinstance(client.next_event(), Answered)

    def test_a_login_is_what_the_standard_writes(self) -> None:
        out = ClientSession().send(login("LoginUserID", "LoginPassword", "LocationCode"))
        assert out == wire("9300CNLoginUserID|COLoginPassword|CPLocationCode|", "0")


@given(st.lists(st.integers(0, 400), max_size=20), st.sampled_from([b"\r", b"\n", b"\r\n"]))
def test_any_split_of_a_kiosks_bytes_gives_the_same_answers(cuts: list[int], end: bytes) -> None:
    stream = b"".join(wire(item(number), str(number), end) for number in range(5))
    pair, out, at = Pair(), b"", 0
    for cut in [*sorted(cuts), len(stream)]:
        out += pair.serve(stream[at : max(at, cut)])
        at = max(at, cut)
    assert pair.executed == [f"{number:010d}" for number in range(5)]
    assert out.count(b"AJ") == 5


@given(st.binary(max_size=300))
def test_garbage_never_breaks_a_session(data: bytes) -> None:
    session = logged_in()
    session.receive(data + b"\r")
    while (event := session.next_event(NOW)) is not NEED_DATA:
        assert isinstance(event, Answer | Ignored | Request | Login)
        if isinstance(event, Request | Login):
            break
