"""The policy source: TOML that a librarian reads and writes, and the bundle it means (docs/policy.md).

``read_source`` and ``write_source`` are each other's inverse: what is written reads back as the same bundle.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from consortium.agreement import Agreement, Branch, Group, Library
from consortium.bundle import MATCH_ORDER, Bundle
from consortium.calendar import Calendar, Period, PeriodKind
from consortium.identity import org_of_branch
from consortium.source.calendar import read_calendar, write_calendar
from consortium.source.forms import NUMBER, TEXT, Form
from consortium.source.layout import AGREEMENT, BLACKOUT, BRANCH, LIBRARY, LIMIT, RULE
from consortium.source.record import (
    Layout,
    SourceError,
    check_keys,
    read_form,
    read_record,
    table_of,
    write_form,
    write_record,
)
from consortium.source.references import check_references
from consortium.source.times import END, START, ZONE
from consortium.source.toml import dump

MAX_SOURCE = 8_000_000
"""Characters of a source at most: a hundred libraries need a tenth of it."""

_HEAD = ("version", "tz", "issued", "valid_from", "valid_to", "match_order")
_SECTIONS = ("consortium", "libraries", "groups", "branches", "calendars", "agreements", "rules", "limits")
_DEFAULT_TZ = "Asia/Shanghai"


def read_source(text: str) -> Bundle:
    """The bundle that a source means. Raises SourceError, whose message begins with the place that is wrong."""
    if len(text) > MAX_SOURCE:
        raise SourceError("SOURCE_TOO_LARGE", f"the source has more than {MAX_SOURCE} characters")
    try:
        tree = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SourceError("SOURCE_SYNTAX", f"this is no TOML: {error}") from error
    check_keys(tree, _SECTIONS, "source")
    head = _Head(table_of(tree.get("consortium"), "consortium"))
    calendars = {key: read_calendar(key, value, head.tz) for key, value in _section(tree, "calendars")}
    bundle = Bundle(
        version=head.get("version", NUMBER),
        issued_ms=head.get("issued", START),
        valid_from_ms=head.get("valid_from", START),
        valid_to_ms=head.get("valid_to", END),
        libraries=tuple(_read_library(key, value, head.tz) for key, value in _section(tree, "libraries")),
        branches=tuple(_read_branch(key, value, head.tz) for key, value in _section(tree, "branches")),
        calendars=tuple(calendars.values()),
        agreements=tuple(
            _read_agreement(key, value, head.tz, calendars) for key, value in _section(tree, "agreements")
        ),
        rules=_read_all(RULE, tree, "rules", head.tz, "id"),
        limits=_read_all(LIMIT, tree, "limits", head.tz, "id"),
        groups=tuple(_read_group(key, value) for key, value in _section(tree, "groups")),
        match_order=head.match_order(),
    )
    check_references(bundle)
    return bundle


def write_source(bundle: Bundle) -> str:
    """The bundle as readable TOML. Raises SourceError SOURCE_UNWRITABLE for one that no source can mean."""
    text = dump(source_tree(bundle))
    if len(text) > MAX_SOURCE:
        raise SourceError("SOURCE_UNWRITABLE", f"the source would have more than {MAX_SOURCE} characters")
    return text


def source_tree(bundle: Bundle) -> dict[str, Any]:
    """The bundle as the tables of its source; raises SourceError SOURCE_UNWRITABLE."""
    tz = _usual_zone(bundle)
    tree: dict[str, Any] = {
        "consortium": {
            "version": bundle.version,
            "tz": tz,
            "issued": write_form(START, bundle.issued_ms, tz, "consortium.issued"),
            "valid_from": write_form(START, bundle.valid_from_ms, tz, "consortium.valid_from"),
            "valid_to": write_form(END, bundle.valid_to_ms, tz, "consortium.valid_to"),
        },
        "libraries": _write_all(LIBRARY, bundle.libraries, "libraries", tz, "org"),
        "groups": {group.name: sorted(group.members) for group in bundle.groups},
        "branches": _write_all(BRANCH, bundle.branches, "branches", tz, "id"),
        "calendars": {one.id: write_calendar(one, tz) for one in bundle.calendars},
        "agreements": _write_agreements(bundle, tz),
        "rules": _write_all(RULE, bundle.rules, "rules", tz, "id"),
        "limits": _write_all(LIMIT, bundle.limits, "limits", tz, "id"),
    }
    if bundle.match_order != MATCH_ORDER:
        tree["consortium"]["match_order"] = list(bundle.match_order)
    for library in bundle.libraries:
        tree["libraries"][library.org] |= {"tz": library.tz}
        if library.tz == tz:
            del tree["libraries"][library.org]["tz"]
    for branch in bundle.branches:
        if branch.org == org_of_branch(branch.id):
            del tree["branches"][branch.id]["library"]
    for section, values in (("calendars", bundle.calendars), ("groups", bundle.groups)):
        _check_distinct(section, len(tree[section]), len(values))
    return {section: table for section, table in tree.items() if table}


class _Head:
    """The table ``[consortium]``."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        check_keys(table, _HEAD, "consortium")
        self.table = table
        self.tz = read_form(ZONE, table.get("tz", _DEFAULT_TZ), "", "consortium.tz")

    def get(self, key: str, form: Form) -> Any:
        if key not in self.table:
            raise SourceError("SOURCE_MISSING", f"consortium.{key}: is missing")
        return read_form(form, self.table[key], self.tz, f"consortium.{key}")

    def match_order(self) -> tuple[str, ...]:
        order = self.table.get("match_order", list(MATCH_ORDER))
        if not isinstance(order, list) or sorted(map(str, order)) != sorted(MATCH_ORDER):
            raise SourceError("SOURCE_VALUE", f"consortium.match_order: must order {', '.join(MATCH_ORDER)}")
        return tuple(order)


def _section(tree: Mapping[str, Any], name: str) -> Iterable[tuple[str, Any]]:
    table = table_of(tree.get(name, {}), name)
    for key in table:
        read_form(TEXT, key, "", f"{name}.{key}")
    return table.items()


def _read_all(layout: Layout, tree: Mapping[str, Any], section: str, tz: str, field: str) -> tuple[Any, ...]:
    return tuple(
        read_record(layout, value, tz, f"{section}.{key}", **{field: key}) for key, value in _section(tree, section)
    )


def _write_all(layout: Layout, values: tuple[Any, ...], section: str, tz: str, field: str) -> dict[str, Any]:
    table = {}
    for value in values:
        key = getattr(value, field)
        table[key] = write_record(layout, value, tz, f"{section}.{key}")
    _check_distinct(section, len(table), len(values))
    return table


def _check_distinct(section: str, names: int, values: int) -> None:
    if names < values:
        raise SourceError("SOURCE_UNWRITABLE", f"{section}: two of them have the same name")


def _read_library(key: str, value: Any, tz: str) -> Library:
    table = {"tz": tz, **table_of(value, f"libraries.{key}")}
    library: Library = read_record(LIBRARY, table, tz, f"libraries.{key}", org=key)
    return library


def _read_branch(key: str, value: Any, tz: str) -> Branch:
    # A branch is numbered under its library, so that the library need not be said again.
    table = {"library": org_of_branch(key), **table_of(value, f"branches.{key}")}
    branch: Branch = read_record(BRANCH, table, tz, f"branches.{key}", id=key)
    return branch


def _read_group(name: str, value: Any) -> Group:
    if not isinstance(value, list) or len(set(map(str, value))) < len(value):
        raise SourceError("SOURCE_VALUE", f"groups.{name}: must be a list of libraries or branches, none of them twice")
    return Group(name, frozenset(read_form(TEXT, one, "", f"groups.{name}") for one in value))


def _read_agreement(key: str, value: Any, tz: str, calendars: Mapping[str, Calendar]) -> Agreement:
    # Two versions of one agreement stand side by side as "name@1" and "name@2".
    place = f"agreements.{key}"
    name, at, number = key.partition("@")
    table = dict(table_of(value, place))
    if at:
        if not (number.isascii() and number.isdecimal()) or "version" in table:
            raise SourceError(
                "SOURCE_VALUE", f'{place}: must be a name, or "NAME@VERSION" without a version of its own'
            )
        table["version"] = int(number)
    table.setdefault("version", 1)
    blackouts = _read_blackouts(table.pop("blackouts", []), tz, calendars, f"{place}.blackouts")
    agreement: Agreement = read_record(AGREEMENT, table, tz, place, id=name, blackouts=blackouts)
    return agreement


def _read_blackouts(value: Any, tz: str, calendars: Mapping[str, Calendar], place: str) -> tuple[Period, ...]:
    if not isinstance(value, list):
        raise SourceError(
            "SOURCE_VALUE", f'{place}: must be a list such as ["CALENDAR:exam", {{ from = "…", to = "…" }}]'
        )
    out: list[Period] = []
    for one in value:
        if isinstance(one, str):
            name, _, kind = one.rpartition(":")
            spans = _periods_of(calendars.get(name), kind)
            if not spans:
                raise SourceError("SOURCE_REFERENCE", f"{place}: {one!r} names no calendar with such periods")
            out.extend(spans)
        else:
            table = table_of(one, place)
            if set(table) != {"from", "to"}:
                raise SourceError("SOURCE_VALUE", f"{place}: a black-out has from and to")
            ends = zip(BLACKOUT, (table["from"], table["to"]), strict=True)
            out.append(Period(*(read_form(form, end, tz, place) for form, end in ends)))
    return tuple(out)


def _periods_of(calendar: Calendar | None, kind: str) -> tuple[Period, ...]:
    if calendar is None or kind not in list(PeriodKind):
        return ()
    return tuple(one.period(calendar.tz) for one in calendar.periods if one.kind == kind)


def _write_agreements(bundle: Bundle, tz: str) -> dict[str, Any]:
    versions = Counter(agreement.id for agreement in bundle.agreements)
    table = {}
    for agreement in bundle.agreements:
        place = f"agreements.{agreement.id}"
        if "@" in agreement.id or agreement.version < 0:
            raise SourceError("SOURCE_UNWRITABLE", f"{place}: a name has no @ and a version is not negative")
        one = write_record(AGREEMENT, agreement, tz, place)
        if agreement.blackouts:
            one["blackouts"] = _write_blackouts(agreement.blackouts, bundle.calendars, tz, f"{place}.blackouts")
        if versions[agreement.id] > 1:
            del one["version"]
            table[agreement.key] = one
        else:
            table[agreement.id] = one
    _check_distinct("agreements", len(table), len(bundle.agreements))
    return table


def _write_blackouts(spans: tuple[Period, ...], calendars: tuple[Calendar, ...], tz: str, place: str) -> list[Any]:
    out: list[Any] = []
    at = 0
    named = [(f"{one.id}:{kind}", _periods_of(one, kind)) for one in calendars for kind in PeriodKind]
    while at < len(spans):
        for name, periods in named:
            if periods and spans[at : at + len(periods)] == periods:
                out.append(name)
                at += len(periods)
                break
        else:
            ends = zip(("from", "to"), BLACKOUT, (spans[at].start_ms, spans[at].end_ms), strict=True)
            out.append({key: write_form(form, end, tz, place) for key, form, end in ends})
            at += 1
    return out


def _usual_zone(bundle: Bundle) -> str:
    zones = Counter(library.tz for library in bundle.libraries)
    return zones.most_common(1)[0][0] if zones else _DEFAULT_TZ
