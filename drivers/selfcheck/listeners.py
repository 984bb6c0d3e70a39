"""Where kiosks come in: TCP, TLS and serial lines, each by a URL, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, cast

from drivers.base import ConfigurationError
from drivers.port import parse_url

__all__ = ["Listener", "TlsFiles"]

_LINES = ("serial", "pty", "rfc2217")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of a TLS listener: own certificate (with its chain) and key; with `client_ca` a client certificate of
    that authority is required. A file that changes on disk is taken up for the next connection."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Listener:
    """One place where kiosks come in.

    `url`: `tcp://HOST:PORT`, `tls://HOST:PORT` (an IPv6 host in brackets; port 0 = any free one) or a line as
    `drivers.port` opens it: `serial:PATH?baudrate=9600&parity=E`, `pty:PATH`. `name` is how accounts, logs and pages
    call it, the URL where it is empty. `login_required` False serves peers without 93: as `account` (its user), or as
    the one account whose `addresses` hold the peer. `account` alone restricts nothing; it is who a peer is until a 93
    says otherwise. `login_prompt` asks `login:` and `Password:` in the manner of telnet first. `proxy_header` expects
    HAProxy's PROXY header, v1 or v2, and takes it from `proxies` (networks) only; other peers are closed. `idle_s`
    ends a silent connection, None = the server's limit; a line is never ended for silence.

    Raises ValueError where these do not go together.
    """

    url: str
    name: str = ""
    tls: TlsFiles | None = None
    login_required: bool = True
    login_prompt: bool = False
    proxy_header: bool = False
    account: str | None = None
    idle_s: float | None = None
    proxies: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    scheme: Literal["tcp", "tls", "line"] = field(init=False)
    host: str = field(init=False, default="")
    tcp_port: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        scheme, _, rest = self.url.partition(":")
        if scheme in _LINES:
            try:
                parse_url(self.url)
            except ConfigurationError as error:
                raise ValueError(f"listener {self.url}: {error}") from error
            self._set("line", "", 0)
        elif scheme in ("tcp", "tls"):
            host, _, number = rest.removeprefix("//").rpartition(":")
            host = host.removeprefix("[").removesuffix("]")
            if not host or not number.isascii() or not number.isdigit() or int(number) > 65_535:
                raise ValueError(f"listener {self.url}: a listener is tcp://HOST:PORT, tls://HOST:PORT or serial:PATH")
            self._set(cast("Literal['tcp', 'tls']", scheme), host, int(number))
        else:
            raise ValueError(f"listener {self.url}: a listener is tcp://HOST:PORT, tls://HOST:PORT or serial:PATH")
        if (self.scheme == "tls") != (self.tls is not None):
            raise ValueError(f"listener {self.url}: tls:// needs certificate and key, and nothing else takes them")
        if self.scheme == "line" and (self.proxy_header or self.login_prompt):
            raise ValueError(f"listener {self.url}: a line has neither PROXY header nor login prompt")
        if self.login_prompt and not self.login_required:
            raise ValueError(f"listener {self.url}: a login prompt where no login is required makes no sense")
        if self.idle_s is not None and self.idle_s <= 0:
            raise ValueError(f"listener {self.url}: idle_s is more than 0")
        for network in self.proxies:
            ip_network(network, strict=False)
        if not self.name:
            object.__setattr__(self, "name", self.url)

    def _set(self, scheme: Literal["tcp", "tls", "line"], host: str, tcp_port: int) -> None:
        object.__setattr__(self, "scheme", scheme)
        object.__setattr__(self, "host", host)
        object.__setattr__(self, "tcp_port", tcp_port)
