"""Agreements that contradict themselves, and agreements that speak of the same readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations

from consortium.agreement import Agreement, AgreementStatus, Role, Service
from consortium.bundle import Bundle, Policy
from consortium.calendar import Period
from consortium.lint.finding import Lint, error, note, some, warning

CONTRADICTS = "AGREEMENT_CONTRADICTS"

_NEEDS = (
    (Service.BORROW, Service.RETURN, "可借不可还", "lends what cannot be returned"),
    (Service.HOLD, Service.BORROW, "可预约不可借", "takes holds on what cannot be borrowed"),
    (Service.RENEW, Service.BORROW, "可续借不可借", "renews what cannot be borrowed"),
)


def contradictions(bundle: Bundle) -> Iterator[Lint]:
    """Everything that no agreement can mean; each is an error."""
    for agreement in bundle.agreements:
        where = f"agreements.{agreement.key}"
        for part, zh, en in (*_term(agreement), *_parties(agreement), *_services(agreement), *_numbers(agreement)):
            yield error(CONTRADICTS, f"{where}.{part}", zh, en)
    for one, other in combinations(bundle.agreements, 2):
        newer, older = (one, other) if one.version > other.version else (other, one)
        where = f"agreements.{newer.key}"
        if one.key == other.key:
            yield error(CONTRADICTS, where, "同一版本出现两次", "the same version stands here twice")
        elif one.id == other.id and _together(one, other):
            yield error(CONTRADICTS, where, f"与{older.key}同时生效", f"is in force together with {older.key}")


def _together(one: Agreement, other: Agreement) -> bool:
    # Whether both are in force at some moment.
    active = one.status is AgreementStatus.ACTIVE and other.status is AgreementStatus.ACTIVE
    return active and one.valid_from_ms < other.valid_to_ms and other.valid_from_ms < one.valid_to_ms


def _term(agreement: Agreement) -> Iterator[tuple[str, str, str]]:
    if agreement.valid_to_ms <= agreement.valid_from_ms:
        yield "valid_to", "终止日不晚于生效日", "ends before it begins"
        return
    for span in agreement.blackouts:
        if span.end_ms <= span.start_ms:
            yield "blackouts", "停止接待时段的结束不晚于开始", "has a black-out that ends before it begins"
    if _covers(agreement.blackouts, agreement.valid_from_ms, agreement.valid_to_ms):
        yield "blackouts", "停止接待时段覆盖整个协议期", "is blacked out for its whole term"


def _covers(spans: tuple[Period, ...], start_ms: int, end_ms: int) -> bool:
    reached = start_ms
    for span in sorted(spans, key=lambda one: one.start_ms):
        if span.start_ms > reached:
            return False
        reached = max(reached, span.end_ms)
        if reached >= end_ms:
            return True
    return False


def _parties(agreement: Agreement) -> Iterator[tuple[str, str, str]]:
    orgs = [party.org for party in agreement.parties]
    if len(set(orgs)) < len(orgs):
        yield "parties", "同一成员馆列出两次", "names a party twice"
    if len(set(orgs)) < 2:
        yield "parties", "协议方不足两个", "has fewer than two parties"
    elif not any(party.role is not Role.HOME for party in agreement.parties):
        yield "parties", "没有一方接待读者", "has nobody who hosts readers"
    elif not any(party.role is not Role.HOST for party in agreement.parties):
        yield "parties", "没有一方派出读者", "has nobody who sends readers"
    for org in sorted({row.home_org for row in agreement.category_map} - set(orgs)):
        yield "categories", f"读者类型对照写了非协议方{org}", f"maps categories of {org}, which is no party"
    for (org, category), times in Counter((row.home_org, row.home_cat) for row in agreement.category_map).items():
        if times > 1:
            yield "categories", f"{org}/{category}对照了{times}次", f"maps {org}/{category} {times} times"


def _services(agreement: Agreement) -> Iterator[tuple[str, str, str]]:
    if not agreement.services:
        yield "services", "没有任何服务", "offers no service at all"
    for service, needed, zh, en in _NEEDS:
        if service in agreement.services and needed not in agreement.services:
            yield "services", f"{zh}:有{service}无{needed}", f"{en}: {service} without {needed}"


def _numbers(agreement: Agreement) -> Iterator[tuple[str, str, str]]:
    quotas, bounds = agreement.quotas, agreement.staleness
    for name in ("visitors_now", "visits_per_day", "loans_per_reader", "loans_per_lender"):
        if getattr(quotas, name) < 0:
            yield f"quotas.{name}", "名额为负数", "has a quota below zero"
    for name, fresh, refuse in (
        ("policy", bounds.policy_fresh_ms, bounds.policy_refuse_ms),
        ("enter", bounds.enter_cards_fresh_ms, bounds.enter_cards_refuse_ms),
        ("borrow", bounds.borrow_facts_fresh_ms, bounds.borrow_facts_refuse_ms),
    ):
        if fresh < 0 or refuse < fresh:
            yield f"staleness.{name}", "拒绝时限短于新鲜时限", "refuses facts that it still calls fresh"
    if bounds.offline_cap < 0 or bounds.offline_max_value < 0:
        yield "staleness.offline_cap", "离线上限为负数", "has an offline cap below zero"
    if min(agreement.retention.visit_days, agreement.retention.loan_days, agreement.notice_days) < 0:
        yield "retention", "天数为负数", "has a number of days below zero"


def oddities(bundle: Bundle) -> Iterator[Lint]:
    """What an agreement can mean but hardly does."""
    for agreement in bundle.agreements:
        where = f"agreements.{agreement.key}"
        yield from _categories(agreement, f"{where}.categories")
        if agreement.valid_to_ms <= bundle.valid_from_ms or agreement.valid_from_ms >= bundle.valid_to_ms:
            yield note(
                "AGREEMENT_OUTSIDE",
                where,
                "协议期不在本策略包的有效期内",
                "has no day in common with this bundle's own term",
            )


def _categories(agreement: Agreement, where: str) -> Iterator[Lint]:
    wild: set[str] = set()
    mapped = {row.home_org for row in agreement.category_map}
    for row in agreement.category_map:
        if row.home_org in wild and row.home_cat != "*":
            yield warning(
                "AGREEMENT_CATEGORY_UNREACHABLE", where, f"{row.home_org}/{row.home_cat}写在{row.home_org}/*之后,永远用不到",
                f"{row.home_org}/{row.home_cat} stands after {row.home_org}/* and is never reached",
            )  # fmt: skip
        if row.home_cat == "*":
            wild.add(row.home_org)
    for party in agreement.parties:
        if party.role is not Role.HOST and party.org not in mapped:
            yield warning(
                "AGREEMENT_SERVES_NOBODY", where, f"{party.org}没有任何读者类型对照,其读者都得不到服务",
                f"no category of {party.org} is mapped: none of its readers is served",
            )  # fmt: skip
        if party.role is Role.HOST and party.org in mapped:
            yield warning(
                "AGREEMENT_CATEGORY_UNREACHABLE", where, f"{party.org}只接待、不派出读者,其对照用不到",
                f"{party.org} only hosts: its categories are never looked at",
            )  # fmt: skip


def both_serve(policy: Policy) -> Iterator[Lint]:
    """Two agreements that serve the same readers at the same host at one time: the one that speaks is named."""
    pairs: dict[tuple[str, str], list[str]] = {}
    # As find_agreement looks at them: by id, the newer version first.
    known = sorted(policy.bundle.agreements, key=lambda one: (one.id, -one.version))
    for first, second in combinations(known, 2):
        if first.id != second.id and _together(first, second) and first.services & second.services:
            cases = list(_both_named(first, second))
            if cases:
                pairs[first.key, second.key] = cases
    for (first_key, second_key), cases in sorted(pairs.items()):
        yield warning(
            "AGREEMENT_BOTH_SERVE", f"agreements.{second_key}", f"与{first_key}适用于相同读者({some(cases)});以{first_key}为准",
            f"serves readers whom {first_key} serves too ({some(cases)}); {first_key} speaks",
        )  # fmt: skip


def _both_named(first: Agreement, second: Agreement) -> Iterator[str]:
    for home in sorted({party.org for party in first.parties} & {party.org for party in second.parties}):
        named = sorted({row.home_cat for one in (first, second) for row in one.category_map if row.home_org == home})
        shared = [
            one for one in named if None not in (first.shared_category(home, one), second.shared_category(home, one))
        ]
        for party in first.parties if shared else ():
            if first.covers(home, party.org) and second.covers(home, party.org):
                yield from (f"{home}/{one} → {party.org}" for one in shared)
