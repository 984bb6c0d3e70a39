"""The connections to a branch's ILS: how many, how long they may take, and when it counts as away."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from drivers.base import ConfigurationError
from drivers.selfcheck.client import Peer, PoolState, Sip2Pool
from drivers.selfcheck.client_breaker import BreakerLimits
from edge.ils.config import IlsConfig
from edge.settings import ConfigError

UNREACHABLE = "ILS_UNREACHABLE"
REASONS = {
    "login_refused": "ILS_LOGIN_REFUSED", "no_version": "ILS_NO_SIP2", "off_line": "ILS_OFF_LINE", "timeout": "ILS_SILENT",
    "certificate": "ILS_CERTIFICATE",
}  # fmt: skip
"""Why the ILS is offline, as staff are told, by the client's code; any other is ``UNREACHABLE``."""

_BREAKER = BreakerLimits(failures=2, first_s=1.0, most_s=15.0)
_CONNECT_S = 3.0
_KEEPALIVE_S = 60.0


def make_pool(config: IlsConfig, changed: Callable[[PoolState], None]) -> Sip2Pool:
    """The pool of an ILS; a kiosk waits ``timeout_s`` at most, twice in a row. Raises ConfigError."""
    try:
        return Sip2Pool(
            config.url,
            login=(config.user, config.password, config.location or None) if config.user else None,
            connections=config.connections,
            peer=Peer(encoding=config.encoding, terminator=config.terminator, error_detection=config.error_detection),
            deadline_s=config.timeout_s,
            reply_s=config.replay_timeout_s,
            connect_timeout_s=max(_CONNECT_S, config.timeout_s),
            keepalive_s=_KEEPALIVE_S,
            breaker=_BREAKER,
            tls=_trust(config.ca) if config.ca else None,
            changed=changed,
        )
    except ConfigurationError as error:
        raise ConfigError("CONFIG_VALUE", f"ils.url: {error}") from error


def _trust(file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError("CONFIG_UNREADABLE", f"ils.ca: {Path(file).name} cannot be read as certificates") from error
