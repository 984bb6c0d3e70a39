"""Reading a configuration file: tables, texts, numbers, secrets, each fault one sentence with a stable code."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from consortium.identity import IdentityError

PREFIX = "TONGJIE_EDGE_"

_WORD: dict[type, str] = {str: "a text", int: "a whole number", bool: "true or false", dict: "a table", list: "a list"}


class ConfigError(ValueError):
    """A configuration that cannot be used; ``code`` is stable, the message names the key and says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Settings:
    """One parsed file with the variables of the environment over it. ``mode`` "demo" lets secrets stand where anybody may read them."""

    def __init__(self, raw: dict[str, Any], path: Path, env: Mapping[str, str]) -> None:
        self.raw = raw
        self.path = path
        self.base = path.resolve().parent
        self.env = env
        self.mode = "live"

    def table(self, section: str) -> dict[str, Any]:
        """A table of the file, empty where it is not there. Raises ConfigError CONFIG_TYPE."""
        if not section:
            return self.raw
        table = self.raw.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError("CONFIG_TYPE", f"{section} is a table: write [{section}] on a line of its own")
        return table

    def only(self, table: Mapping[str, Any], known: set[str], section: str) -> None:
        """Refuse keys that nobody reads. Raises ConfigError CONFIG_KEY."""
        for key in table:
            if key not in known:
                raise ConfigError(
                    "CONFIG_KEY",
                    f"{self.name(section, key)} is no setting of an edge; settings are {', '.join(sorted(known))}",
                )

    @staticmethod
    def name(section: str, key: str) -> str:
        """A key as messages call it."""
        return f"{section}.{key}" if section else key

    def override(self, table: dict[str, Any], section: str, key: str, kind: type) -> None:
        """Take the variable of a key's name, if it is set, and check the key's type. Raises ConfigError CONFIG_TYPE."""
        variable = PREFIX + (f"{section}_{key}" if section else key).upper()
        if variable in self.env:
            text = self.env[variable]
            try:
                table[key] = text.replace(",", " ").split() if kind is list else kind(text)
            except ValueError as error:
                raise ConfigError("CONFIG_TYPE", f"{variable} must be a whole number") from error
        if key in table and (not isinstance(table[key], kind) or (kind is int and isinstance(table[key], bool))):
            raise ConfigError("CONFIG_TYPE", f"{self.name(section, key)} must be {_WORD[kind]}")

    def text(self, section: str, key: str, default: str | None = None) -> str:
        """A text; without ``default`` it must be there. Raises ConfigError CONFIG_MISSING."""
        value = self.table(section).get(key, default)
        if not value:
            raise ConfigError("CONFIG_MISSING", f"{self.name(section, key)} is missing; add it to {self.path.name}")
        return str(value)

    def number(self, section: str, key: str, default: int, least: int, most: int) -> int:
        """A whole number within bounds. Raises ConfigError CONFIG_VALUE."""
        value = self.table(section).get(key, default)
        if not least <= value <= most:
            raise ConfigError("CONFIG_VALUE", f"{self.name(section, key)} must be from {least} to {most}")
        return int(value)

    def tcp_port(self, section: str, default: int) -> int:
        """A TCP port, 0 = any free one. Raises ConfigError CONFIG_VALUE."""
        return self.number(section, "port", default, 0, 65_535)

    def url(self, key: str, schemes: tuple[str, ...]) -> str:
        """A URL of one of these schemes. Raises ConfigError CONFIG_VALUE."""
        text = self.text("", key)
        parts = urlsplit(text)
        if parts.scheme not in schemes or not parts.hostname:
            raise ConfigError("CONFIG_VALUE", f"{key} must look like {schemes[0]}://HOST:PORT")
        return text.rstrip("/")

    @staticmethod
    def checked(check: Any, key: str, value: str) -> str:
        """A value that ``check`` accepts. Raises ConfigError CONFIG_VALUE."""
        try:
            return str(check(value))
        except IdentityError as error:
            raise ConfigError("CONFIG_VALUE", f"{key}: {error}") from error

    def rows(self, table: Mapping[str, Any], key: str, name: str, keys: dict[str, type]) -> list[dict[str, Any]]:
        """A list of tables with known keys of known types. Raises ConfigError CONFIG_TYPE, CONFIG_KEY."""
        rows = table.get(key, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ConfigError("CONFIG_TYPE", f"{name} is a list of tables: write [[{name}]] before each")
        for row in rows:
            self.only(row, set(keys), name)
            for field_name, value in row.items():
                if not isinstance(value, keys[field_name]):
                    raise ConfigError("CONFIG_TYPE", f"{name}.{field_name} must be {_WORD[keys[field_name]]}")
        return rows

    @staticmethod
    def need(row: Mapping[str, Any], name: str, key: str) -> str:
        """A key that each table of a list must have. Raises ConfigError CONFIG_MISSING."""
        if not row.get(key):
            raise ConfigError("CONFIG_MISSING", f"{name}.{key} is missing in one of the [[{name}]] tables; add it")
        return str(row[key])

    # --- secrets ---

    def secret(self, table: Mapping[str, Any], key: str, section: str) -> str:
        """A secret from the file itself or from a file that only its owner may read. Raises ConfigError."""
        name = self.name(section, key)
        if table.get(key):
            if self.mode != "demo" and PREFIX + name.upper() not in self.env:
                self.private(self.path, name)
            return str(table[key])
        if table.get(f"{key}_file"):
            path = self.base / str(table[f"{key}_file"])
            return self.read_private(path, f"{name}_file").strip()
        raise ConfigError(
            "CONFIG_MISSING", f"{name} is missing; put it into a file of mode 0600 and name that in {name}_file"
        )

    def private(self, path: Path, name: str) -> None:
        """Refuse a file that others may read. Raises ConfigError CONFIG_SECRET_MODE."""
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError as error:
            raise ConfigError("CONFIG_UNREADABLE", f"{name}: {path.name} cannot be read ({error.strerror})") from error
        if mode & 0o077:
            raise ConfigError(
                "CONFIG_SECRET_MODE", f"{name}: others may read {path.name} (mode {mode:04o}); run chmod 600 on it"
            )

    def read_private(self, path: Path, name: str) -> str:
        """The text of a file that only its owner may read. Raises ConfigError."""
        self.private(path, name)
        try:
            return path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError("CONFIG_UNREADABLE", f"{name}: {path.name} cannot be read as text") from error
