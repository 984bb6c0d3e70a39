"""The laws of the refold over many more histories than an ordinary run looks at (``make proof``)."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.simulation.proof import OURS, complaint, prove
from bench.simulation.table import table
from consortium.fold import Logged
from tests.consortium.test_fold import fold, histories

MANY = settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
SEEDS = int(os.environ.get("TONGJIE_PROOF_SEEDS", "10000"))


@pytest.mark.proof
@MANY
@given(histories(), st.randoms(use_true_random=False))
def test_ten_thousand_histories_fold_alike_in_any_order(events: list[Logged], rng: random.Random):
    shuffled = [*events, *rng.sample(events, len(events) // 2)]
    rng.shuffle(shuffled)
    again = fold(*shuffled)
    assert again == fold(*events)
    assert sum(loan.open for loan in again.loans) + sum(transit.open for transit in again.transits) <= 1


@pytest.mark.proof
def test_ten_thousand_worlds_with_trusted_clocks_are_told_as_they_were():
    # Processes of its own: the test runner gives one file to one of its workers.
    totals, faulty = prove(range(SEEDS))
    text = table(totals)
    print(text)
    if kept := os.environ.get("TONGJIE_PROOF_REPORT"):
        with Path(kept).open("a", encoding="utf-8") as report:
            report.write(f"{text}\n")
    assert not faulty, complaint(faulty)
    assert totals[OURS].runs == SEEDS
    assert totals[OURS].wrong == 0
