"""The kiosk's end of a connection: alone, and joined to the library system's end in memory."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sip2 import (
    NEED_DATA,
    Answer,
    Answered,
    ClientSession,
    Dropped,
    LocalProtocolError,
    Outgoing,
    RemoteProtocolError,
    Request,
    SendAgain,
    ServerSession,
    seal,
)
from protocols.sip2.requests import checkout, item_information, login, sc_status

NOW = datetime(2026, 11, 22, 19, 37, 11, tzinfo=UTC)
DATE = "20261122    193711"
ITEM_REPLY = {"circulation_status": "03", "security_marker": "00", "fee_type": "01", "transaction_date": DATE}


def wire(body: str, sequence: str | None, end: bytes = b"\r") -> bytes:
    return seal(body.encode(), sequence) + end


def item(number: int) -> str:
    return f"17{DATE}AO251020|AB{number:010d}|"


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
