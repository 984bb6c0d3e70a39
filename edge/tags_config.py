"""What an edge is told of tags: this library's words for owners, its list of chips, the formats it writes (``[tags]``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge.settings import ConfigError, Settings
from protocols.iso28560 import TagFormat

__all__ = ["TagsConfig", "tags_of"]

_HF: tuple[TagFormat, ...] = ("28560-3", "28560-2", "3m")
_UHF: tuple[TagFormat, ...] = ("28560-4", "gaoxiao")
_ALIASES_MOST = 1_000
_CODE_MOST = 32


@dataclass(frozen=True, slots=True)
class TagsConfig:
    """``aliases``: owner code as written on a tag → a member's code or ISIL. ``uid_map``: a CSV file ``UID,OWNER,ITEM_NO``.

    ``format`` is what the staff station writes on HF tags (28560-2, 28560-3, 3m), ``uhf_format`` on UHF tags (28560-4, gaoxiao).
    """

    aliases: Mapping[str, str] = field(default_factory=dict)
    uid_map: Path | None = None
    format: TagFormat = "28560-3"
    uhf_format: TagFormat = "28560-4"


def tags_of(settings: Settings) -> TagsConfig:
    """The table ``[tags]``. Raises ConfigError CONFIG_KEY, CONFIG_TYPE, CONFIG_VALUE."""
    table = settings.table("tags")
    settings.only(table, {"aliases", "uid_map", "format", "uhf_format"}, "tags")
    for key in ("uid_map", "format", "uhf_format"):
        settings.override(table, "tags", key, str)
    uid_map = str(table.get("uid_map", ""))
    return TagsConfig(
        _aliases(table.get("aliases", {})),
        settings.base / uid_map if uid_map else None,
        _form(table, "format", _HF),
        _form(table, "uhf_format", _UHF),
    )


def _aliases(found: object) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(owner, str) for owner in found.values()):
        raise ConfigError("CONFIG_TYPE", 'tags.aliases must be a table: aliases = { "CQU" = "251020" }')
    if len(found) > _ALIASES_MOST:
        raise ConfigError("CONFIG_VALUE", f"tags.aliases has at most {_ALIASES_MOST} lines")
    for written, owner in found.items():
        if not 0 < len(written) <= _CODE_MOST or not 0 < len(owner) <= _CODE_MOST:
            raise ConfigError("CONFIG_VALUE", f"tags.aliases: a code has 1 to {_CODE_MOST} characters")
    return {str(written): str(owner) for written, owner in found.items()}


def _form(table: Mapping[str, object], key: str, known: tuple[TagFormat, ...]) -> TagFormat:
    value = table.get(key, known[0])
    for form in known:
        if value == form:
            return form
    raise ConfigError("CONFIG_VALUE", f"tags.{key} is one of {', '.join(known)}")
