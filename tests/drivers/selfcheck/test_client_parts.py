"""Addresses, what may be repeated, and the circuit breaker as a machine of its own."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from drivers.base import ConfigurationError
from drivers.selfcheck.client_address import Address
from drivers.selfcheck.client_breaker import Breaker, BreakerLimits
from drivers.selfcheck.client_peer import Peer
from drivers.selfcheck.client_repeat import may_repeat
from protocols.sip2 import NEED_DATA, ClientSession, LocalProtocolError, Outgoing, RemoteProtocolError
from protocols.sip2.client import Answered
from protocols.sip2.requests import checkin, checkout, item_information, login, sc_status
from tests.drivers.selfcheck.client_acs import DATE, seal

NOW = datetime(2026, 11, 22, 19, 37, 11, tzinfo=UTC)


class TestAddress:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "127.0.0.1:6001",
            "http://h:1",
            "sip2://",
            "sip2://h:0",
            "sip2://h:70000",
            "sip2://u:p@h:1",
            "sip2://h:",
            "serial:",
        ],
    )
    def test_what_is_no_address(self, text: str) -> None:
        with pytest.raises(ConfigurationError):
            Address.parse(text)

    @pytest.mark.parametrize(
        ("text", "shown", "single"),
        [
            ("sip2://ils.example:6010", "sip2://ils.example:6010", False),
            ("sip2://ils.example", "sip2://ils.example:6001", False),
            ("sip2s://[::1]:6010", "sip2s://[::1]:6010", False),
            ("serial:/dev/ttyS0?baudrate=9600", "serial:/dev/ttyS0", True),
        ],
    )
    def test_an_address(self, text: str, shown: str, single: bool) -> None:
        address = Address.parse(text)
        assert (str(address), address.single) == (shown, single)


class TestRepeat:
    @pytest.mark.parametrize(
        "request_",
        [
            login("u", "p"), Outgoing("65", {"transaction_date": " " * 18}),
            f"37{DATE}0100CNYBV1.00|AO|AA1|", f"11NN{' ' * 36}AO|", "11", "97", "65AO|AA1|", "",
        ],
    )  # fmt: skip
    def test_what_might_be_done_twice(self, request_: object) -> None:
        assert not may_repeat(request_)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "request_",
        [
            sc_status(), item_information("o", "1", NOW), checkout("o", "1", "2", None, NOW), checkin("o", "1", NOW), "9900802.00",
            f"11NN{DATE}{' ' * 18}AO|", f"37{DATE}0100CNYBV1.00|AO|AA1|BK7|", f"09N{DATE}{DATE}AB1|",
        ],
    )  # fmt: skip
    def test_what_the_other_side_can_know_again(self, request_: object) -> None:
        assert may_repeat(request_)  # type: ignore[arg-type]


class Watched:
    def __init__(self, **limits: float) -> None:
        self.now = 100.0
        self.moves: list[str] = []
        self.breaker = Breaker(
            BreakerLimits(**{"failures": 3, "first_s": 1.0, "most_s": 4.0, "refused_s": 60.0, **limits}),  # type: ignore[arg-type]
            now=lambda: self.now,
            uniform=lambda: 0.5,
            changed=lambda: self.moves.append(self.breaker.state),
        )


class TestBreaker:
    def test_it_opens_after_failures_in_a_row_only(self) -> None:
        watched = Watched()
        for _ in range(5):
            watched.breaker.failed("lost")
            watched.breaker.failed("lost")
            watched.breaker.succeeded()
        assert watched.breaker.closed
        for _ in range(3):
            watched.breaker.failed("timeout")
        assert (watched.breaker.state, watched.breaker.reason, watched.breaker.due_in()) == ("open", "timeout", 1.0)

    def test_probes_come_later_and_later_and_the_first_answer_closes_it(self) -> None:
        watched = Watched()
        watched.breaker.failed("unreachable", at_once=True)
        waits = []
        for _ in range(4):
            waits.append(watched.breaker.due_in())
            watched.now += watched.breaker.due_in() or 0
            watched.breaker.probe()
            watched.breaker.failed("unreachable")
        assert waits == [1.0, 2.0, 4.0, 4.0]
        assert watched.breaker.since == 100.0  # one absence, however often it was probed
        watched.breaker.probe()
        watched.breaker.succeeded()
        watched.breaker.failed("unreachable", at_once=True)
        assert watched.breaker.due_in() == 1.0

    def test_a_refused_login_is_probed_much_later(self) -> None:
        watched = Watched()
        watched.breaker.failed("login_refused", at_once=True)
        assert watched.breaker.due_in() == 60.0

    def test_a_failure_of_before_it_opened_changes_nothing(self) -> None:
        watched = Watched()
        watched.breaker.failed("unreachable", at_once=True)
        watched.now += 0.5
        watched.breaker.failed("timeout")
        assert (watched.breaker.due_in(), watched.moves) == (0.5, ["open"])


class TestPeer:
    def test_the_ways_of_speaking_are_tried_in_order_until_one_is_answered(self) -> None:
        peer = Peer()
        tried = []
        for _ in range(5):
            tried.append((peer.terminator, peer.error_detection))
            peer.silent()
        assert tried == [(b"\r", True), (b"\r\n", True), (b"\r", False), (b"\r\n", False), (b"\r", True)]

    def test_what_was_told_is_the_only_way(self) -> None:
        peer = Peer(terminator=b"\n", error_detection=False)
        peer.silent()
        assert (peer.terminator, peer.error_detection, peer.settled) == (b"\n", False, True)


class TestSessionOfSeveral:
    def session(self, depth: int = 3) -> ClientSession:
        return ClientSession(depth=depth)

    def test_one_more_than_its_depth_is_a_fault_of_ours(self) -> None:
        session = self.session()
        for number in range(3):
            session.send(item_information("o", str(number), NOW))
        with pytest.raises(LocalProtocolError):
            session.send(sc_status())

    def test_without_error_detection_there_is_room_for_one(self) -> None:
        session = ClientSession(depth=3, error_detection=False)
        session.send(sc_status())
        assert session.room == 0

    @pytest.mark.parametrize(
        "frame",
        [b"96AZFEF6\r", b"97AZFEF5\r", seal("18", "1")[:-4] + b"0000\r", f"18030201{DATE}AB1|AJ|\r".encode()],
    )
    def test_what_leaves_it_in_doubt_ends_all(self, frame: bytes) -> None:
        session = self.session()
        session.send(item_information("o", "1", NOW))
        session.send(item_information("o", "2", NOW))
        session.receive(frame)
        with pytest.raises(RemoteProtocolError) as doubt:
            session.next_event()
        assert (doubt.value.code, session.waiting) == ("out_of_step", False)

    def test_a_number_in_use_is_passed_over(self) -> None:
        session = self.session(2)
        first = session.send(item_information("o", "stays", NOW))
        assert b"AY0AZ" in first
        for turn in range(1, 25):
            sent = session.send(item_information("o", "1", NOW))
            sequence = chr(sent[sent.rindex(b"AY") + 2])
            assert sequence != "0"
            session.receive(seal(f"18030201{DATE}AB1|AJ|", sequence) + b"\r")
            answered = session.next_event()
            assert isinstance(answered, Answered)
            assert answered.to == turn + 1
        assert session.next_event() is NEED_DATA
