"""What one edge is told: ``edge.toml`` and ``TONGJIE_EDGE_…`` variables, checked whole before anything starts.

Paths are relative to the file. A variable overrides the key of its name (``TONGJIE_EDGE_HTTP_PORT`` is ``port`` of ``[http]``).
Tokens and passwords live in files of mode 0600, or inline in a configuration file of mode 0600; only ``mode = "demo"`` waives that.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from consortium.identity import check_branch, check_node, check_org, org_of_branch
from consortium.seal import PolicyKey, SealError, Trust
from edge.ils.config import IlsConfig
from edge.ils_config import ils_of
from edge.settings import ConfigError, Settings
from edge.sip2_config import AccountConfig, ListenerConfig, accounts_of, listeners_of
from edge.tags_config import TagsConfig, tags_of

__all__ = [
    "AccountConfig",
    "ConfigError",
    "DeviceConfig",
    "EdgeConfig",
    "ListenerConfig",
    "OutboxConfig",
    "TagsConfig",
    "load",
]

_KEY_BYTES = 32
_NOBODY = Trust(())


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """A device of the branch: ``kind`` names its driver, ``url`` its port, ``options`` are the driver's own."""

    id: str
    kind: str
    url: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """Bounds of the outbox: undelivered rows, delivered rows kept, days kept, and MiB of its file (0 = as the disk allows)."""

    max_rows: int = 1_000_000
    archive_rows: int = 2_000_000
    archive_days: int = 14
    max_file_mib: int = 0


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """Everything an edge needs to start. Secrets are not in its ``repr``; without a key to trust it takes no policy at all."""

    node: str
    branch: str
    org: str
    data: Path
    hub_url: str
    broker_url: str
    node_token: str = field(repr=False)
    site_key: bytes = field(repr=False)
    http_host: str = "127.0.0.1"
    http_port: int = 8101
    sip2_host: str = "127.0.0.1"
    sip2_port: int = 6101
    accounts: tuple[AccountConfig, ...] = ()
    listeners: tuple[ListenerConfig, ...] = ()
    devices: tuple[DeviceConfig, ...] = ()
    outbox: OutboxConfig = OutboxConfig()
    tags: TagsConfig = field(default_factory=TagsConfig)
    policy_trust: Trust = _NOBODY
    ils: IlsConfig | None = None
    trace_token: str | None = field(default=None, repr=False)
    mode: str = "live"


_SECTIONS: dict[str, dict[str, type]] = {
    "": {
        "node": str, "branch": str, "org": str, "data": str, "hub_url": str, "broker_url": str, "node_token": str,
        "node_token_file": str, "site_key_file": str, "mode": str, "policy_keys": list, "policy_seals_needed": int,
    },
    "http": {"host": str, "port": int},
    "sip2": {"host": str, "port": int},
    "outbox": {"max_rows": int, "archive_rows": int, "archive_days": int, "max_file_mib": int},
}  # fmt: skip
_DEVICE: dict[str, type] = {"id": str, "kind": str, "url": str, "options": dict}


def load(path: Path, env: Mapping[str, str] | None = None) -> EdgeConfig:
    """Read a configuration file with the variables of ``env`` (default: the process's) over it. Raises ConfigError."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            "CONFIG_UNREADABLE", f"{path.name} cannot be read ({error.strerror}); give --config FILE"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("CONFIG_NOT_TOML", f"{path.name} is not TOML: {error}") from error
    return _Reader(raw, path, os.environ if env is None else env).config()


class _Reader(Settings):
    def __init__(self, raw: dict[str, Any], path: Path, env: Mapping[str, str]) -> None:
        super().__init__(raw, path, env)
        known = {*_SECTIONS[""], "http", "sip2", "outbox", "devices", "policy_party_keys", "ils", "trace", "tags"}
        self.only(raw, known, "")
        for section, keys in _SECTIONS.items():
            table = self.table(section)
            if section:
                self.only(table, {*keys, "accounts", "listeners"} if section == "sip2" else set(keys), section)
            for key, kind in keys.items():
                self.override(table, section, key, kind)
        self.mode = self.text("", "mode", "live")
        if self.mode not in ("live", "demo"):
            raise ConfigError("CONFIG_VALUE", 'mode is "live" or "demo"')

    def config(self) -> EdgeConfig:
        branch = self.checked(check_branch, "branch", self.text("", "branch"))
        org = self.checked(check_org, "org", self.text("", "org", org_of_branch(branch)))
        if org_of_branch(branch) != org:
            raise ConfigError(
                "CONFIG_VALUE", f"branch {branch} does not belong to org {org}; a branch id begins with its org"
            )
        accounts = accounts_of(self, org)
        listeners = listeners_of(self, {account.user for account in accounts})
        devices = self._devices()
        ids = {device.id for device in devices}
        for account in accounts:
            if account.pad is not None and account.pad not in ids:
                raise ConfigError(
                    "CONFIG_VALUE",
                    f"account {account.user} names pad {account.pad!r}, which is no device; add it to devices",
                )
        return EdgeConfig(
            node=self.checked(check_node, "node", self.text("", "node", f"edge-{branch.lower()}")),
            branch=branch,
            org=org,
            data=self.base / self.text("", "data"),
            hub_url=self.url("hub_url", ("http", "https")),
            broker_url=self.url("broker_url", ("mqtt",)),
            node_token=self.secret(self.table(""), "node_token", ""),
            site_key=self._site_key(),
            http_host=self.text("http", "host", "127.0.0.1"),
            http_port=self.tcp_port("http", 8101),
            sip2_host=self.text("sip2", "host", "127.0.0.1"),
            sip2_port=self.tcp_port("sip2", 6101),
            accounts=accounts,
            listeners=listeners,
            devices=devices,
            outbox=self._outbox(),
            tags=tags_of(self),
            policy_trust=self._policy_trust(),
            ils=ils_of(self, org),
            trace_token=self._trace_token(),
            mode=self.mode,
        )

    def _outbox(self) -> OutboxConfig:
        default = OutboxConfig()
        return OutboxConfig(
            max_rows=self.number("outbox", "max_rows", default.max_rows, 10, 100_000_000),
            archive_rows=self.number("outbox", "archive_rows", default.archive_rows, 0, 100_000_000),
            archive_days=self.number("outbox", "archive_days", default.archive_days, 1, 366),
            max_file_mib=self.number("outbox", "max_file_mib", default.max_file_mib, 0, 1_000_000),
        )

    # --- lists ---

    def _trace_token(self) -> str | None:
        """Who may see the traces from elsewhere than this machine; without it, nobody."""
        table = self.table("trace")
        self.only(table, {"token", "token_file"}, "trace")
        return self.secret(table, "token", "trace") if table else None

    def _devices(self) -> tuple[DeviceConfig, ...]:
        out: dict[str, DeviceConfig] = {}
        for row in self.rows(self.raw, "devices", "devices", _DEVICE):
            device = DeviceConfig(
                id=self.need(row, "devices", "id"),
                kind=self.need(row, "devices", "kind"),
                url=self.need(row, "devices", "url"),
                options=row.get("options", {}),
            )
            if device.id in out:
                raise ConfigError("CONFIG_VALUE", f"two devices are called {device.id!r}; give each its own id")
            out[device.id] = device
        return tuple(out.values())

    # --- the policy's keys ---

    def _policy_trust(self) -> Trust:
        texts = self.table("").get("policy_keys")
        if not texts:
            raise ConfigError(
                "CONFIG_MISSING",
                'policy_keys is missing; write policy_keys = ["…"] with the public key that the hub logs when it starts',
            )
        keys = tuple({key.id: key for key in (self._policy_key("policy_keys", text) for text in texts)}.values())
        needed = self.number("", "policy_seals_needed", 1, 1, len(keys))
        return Trust(keys, needed, self._party_keys())

    def _party_keys(self) -> dict[str, tuple[PolicyKey, ...]]:
        found: dict[str, tuple[PolicyKey, ...]] = {}
        for org, texts in self.table("policy_party_keys").items():
            name = f"policy_party_keys.{self.checked(check_org, 'policy_party_keys', org)}"
            if not isinstance(texts, list):
                raise ConfigError("CONFIG_TYPE", f"{name} must be a list of public keys")
            found[org] = tuple(self._policy_key(name, text) for text in texts)
        return found

    @staticmethod
    def _policy_key(name: str, text: object) -> PolicyKey:
        try:
            return PolicyKey.from_hex(str(text))
        except SealError as error:
            raise ConfigError("CONFIG_POLICY_KEY", f"{name}: {error}") from error

    def _site_key(self) -> bytes:
        path = self.base / self.text("", "site_key_file")
        text = self.read_private(path, "site_key_file").strip()
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise ConfigError(
                "CONFIG_SITE_KEY",
                f"site_key_file: {path.name} must hold {2 * _KEY_BYTES} hex digits, the library's key",
            )
        return key
