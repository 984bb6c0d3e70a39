"""The linter of a policy: what contradicts itself, what can never happen, whom nobody thought of.

``lint`` tells everything; ``check_bundle`` refuses a bundle that must not be published.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from consortium.bundle import Bundle, BundleError, Policy
from consortium.calendar import CalendarError
from consortium.lint import agreements, members, rules
from consortium.lint.cases import CaseSpace, Census
from consortium.lint.finding import Lint, Severity, error

__all__ = ["Census", "Lint", "Severity", "check_bundle", "lint"]


def lint(bundle: Bundle, readers: Census = (), *, item_types: Iterable[str] = ()) -> list[Lint]:
    """Everything there is to say about a bundle, errors first.

    ``readers`` are (home, category, age or None, how many), ``item_types`` the types that items have; what is not given is taken from
    what rules and agreements name. A bundle with errors is not looked at further: what its rules mean is not defined.
    """
    found = list(_errors(bundle))
    if not found:
        try:
            policy = Policy(bundle)
        except (BundleError, CalendarError) as fault:
            found.append(error(fault.code, "consortium", "策略包不可用", str(fault)))
        else:
            found.extend(_opinions(policy, CaseSpace(policy, readers, item_types)))
    return sorted(found, key=Lint.order)


def check_bundle(bundle: Bundle) -> None:
    """Raise BundleError with the code of the first error; a bundle that passes may be published."""
    for fault in sorted(_errors(bundle), key=Lint.order):
        raise BundleError(fault.code, f"{fault.where}: {fault.en}")


def _errors(bundle: Bundle) -> Iterator[Lint]:
    yield from members.broken(bundle)
    yield from agreements.contradictions(bundle)


def _opinions(policy: Policy, space: CaseSpace) -> Iterator[Lint]:
    bundle = policy.bundle
    yield from agreements.oddities(bundle)
    yield from agreements.both_serve(policy)
    yield from members.oddities(bundle)
    yield from rules.odd_rules(space)
    yield from rules.useless(space)
    yield from rules.uncovered(space)
    yield from members.limits(bundle, _known_categories(space), space.given_types)


def _known_categories(space: CaseSpace) -> set[str]:
    if not space.readers:
        return set()
    known = {one for home in space.policy.libraries for one in space.categories(home)}
    return known | {row.shared_cat for one in space.policy.bundle.agreements for row in one.category_map}
