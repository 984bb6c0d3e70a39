"""Libraries, branches, calendars, groups and limits: what is missing, never used or can never bite."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from consortium.agreement import BranchKind, LibraryStatus, LimitScope, LimitSet
from consortium.bundle import MATCH_ORDER, Bundle
from consortium.calendar import CalendarError, check_calendar
from consortium.lint.finding import Lint, error, note, warning
from consortium.source.record import suggestion
from consortium.source.references import references


def broken(bundle: Bundle) -> Iterator[Lint]:
    """What no edge can work with: names of nothing, names given twice, terms and numbers that cannot be. All are errors."""
    for where, kind, name, known in references(bundle):
        if name not in known:
            near = suggestion(name, known)
            yield error("BUNDLE_REFERENCE", where, f"{name!r}不存在", f"{name!r} is no {kind} of this bundle{near}")
    for section, names in _names(bundle):
        for name, times in Counter(names).items():
            if times > 1:
                yield error("BUNDLE_TWICE", f"{section}.{name}", f"同名出现{times}次", f"stands here {times} times")
    if bundle.valid_to_ms <= bundle.valid_from_ms:
        yield error("BUNDLE_TERM", "consortium.valid_to", "终止日不晚于生效日", "the bundle ends before it begins")
    if sorted(bundle.match_order) != sorted(MATCH_ORDER):
        names_of = ", ".join(MATCH_ORDER)
        yield error("BUNDLE_ORDER", "consortium.match_order", f"必须排列{names_of}", f"must order {names_of}")
    yield from _negative(bundle)
    yield from _calendars(bundle)


def _names(bundle: Bundle) -> Iterator[tuple[str, list[str]]]:
    yield "libraries", [one.org for one in bundle.libraries]
    yield "branches", [one.id for one in bundle.branches]
    yield "calendars", [one.id for one in bundle.calendars]
    yield "groups", [one.name for one in bundle.groups]
    yield "rules", [one.id for one in bundle.rules]
    yield "limits", [one.id for one in bundle.limits]


_AMOUNTS = (
    "period_days", "period_hours", "renewals", "renew_window_days", "grace_days", "fine_per_day", "max_fine", "suspension_days",
    "deposit", "offline_cap",
)  # fmt: skip


def _negative(bundle: Bundle) -> Iterator[Lint]:
    for rule in bundle.rules:
        for name in _AMOUNTS:
            if (getattr(rule, name) or 0) < 0:
                yield error("BUNDLE_NEGATIVE", f"rules.{rule.id}.{name}", "为负数", "is below zero")
    for limit in bundle.limits:
        if limit.max_open < 0 or limit.max_value < 0:
            yield error("BUNDLE_NEGATIVE", f"limits.{limit.id}", "为负数", "is below zero")
    for branch in bundle.branches:
        if branch.capacity < 0:
            yield error("BUNDLE_NEGATIVE", f"branches.{branch.id}.capacity", "为负数", "is below zero")


def _calendars(bundle: Bundle) -> Iterator[Lint]:
    users: dict[str, set[BranchKind]] = {}
    for branch in bundle.branches:
        users.setdefault(branch.calendar_id, set()).add(branch.kind)
    for calendar in bundle.calendars:
        try:
            # A place that only takes returns has no hours of its own.
            check_calendar(calendar, must_open=users.get(calendar.id) != {BranchKind.DROP})
        except CalendarError as fault:
            yield error(fault.code, f"calendars.{calendar.id}", f"开放时间不可用({fault.code})", str(fault))


def oddities(bundle: Bundle) -> Iterator[Lint]:
    """Members that nobody can visit, groups and calendars that nobody uses."""
    homes = {branch.org for branch in bundle.branches}
    for library in bundle.libraries:
        if library.org not in homes and library.status is not LibraryStatus.LEFT:
            yield warning("LIBRARY_NO_BRANCH", f"libraries.{library.org}", "没有分馆", "has no branch")
    used = {value[1:] for rule in bundle.rules for value in (rule.home, rule.owner, rule.place) if value[:1] == "@"}
    used |= {rule.float_group for rule in bundle.rules if rule.float_group} | {limit.group for limit in bundle.limits}
    for group in bundle.groups:
        where = f"groups.{group.name}"
        if not group.members:
            yield warning("GROUP_EMPTY", where, "没有成员", "has no members")
        if group.name not in used:
            yield note("GROUP_UNUSED", where, "没有规则或限额用到", "no rule and no limit speaks of it")
    calendars = {branch.calendar_id for branch in bundle.branches}
    for calendar in bundle.calendars:
        if calendar.id not in calendars:
            yield note("CALENDAR_UNUSED", f"calendars.{calendar.id}", "没有分馆使用", "no branch keeps it")


def limits(bundle: Bundle, categories: Iterable[str], item_types: Iterable[str]) -> Iterator[Lint]:
    """Limits that can never bite, and limits that forbid everything. Empty universes are unknown ones."""
    known_categories, known_types = frozenset(categories), frozenset(item_types)
    for number, limit in enumerate(bundle.limits):
        where = f"limits.{limit.id}"
        if limit.scope is LimitScope.GROUP and not limit.group:
            yield warning("LIMIT_NEVER_BITES", where, "未写明馆组", "counts over a group and names none")
        elif limit.scope is not LimitScope.GROUP and limit.group:
            yield warning("LIMIT_NEVER_BITES", f"{where}.group", "此范围不看馆组", f"{limit.scope} looks at no group")
        elif limit.categories and known_categories and not limit.categories & known_categories:
            yield warning(
                "LIMIT_NEVER_BITES", f"{where}.categories", "无人属于这些读者类型", "nobody has these categories"
            )
        elif limit.item_types and known_types and not limit.item_types & known_types:
            yield warning("LIMIT_NEVER_BITES", f"{where}.item_types", "没有这些文献类型", "no item is of these types")
        for earlier, other in enumerate(bundle.limits):
            if (
                other is not limit
                and _always_first(other, limit)
                and (earlier < number or not _always_first(limit, other))
            ):
                yield warning(
                    "LIMIT_NEVER_BITES", where, f"限额{other.id}总是先到", f"limit {other.id} is always reached first"
                )
                break
        if limit.max_open == 0:
            yield warning(
                "LIMIT_FORBIDS", where, "上限为0,一册也不能借", "the most is 0: it forbids every loan it counts"
            )


_WIDTH = {LimitScope.LENDER: 0, LimitScope.GROUP: 1, LimitScope.CONSORTIUM: 2}


def _always_first(other: LimitSet, limit: LimitSet) -> bool:
    # ``other`` looks at every loan that ``limit`` looks at, counts at least as many, and allows no more.
    looks = (
        _within(limit.item_types, other.item_types)
        and _within(limit.categories, other.categories)
        and other.lender in ("*", limit.lender)
        and (limit.partners_only or not other.partners_only)
    )
    counts = _WIDTH[other.scope] >= _WIDTH[limit.scope] and (
        other.scope is not LimitScope.GROUP or (limit.scope is LimitScope.GROUP and other.group == limit.group)
    )
    value = not limit.max_value or (other.max_value and other.max_value <= limit.max_value)
    return looks and counts and other.max_open <= limit.max_open and bool(value)


def _within(part: frozenset[str], whole: frozenset[str]) -> bool:
    return not whole or (bool(part) and part <= whole)
