"""The parts of ``edge.toml`` about kiosks, their lines, and a library's own ILS: what is taken, and what is refused by name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.selfcheck import KioskSession, Reply, Sip2Client, refusal
from drivers.selfcheck.client import LoginRefused
from edge.config import ConfigError, EdgeConfig, load
from edge.kiosk_lines import server_of
from protocols.sip2 import Message
from tests.edge.test_config import GOOD, folder  # noqa: F401 - a fixture

LINES = """
[[sip2.listeners]]
name = "tls"
url = "tls://127.0.0.1:0"
certificate = "kiosks.pem"
key = "kiosks.key"

[[sip2.listeners]]
name = "com1"
url = "serial:/dev/ttyS0?baudrate=9600"
login = false
account = "kiosk1"
"""
ACCOUNT = """
addresses = ["192.0.2.0/24", "2001:db8::1"]
user_prefix = true
terminator = "crlf"
checksum = "off"
encoding = "gb18030"
delimiter = "^"
currency = "KWD"
hide_fields = ["AE"]
always_fields = ["CT"]
trim_prefix = "A"
kind = "sorter"
names = "initials"
timeout_tenths = 50
bins = [{ bin = "3", action = "TRANSIT", dest = "990001-01" }, { bin = "4", call_number = "TP" }]
"""
ILS = """
[ils]
url = "sip2://127.0.0.1:6001"
user = "tongjie"
password_file = "kiosk1.password"
timeout_ms = 800

[ils.proxies]
990001 = "P990001"

[ils.feed]
kind = "csv"
folder = "drop"
every_s = 5

[ils.reconcile]
at = "02:30"
"""


def read(folder: Path, text: str) -> EdgeConfig:  # noqa: F811 - the fixture's value
    path = folder / "edge.toml"
    path.write_text(text)
    return load(path, {})


def good(account: str = "", rest: str = "") -> str:
    return GOOD.replace('pad = "pad1"\n', f'pad = "pad1"\n{account}', 1) + rest


def test_what_is_known_of_a_kiosk_beforehand_reaches_the_server(folder: Path) -> None:  # noqa: F811
    config = read(folder, good(ACCOUNT, LINES))
    (account,) = config.accounts
    assert (account.terminator, account.error_detection, account.encoding) == (b"\r\n", False, "gb18030")
    assert [(rule.bin, rule.action, rule.dest, rule.call_number) for rule in account.bins] == [
        ("3", "TRANSIT", "990001-01", ""), ("4", "", "", "TP"),
    ]  # fmt: skip
    assert [(one.name, one.account, one.login) for one in config.listeners] == [
        ("tls", None, True),
        ("com1", "kiosk1", False),
    ]
    assert config.listeners[0].certificate == str(folder / "kiosks.pem")


def test_a_kiosk_of_which_nothing_is_said_is_learned(folder: Path) -> None:  # noqa: F811
    (account,) = read(folder, good()).accounts
    assert (account.encoding, account.terminator, account.error_detection, account.no_block) == (
        "auto",
        None,
        None,
        True,
    )


def test_the_ils_is_read_with_its_proxies_its_feed_and_its_hour(folder: Path) -> None:  # noqa: F811
    config = read(folder, good(rest=ILS))
    assert config.ils is not None
    assert (config.ils.timeout_s, config.ils.reconcile_at, config.ils.institution) == (0.8, "02:30", "251020")
    assert dict(config.ils.proxies) == {"990001": "P990001"}
    assert config.ils.feed["folder"] == str(folder / "drop")
    assert "pa55word" not in repr(config)
    assert read(folder, good()).ils is None


@pytest.mark.parametrize(
    ("text", "code", "named"),
    [
        (good('terminator = "lfcr"\n'), "CONFIG_VALUE", "terminator"),
        (good('checksum = "maybe"\n'), "CONFIG_VALUE", "checksum"),
        (good('encoding = "klingon"\n'), "CONFIG_VALUE", "klingon"),
        (good('delimiter = "||"\n'), "CONFIG_VALUE", "delimiter"),
        (good('currency = "yuan"\n'), "CONFIG_VALUE", "currency"),
        (good('kind = "robot"\n'), "CONFIG_VALUE", "kind"),
        (good('addresses = ["anywhere"]\n'), "CONFIG_VALUE", "anywhere"),
        (good("addresses = [7]\n"), "CONFIG_TYPE", "addresses"),
        (good("timeout_tenths = 1000\n"), "CONFIG_VALUE", "timeout_tenths"),
        (good('bins = [{ action = "HOLD" }]\n'), "CONFIG_MISSING", "bins.bin"),
        (good('bins = [{ bin = "1", action = "KEEP" }]\n'), "CONFIG_VALUE", "bins.action"),
        (good('bins = [{ bin = "1", shelf = "x" }]\n'), "CONFIG_KEY", "bins.shelf"),
        (good(rest='[[sip2.listeners]]\nurl = "udp://127.0.0.1:1"\n'), "CONFIG_VALUE", "udp"),
        (good(rest='[[sip2.listeners]]\nurl = "tls://127.0.0.1:1"\n'), "CONFIG_MISSING", "certificate"),
        (good(rest='[[sip2.listeners]]\nurl = "tcp://127.0.0.1:1"\nlogin = false\n'), "CONFIG_MISSING", "account"),
        (good(rest='[[sip2.listeners]]\nurl = "tcp://127.0.0.1:1"\naccount = "x"\n'), "CONFIG_VALUE", "account 'x'"),
        (good(rest=LINES + LINES), "CONFIG_VALUE", "tls"),
        (good(rest=ILS.replace("sip2://127.0.0.1:6001", "http://ils")), "CONFIG_VALUE", "ils.url"),
        (good(rest=ILS.replace("02:30", "25:00")), "CONFIG_VALUE", "reconcile.at"),
        (good(rest=ILS.replace("timeout_ms = 800", "timeout_ms = 5")), "CONFIG_VALUE", "timeout_ms"),
        (good(rest=ILS.replace("timeout_ms = 800", "timeout = 1")), "CONFIG_KEY", "ils.timeout"),
        (good(rest=ILS.replace("every_s = 5", "every_s = 5.0")), "CONFIG_TYPE", "ils.feed.every_s"),
        (good(rest=ILS.replace('password_file = "kiosk1.password"\n', "")), "CONFIG_MISSING", "ils.password"),
        (good(rest='[trace]\ntoken_file = "none"\n'), "CONFIG_UNREADABLE", "trace.token_file"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, text: str, code: str, named: str) -> None:  # noqa: F811
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    assert caught.value.code == code
    assert named in str(caught.value)


async def test_listeners_and_accounts_become_a_server_that_takes_the_login(folder: Path) -> None:  # noqa: F811
    config = read(folder, good().replace("port = 0", "port = 0\n[sip2]\nport = 0", 1))
    server = server_of(config, Closed(), clock=lambda: datetime.now(UTC), tracer=None, on_presence=lambda *_: None)
    host, port = await server.start()
    try:
        async with Sip2Client(host, port, user="kiosk1", password="pa55word") as client:
            assert (await client.status()).fixed["on_line_status"] == "N"
        with pytest.raises(LoginRefused):
            await Sip2Client(host, port, user="kiosk1", password="guess").connect()
    finally:
        await server.close()


class Closed:
    """A library that is closed to everybody."""

    async def handle(self, session: KioskSession, request: Message) -> Reply:
        return refusal(session, request, datetime.now(UTC))

    def on_timeout(self, session: KioskSession, request: Message) -> Reply:
        return refusal(session, request, datetime.now(UTC))
