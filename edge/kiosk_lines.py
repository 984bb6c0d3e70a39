"""The SIP2 server as an edge's configuration wants it: its listeners and its accounts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Literal

from drivers.selfcheck import Account, Handler, KioskSession, Listener, Sip2Server, TlsFiles, Tracer, Trim
from edge.config import ConfigError, EdgeConfig
from edge.sip2_config import AccountConfig, ListenerConfig

_LANGUAGES = {"zh": "019", "en": "001"}
_TERMINATORS: dict[bytes, Literal["CR", "LF", "CRLF"]] = {b"\r": "CR", b"\n": "LF", b"\r\n": "CRLF"}
FIRST = "sip2"
"""Name of the listener at ``[sip2]`` host and port."""


def server_of(
    config: EdgeConfig,
    handler: Handler,
    *,
    clock: Callable[[], datetime],
    tracer: Tracer | None,
    on_presence: Callable[[KioskSession, bool], None],
) -> Sip2Server:
    """The server, not yet started. Raises ConfigError where a listener or an account cannot be."""
    host = f"[{config.sip2_host}]" if ":" in config.sip2_host else config.sip2_host
    try:
        listeners = (
            Listener(f"tcp://{host}:{config.sip2_port}", name=FIRST),
            *(_listener(one) for one in config.listeners),
        )
        accounts = {one.user: _account(one, config.branch) for one in config.accounts}
        return Sip2Server(accounts, handler, listeners=listeners, clock=clock, tracer=tracer, on_presence=on_presence)
    except ValueError as error:
        raise ConfigError("CONFIG_VALUE", f"sip2: {error}") from error


def _listener(one: ListenerConfig) -> Listener:
    tls = None
    if one.certificate is not None and one.key is not None:
        tls = TlsFiles(Path(one.certificate), Path(one.key), Path(one.client_ca) if one.client_ca else None)
    return Listener(
        one.url,
        name=one.name,
        tls=tls,
        login_required=one.login,
        login_prompt=one.prompt,
        proxy_header=bool(one.proxy),
        account=one.account,
        idle_s=one.idle_s,
        proxies=one.proxy,
    )


def _account(one: AccountConfig, branch: str) -> Account:
    return Account(
        one.user,
        one.password,
        one.institution,
        location=branch,
        encoding=one.encoding,
        language=_LANGUAGES[one.lang],
        always_checkin_fields=frozenset(one.always_fields),
        user_prefix=one.user if one.user_prefix else "",
        addresses=one.addresses,
        locations=one.locations,
        listeners=one.listeners,
        terminator=_TERMINATORS[one.terminator] if one.terminator is not None else None,
        error_detection=one.error_detection,
        delimiter=one.delimiter,
        hide_fields=frozenset(one.hide_fields),
        trim=Trim(one.trim_prefix, one.trim_suffix) if one.trim_prefix or one.trim_suffix else None,
        timeout_tenths=one.timeout_tenths,
        retries=one.retries,
    )
