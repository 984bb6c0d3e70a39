"""Why a rule speaks: which rules fit a case, in the fixed order, and which of them gave each result (domain §2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from consortium.agreement import PolicyRule, Service
from consortium.bundle import Policy
from consortium.calendar import local_time
from consortium.facts import ItemFacts, ReaderFacts
from consortium.identity import org_of_branch
from consortium.lint.cases import age_fits
from consortium.rules import PERIOD, RESULTS, Case
from consortium.source.forms import money
from consortium.stages import lending_agreements


class Verdict(StrEnum):
    """What became of a rule: it gave results, it fits but others had spoken, or one of its conditions is not met."""

    GIVES = "gives"
    FITS = "fits"
    AGREEMENT = "agreement"
    CATEGORY = "category"
    AGE = "age"
    DATE = "date"


_VERDICTS = {
    Verdict.GIVES: ("给出", "gives"),
    Verdict.FITS: ("适用,但结果已由更具体的规则给出", "fits, but more specific rules had given all it sets"),
    Verdict.AGREEMENT: ("不适用:属于另一协议", "passed over: for another agreement"),
    Verdict.CATEGORY: ("不适用:读者类型不同", "passed over: for another reader category"),
    Verdict.AGE: ("不适用:年龄不符", "passed over: for other ages"),
    Verdict.DATE: ("不适用:不在有效期内", "passed over: not valid on that day"),
}

RESULT_NAMES: dict[str, tuple[str, str]] = {
    "lend": ("可否外借", "may borrow"),
    "period_days": ("借期(天)", "loan period, days"),
    "period_hours": ("借期(小时)", "loan period, hours"),
    "hard_due_ms": ("最晚应还", "due at the latest"),
    "renewals": ("续借次数", "renewals"),
    "renew_window_days": ("到期前几天可续借", "renewal opens, days before due"),
    "grace_days": ("宽限天数", "days of grace"),
    "fine_per_day": ("逾期费每天(元)", "charge a day overdue, yuan"),
    "max_fine": ("逾期费上限(元)", "charge at most, yuan"),
    "suspension_days": ("逾期每天停借天数", "days suspended per day overdue"),
    "deposit": ("押金(元)", "deposit, yuan"),
    "condition_note": ("记录完好状况", "note of condition"),
    "holdable": ("可否预约", "may be requested"),
    "returnable_at": ("归还地点", "returnable at"),
    "float_group": ("浮动馆组", "floats in group"),
    "return_to": ("归还后去向", "goes back to"),
    "offline_lend": ("断网时可否外借", "lent while offline"),
    "offline_cap": ("断网时上限", "most loans while offline"),
}
"""What people call each result, zh and en."""

_MONEY = frozenset({"fine_per_day", "max_fine", "deposit"})


@dataclass(frozen=True, slots=True)
class Step:
    """One rule looked at. ``vector`` is its specificity in the bundle's order: "=" named, "@" a group, "*" any."""

    rule_id: str
    vector: str
    verdict: Verdict
    gives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Value:
    """One result and the rule that gave it; both None where no rule did. ``value`` is in the rule's own unit (fen, days, ms)."""

    name: str
    value: bool | int | str | None
    rule_id: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every result of a case with its reason. ``elsewhere`` rules speak of other homes, items, owners or places."""

    case: Case
    order: tuple[str, ...]
    steps: tuple[Step, ...]
    values: tuple[Value, ...]
    elsewhere: int
    tz: str

    def lines(self, lang: str = "zh") -> list[str]:
        """The explanation as text in ``zh`` or ``en``, the same for the same bundle and case."""
        en = lang == "en"
        out = [f"{'Order of rules' if en else '规则次序'}: {' > '.join(self.order)}, id"]
        for number, step in enumerate(self.steps, 1):
            words = _VERDICTS[step.verdict][en]
            given = ", ".join(RESULT_NAMES[name][en] for name in step.gives)
            out.append(f"{number:>3}. ({step.vector}) {step.rule_id}: {words}{': ' if given else ''}{given}")
        if self.elsewhere:
            rest = "further rules speak of other readers, items or places" if en else "条规则针对其他读者、文献或地点"
            out.append(f"     {self.elsewhere} {rest}")
        out.append("Results:" if en else "结果:")
        for value in self.values:
            text = value_text(value.name, value.value, self.tz, lang)
            source = (f"rule {value.rule_id}" if en else f"规则{value.rule_id}") if value.rule_id else ""
            out.append(f"     {RESULT_NAMES[value.name][en]}: {text}{f'  [{source}]' if source else ''}")
        return out


def value_text(name: str, value: bool | int | str | None, tz: str, lang: str = "zh") -> str:
    """A result as people read it."""
    en = lang == "en"
    if value is None:
        return "not set" if en else "未规定"
    if isinstance(value, bool):
        return ("yes" if value else "no") if en else ("是" if value else "否")
    if name in _MONEY and isinstance(value, int):
        return money(value)
    if name == "hard_due_ms" and isinstance(value, int):
        return f"{local_time(value, tz):%Y-%m-%d %H:%M}"
    return str(value)


def explain_rule(policy: Policy, case: Case) -> Explanation:
    """Which rules fit the case, and which gave each result; what ``consortium.rules.resolve`` decides, told step by step."""
    steps: list[Step] = []
    given: dict[str, Value] = {}
    candidates = policy.candidates(case.home, case.item_type, case.owner, case.place)
    for rule in candidates:
        verdict = _verdict(rule, case)
        gives: tuple[str, ...] = ()
        if verdict is Verdict.FITS:
            closed = {*given, *(PERIOD if PERIOD & given.keys() else ())}
            gives = tuple(name for name in RESULTS if name not in closed and getattr(rule, name) is not None)
            given |= {name: Value(name, getattr(rule, name), rule.id) for name in gives}
        steps.append(Step(rule.id, specificity(policy, rule), Verdict.GIVES if gives else verdict, gives))
    values = tuple(given.get(name) or Value(name, None, None) for name in RESULTS)
    elsewhere = len(policy.rules) - len(candidates)
    tz = policy.calendar_of(case.place).tz
    return Explanation(case, policy.bundle.match_order, tuple(steps), values, elsewhere, tz)


def _verdict(rule: PolicyRule, case: Case) -> Verdict:
    if rule.agreement != "*" and rule.agreement not in case.agreements:
        return Verdict.AGREEMENT
    if rule.category not in ("*", case.category):
        return Verdict.CATEGORY
    if (rule.valid_from_ms is not None and case.now < rule.valid_from_ms) or (
        rule.valid_to_ms is not None and case.now >= rule.valid_to_ms
    ):
        return Verdict.DATE
    return Verdict.FITS if age_fits(rule, case.age) else Verdict.AGE


def specificity(policy: Policy, rule: PolicyRule) -> str:
    """How specific a rule is, in the bundle's order: "=" named, "@" a group, "*" any. Rules are asked in the order = @ *."""
    names = (getattr(rule, name) for name in policy.bundle.match_order)
    return "".join("*" if name == "*" else "@" if name[:1] == "@" else "=" for name in names)


def case_of(
    policy: Policy, reader: ReaderFacts, item: ItemFacts, place: str, now: int
) -> tuple[Case | None, tuple[str, ...]]:
    """The case that a loan at a branch is, with the agreements that serve it; without one, the codes that say why (AGR_…)."""
    agreements, codes = lending_agreements(policy, reader, item, org_of_branch(place), Service.BORROW, now)
    if codes:
        return None, tuple(codes)
    shared = next((one.shared_category(reader.home, reader.category) for one in agreements), None)
    names = frozenset(one.id for one in agreements)
    category = shared or reader.category
    return Case(names, reader.home, category, item.item_type, item.owner, place, reader.age, now), ()
