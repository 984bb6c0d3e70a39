"""Decisions: the pure functions a core, and a borrow question over the bus at 200 a second.

Pure part: 50 agreements between 50 libraries and 200 rules, facts of a partner reader; no trace. Bus part: a real broker and a real hub
on a fresh SQLite store, one edge's requests, beside it a bare echo over the same broker.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

from consortium.agreement import (
    Agreement,
    Branch,
    CategoryMap,
    Library,
    LimitScope,
    LimitSet,
    Party,
    PolicyRule,
    Service,
)
from consortium.bundle import Bundle, Policy
from consortium.calendar import DAY_MS, round_the_clock
from consortium.decisions import may_borrow, may_enter
from consortium.facts import (
    Assurance,
    BorrowFacts,
    CardFacts,
    CardStatus,
    Device,
    EnterFacts,
    ItemFacts,
    Known,
    OpenLoans,
    ReaderFacts,
)

LIBRARIES, RULES = 50, 200
SECONDS = 2.0


def policy(now: int) -> Policy:
    """Fifty libraries in a ring of fifty agreements, two hundred rules of every shape."""
    orgs = [f"{900000 + n}" for n in range(LIBRARIES)]
    agreements = tuple(
        Agreement(
            f"a{n}",
            1,
            (Party(org), Party(orgs[(n + 1) % LIBRARIES])),
            frozenset(Service),
            now - DAY_MS,
            now + 900 * DAY_MS,
            category_map=tuple(CategoryMap(o, "UG", "U-UG") for o in (org, orgs[(n + 1) % LIBRARIES])),
        )
        for n, org in enumerate(orgs)
    )
    kinds = ("BOOK", "DISC", "KIT", "MAP")
    rules = [PolicyRule("general", lend=True, period_days=30, renewals=1)]
    for n in range(RULES - 1):
        shape: dict[str, str] = (
            {"owner": orgs[n % LIBRARIES]}
            if n % 2
            else {"home": orgs[n % LIBRARIES], "place": orgs[-1 - n % LIBRARIES]}
        )
        rules.append(PolicyRule(f"r{n}", item_type=kinds[n % 4], period_days=10 + n % 30, **shape))
    return Policy(
        Bundle(
            1,
            now,
            now - DAY_MS,
            now + 900 * DAY_MS,
            tuple(Library(org, f"CN-{org}", org, org) for org in orgs),
            tuple(Branch(f"{org}-01", org, org, org, "always") for org in orgs),
            (round_the_clock("always"),),
            agreements,
            tuple(rules),
            (LimitSet("lender", LimitScope.LENDER, 20), LimitSet("all", LimitScope.CONSORTIUM, 40)),
        )
    )


def _rate(function: Callable[[], object], seconds: float) -> float:
    """Calls a second of CPU time."""
    done = 0
    began = time.process_time()
    while (spent := time.process_time() - began) < seconds:
        for _ in range(200):
            function()
        done += 200
    return done / spent


def pure(seconds: float = SECONDS, runs: int = 3) -> dict[str, float]:
    """may_enter and may_borrow a second on one core, medians."""
    now = 1_795_300_000_000
    rules = policy(now)
    known = Known(now, now, now, now, now)
    card = CardFacts(CardStatus.ACTIVE, Assurance.HIGH)
    reader = ReaderFacts(
        "900007", "UG", shared=True, age=20, open_loans=(OpenLoans("900008", "BOOK", 3), OpenLoans("900007", "BOOK", 2))
    )
    device = Device("kiosk1", "900008-01")
    enter = EnterFacts(device, known, card, reader)
    borrow = BorrowFacts(device, known, card, reader, ItemFacts("900008", "1001", "BOOK", "900008-01"), pin=True)
    assert may_enter(rules, enter, now).allowed
    assert may_borrow(rules, borrow, now).allowed
    return {
        "may_enter_per_s": round(
            statistics.median(_rate(lambda: may_enter(rules, enter, now), seconds) for _ in range(runs))
        ),
        "may_borrow_per_s": round(
            statistics.median(_rate(lambda: may_borrow(rules, borrow, now), seconds) for _ in range(runs))
        ),
    }


def run() -> dict[str, Any]:
    """Both parts."""
    from bench._bus import over_the_bus

    figures: dict[str, Any] = dict(pure())
    bus = asyncio.run(over_the_bus(rate=200, seconds=15.0))
    return {
        "runs": 3,
        "figures": {"p50_ms": bus["p50_ms"], "p99_ms": bus["p99_ms"], **figures},
        "beside": {
            "limit_p50_ms": 5.0,
            "limit_p99_ms": 25.0,
            "limit_may_enter_per_s": 40_000,
            "limit_may_borrow_per_s": 15_000,
            "echo_p50_ms": bus["echo_p50_ms"],
            "echo_p99_ms": bus["echo_p99_ms"],
        },
        "notes": [
            f"{LIBRARIES} agreements, {RULES} rules; {bus['n']} questions at {bus['rate']}/s, {bus['lost']} unanswered"
        ],
    }
