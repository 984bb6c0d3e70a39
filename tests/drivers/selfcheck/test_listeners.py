"""Where kiosks come in: IPv6, TLS, PROXY headers, a login prompt, peers known by address."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from pathlib import Path
from typing import Any

import pytest

from drivers.selfcheck import Account, Limits, Listener, TlsFiles
from protocols.sip2 import parse
from tests.drivers.selfcheck.certificates import Authority
from tests.drivers.selfcheck.test_server import ITEM, checkout

LOCAL = "tcp://127.0.0.1:0"


class TestSettings:
    @pytest.mark.parametrize(
        "options",
        [
            {"url": "udp://127.0.0.1:6001"}, {"url": "tcp://127.0.0.1"}, {"url": "tcp://:6001"}, {"url": "serial:"},
            {"url": "tcp://127.0.0.1:65536"}, {"url": "tls://127.0.0.1:0"}, {"url": "pty:x", "proxy_header": True},
            {"url": LOCAL, "tls": TlsFiles(Path("c"), Path("k"))}, {"url": "pty:x", "login_prompt": True},
            {"url": LOCAL, "login_prompt": True, "login_required": False}, {"url": LOCAL, "idle_s": 0},
            {"url": LOCAL, "proxies": ("hall",)},
        ],
    )  # fmt: skip
    def test_what_does_not_go_together_is_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError):
            Listener(**options)

    async def test_an_account_that_does_not_exist_and_one_name_twice_are_refused(self, place: Any) -> None:
        with pytest.raises(ValueError, match="listener hall: there is no account nobody"):
            await place.serve(listeners=[Listener(LOCAL, "hall", account="nobody")])
        with pytest.raises(ValueError, match="two listeners"):
            await place.serve(listeners=[Listener(LOCAL, "hall"), Listener(LOCAL, "hall")])

    async def test_a_port_that_is_taken_is_an_error_that_names_the_listener_and_opens_nothing(self, place: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            spare = socket.create_server(("127.0.0.1", 0))
            free = spare.getsockname()[1]
            spare.close()
            listeners = [Listener(f"tcp://127.0.0.1:{free}", "first"), Listener(f"tcp://127.0.0.1:{port}", "second")]
            with pytest.raises(OSError, match="SIP2 listener second"):
                await place.serve(listeners=listeners)
            place.server = None
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", free)

    async def test_a_certificate_that_is_not_there_is_an_error_that_names_the_listener(
        self, place: Any, tmp_path: Path
    ) -> None:
        files = TlsFiles(tmp_path / "none.pem", tmp_path / "none.key")
        with pytest.raises(OSError, match="SIP2 listener safe"):
            await place.serve(listeners=[Listener("tls://127.0.0.1:0", "safe", files)])
        place.server = None


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
class TestIpv6:
    async def test_a_kiosk_over_ipv6_held_to_its_network(self, place: Any) -> None:
        place.accounts = {
            "six": Account("six", "secret", "251020", addresses=("::1/128",)),
            "four": Account("four", "secret", "251020", addresses=("127.0.0.0/8",)),
        }
        await place.serve(listeners=[Listener("tcp://[::1]:0")])
        line = await place.dial()
        assert [(await line.login(user)).fixed["ok"] for user in ("four", "six")] == ["0", "1"]

    async def test_an_ipv4_kiosk_of_a_dual_stack_listener_counts_as_ipv4(self, place: Any) -> None:
        place.accounts = {"four": Account("four", "secret", "251020", addresses=("127.0.0.0/8",))}
        server = await place.serve(listeners=[Listener("tcp://[::]:0")])
        place.address = ("127.0.0.1", place.address[1])
        await place.kiosk("four")
        assert server.public()[0]["address"] == "127.0.0.1"


class TestTls:
    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        return Authority(tmp_path)

    @staticmethod
    def trusting(authority: Authority) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(authority.certificate))

    async def test_a_peer_without_tls_gets_nothing_readable_and_is_closed(
        self, place: Any, authority: Authority
    ) -> None:
        certificate, key, _ = authority.issue("server")
        await place.serve(listeners=[Listener("tls://127.0.0.1:0", "safe", TlsFiles(certificate, key))])
        line = await place.dial("safe")
        line.send(line.wire("9900802.00"))
        said = await asyncio.wait_for(line.reader.read(), 2.0)
        assert b"98" not in said[:2]

    async def test_tls_before_1_2_is_refused(self, place: Any, authority: Authority) -> None:
        certificate, key, _ = authority.issue("server")
        await place.serve(listeners=[Listener("tls://127.0.0.1:0", "safe", TlsFiles(certificate, key))])
        old = self.trusting(authority)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await place.dial("safe", ssl=old)

    async def test_without_the_client_certificate_that_is_asked_for_nobody_comes_in(
        self, place: Any, authority: Authority, tmp_path: Path
    ) -> None:
        certificate, key, _ = authority.issue("server")
        files = TlsFiles(certificate, key, client_ca=authority.certificate)
        server = await place.serve(listeners=[Listener("tls://127.0.0.1:0", "safe", files)])
        stranger = self.trusting(authority)
        stranger.load_cert_chain(*Authority(tmp_path, "foreign").issue("stranger")[:2])
        for context in (self.trusting(authority), stranger):
            with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                await (await place.dial("safe", ssl=context)).login()
        assert server.kiosks == ()
        known = self.trusting(authority)
        known.load_cert_chain(*authority.issue("kiosk")[:2])
        line = await place.dial("safe", ssl=known)
        assert (await line.login()).fixed["ok"] == "1"
        assert (await line.ask(ITEM)).code == "18"

    async def test_a_renewed_certificate_is_taken_up_and_a_broken_one_is_not(
        self, place: Any, authority: Authority, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("drivers.selfcheck.tls._LOOK_S", 0.0)
        certificate, key, first = authority.issue("server")
        await place.serve(listeners=[Listener("tls://127.0.0.1:0", "safe", TlsFiles(certificate, key))])

        async def serial_shown() -> int:
            line = await place.dial("safe", ssl=self.trusting(authority))
            assert (await line.login()).fixed["ok"] == "1"
            shown = line.writer.get_extra_info("peercert")
            return int(shown["serialNumber"], 16)

        assert await serial_shown() == first
        *_, second = authority.issue("server")
        assert await serial_shown() == second
        key.write_text("no key at all")
        assert await serial_shown() == second
        assert "not usable, the former stays" in caplog.text

    async def test_a_peer_that_does_not_shake_hands_keeps_nobody_out_and_is_closed(
        self, place: Any, authority: Authority
    ) -> None:
        certificate, key, _ = authority.issue("server")
        await place.serve(
            listeners=[Listener("tls://127.0.0.1:0", "safe", TlsFiles(certificate, key))],
            limits=Limits(handshake_s=0.5),
        )
        silent = [await place.dial("safe") for _ in range(20)]
        line = await place.dial("safe", ssl=self.trusting(authority))
        assert (await line.login()).fixed["ok"] == "1"
        assert await silent[0].closed()


V2 = b"\r\n\r\n\0\r\nQUIT\n"


def v2(source: str, *, command: int = 0x21, tail: bytes = b"") -> bytes:
    six = ":" in source
    family = socket.AF_INET6 if six else socket.AF_INET
    body = socket.inet_pton(family, source) + socket.inet_pton(family, source) + struct.pack(">HH", 5, 6) + tail
    return V2 + bytes([command, 0x21 if six else 0x11]) + struct.pack(">H", len(body)) + body


class TestProxyHeader:
    @pytest.mark.parametrize(
        "header",
        [
            b"9900802.00AY0AZFCA1\r", b"PROXY TCP4 hall 192.0.2.1 1 2\r\n", b"PROXY TCP4 192.0.2.1\r\n",
            b"PROXY " + b"x" * 200, V2 + b"\x11\x11\0\0", V2 + b"\x21\x11\0\x04abcd", V2 + b"\x21\x11\xff\xff",
            b"GET / HTTP/1.1\r\n\r\n",
        ],
    )  # fmt: skip
    async def test_without_a_sound_header_a_peer_is_closed_unanswered(self, place: Any, header: bytes) -> None:
        server = await place.serve(listeners=[Listener(LOCAL, proxy_header=True)])
        line = await place.dial()
        line.send(header)
        assert await line.closed()
        assert server.stats.connections == 0

    async def test_a_header_from_elsewhere_than_the_proxies_is_not_believed(self, place: Any) -> None:
        await place.serve(listeners=[Listener(LOCAL, proxy_header=True, proxies=("192.0.2.0/24",))])
        line = await place.dial()
        line.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n" + line.wire("9900802.00"))
        assert await line.closed()

    async def test_a_header_that_does_not_end_is_waited_for_only_so_long(self, place: Any) -> None:
        await place.serve(listeners=[Listener(LOCAL, proxy_header=True)], limits=Limits(handshake_s=0.1))
        line = await place.dial()
        line.send(b"PROXY TCP4 192.0")
        assert await line.closed()

    @pytest.mark.parametrize(
        ("header", "address"),
        [
            (b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n", "192.0.2.7"),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n", "2001:db8::7"),
            (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
            (v2("192.0.2.7"), "192.0.2.7"),
            (v2("2001:db8::7", tail=b"\x04\0\x01x"), "2001:db8::7"),
            (v2("::ffff:192.0.2.7"), "192.0.2.7"),
            (v2("192.0.2.7", command=0x20), "127.0.0.1"),
            (V2 + b"\x20\0\0\0", "127.0.0.1"),
        ],
    )
    async def test_the_peer_is_who_the_proxy_says(self, place: Any, header: bytes, address: str) -> None:
        place.accounts = {"one": Account("kiosk1", "secret", "251020", addresses=(address,))}
        server = await place.serve(listeners=[Listener(LOCAL, proxy_header=True)])
        line = await place.dial()
        line.send(header + line.wire("9300CNkiosk1|COsecret|") + line.wire(ITEM))
        assert (await line.frame())[:3] == b"941"
        assert (await line.frame())[:2] == b"18"
        assert server.public()[0]["address"] == address

    async def test_tls_follows_the_header(self, place: Any, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        certificate, key, _ = authority.issue("server")
        listener = Listener("tls://127.0.0.1:0", "safe", TlsFiles(certificate, key), proxy_header=True)
        server = await place.serve(listeners=[listener])
        line = await place.dial("safe")
        line.send(v2("192.0.2.7"))
        await line.writer.start_tls(
            ssl.create_default_context(cafile=str(authority.certificate)), server_hostname="127.0.0.1"
        )
        assert (await line.login()).fixed["ok"] == "1"
        assert server.public()[0]["address"] == "192.0.2.7"


class TestLoginPrompt:
    async def until(self, line: Any, words: bytes) -> None:
        await asyncio.wait_for(line.reader.readuntil(words), 2.0)

    async def test_wrong_words_three_times_and_the_line_is_closed(self, place: Any) -> None:
        server = await place.serve(listeners=[Listener(LOCAL, login_prompt=True)])
        line = await place.dial()
        for _ in range(3):
            await self.until(line, b"login: ")
            line.send(b"kiosk1\r\n")
            await self.until(line, b"Password: ")
            line.send(b"wrong\r\n")
            await self.until(line, b"Invalid login\r\n")
        assert await line.closed()
        assert server.stats.refused == {"wrong_password": 3}

    async def test_a_line_without_end_is_closed(self, place: Any) -> None:
        await place.serve(listeners=[Listener(LOCAL, login_prompt=True)])
        line = await place.dial()
        await self.until(line, b"login: ")
        line.send(b"x" * 5000)
        assert await line.closed()

    @pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\r\0"])
    async def test_after_user_and_password_it_is_sip2(self, place: Any, end: bytes) -> None:
        server = await place.serve(listeners=[Listener(LOCAL, login_prompt=True)])
        line = await place.dial()
        await self.until(line, b"login: ")
        line.send(b"\xff\xfb\x1fkiosk1" + end)
        await self.until(line, b"Password: ")
        line.send(b"secret" + end)
        await self.until(line, b"SIP\r\n")
        assert (await line.ask("9900802.00")).fixed["on_line_status"] == "Y"
        assert server.kiosks[0].account.user == "kiosk1"

    async def test_a_kiosk_that_logs_in_by_93_all_the_same_is_taken_at_its_word(self, place: Any) -> None:
        await place.serve(listeners=[Listener(LOCAL, login_prompt=True)])
        line = await place.dial()
        await self.until(line, b"login: ")
        assert (await line.login()).fixed["ok"] == "1"
        assert (await line.ask(ITEM)).code == "18"


class TestWithoutLogin:
    async def test_a_stranger_still_has_to_log_in(self, place: Any) -> None:
        place.accounts["near"] = Account("near", "secret", "251020", addresses=("192.0.2.0/24",))
        await place.serve(listeners=[Listener(LOCAL, login_required=False)])
        line = await place.dial()
        assert (await line.ask(ITEM)).fixed == {"ok": "0"}
        assert (await line.login()).fixed["ok"] == "1"

    async def test_a_peer_is_the_account_its_address_belongs_to(self, place: Any) -> None:
        place.accounts["near"] = Account("near", "secret", "251020", "hall", addresses=("127.0.0.0/8",))
        server = await place.serve(listeners=[Listener(LOCAL, login_required=False)])
        line = await place.dial()
        assert (await line.ask(checkout("1"))).fixed["ok"] == "1"
        assert (server.kiosks[0].account.user, server.kiosks[0].location) == ("near", "hall")
        assert (await line.login("kiosk1")).fixed["ok"] == "1"
        assert server.kiosks[0].account.user == "kiosk1"

    async def test_an_account_that_is_full_is_off_line(self, place: Any) -> None:
        place.accounts["one"] = Account("one", "secret", "251020", max_connections=1)
        await place.serve(listeners=[Listener(LOCAL, account="one")])
        first, second = await place.dial(), await place.dial()
        assert (await first.ask(ITEM)).code == "18"
        second.send(second.wire("9900802.00"))
        assert parse((await second.frame())[:-1]).fixed["on_line_status"] == "N"
        assert await second.closed()


async def test_a_listener_has_its_own_idle_limit(place: Any) -> None:
    await place.serve(listeners=[Listener(LOCAL, "short", idle_s=0.1), Listener(LOCAL, "long")])
    short, long = await place.dial("short"), await place.dial("long")
    await short.login(), await long.login()
    assert await short.closed()
    assert (await long.ask(ITEM)).code == "18"
