"""Rules that can never match, never decide or say nothing; readers whom no rule covers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from consortium.agreement import ANY, AgreementStatus, PolicyRule, Service
from consortium.bundle import Bundle
from consortium.lint.cases import OTHER, CaseSpace, Situation
from consortium.lint.finding import Lint, note, some, warning
from consortium.rules import PERIOD, RESULTS
from consortium.source.record import suggestion

RETURN_RESULTS = frozenset({"returnable_at", "float_group", "return_to"})
"""Results that only a return asks for; it knows item, owner and place, but no reader."""

_BOTH_RESULTS = frozenset({"condition_note"})


def results_of(rule: PolicyRule) -> list[str]:
    """The results that a rule sets."""
    return [name for name in RESULTS if getattr(rule, name) is not None]


def _sets(rule: PolicyRule, name: str) -> bool:
    """Whether a rule closes a result to less specific ones; a period in days closes hours as well."""
    names = PERIOD if name in PERIOD else (name,)
    return any(getattr(rule, one) is not None for one in names)


class _Use:
    """Which rules match anything at all, and which of them give a result that no more specific rule gives."""

    def __init__(self, space: CaseSpace) -> None:
        self.space = space
        self.matched = 0
        self.giving = 0
        setters = {name: space.rules_that(lambda rule, name=name: _sets(rule, name)) for name in RESULTS}
        # Results that the very same rules set need one look.
        self._lending = frozenset(found for name, found in setters.items() if name not in RETURN_RESULTS and found)
        self._returning = frozenset(
            found for name, found in setters.items() if name in RETURN_RESULTS | _BOTH_RESULTS and found
        )
        seen: set[int] = set()
        for fits, excluded in {(one.fits, one.excluded) for one in space.situations()}:
            kinds = {found for name, found in space.by_type.items() if name not in excluded}
            seen |= {fits & kind & age for kind in kinds for age in set(space.by_age.values())}
        for rules in seen:
            self._note(rules, self._lending)
        for rules in space.returns():
            self._note(rules, self._returning)

    def _note(self, rules: int, setters: frozenset[int]) -> None:
        self.matched |= rules
        for those in setters:
            found = rules & those
            self.giving |= found & -found  # the lowest bit: the most specific of them


def useless(space: CaseSpace) -> Iterator[Lint]:
    """Rules that nothing would change without."""
    use = _Use(space)
    for number, rule in enumerate(space.rules):
        where = f"rules.{rule.id}"
        if not results_of(rule):
            yield warning("RULE_SETS_NOTHING", where, "没有给出任何结果", "matches, but sets nothing")
        elif not use.matched >> number & 1:
            zh, en = _why_never(rule, space)
            yield warning("RULE_NEVER_MATCHES", where, f"永远不会适用:{zh}", f"can never match: {en}")
        elif not use.giving >> number & 1:
            yield _shadowed(rule, where)


def _shadowed(rule: PolicyRule, where: str) -> Lint:
    if set(results_of(rule)) <= RETURN_RESULTS:
        return warning(
            "RULE_RETURN_UNUSED", where, "归还只看文献类型、馆藏馆和地点,此规则的结果用不到",
            "a return asks for item type, owner and place alone; what this rule sets is never used",
        )  # fmt: skip
    return warning(
        "RULE_SHADOWED",
        where,
        "每个结果总由更具体的规则给出",
        "everything it sets is always set by more specific rules",
    )


def _why_never(rule: PolicyRule, space: CaseSpace) -> tuple[str, str]:
    bundle = space.policy.bundle
    if rule.age_from is not None and rule.age_to is not None and rule.age_from > rule.age_to:
        return "年龄范围为空", f"nobody is at least {rule.age_from} and at most {rule.age_to}"
    if rule.valid_from_ms is not None and rule.valid_to_ms is not None and rule.valid_to_ms <= rule.valid_from_ms:
        return "终止日不晚于生效日", "it ends before it begins"
    if rule.valid_to_ms is not None and rule.valid_to_ms <= bundle.valid_from_ms:
        return "在本策略包生效前已过期", "it ended before this bundle begins"
    if rule.valid_from_ms is not None and rule.valid_from_ms >= bundle.valid_to_ms:
        return "在本策略包失效后才生效", "it begins after this bundle has ended"
    if rule.item_type != ANY and rule.item_type not in space.item_types:
        near = suggestion(rule.item_type, space.item_types)
        return f"没有{rule.item_type}类文献", f"no item is of type {rule.item_type}{near}"
    for name, value in (("home", rule.home), ("owner", rule.owner), ("place", rule.place)):
        if value[:1] == "@" and not any(group.name == value[1:] and group.members for group in bundle.groups):
            return f"馆组{value}没有成员", f"group {value} ({name}) has no members"
    known = {one for home in space.policy.libraries for one in space.categories(home)}
    known |= {row.shared_cat for one in bundle.agreements for row in one.category_map}
    if rule.category != ANY and rule.category not in known:
        return f"没有读者属于{rule.category}", f"nobody has category {rule.category}{suggestion(rule.category, known)}"
    if rule.agreement != ANY:
        return _agreement_never(rule, bundle)
    return "没有一种读者、文献与地点同时满足其条件", "no reader, item and place meet all its conditions together"


def _agreement_never(rule: PolicyRule, bundle: Bundle) -> tuple[str, str]:
    named = [one for one in bundle.agreements if one.id == rule.agreement]
    if not any(one.status is AgreementStatus.ACTIVE for one in named):
        return f"协议{rule.agreement}不在有效状态", f"agreement {rule.agreement} is not active"
    if not any(Service.BORROW in one.services for one in named):
        return f"协议{rule.agreement}不含外借", f"agreement {rule.agreement} does not lend"
    return (
        f"协议{rule.agreement}不适用于所写的读者、馆或文献",
        f"agreement {rule.agreement} never serves that home, category, owner, place or item type",
    )


def odd_rules(space: CaseSpace) -> Iterator[Lint]:
    """Rules that work, but hardly as meant."""
    bundle = space.policy.bundle
    named = {cat for one in bundle.agreements for row in one.category_map for cat in (row.home_cat, row.shared_cat)}
    for rule in space.rules:
        where = f"rules.{rule.id}"
        if rule.hard_due_ms is not None and rule.hard_due_ms <= bundle.valid_from_ms:
            yield warning(
                "RULE_HARD_DUE_PAST", f"{where}.hard_due", "最晚应还日早于本策略包生效日,不起作用",
                "lies before this bundle begins and so shortens no loan",
            )  # fmt: skip
        if rule.period_days is not None and rule.period_hours is not None:
            yield warning("RULE_TWO_PERIODS", f"{where}.period", "同时给出天数和小时数", "gives days and hours")
        if rule.category != ANY and not space.readers and rule.category not in named:
            yield note(
                "RULE_CATEGORY_UNSEEN", f"{where}.category", f"没有协议提到读者类型{rule.category}",
                f"no agreement and no reader list names category {rule.category}{suggestion(rule.category, named)}",
            )  # fmt: skip


NO_LEND, NO_PERIOD = "lend", "period"


@dataclass(slots=True)
class _Gap:
    """What is not covered for one category of readers."""

    types: set[str]
    places: set[str]
    owners: set[str]


class _Cover:
    """Whether a set of rules says whether and for how long; remembered, as few sets occur."""

    def __init__(self, space: CaseSpace) -> None:
        self.space = space
        self.lend = space.rules_that(lambda rule: rule.lend is not None)
        self.yes = space.rules_that(lambda rule: rule.lend is True)
        self.period = space.rules_that(lambda rule: rule.period_days is not None or rule.period_hours is not None)
        self._known: dict[tuple[int, frozenset[int | None]], tuple[str, bool]] = {}

    def gap(self, fits: int, ages: frozenset[int | None]) -> tuple[str, bool]:
        """What is missing for readers of one of these ages, "" where nothing is; and whether any of them is covered."""
        found = self._known.get((fits, ages))
        if found is None:
            gaps = {self._gap(fits, self.space.by_age[age]) for age in ages}
            found = (max(gaps), "" in gaps)
            self._known[fits, ages] = found
        return found

    def _gap(self, fits: int, of_age: int) -> str:
        said = fits & of_age & self.lend
        said &= -said
        too_young = fits & ~of_age & self.yes
        if too_young and (not said or too_young & -too_young < said):
            return ""  # refused for the reader's age: the rules have spoken
        if not said:
            return NO_LEND
        return NO_PERIOD if said & self.yes and not fits & of_age & self.period else ""


def uncovered(space: CaseSpace) -> Iterator[Lint]:
    """Readers who may borrow somewhere, and for whom no rule says whether or for how long."""
    cover = _Cover(space)
    gaps: dict[tuple[str, str, str], _Gap] = {}
    lent: set[tuple[str, str]] = set()
    missing: list[tuple[Situation, str, str]] = []
    for one in space.situations(real=True):
        ages = _ages(space, one.home, one.category)
        for kind, fitting in space.by_type.items():
            if kind in one.excluded:
                continue
            why, anybody = cover.gap(one.fits & fitting, ages)
            if why:
                missing.append((one, kind, why))
            if anybody:
                lent.update((kind, owner) for owner in one.owners)
    kinds = {kind for kind, _ in lent}
    unowned: set[str] = set()
    for one, kind, why in missing:
        # A type that a rule gives to one owner only is most likely nobody else's: that is no gap of the readers.
        owners = {owner for owner in one.owners if kind not in kinds or (kind, owner) in lent}
        if kind == OTHER or not owners:
            unowned.add(kind)
            continue
        gap = gaps.setdefault((one.home, one.category, why), _Gap(set(), set(), set()))
        gap.types.add(kind)
        gap.places.update(one.places)
        gap.owners |= owners
    for (home, category, why), gap in sorted(gaps.items()):
        yield _gap_lint(space, home, category, why, gap)
    if unowned:
        types = some("any other type" if kind == OTHER else kind for kind in unowned)
        zh = some("其他类型" if kind == OTHER else kind for kind in unowned)
        yield note(
            "ITEM_TYPE_UNCOVERED", "rules", f"部分文献类型没有规则({zh}),一律不外借",
            f"some items have no rule and are lent to nobody: {types}",
        )  # fmt: skip


def _ages(space: CaseSpace, home: str, category: str) -> frozenset[int | None]:
    known = space.readers.get(home, {}).get(category)
    return frozenset(space.ages) if known is None else frozenset(space.age_class(age) for age in known)


def _gap_lint(space: CaseSpace, home: str, category: str, why: str, gap: _Gap) -> Lint:
    n = space.counts.get((home, category))
    if category == OTHER:
        who_zh, who_en = f"{home}的读者(任何类型)", f"readers of {home}, of any category"
    else:
        who_zh, who_en = f"{home}的{category}类读者", f"readers of {home}, category {category}"
    if n is not None:
        who_zh, who_en = f"{who_zh}({n}人)", f"{who_en} ({n})"
    what = f"{some(gap.types)}; {some(gap.owners)}; {some(gap.places)}"
    if why == NO_LEND:
        zh, en = "没有规则说明可否外借", "no rule says whether they may borrow"
    else:
        zh, en = "规则允许外借但没有借期", "rules lend to them for no stated time"
    return warning(
        "READER_UNCOVERED", f"readers.{home}/{ANY if category == OTHER else category}", f"{who_zh}:{zh}(文献类型;馆藏馆;地点:{what})",
        f"{who_en}: {en} (item type; owner; place: {what})",
    )  # fmt: skip
