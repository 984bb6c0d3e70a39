"""Who is inside where some leave without a name: the oldest visit is taken for theirs, until a card says otherwise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.overlay import VISIT_MS, House

A, B, C = "a", "b", "c"


def house(*came: str, partners: str = "") -> House:
    """A house that these entered, one a millisecond from 1."""
    made = House()
    for at, srid in enumerate(came, 1):
        made.enter(srid, at, srid in partners)
    return made


def test_in_an_empty_house_nobody_left():
    made = house()
    made.somebody_left()
    made.enter(A, 1, False)
    assert (made.occupancy(2), made.holds(A)) == (1, True)


def test_the_oldest_visit_ends_and_with_it_a_partners_place():
    made = house(A, B, partners=A)
    made.somebody_left()
    assert (made.occupancy(3), made.partners, made.holds(A), made.holds(B)) == (1, 0, False, True)


def test_whoever_then_leaves_with_a_card_was_not_the_one():
    made = house(A, B, partners=B)
    made.somebody_left()
    made.leave(A)
    assert (made.occupancy(3), made.partners, made.holds(B)) == (0, 0, False)


def test_whoever_then_comes_again_was_the_one():
    made = house(A, B, partners=A + B)
    made.somebody_left()
    made.enter(B, 3, True)
    assert (made.occupancy(4), made.partners, made.holds(A), made.holds(B)) == (2, 2, True, True)


def test_the_taken_one_comes_again():
    made = house(A, B)
    made.somebody_left()
    made.enter(A, 3, False)
    assert (made.occupancy(4), made.holds(A), made.holds(B)) == (2, True, True)


def test_an_exit_without_a_name_is_not_remembered_longer_than_a_visit():
    made = house(A)
    made.somebody_left()
    assert made.occupancy(VISIT_MS + 1) == 0
    made.enter(B, VISIT_MS + 2, False)
    made.enter(B, VISIT_MS + 3, False)
    assert (made.occupancy(VISIT_MS + 4), made.holds(A)) == (1, False)


@given(st.lists(st.tuples(st.sampled_from(["enter", "leave", "left"]), st.sampled_from("abcd")), max_size=40))
def test_persons_inside_are_visits_less_exits_without_a_name(steps: list[tuple[str, str]]) -> None:
    """Counted the plain way: open visits, and exits that no visit has been found for."""
    made, visits, unnamed = House(), set[str](), 0
    for at, (what, srid) in enumerate(steps, 1):
        if what == "enter":
            made.enter(srid, at, srid in "ab")
            unnamed -= srid in visits and unnamed > 0
            visits.add(srid)
        elif what == "leave":
            made.leave(srid)
            visits.discard(srid)
            unnamed = min(unnamed, len(visits))
        else:
            made.somebody_left()
            unnamed = min(unnamed + 1, len(visits))
        assert made.occupancy(at) == len(visits) - unnamed
        assert made.partners == sum(made.holds(each) for each in "ab")
        ages = [since for since, _ in (*made._gone.values(), *made._inside.values())]
        assert ages == sorted(ages)
