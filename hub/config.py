"""What the hub is told: ``hub.toml`` and ``TONGJIE_HUB_…`` variables, checked whole before anything starts.

Paths are relative to the file. A variable overrides the key of its name (``TONGJIE_HUB_HTTP_PORT`` is ``port`` of ``[http]``).
The master key and the policy key live in files of mode 0600 and nowhere else.
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

from consortium.identity import IdentityError, check_node, check_org
from consortium.seal import PolicyKey, SealError, Trust, public_key

PREFIX = "TONGJIE_HUB_"
KEY_BYTES = 32
"""Length of the master key and of the private policy key."""
_DATABASES = ("sqlite+aiosqlite", "postgresql+asyncpg")


class ConfigError(ValueError):
    """A configuration that cannot be used; ``code`` is stable, the message names the key and says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class PinCost:
    """Cost of a PIN's argon2id verifier. The default takes about 5 ms of one core: PINs are checked while a reader waits."""

    time_cost: int = 1
    memory_kib: int = 8192
    parallelism: int = 1


@dataclass(frozen=True, slots=True)
class HubConfig:
    """Everything the hub needs to start; the keys are read by ``master_key`` and ``policy_key`` and never held here.

    ``currency`` (ISO 4217) is what charges and payments are in, in its minor unit; ``holds_most`` open holds a reader may have at once.
    ``policy_cosigners``, ``policy_seals_needed`` and ``policy_party_keys`` say what branches ask of a bundle beyond the hub's own seal.
    """

    data: Path
    database: str
    broker_url: str
    master_key_file: Path
    policy_key_file: Path
    node: str = "hub-1"
    http_host: str = "127.0.0.1"
    http_port: int = 8080
    base_url: str = "http://127.0.0.1:8080"
    pin: PinCost = PinCost()
    watermark_s: int = 30
    currency: str = "CNY"
    holds_most: int = 20
    policy_cosigners: tuple[PolicyKey, ...] = ()
    policy_seals_needed: int = 1
    policy_party_keys: Mapping[str, tuple[PolicyKey, ...]] = field(default_factory=dict)


_SECTIONS: dict[str, dict[str, type]] = {
    "": {
        "data": str, "database": str, "broker_url": str, "node": str, "master_key_file": str, "policy_key_file": str,
        "base_url": str, "watermark_s": int, "currency": str, "holds_most": int, "policy_cosigners": list, "policy_seals_needed": int,
    },
    "http": {"host": str, "port": int},
    "pin": {"time_cost": int, "memory_kib": int, "parallelism": int},
}  # fmt: skip
_WORD = {str: "a text", int: "a whole number", list: "a list"}


def load(path: Path, env: Mapping[str, str] | None = None) -> HubConfig:
    """Read a configuration file with the variables of ``env`` (default: the process's) over it. Raises ConfigError."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            "CONFIG_UNREADABLE", f"{path.name} cannot be read ({error.strerror}); give --config FILE"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("CONFIG_NOT_TOML", f"{path.name} is not TOML: {error}") from error
    values = _values(raw, os.environ if env is None else env)
    base = path.resolve().parent
    data = base / str(_need(values, "data", path))
    host = str(values.get("http.host", "127.0.0.1"))
    cosigners = _policy_keys("policy_cosigners", values.get("policy_cosigners", []))
    port = _number(values, "http.port", 8080, 0, 65_535)
    return HubConfig(
        data=data,
        database=_database(str(values.get("database") or f"sqlite+aiosqlite:///{data / 'hub.sqlite'}")),
        broker_url=_url("broker_url", str(_need(values, "broker_url", path)), ("mqtt", "mqtts")),
        master_key_file=base / str(values.get("master_key_file") or data / "master.key"),
        policy_key_file=base / str(values.get("policy_key_file") or data / "policy.key"),
        node=_node(str(values.get("node", "hub-1"))),
        http_host=host,
        http_port=port,
        base_url=_url("base_url", str(values.get("base_url") or f"http://{host}:{port}"), ("http", "https")),
        pin=PinCost(
            _number(values, "pin.time_cost", 1, 1, 100),
            _number(values, "pin.memory_kib", 8192, 1024, 4_194_304),
            _number(values, "pin.parallelism", 1, 1, 16),
        ),
        watermark_s=_number(values, "watermark_s", 30, 1, 3600),
        currency=_currency(str(values.get("currency", "CNY"))),
        holds_most=_number(values, "holds_most", 20, 0, 10_000),
        policy_cosigners=cosigners,
        policy_seals_needed=_number(values, "policy_seals_needed", 1, 1, 1 + len(cosigners)),
        policy_party_keys=_party_keys(raw.get("policy_party_keys", {})),
    )


def prepare(config: HubConfig) -> None:
    """Make the data folder and see that it can be written. Raises ConfigError CONFIG_DATA."""
    try:
        config.data.mkdir(parents=True, exist_ok=True)
        probe = config.data / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            "CONFIG_DATA",
            f"data: the folder {config.data} cannot be written ({error.strerror}); name another or mend its rights",
        ) from error


def master_key(config: HubConfig) -> bytes:
    """The 32 bytes of the master key. Raises ConfigError CONFIG_KEY_MISSING, CONFIG_KEY_MODE or CONFIG_KEY_FORM."""
    return _key(config.master_key_file, "master_key_file")


def policy_key(config: HubConfig) -> bytes:
    """The 32 bytes of the private key that seals policy bundles. Raises as ``master_key`` does."""
    return _key(config.policy_key_file, "policy_key_file")


def policy_trust(config: HubConfig, key: bytes) -> Trust:
    """What a bundle must carry to be published, where ``key`` is the private policy key."""
    keys = {each.id: each for each in (public_key(key), *config.policy_cosigners)}
    return Trust(tuple(keys.values()), config.policy_seals_needed, config.policy_party_keys)


def _key(path: Path, setting: str) -> bytes:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "CONFIG_KEY_MISSING",
            f"{setting}: {path.name} cannot be read; write {2 * KEY_BYTES} random hex digits into it",
        ) from error
    if mode & 0o077:
        raise ConfigError(
            "CONFIG_KEY_MODE", f"{setting}: others may read {path.name} (mode {mode:04o}); run chmod 600 on it"
        )
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError("CONFIG_KEY_FORM", f"{setting}: {path.name} must hold {2 * KEY_BYTES} hex digits")
    return key


def write_key(path: Path, raw: bytes) -> None:
    """Write a new key file of mode 0600 from 32 random bytes. Raises FileExistsError: a key is never overwritten."""
    if len(raw) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(raw.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())  # bundles sealed with a key that a power cut took could never be followed by another


def _values(raw: dict[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for section, keys in _SECTIONS.items():
        table = raw.get(section, {}) if section else raw
        if not isinstance(table, dict):
            raise ConfigError("CONFIG_TYPE", f"{section} is a table: write [{section}] on a line of its own")
        known = {*keys, *({*_SECTIONS, "policy_party_keys"} if not section else ())}
        for key in table:
            if key not in known:
                raise ConfigError(
                    "CONFIG_KEY",
                    f"{_name(section, key)} is no setting of the hub; settings are {', '.join(sorted(known - {''}))}",
                )
        for key, kind in keys.items():
            variable = PREFIX + _name(section, key).upper().replace(".", "_")
            value: Any = env.get(variable, table.get(key))
            if value is None:
                continue
            if variable in env and kind is int:
                if not str(value).isascii() or not str(value).isdigit():
                    raise ConfigError("CONFIG_TYPE", f"{variable} must be a whole number")
                value = int(value)
            if variable in env and kind is list:
                value = str(value).replace(",", " ").split()
            if not isinstance(value, kind) or isinstance(value, bool):
                raise ConfigError("CONFIG_TYPE", f"{_name(section, key)} must be {_WORD[kind]}")
            out[_name(section, key)] = value
    return out


def _policy_keys(name: str, texts: object) -> tuple[PolicyKey, ...]:
    if not isinstance(texts, list):
        raise ConfigError("CONFIG_TYPE", f"{name} must be a list of public keys")
    try:
        return tuple(PolicyKey.from_hex(str(text)) for text in texts)
    except SealError as error:
        raise ConfigError("CONFIG_POLICY_KEY", f"{name}: {error}") from error


def _party_keys(table: object) -> dict[str, tuple[PolicyKey, ...]]:
    if not isinstance(table, dict):
        raise ConfigError("CONFIG_TYPE", "policy_party_keys is a table: write [policy_party_keys] on a line of its own")
    try:
        return {check_org(org): _policy_keys(f"policy_party_keys.{org}", texts) for org, texts in table.items()}
    except IdentityError as error:
        raise ConfigError("CONFIG_VALUE", f"policy_party_keys: {error}") from error


def _name(section: str, key: str) -> str:
    return f"{section}.{key}" if section else key


def _need(values: Mapping[str, Any], name: str, path: Path) -> Any:
    if not values.get(name):
        raise ConfigError("CONFIG_MISSING", f"{name} is missing; add it to {path.name}")
    return values[name]


def _number(values: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = int(values.get(name, default))
    if not least <= value <= most:
        raise ConfigError("CONFIG_VALUE", f"{name} must be from {least} to {most}")
    return value


def _url(name: str, text: str, schemes: tuple[str, ...]) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable and not (name == "base_url" and text.endswith(":0")):
        raise ConfigError("CONFIG_VALUE", f"{name} must look like {schemes[0]}://HOST:PORT")
    return text.rstrip("/")


def _database(url: str) -> str:
    if url.split("://", 1)[0] not in _DATABASES:
        raise ConfigError(
            "CONFIG_VALUE", f"database must begin with {' or '.join(f'{name}://' for name in _DATABASES)}"
        )
    return url


def _currency(text: str) -> str:
    if not (len(text) == 3 and text.isascii() and text.isalpha() and text.isupper()):
        raise ConfigError("CONFIG_VALUE", "currency: three capital letters as ISO 4217 has them, for example CNY")
    return text


def _node(text: str) -> str:
    try:
        check_node(text)
    except IdentityError as error:
        raise ConfigError("CONFIG_VALUE", f"node: {error}") from error
    if not text.startswith("hub-"):
        raise ConfigError("CONFIG_VALUE", "node: a hub's node id begins with hub-, for example hub-1")
    return text
