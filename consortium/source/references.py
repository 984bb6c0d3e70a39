"""Every name that a source uses must be the name of something in it."""

from __future__ import annotations

from collections.abc import Collection

from consortium.agreement import ANY
from consortium.bundle import Bundle
from consortium.source.record import SourceError, suggestion


def check_references(bundle: Bundle) -> None:
    """Raise SourceError SOURCE_REFERENCE for the first name that is nothing's name, with the nearest that is."""
    for place, kind, name, known in references(bundle):
        if name not in known:
            raise SourceError("SOURCE_REFERENCE", f"{place}: {name!r} is no {kind} here{suggestion(name, known)}")


def references(bundle: Bundle) -> list[tuple[str, str, str, Collection[str]]]:
    """All names used: (where, what it should be, the name, the names there are)."""
    orgs = [one.org for one in bundle.libraries]
    branches = [one.id for one in bundle.branches]
    groups = [one.name for one in bundle.groups]
    marked = [f"@{name}" for name in groups]
    calendars = [one.id for one in bundle.calendars]
    libraries = (ANY, *orgs, *marked)
    rows: list[tuple[str, str, str, Collection[str]]] = []
    for group in bundle.groups:
        rows += [
            (f"groups.{group.name}", "library or branch", one, (*orgs, *branches)) for one in sorted(group.members)
        ]
    for branch in bundle.branches:
        place = f"branches.{branch.id}"
        rows.append((f"{place}.library", "library", branch.org, orgs))
        rows.append((f"{place}.calendar", "calendar", branch.calendar_id, calendars))
        if branch.sort_hub is not None:
            rows.append((f"{place}.sort_hub", "branch", branch.sort_hub, branches))
    for agreement in bundle.agreements:
        place = f"agreements.{agreement.id}"
        rows += [(f"{place}.parties", "library", party.org, orgs) for party in agreement.parties]
        rows += [(f"{place}.categories", "library", row.home_org, orgs) for row in agreement.category_map]
    for rule in bundle.rules:
        place = f"rules.{rule.id}"
        rows.append((f"{place}.agreement", "agreement", rule.agreement, (ANY, *(one.id for one in bundle.agreements))))
        rows.append((f"{place}.home", "library or @group", rule.home, libraries))
        rows.append((f"{place}.owner", "library or @group", rule.owner, libraries))
        rows.append((f"{place}.place", "library, branch or @group", rule.place, (*libraries, *branches)))
        if rule.float_group is not None:
            rows.append((f"{place}.float_group", "group", rule.float_group, groups))
    for limit in bundle.limits:
        place = f"limits.{limit.id}"
        rows.append((f"{place}.lender", "library", limit.lender, (ANY, *orgs)))
        if limit.group:
            rows.append((f"{place}.group", "group", limit.group, groups))
    return rows
