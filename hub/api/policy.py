"""Lists that come from the policy bundle in force: libraries, branches, agreements, rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from consortium.agreement import Agreement, Branch, Library, PolicyRule
from consortium.bundle import Policy
from hub.api import schemas
from hub.api.forms import cursor_text, cursor_values, time_of, time_or_none
from hub.api.lists import DEFAULT_LIMIT, PageRows, check_names, page_limit
from hub.api.problems import Problem
from hub.auth.access import Access

__all__ = ["POLICY_LISTS", "PolicyList", "page_of", "single_of"]


def _library(row: Library, policy: Policy, now: int) -> dict[str, Any]:
    return {
        "org": row.org,
        "isil": row.isil,
        "name": {"zh": row.name_zh, "en": row.name_en},
        "tz": row.tz,
        "status": row.status,
    }


def _branch(row: Branch, policy: Policy, now: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "library": row.org,
        "name": {"zh": row.name_zh, "en": row.name_en},
        "kind": row.kind,
        "capacity": row.capacity or None,
        "open_now": policy.calendar_of(row.id).is_open(now),
    }


def _agreement(row: Agreement, policy: Policy, now: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "version": row.version,
        "status": row.status.value,
        "parties": [{"library": party.org, "role": party.role.value} for party in row.parties],
        "services": sorted(service.value for service in row.services),
        "valid_from": time_of(row.valid_from_ms),
        "valid_to": time_of(row.valid_to_ms),
        "category_map": [
            {"home": line.home_org, "category": line.home_cat, "shared_category": line.shared_cat}
            for line in row.category_map
        ],
        "excluded_item_types": sorted(row.excluded_item_types),
        "blackouts": [{"start": time_of(span.start_ms), "end": time_of(span.end_ms)} for span in row.blackouts],
        "visitors_now": row.quotas.visitors_now,
        "visits_per_day": row.quotas.visits_per_day,
        "policy_version": policy.version,
    }


_RULE_FIELDS: Final = (
    "id", "agreement", "home", "category", "item_type", "owner", "place", "age_from", "age_to", "lend", "period_days",
    "renewals", "renew_window_days", "grace_days", "returnable_at", "float_group", "return_to", "offline_lend", "offline_cap",
)  # fmt: skip


def _rule(row: PolicyRule, policy: Policy, now: int) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in _RULE_FIELDS},
        "valid_from": time_or_none(row.valid_from_ms),
        "valid_to": time_or_none(row.valid_to_ms),
        "hard_due": time_or_none(row.hard_due_ms),
        "policy_version": policy.version,
    }


@dataclass(frozen=True, slots=True)
class PolicyList:
    """A list from the bundle. ``key`` names a row and orders the list; ``filters`` compare a row's text with a value."""

    name: str
    single: str
    rows: Callable[[Policy], Iterable[Any]]
    key: Callable[[Any], str]
    visible: Callable[[Any, str, Policy], bool]
    shape: Callable[[Any, Policy, int], dict[str, Any]]
    filters: dict[str, Callable[[Any, str], bool]]
    model: type[BaseModel]


def _same(name: str) -> Callable[[Any, str], bool]:
    return lambda row, value: str(getattr(row, name)) == value


def _party(row: Agreement, value: str) -> bool:
    return any(party.org == value for party in row.parties)


def _rule_concerns(row: PolicyRule, org: str, policy: Policy) -> bool:
    return row.agreement == "*" or any(a.id == row.agreement and _party(a, org) for a in policy.bundle.agreements)


POLICY_LISTS: Final = (
    PolicyList(
        "libraries", "library", lambda policy: policy.bundle.libraries, lambda row: row.org, lambda *_: True, _library,
        {"org": _same("org"), "isil": _same("isil"), "status": _same("status")}, schemas.LibraryOut,
    ),
    PolicyList(
        "branches", "branch", lambda policy: policy.bundle.branches, lambda row: row.id, lambda *_: True, _branch,
        {"library": _same("org"), "kind": _same("kind")}, schemas.BranchOut,
    ),
    PolicyList(
        "agreements", "agreement", lambda policy: policy.bundle.agreements, lambda row: f"{row.id}@{row.version}",
        lambda row, org, _: _party(row, org), _agreement,
        {"id": _same("id"), "status": _same("status"), "party": _party, "service": lambda row, v: v in row.services},
        schemas.AgreementOut,
    ),
    PolicyList(
        "rules", "rule", lambda policy: policy.bundle.rules, lambda row: row.id, _rule_concerns, _rule,
        {name: _same(name) for name in ("agreement", "home", "category", "item_type", "owner", "place")}, schemas.RuleOut,
    ),
)  # fmt: skip
"""Libraries and branches exist for every member; agreements and their rules for the parties."""


def _visible(listed: PolicyList, policy: Policy, access: Access) -> list[Any]:
    rows = listed.rows(policy)
    return [row for row in rows if access.everywhere or listed.visible(row, access.library, policy)]


def page_of(
    listed: PolicyList, policy: Policy | None, access: Access, given: list[tuple[str, str]], now: int
) -> PageRows:
    """One page of the list. Raises Problem 422 as the lists of tables do."""
    values = check_names(frozenset({"limit", "cursor"}) | listed.filters.keys(), given)
    limit = page_limit(values.pop("limit", str(DEFAULT_LIMIT)))
    cursor = values.pop("cursor", None)
    if policy is None:
        return PageRows([], None)
    rows = [
        row for row in _visible(listed, policy, access) if all(listed.filters[n](row, v) for n, v in values.items())
    ]
    rows.sort(key=listed.key)
    if cursor is not None:
        after = cursor_values(listed.name, cursor, (str,))[0]
        rows = [row for row in rows if listed.key(row) > after]
    more = cursor_text(listed.name, [listed.key(rows[limit - 1])]) if len(rows) > limit else None
    return PageRows([listed.shape(row, policy, now) for row in rows[:limit]], more)


def single_of(listed: PolicyList, policy: Policy | None, access: Access, key: str, now: int) -> dict[str, Any]:
    """The row of that key; an agreement's id without a version means its newest. Raises Problem 404."""
    if policy is not None:
        rows = sorted(_visible(listed, policy, access), key=listed.key, reverse=True)
        for row in rows:
            if listed.key(row) == key or (listed.name == "agreements" and row.id == key):
                return listed.shape(row, policy, now)
    raise Problem(404, "NOT_FOUND", f"No {listed.single} of that id exists for you.")
