"""Totals of a people counter as people: whatever the counter says, nobody is counted who cannot have been."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drivers.gate.security.passing import Passings
from drivers.gate.security.people import MODULUS, MOST_PER_S, SPARE, Delta, PeopleTally


def told(*readings: tuple[int, int]) -> list[Delta | None]:
    tally = PeopleTally()
    return [tally.take(*reading, float(at)) for at, reading in enumerate(readings)]


def test_a_jump_nobody_can_explain_counts_nobody_and_is_told() -> None:
    assert told((5, 5), (100_000, 5)) == [None, Delta(0, 0, True)]


def test_a_counter_that_lost_its_power_counts_from_zero() -> None:
    assert told((500, 400), (3, 1)) == [None, Delta(3, 1, True)]


def test_a_counter_over_its_end_goes_on() -> None:
    assert told((MODULUS - 2, 7), (3, 8)) == [None, Delta(5, 1, True)]


def test_nothing_that_moved_is_nothing_told() -> None:
    assert told((5, 5), (5, 5), (6, 5)) == [None, None, Delta(1, 0, False)]


@given(st.lists(st.tuples(st.integers(0, MODULUS - 1), st.integers(0, MODULUS - 1)), max_size=20))
def test_no_reading_makes_a_negative_or_absurd_number(readings: list[tuple[int, int]]) -> None:
    for delta in told(*readings):
        assert delta is None or (0 <= delta.came <= MOST_PER_S + SPARE and 0 <= delta.left <= MOST_PER_S + SPARE)


def test_sightings_close_together_are_one_passing() -> None:
    passings = Passings(5.0)
    assert [passings.is_new("A", at) for at in (0.0, 4.0, 8.0, 14.0)] == [True, False, False, True]
    for number in range(2000):
        passings.is_new(str(number), 15.0)
    assert passings.is_new("A", 15.0)
