"""The laws of the refold over many more histories than an ordinary run looks at (``make proof``)."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consortium.fold import Logged
from tests.consortium.test_fold import fold, histories

pytestmark = pytest.mark.proof
MANY = settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))


@MANY
@given(histories(), st.randoms(use_true_random=False))
def test_ten_thousand_histories_fold_alike_in_any_order(events: list[Logged], rng: random.Random):
    shuffled = [*events, *rng.sample(events, len(events) // 2)]
    rng.shuffle(shuffled)
    again = fold(*shuffled)
    assert again == fold(*events)
    assert sum(loan.open for loan in again.loans) + sum(transit.open for transit in again.transits) <= 1
