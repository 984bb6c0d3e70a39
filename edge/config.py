"""What one edge is told: ``edge.toml`` and ``TONGJIE_EDGE_…`` variables, checked whole before anything starts.

Paths are relative to the file. A variable overrides the key of its name (``TONGJIE_EDGE_HTTP_PORT`` is ``port`` of ``[http]``).
Tokens and passwords live in files of mode 0600, or inline in a configuration file of mode 0600; only ``mode = "demo"`` waives that.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from consortium.identity import IdentityError, check_branch, check_node, check_org, org_of_branch
from consortium.seal import PolicyKey, SealError, Trust

PREFIX = "TONGJIE_EDGE_"
_KEY_BYTES = 32
_NOBODY = Trust(())


class ConfigError(ValueError):
    """A configuration that cannot be used; ``code`` is stable, the message names the key and says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """A SIP2 login. ``device``: the kiosk's id in events; ``pad``: device id of the RFID pad beside it;
    ``trusts_card``: the kiosk itself read the card, so the card's own assurance counts."""

    user: str
    password: str = field(repr=False)
    institution: str
    device: str
    pad: str | None = None
    trusts_card: bool = False
    encoding: str = "utf-8"
    lang: str = "zh"


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
    devices: tuple[DeviceConfig, ...] = ()
    outbox: OutboxConfig = OutboxConfig()
    policy_trust: Trust = _NOBODY
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
_ACCOUNT: dict[str, type] = {
    "user": str, "password": str, "password_file": str, "institution": str, "device": str, "pad": str,
    "trusts_card": bool, "encoding": str, "lang": str,
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


class _Reader:
    def __init__(self, raw: dict[str, Any], path: Path, env: Mapping[str, str]) -> None:
        self._path = path
        self._env = env
        self._base = path.resolve().parent
        self._raw = raw
        known = {*_SECTIONS[""], "http", "sip2", "outbox", "devices", "policy_party_keys"}
        self._only(raw, known, "")
        for section, keys in _SECTIONS.items():
            table = self._table(section)
            if section:
                self._only(table, {*keys, "accounts"} if section == "sip2" else set(keys), section)
            for key, kind in keys.items():
                self._override(table, section, key, kind, env)
        self.mode = self._text("", "mode", "live")
        if self.mode not in ("live", "demo"):
            raise ConfigError("CONFIG_VALUE", 'mode is "live" or "demo"')

    def config(self) -> EdgeConfig:
        branch = self._checked(check_branch, "branch", self._text("", "branch"))
        org = self._checked(check_org, "org", self._text("", "org", org_of_branch(branch)))
        if org_of_branch(branch) != org:
            raise ConfigError(
                "CONFIG_VALUE", f"branch {branch} does not belong to org {org}; a branch id begins with its org"
            )
        accounts = self._accounts()
        devices = self._devices()
        ids = {device.id for device in devices}
        for account in accounts:
            if account.pad is not None and account.pad not in ids:
                raise ConfigError(
                    "CONFIG_VALUE",
                    f"account {account.user} names pad {account.pad!r}, which is no device; add it to devices",
                )
        return EdgeConfig(
            node=self._checked(check_node, "node", self._text("", "node", f"edge-{branch.lower()}")),
            branch=branch,
            org=org,
            data=self._base / self._text("", "data"),
            hub_url=self._url("hub_url", ("http", "https")),
            broker_url=self._url("broker_url", ("mqtt",)),
            node_token=self._secret(self._table(""), "node_token", ""),
            site_key=self._site_key(),
            http_host=self._text("http", "host", "127.0.0.1"),
            http_port=self._tcp_port("http", 8101),
            sip2_host=self._text("sip2", "host", "127.0.0.1"),
            sip2_port=self._tcp_port("sip2", 6101),
            accounts=accounts,
            devices=devices,
            outbox=self._outbox(),
            policy_trust=self._policy_trust(),
            mode=self.mode,
        )

    def _table(self, section: str) -> dict[str, Any]:
        if not section:
            return self._raw
        table = self._raw.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError("CONFIG_TYPE", f"{section} is a table: write [{section}] on a line of its own")
        return table

    def _only(self, table: Mapping[str, Any], known: set[str], section: str) -> None:
        for key in table:
            if key not in known:
                raise ConfigError(
                    "CONFIG_KEY",
                    f"{self._name(section, key)} is no setting of an edge; settings are {', '.join(sorted(known))}",
                )

    @staticmethod
    def _name(section: str, key: str) -> str:
        return f"{section}.{key}" if section else key

    def _override(self, table: dict[str, Any], section: str, key: str, kind: type, env: Mapping[str, str]) -> None:
        variable = PREFIX + (f"{section}_{key}" if section else key).upper()
        if variable in env:
            text = env[variable]
            try:
                table[key] = text.replace(",", " ").split() if kind is list else kind(text)
            except ValueError as error:
                raise ConfigError("CONFIG_TYPE", f"{variable} must be a whole number") from error
        if key in table and (not isinstance(table[key], kind) or (kind is int and isinstance(table[key], bool))):
            raise ConfigError("CONFIG_TYPE", f"{self._name(section, key)} must be {_WORD[kind]}")

    def _text(self, section: str, key: str, default: str | None = None) -> str:
        value = self._table(section).get(key, default)
        if not value:
            raise ConfigError("CONFIG_MISSING", f"{self._name(section, key)} is missing; add it to {self._path.name}")
        return str(value)

    def _number(self, section: str, key: str, default: int, least: int, most: int) -> int:
        value = self._table(section).get(key, default)
        if not least <= value <= most:
            raise ConfigError("CONFIG_VALUE", f"{self._name(section, key)} must be from {least} to {most}")
        return int(value)

    def _tcp_port(self, section: str, default: int) -> int:
        return self._number(section, "port", default, 0, 65_535)

    def _url(self, key: str, schemes: tuple[str, ...]) -> str:
        text = self._text("", key)
        parts = urlsplit(text)
        if parts.scheme not in schemes or not parts.hostname:
            raise ConfigError("CONFIG_VALUE", f"{key} must look like {schemes[0]}://HOST:PORT")
        return text.rstrip("/")

    @staticmethod
    def _checked(check: Any, key: str, value: str) -> str:
        try:
            return str(check(value))
        except IdentityError as error:
            raise ConfigError("CONFIG_VALUE", f"{key}: {error}") from error

    def _outbox(self) -> OutboxConfig:
        default = OutboxConfig()
        return OutboxConfig(
            max_rows=self._number("outbox", "max_rows", default.max_rows, 10, 100_000_000),
            archive_rows=self._number("outbox", "archive_rows", default.archive_rows, 0, 100_000_000),
            archive_days=self._number("outbox", "archive_days", default.archive_days, 1, 366),
            max_file_mib=self._number("outbox", "max_file_mib", default.max_file_mib, 0, 1_000_000),
        )

    # --- lists ---

    def _rows(self, table: Mapping[str, Any], key: str, name: str, keys: dict[str, type]) -> list[dict[str, Any]]:
        rows = table.get(key, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ConfigError("CONFIG_TYPE", f"{name} is a list of tables: write [[{name}]] before each")
        for row in rows:
            self._only(row, set(keys), name)
            for field_name, value in row.items():
                if not isinstance(value, keys[field_name]):
                    raise ConfigError("CONFIG_TYPE", f"{name}.{field_name} must be {_WORD[keys[field_name]]}")
        return rows

    @staticmethod
    def _need(row: Mapping[str, Any], name: str, key: str) -> str:
        if not row.get(key):
            raise ConfigError("CONFIG_MISSING", f"{name}.{key} is missing in one of the [[{name}]] tables; add it")
        return str(row[key])

    def _accounts(self) -> tuple[AccountConfig, ...]:
        out: dict[str, AccountConfig] = {}
        for row in self._rows(self._table("sip2"), "accounts", "sip2.accounts", _ACCOUNT):
            user = self._need(row, "sip2.accounts", "user")
            if user in out:
                raise ConfigError("CONFIG_VALUE", f"two SIP2 accounts are called {user!r}; each kiosk has its own")
            out[user] = AccountConfig(
                user=user,
                password=self._secret(row, "password", "sip2.accounts"),
                institution=row.get("institution") or self._text("", "org", self._text("", "branch").split("-")[0]),
                device=row.get("device") or user,
                pad=row.get("pad"),
                trusts_card=row.get("trusts_card", False),
                encoding=row.get("encoding", "utf-8"),
                lang=row.get("lang", "zh"),
            )
        return tuple(out.values())

    def _devices(self) -> tuple[DeviceConfig, ...]:
        out: dict[str, DeviceConfig] = {}
        for row in self._rows(self._raw, "devices", "devices", _DEVICE):
            device = DeviceConfig(
                id=self._need(row, "devices", "id"),
                kind=self._need(row, "devices", "kind"),
                url=self._need(row, "devices", "url"),
                options=row.get("options", {}),
            )
            if device.id in out:
                raise ConfigError("CONFIG_VALUE", f"two devices are called {device.id!r}; give each its own id")
            out[device.id] = device
        return tuple(out.values())

    # --- the policy's keys ---

    def _policy_trust(self) -> Trust:
        texts = self._table("").get("policy_keys")
        if not texts:
            raise ConfigError(
                "CONFIG_MISSING",
                'policy_keys is missing; write policy_keys = ["…"] with the public key that the hub logs when it starts',
            )
        keys = tuple({key.id: key for key in (self._policy_key("policy_keys", text) for text in texts)}.values())
        needed = self._number("", "policy_seals_needed", 1, 1, len(keys))
        return Trust(keys, needed, self._party_keys())

    def _party_keys(self) -> dict[str, tuple[PolicyKey, ...]]:
        found: dict[str, tuple[PolicyKey, ...]] = {}
        for org, texts in self._table("policy_party_keys").items():
            name = f"policy_party_keys.{self._checked(check_org, 'policy_party_keys', org)}"
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

    # --- secrets ---

    def _secret(self, table: Mapping[str, Any], key: str, section: str) -> str:
        name = self._name(section, key)
        if table.get(key):
            if self.mode != "demo" and PREFIX + name.upper() not in self._env:
                self._private(self._path, name)
            return str(table[key])
        if table.get(f"{key}_file"):
            path = self._base / str(table[f"{key}_file"])
            return self._read_private(path, f"{name}_file").strip()
        raise ConfigError(
            "CONFIG_MISSING", f"{name} is missing; put it into a file of mode 0600 and name that in {name}_file"
        )

    def _private(self, path: Path, name: str) -> None:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError as error:
            raise ConfigError("CONFIG_UNREADABLE", f"{name}: {path.name} cannot be read ({error.strerror})") from error
        if mode & 0o077:
            raise ConfigError(
                "CONFIG_SECRET_MODE", f"{name}: others may read {path.name} (mode {mode:04o}); run chmod 600 on it"
            )

    def _read_private(self, path: Path, name: str) -> str:
        self._private(path, name)
        try:
            return path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError("CONFIG_UNREADABLE", f"{name}: {path.name} cannot be read as text") from error

    def _site_key(self) -> bytes:
        path = self._base / self._text("", "site_key_file")
        text = self._read_private(path, "site_key_file").strip()
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


_WORD: dict[type, str] = {str: "a text", int: "a whole number", bool: "true or false", dict: "a table", list: "a list"}
