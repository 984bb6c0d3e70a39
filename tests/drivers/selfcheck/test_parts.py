"""Throttle, replies and client, each for itself."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from drivers.selfcheck import (
    Account,
    CheckinResult,
    CheckoutResult,
    KioskSession,
    Limits,
    ReaderResult,
    Sip2Client,
    StatusResult,
    Unreachable,
    refusal,
)
from drivers.selfcheck.client import LoginRefused
from drivers.selfcheck.throttle import LoginThrottle
from protocols.sip2 import REPLY_OF, Dialect, Message, RemoteProtocolError, build, parse
from protocols.sip2.requests import item_information, reader_information

NOW = datetime(2026, 11, 22, 19, 37, 11, tzinfo=UTC)
DATE = "20261122    193711"
ACCOUNT = Account("kiosk1", "secret", "251020", "hall")


def session(account: Account = ACCOUNT) -> KioskSession:
    return KioskSession(account, 1, Dialect(), account.location, account.language)


def request(text: str) -> Message:
    return parse(text.encode())


class TestAccount:
    @pytest.mark.parametrize(("user", "password"), [("", "x"), ("x", "")])
    def test_a_login_without_user_or_password_cannot_be_made(self, user: str, password: str) -> None:
        with pytest.raises(ValueError, match="needs a user and a password"):
            Account(user, password, "251020")

    def test_the_password_is_not_shown(self) -> None:
        assert "secret" not in repr(ACCOUNT)


class TestThrottle:
    def test_many_failures_make_an_address_queue_and_then_refuse(self) -> None:
        throttle = LoginThrottle(free_failures=3, gap_s=0.5, max_wait_s=1.0)
        for _ in range(3):
            assert throttle.wait("a", "u", 0.0, right=False) == 0.0
            throttle.failed("a", 0.0)
        waits = [throttle.wait("a", "u", 0.0, right=True) for _ in range(5)]
        assert waits == [0.0, 0.5, 1.0, None, None]
        assert throttle.wait("b", "u", 0.0, right=False) == 0.0

    def test_a_user_proven_there_passes_at_once_with_the_right_password_only(self) -> None:
        throttle = LoginThrottle(free_failures=1, max_wait_s=0.1)
        throttle.succeeded("a", "u")
        throttle.failed("a", 0.0)
        assert throttle.wait("a", "u", 0.0, right=False) == 0.0
        assert [throttle.wait("a", "u", 0.0, right=False) for _ in range(2)] == [None, None]
        assert throttle.wait("a", "u", 0.0, right=True) == 0.0
        assert throttle.wait("a", "other", 0.0, right=True) is None

    def test_failures_are_forgotten_after_a_minute(self) -> None:
        throttle = LoginThrottle(free_failures=1)
        throttle.failed("a", 0.0)
        throttle.wait("a", "u", 1.0, right=False)
        assert throttle.wait("a", "u", 1.0, right=False) == 0.5
        assert throttle.wait("a", "u", 62.0, right=False) == 0.0

    def test_memory_is_bounded(self) -> None:
        throttle = LoginThrottle(free_failures=1, max_kept=10)
        for number in range(1000):
            throttle.failed(f"a{number}", 0.0)
            throttle.succeeded(f"a{number}", "u")
        assert (len(throttle._failures), len(throttle._proven)) == (10, 10)


class TestReplies:
    @pytest.mark.parametrize("code", sorted(REPLY_OF))
    def test_a_refusal_exists_for_every_request_and_can_be_written(self, code: str) -> None:
        asked = Message(code, {"transaction_date": DATE}, (("AA", "R1"), ("AB", "1")))
        reply = refusal(session(), asked, NOW, ["暂停服务|"])
        written = parse(build(reply.code or REPLY_OF[code], reply.fixed, reply.fields, sequence="1"))
        assert written.code == REPLY_OF[code]
        assert written.fixed.get("ok", "0") == "0"
        if code != "93":
            assert written.get("AF") == "暂停服务｜"

    def test_a_refused_loan_never_unsecures_the_item(self) -> None:
        asked = request(f"11YN{DATE}{DATE}AOx|AAR1|AB1|")
        reply = CheckoutResult(ok=False, desensitize=True).reply(session(), asked, NOW)
        assert (reply.fixed["ok"], reply.fixed["desensitize"]) == ("0", "N")

    def test_a_loan_as_the_standard_writes_it(self) -> None:
        asked = request(f"11YN{DATE}{DATE}AOother|AAR1|AB1|AC|AD1234|")
        result = CheckoutResult(
            ok=True, desensitize=True, title="红楼梦", due="2026-12-22", screen=["好"], print=["a", "b"]
        )
        reply = result.reply(session(), asked, NOW)
        written = build("12", reply.fixed, reply.fields).decode()
        assert written == f"121NNY{DATE}AO251020|AAR1|AB1|AJ红楼梦|AH2026-12-22|AF好|AGa|AGb|"

    def test_a_return_is_routed(self) -> None:
        asked = request(f"09N{DATE}{DATE}AP|AOx|AB1|AC|")
        result = CheckinResult(
            ok=True, alert=True, title="t", permanent_location="990001-01", sort_bin="2", destination="990001-01", alert_type="04"
        )  # fmt: skip
        reply = result.reply(session(), asked, NOW)
        assert build("10", reply.fixed, reply.fields).decode() == (
            f"101YNY{DATE}AO251020|AB1|AQ990001-01|AJt|CL2|CT990001-01|CV04|"
        )

    def test_an_account_may_want_ct_always(self) -> None:
        account = Account("k", "s", "251020", always_checkin_fields=frozenset({"CT"}))
        reply = CheckinResult(ok=True).reply(session(account), request(f"09N{DATE}{DATE}AB1|"), NOW)
        assert ("CT", "") in reply.fields
        assert "CV" not in dict(reply.fields)

    def test_the_long_and_the_short_form_of_a_reader(self) -> None:
        result = ReaderResult(
            valid=True,
            valid_password=False,
            status=frozenset({"hold_denied", "excessive_fines"}),
            charged_count=3,
            charged=["a", "b", "c"],
            charged_limit=10,
        )
        short = result.reply(session(), request(f"23001{DATE}AOx|AAR1|AC|AD|"), NOW)
        assert build("24", short.fixed, short.fields).decode() == (
            f"24   Y      Y   001{DATE}AO251020|AAR1|AE|BLY|CQN|"
        )
        asked = request(f"63019{DATE}  Y       AOx|AAR1|AC|AD|BP2|BQ00003|")
        full = result.reply(session(), asked, NOW)
        assert build("64", full.fixed, full.fields).decode() == (
            f"64   Y      Y   019{DATE}000000000003000000000000AO251020|AAR1|AE|CB0010|BLY|CQN|AUb|AUc|"
        )

    def test_lists_come_only_where_they_are_asked_for(self) -> None:
        asked = reader_information("251020", "R1", None, NOW, summary="hold")
        reply = ReaderResult(valid=True, charged=["a"], holds=["h"]).reply(
            session(), Message("63", asked.fixed, asked.fields), NOW
        )
        assert [pair for pair in reply.fields if pair[0] in ("AU", "AS")] == [("AS", "h")]

    def test_status_says_what_is_supported_in_the_order_of_bx(self) -> None:
        reply = StatusResult(online=True, timeout_s=10).reply(session(), request("9900802.00"), NOW)
        assert dict(reply.fields)["BX"] == "YYYNYYYYYNYNNNNN"
        assert (reply.fixed["timeout_period"], reply.code) == ("100", "98")


class TestClient:
    async def test_nobody_listens(self) -> None:
        server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        server.close()
        with pytest.raises(Unreachable):
            await Sip2Client(host, port).status()

    async def test_a_refused_login(self, place: Any) -> None:
        await place.serve()
        with pytest.raises(LoginRefused):
            await Sip2Client(*place.address, user="kiosk1", password="wrong").connect()

    async def test_a_server_that_never_answers(self) -> None:
        received: list[bytes] = []

        async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(100):
                received.append(data)
            writer.close()

        server = await asyncio.start_server(deaf, "127.0.0.1", 0)
        client = Sip2Client(*server.sockets[0].getsockname(), timeout_s=0.05, retries=2)
        with pytest.raises(Unreachable):
            await client.status()
        server.close()
        assert b"".join(received) == b"9900802.00AY0AZFCA1\r" * 3

    async def test_a_reply_that_cannot_be_understood(self) -> None:
        async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"98YYY\r")
            await reader.read(100)
            writer.close()

        server = await asyncio.start_server(odd, "127.0.0.1", 0)
        client = Sip2Client(*server.sockets[0].getsockname(), timeout_s=1.0)
        with pytest.raises(RemoteProtocolError):
            await client.status()
        await client.close()
        server.close()

    async def test_it_logs_in_asks_and_comes_back_after_a_loss(self, place: Any) -> None:
        server = await place.serve()
        async with Sip2Client(*place.address, user="kiosk1", password="secret") as client:
            assert (await client.status()).fixed["on_line_status"] == "Y"
            await server.close()
            place.server = None
            _, port = place.address
            await place.serve(tcp_port=port)
            assert (await client.call(item_information("251020", "1", NOW))).get("AB") == "1"
            assert (await client.call(f"17{DATE}AB2|")).get("AB") == "2"

    async def test_a_cancelled_call_does_not_spoil_the_next(self, place: Any) -> None:
        await place.serve(limits=Limits(handler_s=10))
        async with Sip2Client(*place.address, user="kiosk1", password="secret") as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.call(f"17{DATE}ABSLOW|")
            assert (await client.call(f"17{DATE}AB2|")).get("AB") == "2"
