"""docs/reference/events.md and conflicts.md: every type with every field, every kind with its default."""

from __future__ import annotations

import re

import msgspec
import pytest
from msgspec import inspect

from consortium.conflicts import KINDS, ConflictKind
from consortium.events import CLASS_OF, SCHEMAS, Kind
from tongjie.reference import conflicts, events

PAGE = events.page()


def section(kind: Kind) -> str:
    return re.split(r"^### ", PAGE.partition(f"### {kind} ·")[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("kind", list(Kind))
def test_a_type_is_told_with_its_class_and_every_field(kind: Kind) -> None:
    told = section(kind)
    assert f"Class `{CLASS_OF[kind]}`" in told
    fields = {spec.encode_name for spec in msgspec.structs.fields(SCHEMAS[kind])}
    assert {*re.findall(r"^\| `(\w+)` \|", told, re.MULTILINE)} == fields


def test_types_that_share_a_schema_do_not_share_their_meaning() -> None:
    first = [section(kind).strip().splitlines()[2] for kind in Kind]
    assert len({*first}) == len(first)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (int, ("integer", "")),
        (msgspec.Meta, None),
        (list[int], ("list of integer", "")),
        (int | None, ("integer", "")),
        (tuple[str, int], ("[text, integer]", "; ")),
    ],
)
def test_a_form_is_put_into_words(kind: type, told: tuple[str, str] | None) -> None:
    if told is None:
        with pytest.raises(TypeError):
            events.form(inspect.type_info(bytes))
    else:
        assert events.form(inspect.type_info(kind)) == told


@pytest.mark.parametrize("kind", list(KINDS.values()))
def test_a_conflict_is_told_with_owner_default_and_deadline(kind: ConflictKind) -> None:
    line = next(line for line in conflicts.page().splitlines() if line.startswith(f"| `{kind.code}`"))
    assert kind.zh in line and kind.en in line and f"`{kind.default}`" in line
    assert (f"{kind.days} 天" in line) == bool(kind.days)
