"""Clock corrections: which events they move, by how much, and that only the latest of several speaks."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortium.clocks import Clocks, Correction
from consortium.events import Kind
from tests.consortium.histories import any_history, fold, seeds, shuffled
from tests.make import NOW, Make

NODE = "edge-990001-01"


def corrected(
    seq: int,
    first: int,
    last: int,
    offset: int,
    *,
    at: int = NOW,
    unc: int | None = 7,
    node: str = NODE,
    epoch: str = "e1",
):
    data = {"node": node, "epoch": epoch, "first": first, "last": last, "offset": offset}
    if unc is not None:
        data["unc"] = unc
    return Make.event(Kind.CLOCK_CORRECTED, seq, at=at, node="hub-1", data=data)


def event(seq: int, **more):
    return Make.event(Kind.CHECKOUT, seq, t_dev=NOW - 1000, **more)


@pytest.mark.parametrize(("seq", "moved"), [(4, False), (5, True), (6, True), (7, True), (8, False)])
def test_a_stretch_is_moved_from_its_first_event_to_its_last(seq, moved):
    found = Clocks([corrected(1, 5, 7, 60_000)]).corrected(event(seq))
    assert (found.t_eff, found.t_unc) == ((NOW + 59_000, 7) if moved else (NOW, 50))
    assert replace(found, t_eff=NOW, t_unc=50) == event(seq)


@pytest.mark.parametrize("other", [{"node": "edge-990001-02"}, {"epoch": "e2"}])
def test_another_node_or_epoch_keeps_its_time(other):
    assert Clocks([corrected(1, 1, 9, 60_000)]).corrected(event(5, **other)) == event(5, **other)


@pytest.mark.parametrize(
    ("about", "concerned"),
    [
        ({}, True),
        ({"node": "edge-990001-02"}, False),
        ({"epoch": "e2"}, False),
        ({"seq": 4}, False),
        ({"seq": 8}, False),
    ],
)
def test_a_correction_knows_what_it_is_about(about, concerned):
    one = Correction.of(corrected(1, 5, 7, 60_000))
    assert one.concerns(replace(event(5), **about)) is concerned


def test_time_does_not_begin_before_zero_and_what_has_no_uncertainty_has_none():
    found = Clocks([corrected(1, 1, 9, -2 * NOW, unc=None)]).corrected(event(5))
    assert (found.t_eff, found.t_unc) == (0, 0)


def test_the_latest_correction_speaks_however_they_came():
    three = [corrected(1, 1, 9, 1_000), corrected(2, 1, 9, 2_000, at=NOW + 1), corrected(3, 1, 4, 3_000, at=NOW + 2)]
    for order in permutations(three):
        clocks = Clocks(order)
        assert clocks.corrected(event(2)).t_eff == NOW + 2_000
        assert clocks.corrected(event(5)).t_eff == NOW + 1_000


def test_only_a_correction_that_is_new_is_taken():
    clocks = Clocks()
    one = corrected(1, 1, 9, 5)
    assert clocks.add(event(1)) is None
    assert clocks.add(one) == Correction(NODE, "e1", 1, 9, 5, 7, one.order)
    assert clocks.add(one) is None
    assert clocks.add(corrected(2, 1, 9, 5)) is not None


@given(seeds, st.lists(st.tuples(st.integers(1, 14), st.integers(0, 14), st.integers(-5, 5)), max_size=4))
def test_corrections_in_any_order_give_the_same_history(rng: random.Random, stretches):
    events = any_history(rng)
    corrections = [
        corrected(seq, first, first + length, offset * 60_000, at=NOW + seq, node=rng.choice(events).event.node)
        for seq, (first, length, offset) in enumerate(stretches, 1)
    ]
    once, again = Clocks(corrections), Clocks(rng.sample(corrections * 2, 2 * len(corrections)))
    moved = [replace(one, event=once.corrected(one.event)) for one in events]
    shuffled_events = shuffled(events, rng)
    assert fold(moved) == fold([replace(one, event=again.corrected(one.event)) for one in shuffled_events])


@given(st.integers(-(10**9), 10**9))
def test_within_a_stretch_order_is_kept(offset):
    clocks = Clocks([corrected(1, 1, 9, offset)])
    found = [clocks.corrected(replace(event(seq), t_dev=NOW + seq)).t_eff for seq in range(1, 9)]
    assert found == sorted(found)
