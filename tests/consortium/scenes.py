"""A reader of HOME at a machine of HOST, everything right; faults are put into it one by one or together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

from consortium.agreement import LimitScope, LimitSet, PolicyRule, Quotas, Service
from consortium.bundle import Policy
from consortium.calendar import Period, round_the_clock
from consortium.decision import Decision, Outcome
from consortium.decisions import REFER_CODES, may_borrow, may_enter, may_renew
from consortium.facts import Assurance, BlockFacts, CardStatus, ItemStatus, OpenLoans, Relation, Sighting
from consortium.terms import Terms
from tests.make import DAY, HOME, HOST, HOUR, NOW, Make

CHONGQING, CHENGDU = (29_560_000, 106_550_000), (30_660_000, 104_070_000)
"""Some 268 km apart: an hour and three quarters for the fastest."""


@dataclass(frozen=True)
class Fault:
    """What is wrong, at which stage, and the code it gives. ``parts`` changes fields of facts and policy by name of their record."""

    stage: str
    code: str
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.stage}-{self.code}"


def fault(stage: str, code: str, **parts: dict[str, Any]) -> Fault:
    return Fault(stage, code, parts)


def merged(faults: Iterable[Fault]) -> dict[str, dict[str, Any]] | None:
    """All changes together; None where two faults want different values of one field."""
    out: dict[str, dict[str, Any]] = {}
    for one in faults:
        for part, changes in one.parts.items():
            into = out.setdefault(part, {})
            for name, value in changes.items():
                if into.get(name, value) != value:
                    return None
                into[name] = value
    facts = out.get("facts", {})
    if any(facts.get(part, 1) is None and part in out for part in ("card", "reader", "item", "loan")):
        return None
    return out


def policy_of(parts: dict[str, dict[str, Any]]) -> Policy:
    bundle = Make.bundle()
    branches = tuple(
        replace(branch, geo=CHENGDU if branch.org == HOST else CHONGQING, **parts.get("branch", {}))
        for branch in bundle.branches
    )
    calendar = Make.shut() if parts.get("calendar") else round_the_clock("always")
    rule = PolicyRule("general", **{"lend": True, "period_days": 30, "renewals": 2, **parts.get("rule", {})})
    agreement = Make.agreement(**parts.get("agreement", {}))
    return Make.policy(
        branches=branches, calendars=(calendar,), agreements=(agreement,), rules=(rule,), **parts.get("policy", {})
    )


def decide(function: str, *faults: Fault, explain: bool = False) -> Decision:
    """The decision with these faults in the scene."""
    parts = merged(faults)
    assert parts is not None
    facts: dict[str, Any] = {
        "device": Make.device(**parts.get("device", {})),
        "known": Make.known(**parts.get("known", {})),
        "reader": Make.reader(**parts.get("reader", {})),
    }
    policy = policy_of(parts)
    if function == "renew":
        facts["item"] = Make.item(**{"status": ItemStatus.ON_LOAN, "loan": Relation.SELF, **parts.get("item", {})})
        facts["loan"] = Make.loan_facts(**parts.get("loan", {}))
        return may_renew(policy, Make.renew(**{**facts, **parts.get("facts", {})}), NOW, explain=explain)
    facts["card"] = Make.card(**parts.get("card", {}))
    if function == "enter":
        return may_enter(policy, Make.enter(**{**facts, **parts.get("facts", {})}), NOW, explain=explain)
    facts["item"] = Make.item(**parts.get("item", {}))
    return may_borrow(policy, Make.borrow(**{**facts, **parts.get("facts", {})}), NOW, explain=explain)


def block(issuer: str, *actions: str, scope: str = "issuer", kind: str = "") -> dict[str, Any]:
    return {"blocks": (BlockFacts(issuer, scope, frozenset(actions), kind),)}


_DEVICE = [fault("device", "DEVICE_UNAUTHORISED", device={"authorised": False})]
_CARD = [
    fault("card", "CARD_UNKNOWN", facts={"card": None}),
    fault("card", "CARD_LOST", card={"status": CardStatus.LOST}),
    fault("card", "CARD_EXPIRED", card={"to_ms": NOW}),
]
_CLONE = [fault("card", "CARD_CLONE_SUSPECT", facts={"elsewhere": Sighting(f"{HOME}-01", NOW - HOUR)})]
_READER = [
    fault("reader", "READER_INACTIVE", reader={"status": "INACTIVE"}),
    fault("reader", "READER_EXPIRED", reader={"valid_to_ms": NOW}),
    fault("reader", "READER_NOT_SHARED", reader={"shared": False}),
]


def _agreement(service: Service) -> list[Fault]:
    return [
        fault("agreement", "AGR_NOT_YET", agreement={"valid_from_ms": NOW + 1}),
        fault("agreement", "AGR_CATEGORY", agreement={"category_map": ()}),
        fault("agreement", "AGR_SERVICE_OFF", agreement={"services": frozenset(set(Service) - {service})}),
        fault("agreement", "AGR_BLACKOUT", agreement={"blackouts": (Period(NOW, NOW + 1),)}),
    ]


_BLOCKS = [
    fault("blocks", "BLOCK_HOME", reader=block(HOME, "ENTER", "BORROW", "RENEW")),
    fault("blocks", "BLOCK_FEES", reader=block(HOST, "ENTER", "BORROW", "RENEW", kind="FEES")),
]
_CLOCK = fault("freshness", "CLOCK_UNTRUSTED", device={"clock_trusted": False})

ENTER: list[Fault] = [
    *_DEVICE,
    fault("device", "RATE_LIMITED", facts={"flooded": True}),
    *_CARD,
    *_CLONE,
    *_READER,
    *_agreement(Service.ENTER),
    fault("agreement", "AGR_QUOTA", agreement={"quotas": Quotas(visitors_now=3)}, facts={"partner_visitors": 3}),
    _CLOCK,
    fault("freshness", "STALE_POLICY", known={"policy": NOW - 72 * HOUR - 1}),
    fault("freshness", "NOT_DECIDABLE_OFFLINE", known={"cards": NOW - 24 * HOUR - 1}),
    fault("open", "BRANCH_CLOSED", calendar={"shut": True}),
    *_BLOCKS,
    fault("inside", "ALREADY_INSIDE", branch={"anti_pass_back": True}, facts={"inside": True}),
    fault("capacity", "BRANCH_FULL", branch={"capacity": 5}, facts={"occupancy": 5}),
]
_SPENT = {"open_loans": (OpenLoans(HOST, "BOOK", 5, 5),)}
BORROW: list[Fault] = [
    *_DEVICE,
    *_CARD,
    fault("card", "CARD_ASSURANCE_LOW", card={"assurance": Assurance.LOW}),
    *_CLONE,
    *_READER,
    fault("item", "ITEM_UNKNOWN", facts={"item": None}),
    fault("item", "ITEM_MISMATCH", facts={"tag_agrees": False}),
    fault("state", "ITEM_ON_LOAN_SELF", item={"loan": Relation.SELF}),
    fault("state", "ITEM_ON_LOAN", item={"loan": Relation.OTHER}),
    fault("state", "ITEM_HELD", item={"hold": Relation.OTHER}),
    fault("state", "ITEM_REFERENCE", item={"reference": True}),
    fault("state", "ITEM_NOT_SHARED", item={"shareable": False}),
    *_agreement(Service.BORROW),
    fault("agreement", "ITEM_NOT_SHARED", agreement={"excluded_item_types": frozenset({"BOOK"})}),
    fault("agreement", "AGR_QUOTA", agreement={"quotas": Quotas(loans_per_lender=3)}, facts={"partner_loans": 3}),
    fault("rule", "READER_AGE", rule={"age_from": 30}),
    fault("rule", "RULE_NONE", rule={"lend": None}),
    fault("rule", "ITEM_REFERENCE", rule={"lend": False}),
    _CLOCK,
    fault("freshness", "STALE_POLICY", known={"policy": NOW - 24 * HOUR - 1}),
    fault("freshness", "NOT_DECIDABLE_OFFLINE", known={"blocks": NOW - 8 * HOUR - 1}),
    *_BLOCKS,
    fault("limits", "LIMIT_LENDER", reader=_SPENT),
    fault(
        "limits", "LIMIT_VALUE", policy={"limits": (LimitSet("v", LimitScope.CONSORTIUM, 9, max_value=5),)},
        reader={"open_loans": (OpenLoans(HOME, "BOOK", 1, 5),)},
    ),
    fault("limits", "LIMIT_OFFLINE", facts={"away": True}, reader={"unsynced": 2}),
    fault("ILS", "ILS_REFUSED", facts={"ils_refused": True}),
]  # fmt: skip
RENEW: list[Fault] = [
    *_DEVICE,
    fault("loan", "CARD_UNKNOWN", facts={"reader": None}),
    fault("loan", "ITEM_UNKNOWN", facts={"item": None}),
    fault("loan", "ITEM_ON_LOAN", loan={"mine": False}),
    *_READER,
    *_agreement(Service.RENEW),
    fault("rule", "RULE_NONE", rule={"lend": False}, loan={"terms": Terms()}),
    fault("freshness", "NOT_DECIDABLE_OFFLINE", facts={"away": True}, loan={"unsynced": 1}),
    *_BLOCKS,
    fault("renewals", "RENEW_LIMIT", loan={"renewed": 2}),
    fault(
        "window", "RENEW_EARLY",
        loan={"due": NOW + 4 * DAY, "terms": Terms(period_days=30, renewals=2, renew_window_days=3)},
        rule={"renew_window_days": 3},
    ),
    fault("wanted", "RENEW_HELD", loan={"recalled": True}),
    fault("overdue", "RENEW_OVERDUE", loan={"due": NOW - 1}),
    fault("gain", "RENEW_EARLY", loan={"due": NOW + 90 * DAY}),
    fault("ILS", "ILS_REFUSED", facts={"ils_refused": True}),
]  # fmt: skip
ALL = {"enter": ENTER, "borrow": BORROW, "renew": RENEW}


def singles() -> Iterator[tuple[str, Fault]]:
    for function, faults in ALL.items():
        for one in faults:
            yield function, one


def pairs() -> Iterator[tuple[str, Fault, Fault]]:
    """Two faults that can be had at once, in the order of the stages."""
    for function, faults in ALL.items():
        for first, second in combinations(faults, 2):
            if merged((first, second)) is not None:
                yield function, first, second


def outcome_of(code: str) -> Outcome:
    return Outcome.REFER if code in REFER_CODES else Outcome.DENY
