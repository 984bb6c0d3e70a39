"""Which account a login finds, what keeps it out, and what an account changes on the wire."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from drivers.selfcheck import Account, Listener, Trim
from drivers.selfcheck.accounts import Accounts, bare_address, within
from protocols.sip2 import parse, seal
from tests.drivers.selfcheck.test_server import DATE, ITEM, checkout


def account(user: str = "kiosk1", **options: Any) -> Account:
    return Account(user, options.pop("password", "secret"), options.pop("institution", "251020"), **options)


def why(accounts: list[Account], user: str = "kiosk1", password: str = "secret", **where: str) -> str | None:
    found = Accounts({str(n): one for n, one in enumerate(accounts)}).find(
        user, password, address=where.get("address", "192.0.2.7"), listener=where.get("listener", "hall"),
        location=where.get("location", ""),
    )  # fmt: skip
    return found.why if found.account is None else f"{found.account.institution}"


class TestFinding:
    @pytest.mark.parametrize(
        ("one", "where", "reason"),
        [
            (account("other"), {}, "unknown_user"),
            (account(password="else"), {}, "wrong_password"),
            (account(addresses=("198.51.100.0/24",)), {}, "address"),
            (account(addresses=("2001:db8::/32",)), {}, "address"),
            (account(addresses=("192.0.2.0/24",)), {"address": "line"}, "address"),
            (account(listeners=("basement",)), {}, "listener"),
            (account(locations=("hall",)), {"location": "attic"}, "location"),
            (account(locations=("hall",)), {}, "location"),
        ],
    )
    def test_what_keeps_a_login_out_is_named(self, one: Account, where: dict[str, str], reason: str) -> None:
        assert why([one], **where) == reason

    def test_a_wrong_password_is_wrong_wherever_it_comes_from(self) -> None:
        assert why([account(addresses=("198.51.100.0/24",))], password="else") == "address"

    @pytest.mark.parametrize(
        "one",
        [
            account(addresses=("198.51.100.0/24", "192.0.2.0/24")),
            account(addresses=("::ffff:192.0.2.0/120",)),
            account(listeners=("hall", "basement")),
            account(location="hall", locations=("hall",)),
        ],
    )
    def test_where_it_fits_it_is_found(self, one: Account) -> None:
        assert why([one]) == "251020"

    def test_the_exact_user_comes_before_a_prefix_and_a_longer_prefix_before_a_shorter(self) -> None:
        accounts = [
            account("a", user_prefix="sc", institution="short"),
            account("b", user_prefix="sc-lib", institution="long"),
            account("sc-lib1", institution="exact"),
        ]
        assert [why(accounts, user) for user in ("sc-lib1", "sc-lib2", "sc9", "s")] == [
            "exact", "long", "short", "unknown_user",
        ]  # fmt: skip

    def test_two_tenants_may_have_the_same_user(self) -> None:
        accounts = [
            account(listeners=("basement",), institution="A"),
            account(listeners=("hall",), institution="B"),
        ]
        assert [why(accounts, listener=name) for name in ("basement", "hall", "attic")] == ["A", "B", "listener"]

    def test_addresses_are_compared_bare(self) -> None:
        assert [bare_address(text) for text in ("::ffff:192.0.2.7", "fe80::1%eth0", "2001:DB8::1", "?")] == [
            "192.0.2.7", "fe80::1", "2001:db8::1", "?",
        ]  # fmt: skip
        assert within("2001:db8::1", ("2001:db8::/32",))
        assert not within("2001:db9::1", ("2001:db8::/32", "192.0.2.0/24"))

    @pytest.mark.parametrize(
        "options",
        [
            {"addresses": ("hall",)}, {"encoding": "klingon"}, {"delimiter": "||"}, {"delimiter": "A"},
            {"terminator": "NL"}, {"timeout_tenths": 1000}, {"retries": -1},
        ],
    )  # fmt: skip
    def test_settings_that_cannot_be_are_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError):
            account(**options)


class TestOnTheWire:
    @pytest.mark.parametrize(
        ("one", "login", "reason"),
        [
            (account(), "9300CNnobody|COsecret|", "unknown_user"),
            (account(), "9300CNkiosk1|COwrong-one|", "wrong_password"),
            (account(addresses=("192.0.2.0/24",)), "9300CNkiosk1|COsecret|", "address"),
            (account(locations=("hall",)), "9300CNkiosk1|COsecret|CPattic|", "location"),
            (account(listeners=("other",)), "9300CNkiosk1|COsecret|", "listener"),
        ],
    )
    async def test_a_refused_login_says_why_in_the_log_only(
        self, place: Any, one: Account, login: str, reason: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        place.accounts = {"one": one}
        server = await place.serve()
        line = await place.dial()
        line.send(line.wire(login))
        assert await line.frame() == seal(b"940", "0") + b"\r"
        assert f"login refused: {reason}" in caplog.text
        assert "secret" not in caplog.text
        assert "wrong-one" not in caplog.text
        assert server.stats.refused == {reason: 1}
        assert (await line.ask(ITEM)).code == "94"

    async def test_a_kiosk_of_a_prefix_is_its_tenant(self, place: Any) -> None:
        place.accounts = {"north": account("north", user_prefix="north-")}
        server = await place.serve()
        line = await place.dial()
        assert (await line.ask("9300CNnorth-7|COsecret|CPhall|")).fixed["ok"] == "1"
        (kiosk,) = server.kiosks
        assert (kiosk.account.user, kiosk.user, kiosk.location) == ("north", "north-7", "hall")

    @pytest.mark.parametrize(("name", "end"), [("CR", b"\r"), ("LF", b"\n"), ("CRLF", b"\r\n")])
    async def test_a_configured_terminator_holds_whatever_the_kiosk_sends(
        self, place: Any, name: Any, end: bytes
    ) -> None:
        place.accounts = {"one": account(terminator=name)}
        await place.serve()
        line = await place.dial()
        for body, wire_end in (("9300CNkiosk1|COsecret|", b"\r"), (ITEM, b"\n"), (ITEM, b"\r\n")):
            line.send(line.wire(body, wire_end))
            frame = await line.frame(end)
            assert frame.endswith(end)
            assert frame.removesuffix(end).count(b"\r") + frame.removesuffix(end).count(b"\n") == 0
        assert place.server.public()[0]["dialect"]["terminator"] == name

    async def test_another_delimiter_is_understood_from_the_login_on(self, place: Any) -> None:
        place.accounts = {"one": account(delimiter="^")}
        await place.serve()
        line = await place.dial()
        assert (await line.ask("9300CNkiosk1^COsecret^")).fixed["ok"] == "1"
        line.send(line.wire(f"17{DATE}AO251020^AB1^"))
        assert b"AB1^AJ" in await line.frame()

    async def test_fields_can_be_hidden_and_the_times_of_98_be_the_accounts(self, place: Any) -> None:
        place.accounts = {"one": account(hide_fields=frozenset({"AJ"}), timeout_tenths=30, retries=5)}
        await place.serve()
        line = await place.kiosk()
        answer = await line.ask(ITEM)
        assert answer.get("AB")
        assert not answer.has("AJ")
        status = await line.ask("9900802.00")
        assert (status.fixed["timeout_period"], status.fixed["retries_allowed"]) == ("030", "005")

    async def test_what_a_scanner_adds_is_taken_off(self, place: Any) -> None:
        place.accounts = {"one": account(trim=Trim(prefix="]C0", suffix="#"))}
        await place.serve()
        line = await place.kiosk()
        for item_no in ("1234", " ]C01234# ", "]C0", "#"):
            await line.ask(checkout(item_no))
        assert [number for _, number in place.library.executed] == ["1234", "]C0", "#"]

    async def test_a_configured_encoding_is_kept(self, place: Any) -> None:
        place.accounts = {"one": account(encoding="cp850")}
        await place.serve()
        line = await place.kiosk()
        line.send(seal(f"17{DATE}AB1|AOMünchen|".encode("cp850"), "1") + b"\r")
        assert parse((await line.frame())[:-1], "cp850").get("AB") == "1"
        assert place.server.public()[0]["dialect"]["encoding"] == "cp850"

    async def test_an_account_is_held_to_its_listener(self, place: Any) -> None:
        place.accounts = {"hall": account(listeners=("hall",)), "desk": account("desk", listeners=("desk",))}
        await place.serve(listeners=[Listener("tcp://127.0.0.1:0", "hall"), Listener("tcp://127.0.0.1:0", "desk")])
        answers = {}
        for name in ("hall", "desk"):
            line = await place.dial(name)
            answers[name] = [(await line.login(user)).fixed["ok"] for user in ("kiosk1", "desk")]
        assert answers == {"hall": ["1", "0"], "desk": ["0", "1"]}


class TestReload:
    async def test_a_session_ends_when_its_account_is_gone_or_has_another_password(self, place: Any) -> None:
        place.accounts = {name: account(name) for name in ("kiosk1", "gone", "changed", "moved")}
        server = await place.serve()
        lines = {name: await place.kiosk(name) for name in place.accounts}
        server.reload(
            {
                "kiosk1": account("kiosk1", hide_fields=frozenset({"AJ"})),
                "changed": account("changed", password="another"),
                "moved": account("moved", addresses=("192.0.2.0/24",)),
            }
        )
        for name in ("gone", "changed", "moved"):
            assert await lines[name].closed()
        assert not (await lines["kiosk1"].ask(ITEM)).has("AJ")
        assert (await (await place.dial()).login("gone")).fixed["ok"] == "0"
        assert (await (await place.dial()).login("changed", "another")).fixed["ok"] == "1"

    async def test_the_request_under_way_is_answered_first(self, place: Any) -> None:
        server = await place.serve()
        line = await place.kiosk()
        line.send(line.wire(checkout("SLOW")))
        await line.writer.drain()
        while not place.library.sessions:
            await line.silent(0.01)
        server.reload({})
        assert await line.silent()
        place.library.slow.set()
        assert (await line.frame())[:3] == b"121"
        assert await line.closed()

    async def test_a_listener_keeps_its_account(self, place: Any) -> None:
        server = await place.serve(listeners=[Listener("tcp://127.0.0.1:0", account="kiosk1")])
        with pytest.raises(ValueError, match="no account kiosk1"):
            server.reload({})
        assert (await (await place.dial()).ask(ITEM)).code == "18"


async def test_a_page_sees_kiosks_and_never_a_secret(place: Any, caplog: pytest.LogCaptureFixture) -> None:
    server = await place.serve()
    line = await place.kiosk()
    with caplog.at_level(logging.INFO):
        await line.ask(checkout("1"))
    await line.ask("990 802.00")
    (shown,) = server.public()
    assert (shown["account"], shown["listener"], shown["address"]) == ("kiosk1", "tcp://127.0.0.1:0", "127.0.0.1")
    assert shown["messages"] == {"11": 1, "99": 1}
    assert shown["since"] == shown["last_at"] == "2026-11-22T19:37:11+00:00"
    assert (shown["dialect"]["terminator"], shown["dialect"]["error_detection"]) == ("CR", True)
    assert shown["dialect"]["quirks"]
    assert "secret" not in repr(shown)
    await line.close()
    await (await place.kiosk()).ask(ITEM)
    assert server.messages() == {("tcp://127.0.0.1:0", "kiosk1", code): 1 for code in ("11", "99", "17")}
    assert server.doors() == [
        {"name": "tcp://127.0.0.1:0", "url": "tcp://127.0.0.1:0", "state": "open", "connections": 1}
    ]
