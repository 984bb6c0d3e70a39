"""TOML as a person would lay it out: tables for what has a name of its own, short things on one line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_LINE = 100
"""Characters beyond which a list is broken and a table gets a heading of its own."""


def dump(tree: Mapping[str, Any]) -> str:
    """TOML text of nested dicts, lists, text, whole numbers and truth values."""
    return "\n".join(_table(tree, ())).strip() + "\n"


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    # Everything of the table itself first: after the heading of an inner table there is no way back.
    inner = {key for key, value in table.items() if isinstance(value, dict) and _needs_heading(key, value, path)}
    if path and (len(inner) < len(table) or not table):
        yield ""
        yield f"[{'.'.join(map(_key, path))}]"
    for key, value in table.items():
        if key not in inner:
            yield f"{_key(key)} = {_value(value, len(key) + 3)}"
    for key, value in table.items():
        if key in inner:
            yield from _table(value, (*path, key))


def _needs_heading(key: str, value: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    if len(path) != 2:
        return len(path) < 2
    return len(_inline(value)) + len(key) > _LINE or any(isinstance(inner, dict) for inner in value.values())


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _string(key)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_inline(v)}" for k, v in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return str(value)


def _value(value: Any, indent: int) -> str:
    text = _inline(value)
    if isinstance(value, list) and indent + len(text) > _LINE:
        return "[\n" + "".join(f"  {_inline(one)},\n" for one in value) + "]"
    return text
