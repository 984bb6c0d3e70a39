"""Visits: pairs of ENTRY and EXIT of one reader at one branch, and how a forgotten one is closed."""

from __future__ import annotations

from consortium.events import Kind
from consortium.fold import fold_visits
from consortium.states import OutKind
from tests.make import HOME, NOW, Make

E, X, C = Kind.ENTRY, Kind.EXIT, Kind.VISIT_CLOSED
FIRST = "edge-990001-01/e1/1"


def visits(*kinds: Kind, closes: str = FIRST):
    events = [
        Make.logged(kind, n, at=NOW + n, data={"visit": closes} if kind is C else {}) for n, kind in enumerate(kinds, 1)
    ]
    return [(v.t_in - NOW, v.t_out and v.t_out - NOW, v.out_kind) for v in fold_visits(reversed(events))]


def test_an_entry_begins_a_visit_and_tells_who_where_and_as_what():
    (visit,) = fold_visits([Make.logged(E, 1)])
    assert (visit.id, visit.branch, visit.gate, visit.who, visit.home, visit.visitor_class, visit.t_in) == (
        FIRST, "990001-01", "kiosk1", "r1", HOME, "partner", NOW,
    )  # fmt: skip
    assert (visit.t_out, visit.out_kind, visit.out_event) == (None, None, None)


def test_an_exit_ends_it_and_is_named():
    (visit,) = fold_visits([Make.logged(E, 1), Make.logged(X, 2, at=NOW + 9)])
    assert (visit.t_out, visit.out_kind, visit.out_event) == (NOW + 9, OutKind.EXIT, "edge-990001-01/e1/2")


def test_a_second_entry_ends_the_visit_before():
    assert visits(E, E, X) == [(1, 2, OutKind.NEXT_ENTRY), (2, 3, OutKind.EXIT)]


def test_an_end_without_a_visit_changes_nothing():
    assert visits(X) == visits(C) == []
    assert visits(X, E) == [(2, None, None)]
    assert visits(E, X, X) == [(1, 2, OutKind.EXIT)]


def test_the_night_closes_the_visit_it_names_and_no_other():
    assert visits(E, C) == [(1, 2, OutKind.INFERRED_CLOSE)]
    assert visits(E, C, closes="other") == [(1, None, None)]
    assert visits(E, X, C) == [(1, 2, OutKind.EXIT)]
    assert visits(E, E, C) == [(1, 2, OutKind.NEXT_ENTRY), (2, None, None)]


def test_a_passage_that_nobody_told_of_or_that_is_null_is_assumed():
    for data in ({}, {"passage": None}):
        (visit,) = fold_visits([Make.logged(E, 1, data=data), Make.logged(X, 2, data=data)])
        assert (visit.passage, visit.out_passage) == ("assumed", "assumed")
    told = {"passage": "confirmed"}
    (visit,) = fold_visits([Make.logged(E, 1, data=told), Make.logged(X, 2, data=told)])
    assert (visit.passage, visit.out_passage) == ("confirmed", "confirmed")


def test_an_exit_that_comes_late_reopens_nothing():
    assert visits(E, C, X) == [(1, 2, OutKind.INFERRED_CLOSE)]


def test_an_erased_reader_is_named_by_the_commitment():
    (visit,) = fold_visits([Make.logged(E, 1, None)])
    assert visit.who == "erased:" + "s" * 64
