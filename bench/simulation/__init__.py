"""A simulated consortium: four rules for reconciling what branches send, held against what truly happened (docs/proof.md).

3,000 item events of five edges, offline half of the time, 30 % of batches arriving twice; 100 worlds. All rules get the same rows in
the same order. The rivals take them as they come; each is also given rows without doubles, to show what is wrong with it besides.
"""

from __future__ import annotations

import random
import statistics
from typing import Any

from bench.simulation.clocks import blurred, corrected, turnover_gap
from bench.simulation.measure import Figures, by_item, compare, folded, our_books
from bench.simulation.plan import HOUR, Plan
from bench.simulation.proof import OURS, compared
from bench.simulation.wire import taken
from bench.simulation.world import Told, tell

RUNS = 100
CLOCK_ERROR = 0.25
"""Of an item's mean turnover gap, either way, per edge."""


def of_world(told: Told) -> tuple[dict[str, Figures], int]:
    """Every rule's figures for one world, ours also over bad clocks and after their correction; and the turnover gap, ms."""
    truth, rows = told.truth, told.arrived
    figures = compared(truth, rows, folded(truth, by_item(taken(rows))))
    bad = blurred(rows, CLOCK_ERROR, random.Random(f"error {told.seed}"))
    for name, given in (("clock_error", bad), ("clock_corrected", corrected(bad))):
        histories = folded(truth, by_item(taken(given)))
        figures[f"{OURS}_{name}"] = compare(truth, our_books(truth, histories.values()))
    return figures, turnover_gap(rows)


def side_by_side(runs: int = RUNS, plan: Plan | None = None) -> tuple[dict[str, Figures], float]:
    """Totals over ``runs`` worlds, and the median turnover gap in hours."""
    plan = plan or Plan()
    totals: dict[str, Figures] = {}
    gaps = []
    for seed in range(runs):
        figures, gap = of_world(tell(plan, seed))
        gaps.append(gap / HOUR)
        for name, one in figures.items():
            totals.setdefault(name, Figures()).add(one)
    return totals, statistics.median(gaps)


def run() -> dict[str, Any]:
    """The comparison of 100 worlds."""
    plan = Plan()
    totals, gap = side_by_side(RUNS, plan)
    ours = totals[OURS]
    result: dict[str, dict[str, Any]] = {"figures": {"worlds": ours.runs, "true_loans": ours.loans}, "beside": {}}
    for name, one in totals.items():
        part, prefix = ("figures", name.removeprefix(OURS).lstrip("_")) if name.startswith(OURS) else ("beside", name)
        for key, value in one.share().items():
            result[part][f"{prefix}_{key}" if prefix else key] = value
    return {
        "runs": RUNS,
        **result,
        "notes": [
            f"{plan.events} item events, {plan.branches} edges, offline {plan.wire.offline:.0%} of the time in spells of "
            f"{plan.wire.spell_ms // HOUR} h on average, {plan.wire.resent:.0%} of batches twice",
            f"an item is touched every {gap:.0f} h in the mean; clock_error: each edge off by up to {CLOCK_ERROR:.0%} of that, and "
            "the same rows after CLOCK_CORRECTED",
            "a rule takes rows as they arrive; …_deduped: the same rule over rows without doubles",
        ],
    }
