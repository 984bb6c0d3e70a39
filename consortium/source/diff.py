"""What one policy changes against another, in the words of the source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from consortium.bundle import Bundle
from consortium.source import source_tree

SECTIONS = ("consortium", "libraries", "groups", "branches", "calendars", "agreements", "rules", "limits")


@dataclass(frozen=True, slots=True)
class Field:
    """One key that differs; None where it is not there on that side (and means its default)."""

    key: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Change:
    """One thing added, removed or changed. ``whom`` says who is concerned, in ids; ``fields`` what differs, key by key."""

    section: str
    name: str
    kind: str  # "added" | "removed" | "changed"
    whom: str
    fields: tuple[Field, ...]


def diff(old: Bundle, new: Bundle) -> list[Change]:
    """All changes from one bundle to another, section by section; raises SourceError SOURCE_UNWRITABLE."""
    before, after = source_tree(old), source_tree(new)
    found: list[Change] = []
    for section in SECTIONS:
        first, second = before.get(section, {}), after.get(section, {})
        if section == "consortium":
            first, second = {"": first}, {"": second}
        for name in dict.fromkeys((*first, *second)):
            fields = tuple(_fields("", first.get(name), second.get(name)))
            if fields:
                kind = "added" if name not in first else "removed" if name not in second else "changed"
                found.append(
                    Change(section, name, kind, _whom(section, name, second.get(name, first.get(name))), fields)
                )
    return found


def _fields(key: str, old: Any, new: Any) -> Iterator[Field]:
    if old == new:
        return
    if isinstance(old, Mapping | None) and isinstance(new, Mapping | None):
        for inner in dict.fromkeys((*(old or {}), *(new or {}))):
            path = f"{key}.{inner}" if key else inner
            yield from _fields(path, (old or {}).get(inner), (new or {}).get(inner))
    else:
        yield Field(key, old, new)


_CONDITIONS = ("agreement", "home", "category", "ages", "item_type", "owner", "place")


def _whom(section: str, name: str, table: Any) -> str:
    if section == "agreements":
        return ", ".join(one if isinstance(one, str) else f"{one['org']} ({one['role']})" for one in table["parties"])
    if section == "rules":
        return ", ".join(f"{key} {table[key]}" for key in _CONDITIONS if key in table) or "*"
    if section == "limits":
        words = [str(table["scope"])]
        words += [f"{key} {', '.join(table[key])}" for key in ("categories", "item_types") if key in table]
        words += [f"{key} {table[key]}" for key in ("lender", "group") if key in table]
        return ", ".join(words)
    return name
