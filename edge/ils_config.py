"""The `[ils]` part of ``edge.toml``: the branch's own ILS, its proxy accounts, its feed and its nightly reconciliation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from consortium.identity import check_org
from edge.ils.config import IlsConfig
from edge.settings import ConfigError, Settings
from edge.sip2_config import CHECKSUMS, TERMINATORS, known_encoding, one_of, within

_KEYS: dict[str, type] = {
    "url": str, "user": str, "password": str, "password_file": str, "institution": str, "location": str,
    "encoding": str, "terminator": str, "checksum": str, "ca": str, "timeout_ms": int, "replay_timeout_ms": int,
    "connections": int, "book_foreign": bool, "date_order": str, "queue_max": int, "proxies": dict, "branches": dict,
    "feed": dict, "reconcile": dict,
}  # fmt: skip
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_FILES = ("token_file", "folder", "ca")
"""Keys of ``[ils.feed]`` that are paths, relative to the configuration file."""


def ils_of(settings: Settings, org: str) -> IlsConfig | None:
    """The branch's own ILS, None where the file names none. Raises ConfigError."""
    table = settings.table("ils")
    if not table:
        return None
    settings.only(table, set(_KEYS), "ils")
    for key, kind in _KEYS.items():
        settings.override(table, "ils", key, kind)
    url = settings.text("ils", "url")
    parts = urlsplit(url)
    if not (parts.scheme in ("sip2", "sip2s") and parts.hostname and parts.port) and parts.scheme not in (
        "serial",
        "pty",
    ):
        raise ConfigError("CONFIG_VALUE", "ils.url must look like sip2://HOST:PORT, sip2s://HOST:PORT or serial:PATH")
    encoding = table.get("encoding", "auto")
    if encoding != "auto":
        known_encoding("ils", encoding)
    reconcile = table.get("reconcile", {})
    settings.only(reconcile, {"at", "every_s"}, "ils.reconcile")
    at, every = reconcile.get("at", "03:00"), reconcile.get("every_s")
    if not isinstance(at, str) or not _CLOCK.fullmatch(at):
        raise ConfigError("CONFIG_VALUE", 'ils.reconcile.at is a time of day such as "03:00"')
    if every is not None and (not isinstance(every, int) or not 1 <= every <= 86_400):
        raise ConfigError("CONFIG_VALUE", "ils.reconcile.every_s must be from 1 to 86400")
    return IlsConfig(
        url=url,
        user=table.get("user", ""),
        password=settings.secret(table, "password", "ils") if table.get("user") else "",
        institution=table.get("institution") or org,
        location=table.get("location", ""),
        encoding=encoding,
        terminator=TERMINATORS[one_of("ils", "terminator", table.get("terminator", "auto"), tuple(TERMINATORS))],
        error_detection=CHECKSUMS[one_of("ils", "checksum", table.get("checksum", "auto"), tuple(CHECKSUMS))],
        ca=str(settings.base / table["ca"]) if table.get("ca") else "",
        timeout_s=within("ils", "timeout_ms", table.get("timeout_ms", 1_200), 50, 10_000) / 1000,
        replay_timeout_s=within("ils", "replay_timeout_ms", table.get("replay_timeout_ms", 10_000), 100, 120_000)
        / 1000,
        connections=within("ils", "connections", table.get("connections", 4), 1, 64),
        book_foreign=table.get("book_foreign", False),
        date_order="mdy"
        if one_of("ils", "date_order", table.get("date_order", "dmy"), ("dmy", "mdy")) == "mdy"
        else "dmy",
        proxies=_proxies(settings, table.get("proxies", {})),
        branches=_texts("ils.branches", table.get("branches", {})),
        feed=_feed(settings, table.get("feed", {})),
        reconcile_at=at,
        reconcile_every_s=every,
        queue_max=within("ils", "queue_max", table.get("queue_max", 50_000), 100, 10_000_000),
    )


def _texts(name: str, table: Mapping[str, Any]) -> dict[str, str]:
    for key, value in table.items():
        if not isinstance(value, str) or not 0 < len(value) <= 64:
            raise ConfigError("CONFIG_TYPE", f"{name}.{key} must be a text of 1 to 64 characters")
    return dict(table)


def _proxies(settings: Settings, table: Mapping[str, Any]) -> dict[str, str]:
    for org in table:
        settings.checked(check_org, "ils.proxies", org)
    return _texts("ils.proxies", table)


def _feed(settings: Settings, table: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            inner = {name: one for name, one in value.items() if isinstance(one, str | int | bool)}
            if len(inner) < len(value):
                raise ConfigError("CONFIG_TYPE", f"ils.feed.{key} holds texts, whole numbers, true and false only")
            out[key] = inner
        elif isinstance(value, str | int | bool):
            out[key] = str(settings.base / value) if key in _FILES and isinstance(value, str) else value
        else:
            raise ConfigError("CONFIG_TYPE", f"ils.feed.{key} must be a text, a whole number, true or false")
    return out
