"""Any policy and any facts: mostly in order, so that a decision gets far, now and then not."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from consortium.agreement import AgreementStatus, Group, LimitScope, LimitSet, PolicyRule, Quotas, Service, Staleness
from consortium.bundle import Policy
from consortium.calendar import Period, round_the_clock
from consortium.facts import (
    Assurance,
    BlockFacts,
    BorrowFacts,
    CardFacts,
    CardStatus,
    Device,
    EnterFacts,
    HoldFacts,
    ItemFacts,
    ItemStatus,
    Known,
    LoanFacts,
    OpenLoans,
    ReaderFacts,
    Relation,
    RenewFacts,
    ReturnFacts,
    Sighting,
)
from consortium.record import Facts
from consortium.terms import Terms
from tests.consortium.scenes import CHENGDU, CHONGQING
from tests.make import DAY, HOME, HOST, HOUR, NOW, THIRD, Make

ORGS = (HOME, HOST, THIRD)
BRANCHES = tuple(f"{org}-01" for org in ORGS)


def any_policy(rng: random.Random) -> Policy:
    """Quotas, limits, bounds, hours and rules of any strictness."""
    bundle = Make.bundle()
    places = {HOME: CHONGQING, HOST: CHENGDU, THIRD: None}
    branches = tuple(
        replace(
            branch, capacity=rng.choice((0, 0, 5)), anti_pass_back=rng.random() < 0.2, geo=places[branch.org],
            sort_hub=rng.choice((None, f"{THIRD}-01")),
        )
        for branch in bundle.branches
    )  # fmt: skip
    agreement = Make.agreement(
        status=_rarely(rng, AgreementStatus.ACTIVE, *AgreementStatus),
        services=_rarely(rng, frozenset(Service), frozenset({Service.READ})),
        blackouts=_rarely(rng, (), (Period(NOW, NOW + 1),)),
        quotas=Quotas(*(rng.choice((0, 0, 3)) for _ in range(4))),
        staleness=Staleness(offline_cap=rng.choice((0, 2, 9)), offline_max_value=rng.choice((0, 5))),
        excluded_collections=frozenset(rng.choice(((), ("RARE",)))),
    )
    rules = (
        PolicyRule(
            "general", lend=rng.random() < 0.9, period_days=30, renewals=2, grace_days=rng.choice((0, 3)),
            condition_note=rng.choice((None, True)), float_group=rng.choice((None, "all")),
            renew_window_days=rng.choice((0, 5)), returnable_at=rng.choice(("any", "any", "owner")),
        ),
        PolicyRule("disc", item_type="DISC", period_hours=4, offline_lend=False, age_from=rng.choice((None, 18))),
    )  # fmt: skip
    limits = (
        LimitSet("here", LimitScope.LENDER, rng.choice((2, 9)), item_types=frozenset(rng.choice(((), ("BOOK",))))),
        LimitSet("all", LimitScope.CONSORTIUM, rng.choice((3, 9)), max_value=rng.choice((0, 20))),
    )
    calendar = _rarely(rng, round_the_clock("always"), Make.shut())
    return Make.policy(
        branches=branches, agreements=(agreement,), rules=rules, limits=limits, groups=(Group("all", frozenset(ORGS)),),
        calendars=(calendar,),
    )  # fmt: skip


def _rarely(rng: random.Random, usual: Any, *odd: Any) -> Any:
    return usual if rng.random() < 0.95 else rng.choice(odd)


def any_facts(rng: random.Random, function: str | None = None) -> Facts:
    """Facts for a function, or for any: mostly in order, now and then not."""
    ages = (0, 0, 0, HOUR, 10 * HOUR, 30 * HOUR, 90 * HOUR)
    own = rng.random() < 0.4
    home = HOME if own else HOST
    device = Device("k", f"{HOME}-01", _rarely(rng, True, False), _rarely(rng, True, False))
    known = Known(*(NOW - rng.choice(ages) if rng.random() < 0.3 else NOW for _ in range(5)))
    elsewhere = _rarely(rng, None, Sighting(rng.choice(BRANCHES), NOW - rng.choice((0, 1, HOUR, DAY))))
    card = CardFacts(
        _rarely(rng, CardStatus.ACTIVE, *CardStatus), rng.choice(tuple(Assurance)), _rarely(rng, None, NOW, NOW + DAY)
    )
    blocks = tuple(
        BlockFacts(
            rng.choice(ORGS), rng.choice(("issuer", "consortium")), frozenset(rng.sample(("ENTER", "BORROW", "RENEW"), 2)),
            rng.choice(("", "FEES", "OVERDUE")), rng.choice((0, NOW)), rng.choice((None, NOW, NOW + 1)),
        )
        for _ in range(rng.choice((0, 0, 0, 0, 0, 1, 2)))
    )  # fmt: skip
    loans = tuple(
        OpenLoans(rng.choice(ORGS), rng.choice(("BOOK", "DISC")), rng.randint(0, 3), rng.randint(0, 9))
        for _ in range(rng.randint(0, 2))
    )  # fmt: skip
    reader = ReaderFacts(
        home, _rarely(rng, "UG", "STAFF"), _rarely(rng, "ACTIVE", "INACTIVE"), _rarely(rng, None, NOW, NOW + 2 * DAY),
        _rarely(rng, True, False), rng.choice((None, 12, 20)), blocks, loans, _rarely(rng, 0, 1, 2, 9),
    )  # fmt: skip
    item = ItemFacts(
        _rarely(rng, home if own else HOME, THIRD, "880000"), rng.choice(("1001", "null", "7")), rng.choice(("BOOK", "DISC")),
        rng.choice(BRANCHES), _rarely(rng, ItemStatus.SHELVED, *ItemStatus), _rarely(rng, Relation.NOBODY, *Relation),
        _rarely(rng, Relation.NOBODY, *Relation), rng.choice((0, 9)), _rarely(rng, True, False), _rarely(rng, False, True),
        rng.choice((None, "null", *BRANCHES)), _rarely(rng, False, True), rng.choice(("", "RARE")), _rarely(rng, False, True),
    )  # fmt: skip
    function = function or rng.choice(("enter", "borrow", "renew", "return"))
    card_or, reader_or, item_or = (_rarely(rng, one, None) for one in (card, reader, item))
    flag = [_rarely(rng, False, True) for _ in range(4)]
    if function == "enter":
        counts = (rng.choice((0, 3, 9)), rng.choice((0, 3)), rng.choice((0, 3)))
        return EnterFacts(device, known, card_or, reader_or, *counts, flag[0], elsewhere, flag[1])
    if function == "borrow":
        return BorrowFacts(
            device,
            known,
            card_or,
            reader_or,
            item_or,
            rng.random() < 0.7,
            not flag[0],
            flag[1],
            rng.choice((0, 3)),
            elsewhere,
            flag[2],
        )
    if function == "renew":
        terms = rng.choice(
            (Terms(), Terms(period_days=30, renewals=2, renew_window_days=rng.choice((0, 3)), grace_days=1))
        )
        loan = LoanFacts(
            not flag[0], NOW - 9 * DAY, NOW + rng.choice((-5, -1, 0, 1, 20, 90)) * DAY,
            _rarely(rng, f"{HOME}-01", "880000-01", BRANCHES[1]), terms, rng.randint(0, 2), flag[1], rng.choice((0, 0, 1)),
        )  # fmt: skip
        return RenewFacts(device, known, reader_or, item_or, _rarely(rng, loan, None), flag[2], flag[3])
    holds = tuple(
        HoldFacts(f"h{n}", rng.choice(BRANCHES), rng.randint(0, 3), rng.randint(0, 3))
        for n in range(rng.choice((0, 0, 0, 0, 0, 1, 2)))
    )
    return ReturnFacts(
        device, known, item_or, holds, rng.random() < 0.5, not flag[1], not flag[2], rng.choice((None, NOW + DAY))
    )
