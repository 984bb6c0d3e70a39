"""A draft of policy: agreements, rules and limits that are to be put in place of, or beside, those of a bundle.

A draft is a part of a policy source. What it names by an id that the bundle has replaces that; what it names anew is added.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from consortium.agreement import ANY, Agreement, AgreementStatus, LimitSet, PolicyRule
from consortium.bundle import Bundle
from consortium.plain import PlainError, from_plain
from consortium.source import SourceError, read_source, write_source
from consortium.source.toml import dump

MAX_DRAFT = 1 << 20
"""Longest draft read, in bytes of UTF-8."""

MAX_SPAN = 36_500
"""Most days or hours a rule of a draft may give: beyond a hundred years calendars end."""

_SPANS = ("period_days", "period_hours", "renew_window_days", "grace_days")
_PARTS: dict[str, type[Any]] = {"agreements": Agreement, "rules": PolicyRule, "limits": LimitSet}

Part = TypeVar("Part", Agreement, PolicyRule, LimitSet)


class DraftError(ValueError):
    """A draft that cannot be put in place; the message names the place, ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Draft:
    """Agreements, rules and limits to be tried."""

    agreements: tuple[Agreement, ...] = ()
    rules: tuple[PolicyRule, ...] = ()
    limits: tuple[LimitSet, ...] = ()

    def onto(self, bundle: Bundle) -> Bundle:
        """The bundle with the draft in place: all versions of an agreement give way to the draft's."""
        return replace(
            bundle,
            agreements=_placed(bundle.agreements, self.agreements),
            rules=_placed(bundle.rules, self.rules),
            limits=_placed(bundle.limits, self.limits),
        )

    def in_force(self, from_ms: int, to_ms: int) -> tuple[Draft, tuple[str, ...]]:
        """The draft as it would have been had it begun with the period, and the ids of what was changed for that.

        A question about a past period asks "had this been the agreement then": status DRAFT counts as ACTIVE, and what begins only
        after the period begins with it. Dates inside the period are kept, since they are part of the question.
        """
        changed: list[str] = []
        agreements = []
        for one in self.agreements:
            then = one
            if one.status is AgreementStatus.DRAFT:
                then = replace(then, status=AgreementStatus.ACTIVE)
            if one.valid_from_ms >= to_ms:
                then = replace(then, valid_from_ms=from_ms)
            if then is not one:
                changed.append(one.id)
            agreements.append(then)
        rules = []
        for rule in self.rules:
            late = rule.valid_from_ms is not None and rule.valid_from_ms >= to_ms
            rules.append(replace(rule, valid_from_ms=from_ms) if late else rule)
            if late:
                changed.append(rule.id)
        return replace(self, agreements=tuple(agreements), rules=tuple(rules)), tuple(changed)


def _placed(old: tuple[Part, ...], new: tuple[Part, ...]) -> tuple[Part, ...]:
    """``new`` in the places of what it replaces, the rest behind: the order of limits is the order of their codes."""
    waiting: dict[str, Part] = {one.id: one for one in new}
    named = frozenset(waiting)
    out: list[Part] = []
    for one in old:
        if one.id not in named:
            out.append(one)
        elif one.id in waiting:
            out.append(waiting.pop(one.id))
    return tuple(out + list(waiting.values()))


def read_draft(text: str, bundle: Bundle) -> Draft:
    """A draft from TOML; ``bundle`` is what its names are looked up in.

    Written as in a policy source (``[agreements.NAME]``, docs/policy.md), or with the names and milliseconds of the bundle
    (``[[agreements]]``). Raises DraftError: DRAFT_TOO_LONG, DRAFT_TOML, DRAFT_KEY, DRAFT_EMPTY, DRAFT_VALUE, DRAFT_TWICE,
    DRAFT_REFERENCE, and the codes of SourceError for the form of a source.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_DRAFT:
        raise DraftError("DRAFT_TOO_LONG", f"a draft has at most {MAX_DRAFT} bytes")
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DraftError("DRAFT_TOML", f"the draft is not TOML: {error}") from error
    for name in data:
        if name not in _PARTS:
            raise DraftError("DRAFT_KEY", f"{name}: a draft has agreements, rules and limits only")
    plain = {
        name: _read(name, data[name], kind) for name, kind in _PARTS.items() if not isinstance(data.get(name, {}), dict)
    }
    draft = Draft(**plain)
    tables = {name: data[name] for name in _PARTS if isinstance(data.get(name), dict)}
    if tables:
        draft = replace(draft, **_read_source(tables, draft.onto(bundle)))
    if not (draft.agreements or draft.rules or draft.limits):
        raise DraftError("DRAFT_EMPTY", "the draft names no agreement, rule or limit")
    check_draft(draft, bundle)
    return draft


def _read_source(sections: dict[str, dict[str, Any]], bundle: Bundle) -> dict[str, tuple[Any, ...]]:
    """What the tables mean inside the whole source, so that a draft is read and checked exactly as the policy will be."""
    ids = {name: frozenset(_id(name, key) for key in tables) for name, tables in sections.items()}
    if len(ids.get("agreements", ())) < len(sections.get("agreements", ())):
        raise DraftError("DRAFT_TWICE", "agreements: the draft has two versions of one agreement")
    agreements, rules, limits = (ids.get(name, frozenset()) for name in _PARTS)
    without = replace(
        bundle,
        agreements=tuple(one for one in bundle.agreements if one.id not in agreements),
        rules=tuple(one for one in bundle.rules if one.id not in rules),
        limits=tuple(one for one in bundle.limits if one.id not in limits),
    )
    try:
        tree = tomllib.loads(write_source(without))
        for name, tables in sections.items():
            tree[name] = {**tree.get(name, {}), **tables}
        whole = read_source(dump(tree))
    except SourceError as error:
        raise DraftError(error.code, str(error)) from error
    return {name: tuple(one for one in getattr(whole, name) if one.id in ids[name]) for name in sections}


def _id(name: str, key: str) -> str:
    """The id of a table: an agreement's may carry its version, NAME@2."""
    return key.partition("@")[0] if name == "agreements" else key


def _read(name: str, rows: Any, kind: type[Any]) -> tuple[Any, ...]:
    if not isinstance(rows, list):
        raise DraftError("DRAFT_VALUE", f"{name}: write [{name}.NAME] before each one")
    try:
        found = tuple(from_plain(row, kind, place=_called(name, n, row), strict=True) for n, row in enumerate(rows))
    except PlainError as error:
        raise DraftError("DRAFT_KEY" if error.code == "PLAIN_KEY" else "DRAFT_VALUE", str(error)) from error
    ids = [one.id for one in found]
    for one in ids:
        if ids.count(one) > 1:
            raise DraftError("DRAFT_TWICE", f"{name}.{one}: the draft has it twice")
    return found


def _called(name: str, number: int, row: Any) -> str:
    """A row by its id where it has one: people look for that."""
    known = row.get("id") if isinstance(row, dict) else None
    return f"{name}.{known}" if isinstance(known, str) and known else f"{name}[{number}]"


def check_draft(draft: Draft, bundle: Bundle) -> None:
    """Every name a draft speaks of is one of the bundle's, or its own; raises DraftError DRAFT_REFERENCE or DRAFT_VALUE."""
    orgs = {library.org for library in bundle.libraries}
    branches = {branch.id for branch in bundle.branches}
    groups = {f"@{group.name}" for group in bundle.groups}
    ids = {agreement.id for agreement in (*bundle.agreements, *draft.agreements)}

    def known(place: str, name: str, among: set[str]) -> None:
        if name != ANY and name not in among:
            raise DraftError("DRAFT_REFERENCE", f"{place}: the policy knows no {name}")

    for one in draft.agreements:
        if one.valid_to_ms <= one.valid_from_ms:
            raise DraftError("DRAFT_VALUE", f"agreements.{one.id}.valid_to_ms: the agreement ends before it begins")
        for party in one.parties:
            known(f"agreements.{one.id}.parties", party.org, orgs)
        for row in one.category_map:
            known(f"agreements.{one.id}.category_map", row.home_org, orgs)
    for rule in draft.rules:
        for name in _SPANS:
            if not 0 <= (getattr(rule, name) or 0) <= MAX_SPAN:
                raise DraftError("DRAFT_VALUE", f"rules.{rule.id}.{name}: this is not from 0 to {MAX_SPAN}")
        known(f"rules.{rule.id}.agreement", rule.agreement, ids)
        known(f"rules.{rule.id}.home", rule.home, orgs | groups)
        known(f"rules.{rule.id}.owner", rule.owner, orgs | groups)
        known(f"rules.{rule.id}.place", rule.place, orgs | branches | groups)
    for limit in draft.limits:
        known(f"limits.{limit.id}.lender", limit.lender, orgs)
        if limit.group:
            known(f"limits.{limit.id}.group", f"@{limit.group}", groups)
