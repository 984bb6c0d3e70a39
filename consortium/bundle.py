"""The policy bundle: everything a decision is made by, one version of it, and its compiled form.

A bundle is data that travels as canonical JSON and is named by its digest; ``Policy`` is the same data with the lookups that
decisions need, built once when a bundle is switched to.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import product
from typing import Any

import msgspec

from consortium.agreement import (
    Agreement,
    AgreementStatus,
    Branch,
    BranchKind,
    Group,
    Library,
    LibraryStatus,
    LimitSet,
    PolicyRule,
    Role,
)
from consortium.calendar import Calendar, CalendarError, check_calendar

MATCH_ORDER = ("agreement", "home", "category", "item_type", "owner", "place")
"""Default order in which a rule's specificity is compared; a bundle may carry another."""


QUARTER_MS = 900_000
"""A quarter of an hour lies within one day in every zone: today's offsets are whole quarters."""

MOST_REMEMBERED = 4_096
"""Rule combinations a policy remembers; beyond it begins anew."""


class BundleError(ValueError):
    """A bundle that cannot be used; ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Bundle:
    """One published version of the consortium's policy. Valid in [valid_from_ms, valid_to_ms)."""

    version: int
    issued_ms: int
    valid_from_ms: int
    valid_to_ms: int
    libraries: tuple[Library, ...]
    branches: tuple[Branch, ...]
    calendars: tuple[Calendar, ...]
    agreements: tuple[Agreement, ...]
    rules: tuple[PolicyRule, ...]
    limits: tuple[LimitSet, ...]
    groups: tuple[Group, ...] = ()
    match_order: tuple[str, ...] = MATCH_ORDER


def to_json(bundle: Bundle) -> str:
    """Canonical JSON: sorted keys, no spaces, sets as sorted lists."""
    return msgspec.json.encode(bundle, order="sorted").decode()


def from_json(text: str | bytes) -> Bundle:
    """Read a bundle; raises BundleError BUNDLE_INVALID, naming the place that is wrong."""
    try:
        return msgspec.json.decode(text, type=Bundle)
    except (msgspec.DecodeError, ValueError) as error:
        raise BundleError("BUNDLE_INVALID", f"the policy bundle cannot be read: {error}") from error


def from_plain(data: dict[str, Any]) -> Bundle:
    """A bundle from plain lists and dicts, as TOML gives them; raises BundleError BUNDLE_INVALID."""
    try:
        return msgspec.convert(data, type=Bundle)
    except (msgspec.ValidationError, ValueError) as error:
        raise BundleError("BUNDLE_INVALID", f"the policy source cannot be read: {error}") from error


def digest(text: str) -> str:
    """SHA-256 of the bundle's exact text, hex."""
    return hashlib.sha256(text.encode()).hexdigest()


class Policy:
    """A bundle with its lookups. Raises BundleError where a bundle contradicts itself."""

    __slots__ = (
        "_candidates",
        "_closed",
        "_covering",
        "_due_days",
        "_groups_of",
        "branches",
        "bundle",
        "calendars",
        "libraries",
        "limits",
        "resolved",
        "rules",
        "version",
    )

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.version = bundle.version
        self.libraries = {library.org: library for library in bundle.libraries}
        self.branches = {branch.id: branch for branch in bundle.branches}
        self.calendars = {calendar.id: calendar for calendar in bundle.calendars}
        self.limits = bundle.limits
        self._groups_of: dict[str, frozenset[str]] = {}
        for branch in bundle.branches:
            if branch.org not in self.libraries:
                raise BundleError("BUNDLE_BRANCH", f"branch {branch.id} belongs to no library of the bundle")
            if branch.calendar_id not in self.calendars:
                raise BundleError("BUNDLE_CALENDAR", f"branch {branch.id} names no calendar of the bundle")
            try:
                check_calendar(self.calendars[branch.calendar_id], must_open=branch.kind is not BranchKind.DROP)
            except CalendarError as error:
                raise BundleError(error.code, str(error)) from error
        for group in bundle.groups:
            for member in group.members:
                self._groups_of[member] = self._groups_of.get(member, frozenset()) | {group.name}
        self.rules = tuple(sorted(bundle.rules, key=self._rank))
        self._candidates: dict[tuple[str, str, str, str], tuple[PolicyRule, ...]] = {}
        self._covering: dict[tuple[str, str], tuple[Agreement, ...]] = {}
        self._due_days: dict[tuple[str, int], int] = {}
        self.resolved: dict[Any, Any] = {}
        """What ``consortium.rules.resolve`` found before, for cases whose rules hold at any time."""
        self._closed = {
            party.org
            for agreement in bundle.agreements
            if agreement.status is AgreementStatus.ACTIVE and not agreement.staleness.own_readers_fail_open
            for party in agreement.parties
            if party.role is not Role.HOME
        }
        for agreement in sorted(bundle.agreements, key=lambda a: (a.id, -a.version)):
            orgs = [party.org for party in agreement.parties if party.org in self.libraries]
            for home, host in product(dict.fromkeys(orgs), repeat=2):
                if agreement.covers(home, host):
                    self._covering[home, host] = (*self._covering.get((home, host), ()), agreement)

    def _rank(self, rule: PolicyRule) -> tuple[Any, ...]:
        # Most specific first: a set field beats a group, a group beats "*", compared in the bundle's own printable order.
        vector: list[int] = []
        for name in self.bundle.match_order:
            value: str = getattr(rule, name)
            vector.append(2 if value == "*" else 1 if value.startswith("@") else 0)
        return (*vector, rule.id)

    def is_active(self, org: str) -> bool:
        """Whether a library is a member that lends and borrows; one that is leaving or has left only takes its returns."""
        library = self.libraries.get(org)
        return library is not None and library.status is LibraryStatus.ACTIVE

    def fails_open(self, org: str) -> bool:
        """Whether a library's gates let its own readers in on facts beyond their bound: unless an agreement it hosts under says no."""
        return org not in self._closed

    def groups_of(self, member: str) -> frozenset[str]:
        """Names of the groups an org or branch belongs to."""
        return self._groups_of.get(member, frozenset())

    def names(self, pattern: str, org: str, branch: str | None = None) -> bool:
        """Whether a rule's ``*``, org, branch or ``@group`` names this library or branch."""
        if pattern in ("*", org) or (branch is not None and pattern == branch):
            return True
        if pattern.startswith("@"):
            name = pattern[1:]
            return name in self.groups_of(org) or (branch is not None and name in self.groups_of(branch))
        return False

    def candidates(self, home: str, item_type: str, owner: str, place: str) -> tuple[PolicyRule, ...]:
        """Rules that fit these four, most specific first. Remembered: a branch asks for few combinations, over and over."""
        key = (home, item_type, owner, place)
        found = self._candidates.get(key)
        if found is None:
            found = tuple(
                rule
                for rule in self.rules
                if rule.item_type in ("*", item_type)
                and self.names(rule.home, home)
                and self.names(rule.owner, owner)
                and self.names(rule.place, place.split("-", 1)[0], place)
            )
            if len(self._candidates) >= MOST_REMEMBERED:
                self._candidates.clear()
            self._candidates[key] = found
        return found

    def end_of_open_day(self, branch: str, at_ms: int) -> int:
        """``Calendar.end_of_open_day`` of a branch, remembered: loans of one kind made within minutes fall due on one day."""
        key = (branch, at_ms // QUARTER_MS)
        found = self._due_days.get(key)
        if found is None:
            if len(self._due_days) >= MOST_REMEMBERED:
                self._due_days.clear()
            found = self._due_days[key] = self.calendar_of(branch).end_of_open_day(at_ms)
        return found

    def covering(self, home: str, host: str) -> tuple[Agreement, ...]:
        """Agreements that concern readers of ``home`` at ``host``, in a fixed order."""
        return self._covering.get((home, host), ())

    def calendar_of(self, branch: str) -> Calendar:
        """The calendar of a branch of the bundle."""
        return self.calendars[self.branches[branch].calendar_id]
