"""The reference of reason codes: held against the decision functions by trying what can go wrong, one thing after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from consortium.agreement import (
    AgreementStatus,
    BranchKind,
    CategoryMap,
    Group,
    LibraryStatus,
    LimitScope,
    LimitSet,
    PolicyRule,
    Quotas,
    Service,
)
from consortium.bundle import Policy
from consortium.calendar import Calendar, Period
from consortium.conflicts import KINDS
from consortium.decision import Decision
from consortium.decisions import accept_return, may_borrow, may_enter, may_renew
from consortium.events import SCHEMAS, Kind
from consortium.facts import (
    Assurance,
    BlockFacts,
    CardStatus,
    Device,
    HoldFacts,
    ItemStatus,
    LoanFacts,
    OpenLoans,
    Relation,
    RenewFacts,
    Sighting,
)
from consortium.reasons import REASONS
from consortium.terms import Terms
from tests.make import DAY, HOME, HOST, HOUR, NOW, THIRD, Make
from tongjie.reference import conflicts, events, names, reasons
from tongjie.reference.reasons import ANSWERS, ELSEWHERE, FUNCTIONS, STAGE_NAMES, STAGES

HERE, THERE = f"{HOST}-01", f"{HOME}-01"
EVERYBODY = Group("all", frozenset({HOME, HOST, THIRD}))
MAKE: dict[str, Any] = {"enter": Make.enter, "borrow": Make.borrow, "return": Make.give_back}
DECIDE: dict[str, Any] = {"enter": may_enter, "borrow": may_borrow, "renew": may_renew, "return": accept_return}


def renew(**more: Any) -> RenewFacts:
    terms = Terms(period_days=30, renewals=1, renew_window_days=10)
    fields: dict[str, Any] = {
        "device": Make.device(),
        "known": Make.known(),
        "reader": Make.reader(),
        "item": Make.item(status=ItemStatus.ON_LOAN, loan=Relation.SELF),
        "loan": LoanFacts(True, NOW - 25 * DAY, NOW + 5 * DAY, HERE, terms),
    }
    return RenewFacts(**{**fields, **more})


MAKE["renew"] = renew


def policies() -> Iterator[Policy]:
    """Policies that differ from the usual one in one respect."""
    yield Make.policy()
    for more in (
        {"status": AgreementStatus.SUSPENDED},
        {"status": AgreementStatus.ENDED},
        {"status": AgreementStatus.DRAFT},
        {"valid_from_ms": NOW + DAY},
        {"services": frozenset({Service.RETURN})},
        {"category_map": (CategoryMap(HOME, "PG", "P"),)},
        {"blackouts": (Period(NOW - DAY, NOW + DAY),)},
        {"quotas": Quotas(visitors_now=1, loans_per_reader=1)},
        {"excluded_item_types": frozenset({"BOOK"})},
    ):
        yield Make.policy(agreements=(Make.agreement(**more),))
    yield Make.policy(agreements=())
    base = Make.bundle()
    yield Policy(replace(base, libraries=tuple(replace(one, status=LibraryStatus.LEAVING) for one in base.libraries)))
    for more in ({"capacity": 1}, {"anti_pass_back": True}, {"kind": BranchKind.LIBRARY}):
        yield Policy(replace(base, branches=tuple(replace(one, **more) for one in base.branches)))
    shut = Calendar("always", "Asia/Shanghai", ((),) * 7, {"2030-01-01": ((0, 1440),)})
    yield Make.policy(calendars=(shut,))
    places = ((0, 0), (30_000_000, 120_000_000), (31_000_000, 100_000_000))
    branches = tuple(replace(one, geo=geo) for one, geo in zip(base.branches, places, strict=True))
    yield Policy(replace(base, branches=branches))
    for rules in (
        (),
        (PolicyRule("no", lend=False),),
        (PolicyRule("old", lend=True, period_days=30, age_from=60),),
        (PolicyRule("not-away", lend=True, period_days=30, offline_lend=False),),
        (PolicyRule("owner", lend=True, period_days=30, returnable_at="owner"),),
        (PolicyRule("float", lend=True, period_days=30, float_group="all"),),
    ):
        yield Policy(replace(base, rules=rules, groups=(*base.groups, EVERYBODY)))
    for limit in (
        LimitSet("type", LimitScope.LENDER, 1, item_types=frozenset({"BOOK"})),
        LimitSet("all", LimitScope.CONSORTIUM, 1),
        LimitSet("lender", LimitScope.LENDER, 1),
        LimitSet("value", LimitScope.LENDER, 9, max_value=1),
    ):
        yield Make.policy(limits=(limit,))


def block(issuer: str, scope: str = "issuer", kind: str = "") -> BlockFacts:
    return BlockFacts(issuer, scope, frozenset({"ENTER", "BORROW", "RENEW"}), kind)


BLOCKS = (
    block(HOME), block(HOST), block(THIRD, "consortium"), block(HOST, kind="OVERDUE"), block(HOST, kind="FEES"),
)  # fmt: skip
READERS = (
    {"reader": None},
    *({"reader": Make.reader(**more)} for more in (
        {"status": "INACTIVE"}, {"valid_to_ms": NOW}, {"shared": False}, {"home": HOST}, {"unsynced": 9},
        {"open_loans": (OpenLoans(HOST, "BOOK", 9, 9),)}, *({"blocks": (one,)} for one in BLOCKS),
    )),
)  # fmt: skip
CARDS = (
    {"card": None},
    *({"card": Make.card(status=status)} for status in CardStatus),
    {"card": Make.card(assurance=Assurance.LOW)},
    {"elsewhere": Sighting(THERE, NOW - 1_000)},
)
DEVICES = (
    {"device": Make.device(authorised=False)},
    {"device": Make.device(clock_trusted=False)},
    {"device": Device("m", THERE)},
)
AGES = tuple({"known": Make.known(hours * HOUR)} for hours in (1, 10, 30, 100))
ITEMS = (
    {"item": None},
    *({"item": Make.item(**more)} for more in (
        {"loan": Relation.SELF}, {"loan": Relation.OTHER}, {"hold": Relation.OTHER}, {"reference": True}, {"shareable": False},
        {"status": ItemStatus.WITHDRAWN}, {"status": ItemStatus.MISSING}, {"owner": THIRD}, {"owner": HOME},
        {"owner": HOME, "loan": Relation.SELF}, {"value": 9},
    )),
)  # fmt: skip
LOAN = renew().loan
assert LOAN is not None
CHANGES: dict[str, tuple[dict[str, Any], ...]] = {
    "enter": (
        *READERS, *CARDS, *DEVICES, *AGES, {"flooded": True}, {"inside": True}, {"occupancy": 9}, {"partner_visitors": 9},
    ),
    "borrow": (*READERS, *CARDS, *DEVICES, *AGES, *ITEMS, {"tag_agrees": False}, {"away": True}, {"ils_refused": True},
        {"away": True, "reader": Make.reader(unsynced=9)},
    ),
    "renew": (
        *READERS, *DEVICES, *AGES, *ITEMS, {"loan": None}, {"ils_refused": True}, {"away": True},
        *({"loan": replace(LOAN, **more)} for more in (
            {"mine": False}, {"renewed": 9}, {"due": NOW + 20 * DAY}, {"due": NOW - DAY}, {"due": NOW + 90 * DAY}, {"recalled": True},
            {"place": "880000-01"}, {"terms": Terms()}, {"due": NOW + 90 * DAY, "terms": Terms(period_days=30, renewals=1)},
        )),
        {"away": True, "loan": replace(LOAN, unsynced=1)},
        {"loan": replace(LOAN, terms=Terms()), "item": Make.item()},
    ),
    "return": (
        *DEVICES, *AGES, *ITEMS, {"can_hand_back": True, "item": Make.item(HOME)},
        {"holds": (HoldFacts("h", HERE, 0),), "item": Make.item(HOME)},
        {"float_room": True, "item": Make.item(HOME)},
        {"transfer_open": False, "item": Make.item(HOME)},
    ),
}  # fmt: skip


def seen() -> dict[tuple[str, str], set[str]]:
    """Codes by (decision, stage) over every policy and every change; stage "" for an ALLOW."""
    found: dict[tuple[str, str], set[str]] = {}
    for policy in policies():
        for function, changes in CHANGES.items():
            for more in ({}, *changes):
                decision: Decision = DECIDE[function](policy, MAKE[function](**more), NOW, explain=True)
                if decision.allowed:
                    found.setdefault((function, ""), set()).add(decision.primary)
                    continue
                stage, _, codes = decision.trace[-1].partition(": ")
                found.setdefault((function, stage.split(" ")[0]), set()).update(codes.split(", "))
    return found


SEEN = seen()


@pytest.mark.parametrize("function", sorted(STAGES))
def test_every_stage_gives_just_the_codes_that_the_page_names(function: str) -> None:
    found = {stage: codes for (name, stage), codes in SEEN.items() if name == function and stage}
    assert found == {stage: {*codes} for stage, codes in STAGES[function].items()}


@pytest.mark.parametrize("function", sorted(ANSWERS))
def test_every_answer_of_an_allow_is_named(function: str) -> None:
    assert SEEN[function, ""] == {*ANSWERS[function]}


def test_stages_stand_in_the_order_in_which_they_are_asked() -> None:
    for function, stages in STAGES.items():
        trace = DECIDE[function](Make.policy(), MAKE[function](), NOW, explain=True).trace
        asked = [line.partition(":")[0].split(" ")[0] for line in trace]
        known = [stage for stage in asked if stage in stages]
        assert known == sorted(known, key=[*stages].index)
        assert {*asked} - {*stages} <= {"route"}


def test_every_code_is_given_somewhere() -> None:
    for code in REASONS:
        assert reasons.places(code) or code in ELSEWHERE, code
    assert not {*ELSEWHERE} - {*REASONS}


def test_everything_has_a_name_in_both_languages() -> None:
    assert {stage for stages in STAGES.values() for stage in stages} == {*STAGE_NAMES}
    assert {*FUNCTIONS} == {*STAGES} == {*ANSWERS}
    assert {*names.EVENTS} == {*Kind} == {*events.WRITERS} == {*SCHEMAS}
    assert {kind.default for kind in KINDS.values()} <= {*conflicts.DEFAULTS}
    assert {kind.responsible for kind in KINDS.values()} <= {*conflicts.RESPONSIBLE}
