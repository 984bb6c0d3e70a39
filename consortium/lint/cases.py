"""Every case that the rules can be asked about, each kind of case once.

A case is reader's home and category, item type, owner, place, age and day, with the agreements that then serve. There are millions;
what rules can tell apart is far less. A rule is a bit, a set of rules one number: each side of a case has the set of rules that fit it,
and the rules of a case are those in all its sets. Equal sets are equal cases, so that the enumeration is exact and short.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from consortium.agreement import ANY, Agreement, BranchKind, PolicyRule, Service
from consortium.bundle import Policy
from consortium.facts import ReaderFacts
from consortium.serving import find_agreement

OTHER = "…"
"""A category or item type that no rule and no agreement names."""

Census = Iterable[tuple[str, str, int | None, int]]
"""Readers as (home, category, age or None, how many)."""


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """A span of the bundle's term in which a reader is served under one agreement, or as the library's own (None)."""

    start_ms: int
    end_ms: int
    agreement: Agreement | None


class Situation(NamedTuple):
    """Readers before items somewhere: everything of a case but item type and age. ``fits`` are the rules that remain.

    Places, and owners, that no rule and no agreement tells apart stand together.
    """

    home: str
    category: str
    owners: tuple[str, ...]
    places: tuple[str, ...]
    fits: int
    excluded: frozenset[str]


class CaseSpace:
    """The finite space of cases of a policy. Bit n of a set of rules is ``policy.rules[n]``: the lower, the more specific."""

    def __init__(self, policy: Policy, readers: Census = (), item_types: Iterable[str] = ()) -> None:
        self.policy = policy
        self.rules = policy.rules
        self.readers: dict[str, dict[str, set[int | None]]] = {}
        self.counts: dict[tuple[str, str], int] = {}
        for home, category, age, n in readers:
            self.readers.setdefault(home, {}).setdefault(category, set()).add(age)
            self.counts[home, category] = self.counts.get((home, category), 0) + n
        self.given_types = frozenset(item_types)
        self.item_types = self._item_types(self.given_types)
        self.ages = self._ages()
        self.everything = (1 << len(self.rules)) - 1
        self._by_category: dict[str, int] = {}
        self._served: dict[tuple[object, ...], tuple[Served, ...]] = {}
        self._shared_categories: dict[tuple[str, str, str], str | None] = {}
        self._known: dict[tuple[str, str, str, str], tuple[int, int, frozenset[str]]] = {}
        self._by_span: dict[tuple[int, int], frozenset[int]] = {}
        self._by_agreement = {
            one.id: self.rules_that(lambda rule, name=one.id: rule.agreement == name)
            for one in policy.bundle.agreements
        }
        self._no_agreement = self.rules_that(lambda rule: rule.agreement == ANY)
        names = policy.names
        self._by_home = {org: self.rules_that(lambda rule, org=org: names(rule.home, org)) for org in policy.libraries}
        self._by_owner = {
            org: self.rules_that(lambda rule, org=org: names(rule.owner, org)) for org in policy.libraries
        }
        self._by_place = {
            one.id: self.rules_that(lambda rule, one=one: names(rule.place, one.id.split("-", 1)[0], one.id))
            for one in policy.bundle.branches
        }
        self.by_type = {
            one: self.rules_that(lambda rule, one=one: rule.item_type in (ANY, one)) for one in self.item_types
        }
        self.by_age = {age: self.rules_that(lambda rule, age=age: age_fits(rule, age)) for age in self.ages}

    def rules_that(self, holds: Callable[..., bool]) -> int:
        """The set of rules for which a test holds."""
        return sum(1 << number for number, rule in enumerate(self.rules) if holds(rule))

    def names_of(self, rules: int) -> list[str]:
        """The ids of a set of rules, most specific first."""
        return [rule.id for number, rule in enumerate(self.rules) if rules >> number & 1]

    def _item_types(self, given: frozenset[str]) -> tuple[str, ...]:
        if given:
            return tuple(sorted(given))
        named = {rule.item_type for rule in self.rules} - {ANY}
        for limit in self.policy.limits:
            named |= limit.item_types
        for agreement in self.policy.bundle.agreements:
            named |= agreement.excluded_item_types
        return (*sorted(named), OTHER)

    def _ages(self) -> tuple[int | None, ...]:
        # The first age of each class that rules tell apart, and the reader whose age nobody knows.
        edges = {0} | {rule.age_from for rule in self.rules if rule.age_from is not None and rule.age_from >= 0}
        edges |= {rule.age_to + 1 for rule in self.rules if rule.age_to is not None and rule.age_to >= 0}
        return (None, *sorted(edges))

    def age_class(self, age: int | None) -> int | None:
        """The class of an age: its first year."""
        if age is None:
            return None
        return max(edge for edge in self.ages if edge is not None and edge <= max(age, 0))

    @cached_property
    def _named_categories(self) -> frozenset[str]:
        return frozenset(rule.category for rule in self.rules) - {ANY}

    def mapped_categories(self, home: str) -> set[str]:
        """Categories of a home that agreements name."""
        rows = (row for one in self.policy.bundle.agreements for row in one.category_map)
        return {row.home_cat for row in rows if row.home_org == home and row.home_cat != ANY}

    def categories(self, home: str) -> list[str]:
        """Categories that readers of a home may have: those of the reader list, else all that anybody names and one more."""
        if home in self.readers:
            return sorted(self.readers[home])
        return [*sorted(self.mapped_categories(home) | self._named_categories), OTHER]

    def real_categories(self, home: str) -> list[str]:
        """Categories that readers of a home surely have."""
        if home in self.readers:
            return sorted(self.readers[home])
        return sorted(self.mapped_categories(home)) or [OTHER]

    def served(self, home: str, category: str, host: str) -> tuple[Served, ...]:
        """When readers of a home may borrow at, or from, a host, and under which agreement."""
        bundle = self.policy.bundle
        if host == home:
            return (Served(bundle.valid_from_ms, bundle.valid_to_ms, None),)
        naming = [a for a in self.policy.covering(home, host) if self._shared(a, home, category) is not None]
        # Hosts of the same agreements serve alike.
        key = (home, category, self.policy.is_active(host), *(a.key for a in naming))
        found = self._served.get(key)
        if found is None:
            found = tuple(self._spans(home, category, host, naming))
            self._served[key] = found
        return found

    def _shared(self, agreement: Agreement, home: str, category: str) -> str | None:
        # A long map is searched once for each reader, not once for each place and owner.
        key = (agreement.key, home, category)
        if key not in self._shared_categories:
            self._shared_categories[key] = agreement.shared_category(home, category)
        return self._shared_categories[key]

    def _spans(self, home: str, category: str, host: str, naming: list[Agreement]) -> Iterator[Served]:
        bundle = self.policy.bundle
        edges = {bundle.valid_from_ms, bundle.valid_to_ms}
        for one in naming:
            edges |= {one.valid_from_ms, one.valid_to_ms}
            edges |= {edge for span in one.blackouts for edge in (span.start_ms, span.end_ms)}
        moments = sorted(edge for edge in edges if bundle.valid_from_ms <= edge <= bundle.valid_to_ms)
        reader = ReaderFacts(home, category)
        for start, end in pairwise(moments):
            agreement, _ = find_agreement(self.policy, reader, host, Service.BORROW, start)
            if agreement is not None:
                yield Served(start, end, agreement)

    def of_category(self, category: str) -> int:
        """Rules that fit a category."""
        found = self._by_category.get(category)
        if found is None:
            found = self.rules_that(lambda rule: rule.category in (ANY, category))
            self._by_category[category] = found
        return found

    def within(self, start_ms: int, end_ms: int) -> frozenset[int]:
        """The sets of rules that are valid at one moment or another of a span."""
        found = self._by_span.get((start_ms, end_ms))
        if found is None:
            moments = self._moments
            first = bisect_right(moments, start_ms)
            inside = [start_ms, *(one for one in moments[first:] if one < end_ms)]
            found = frozenset(self.rules_that(lambda rule, at=at: valid_at(rule, at)) for at in inside)
            self._by_span[start_ms, end_ms] = found
        return found

    @cached_property
    def _moments(self) -> list[int]:
        edges = {rule.valid_from_ms for rule in self.rules} | {rule.valid_to_ms for rule in self.rules}
        return sorted(edge for edge in edges if edge is not None)

    @cached_property
    def places(self) -> list[str]:
        """Branches where something may be lent."""
        return [one.id for one in self.policy.bundle.branches if one.kind is not BranchKind.DROP]

    def situations(self, *, real: bool = False) -> Iterator[Situation]:
        """Every situation in which somebody may be served; ``real``: of categories that readers surely have."""
        for home in self.policy.libraries:
            for category in self.real_categories(home) if real else self.categories(home):
                # Only rules that this reader can meet at all tell places and owners apart.
                asked = {category} | {
                    shared
                    for one in self.policy.bundle.agreements
                    if (shared := self._shared(one, home, category)) is not None
                }
                near = 0
                for name in asked:
                    near |= self.of_category(name)
                near &= self._by_home[home]
                yield from self._of_reader(home, category, near)

    def _of_reader(self, home: str, category: str, near: int) -> Iterator[Situation]:
        branches = self.policy.branches
        served = {org: self.served(home, category, org) for org in self.policy.libraries}
        places: dict[tuple[int, tuple[Served, ...]], list[str]] = {}
        for place in self.places:
            places.setdefault((near & self._by_place[place], served[branches[place].org]), []).append(place)
        owners: dict[tuple[int, tuple[Served, ...]], list[str]] = {}
        for owner in self.policy.libraries:
            owners.setdefault((near & self._by_owner[owner], served[owner]), []).append(owner)
        for (there, here), at in places.items():
            for (theirs, lending), of in owners.items():
                for fits, excluded in self._together(home, category, there & theirs, here, lending):
                    yield Situation(home, category, tuple(of), tuple(at), fits, excluded)

    def _together(
        self, home: str, category: str, base: int, here: tuple[Served, ...], theirs: tuple[Served, ...]
    ) -> set[tuple[int, frozenset[str]]]:
        found: set[tuple[int, frozenset[str]]] = set()
        for one in here:
            for other in theirs:
                start, end = max(one.start_ms, other.start_ms), min(one.end_ms, other.end_ms)
                if start < end:
                    # One agreement for the place and one for the owner, as the decision itself asks for them.
                    speaking, asked, excluded = self._under(home, category, one.agreement, other.agreement)
                    fits = base & speaking & asked
                    found |= {(fits & valid, excluded) for valid in self.within(start, end)}
        return found

    def _under(
        self, home: str, category: str, here: Agreement | None, theirs: Agreement | None
    ) -> tuple[int, int, frozenset[str]]:
        # Rules that fit the agreements, rules that fit the category these make of the reader, item types they leave out.
        key = (home, category, here.key if here else "", theirs.key if theirs else "")
        found = self._known.get(key)
        if found is None:
            agreements = [one for one in (here, theirs) if one is not None]
            shared = self._shared(agreements[0], home, category) if agreements else None
            speaking, excluded = self._no_agreement, frozenset[str]()
            for one in agreements:
                speaking |= self._by_agreement[one.id]
                excluded |= one.excluded_item_types
            found = (speaking, self.of_category(shared or category), excluded)
            self._known[key] = found
        return found

    def returns(self) -> frozenset[int]:
        """The sets of rules that a return is asked about: no reader, no agreement, every item, place and day."""
        bundle = self.policy.bundle
        base = self._no_agreement & self.by_age[None]
        base &= self.rules_that(lambda rule: rule.home == ANY and rule.category == ANY)
        return frozenset(
            base & owner & place & valid & kind
            for owner in set(self._by_owner.values())
            for place in set(self._by_place.values())
            for valid in self.within(bundle.valid_from_ms, bundle.valid_to_ms)
            for kind in set(self.by_type.values())
        )


def age_fits(rule: PolicyRule, age: int | None) -> bool:
    """Whether a rule's ages include this one; an unknown age is in no bounds."""
    if rule.age_from is None and rule.age_to is None:
        return True
    if age is None:
        return False
    return (rule.age_from is None or age >= rule.age_from) and (rule.age_to is None or age <= rule.age_to)


def valid_at(rule: PolicyRule, at_ms: int) -> bool:
    """Whether a rule is valid at an instant."""
    return (rule.valid_from_ms is None or rule.valid_from_ms <= at_ms) and (
        rule.valid_to_ms is None or at_ms < rule.valid_to_ms
    )
