"""What the pool learns of a library system: its end of line, its text, its checksums; and whom it refuses to work with."""

from __future__ import annotations

import asyncio
import os
import pty
import ssl
import time
import tty
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from drivers.selfcheck.client import LoginRefused, Peer, Sip2Pool, Unfit, Unreachable
from drivers.selfcheck.client_breaker import BreakerLimits
from drivers.selfcheck.client_errors import CircuitOpen
from protocols.sip2.requests import checkout, item_information
from tests.drivers.selfcheck.client_acs import DATE, Acs, seal
from tests.drivers.selfcheck.client_acs import Peer as Line

NOW = datetime(2026, 11, 22, 19, 37, 11, tzinfo=UTC)
QUESTION = item_information("990001", "1", NOW)


def pool(acs: Acs, **more: Any) -> Sip2Pool:
    settings: dict[str, Any] = {
        "login": ("u", "p", "hall"), "deadline_s": 1.0, "connect_timeout_s": 0.15, "uniform": lambda: 0.5,
        "breaker": BreakerLimits(first_s=0.02, most_s=0.05, refused_s=0.3),
    }  # fmt: skip
    return Sip2Pool(acs.url, **{**settings, **more})


async def asked(asking: Sip2Pool, within_s: float = 5.0) -> Any:
    """The answer once the pool has found how to ask."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return await asking.call(QUESTION)
        except Unreachable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


class TestRefused:
    async def test_a_refused_login_is_told_and_not_tried_in_a_storm(self) -> None:
        async with Acs(login="940") as acs, pool(acs, connections=4) as asking:
            with pytest.raises(LoginRefused):
                await asking.call(QUESTION)
            for _ in range(20):
                with pytest.raises(CircuitOpen):
                    await asking.call(QUESTION)
            assert (len(acs.asked("93")), asking.state.reason) == (1, "login_refused")
            await asyncio.sleep(0.2)
            assert len(acs.asked("93")) == 1
            acs.login = "941"
            await asked(asking)

    async def test_a_98_without_version_is_refused_with_a_clear_error(self) -> None:
        async with Acs() as acs:
            acs.status = "98YYYYNN10000320261122    193711AO990001|BXYYYY|"
            async with pool(acs) as asking:
                with pytest.raises(Unfit, match="protocol version"):
                    await asking.call(QUESTION)
                assert asking.state.reason == "no_version"

    async def test_a_blank_version_is_none(self) -> None:
        async with Acs(version="    ") as acs, pool(acs) as asking:
            with pytest.raises((Unfit, CircuitOpen)):
                await asking.call(QUESTION)
            assert asking.state.reason == "no_version"

    async def test_a_certificate_nobody_trusts(self, tmp_path: Path) -> None:
        server, _ = _tls(tmp_path)
        acs = await Acs().start(tls=server)
        async with Sip2Pool(acs.url.replace("sip2:", "sip2s:")) as asking:
            with pytest.raises(Unreachable) as refused:
                await asking.call(QUESTION)
            assert refused.value.code == "certificate"
        await acs.stop()


class TestLearned:
    async def test_without_bx_everything_is_believed_to_work(self) -> None:
        async with Acs(bx="") as acs, pool(acs) as asking:
            await asking.call(QUESTION)
            assert asking.supports("15")

    async def test_bx_says_what_is_offered(self) -> None:
        async with Acs(bx="BXYYYYYYYYYYYYYNNY|") as acs, pool(acs) as asking:
            await asking.call(QUESTION)
            assert [asking.supports(code) for code in ("11", "65", "15", "29")] == [True, True, False, False]

    @pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
    async def test_every_end_of_an_answer(self, end: bytes) -> None:
        async with Acs(end=end) as acs, pool(acs) as asking:
            assert (await asking.call(QUESTION)).get("AJ") == "红楼梦"

    async def test_a_system_that_takes_cr_lf_only_is_found_out(self) -> None:
        async with Acs(takes=b"\r\n", end=b"\r\n") as acs, pool(acs) as asking:
            assert (await asked(asking)).get("AJ") == "红楼梦"
            assert asking.public()["speaks"]["terminator"] == "CRLF"
            assert len(acs.asked("93")) == 1

    async def test_a_system_told_to_take_cr_never_sees_a_line_feed(self) -> None:
        seen: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.read(1000))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"sip2://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Sip2Pool(url, peer=Peer(terminator=b"\r"), breaker=BreakerLimits(first_s=0.01, most_s=0.01)):
            await asyncio.sleep(0.2)
        server.close()
        assert len(seen) > 2
        assert not any(b"\n" in one for one in seen)

    async def test_a_system_without_checksums_gets_none_after_its_first_answer(self) -> None:
        async with Acs(detection=False) as acs, pool(acs) as asking:
            await asking.call(QUESTION)
            assert asking.public()["speaks"]["error_detection"] is False

    async def test_gbk_is_learned_from_the_98_and_then_written(self) -> None:
        async with Acs(encoding="gbk", name="广东工业大学图书馆") as acs, pool(acs) as asking:
            assert (await asking.call(QUESTION)).get("AJ") == "红楼梦"
            await asking.call(checkout("990001", "读者", "東質", None, NOW))
            assert "AB東質|" in acs.asked("11")[0]
            assert asking.public()["speaks"]["encoding"] in ("gbk", "gb18030")

    async def test_what_is_configured_is_not_learned(self) -> None:
        peer = Peer(encoding="cp850", terminator=b"\r\n", error_detection=True)
        async with Acs(encoding="cp850", name="Bücherei") as acs, pool(acs, peer=peer) as asking:
            acs.way = _umlaut
            assert (await asking.call(QUESTION)).get("AJ") == "Über"
            assert asking.public()["speaks"]["encoding"] == "cp850"


class TestLines:
    async def test_tls_with_a_certificate_of_its_own(self, tmp_path: Path) -> None:
        server, client = _tls(tmp_path)
        acs = await Acs().start(tls=server)
        async with Sip2Pool(acs.url.replace("sip2:", "sip2s:"), tls=client) as asking:
            assert (await asking.call(QUESTION)).get("AB") == "1"
        await acs.stop()

    async def test_a_serial_line_carries_one_connection(self, tmp_path: Path) -> None:
        near, far = pty.openpty()
        tty.setraw(near)
        tty.setraw(far)
        acs, answered = Acs(), 0

        def serve() -> None:
            nonlocal answered
            buffer = bytearray()
            while True:
                try:
                    buffer += os.read(near, 1000)
                except OSError:
                    return
                while b"\r" in buffer:
                    frame, _, rest = bytes(buffer).partition(b"\r")
                    buffer[:] = rest
                    answered += 1
                    os.write(near, seal(acs.right(frame.decode()[:-9]) or "", chr(frame[-7])) + b"\r")

        serving = asyncio.create_task(asyncio.to_thread(serve))
        async with Sip2Pool(f"pty:{os.ttyname(far)}", connections=4, login=("u", "p", None)) as asking:
            found = await asyncio.gather(*(asking.call(item_information("990001", str(n), NOW)) for n in range(5)))
            assert [reply.get("AB") for reply in found] == ["0", "1", "2", "3", "4"]
            assert asking.public()["connections"] == 1
        os.close(far)
        await serving
        os.close(near)
        assert answered == 7


async def _umlaut(peer: Line, text: str, sequence: str | None) -> None:
    if text.startswith("17"):
        peer.say(f"18030201{DATE}AB1|AJÜber|", sequence)
    else:
        await peer.acs.by_the_book(peer, text, sequence)


def _tls(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's side and the side of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ils")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "ils.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=pem)
