"""For every invariant of logs, visits and the ledgers beside (I5, I13 to I15, I17) a history that breaks it and is caught, and why."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from consortium.invariants import History, LoggedRow
from consortium.states import OutKind
from tests.consortium.invariants.faults import Spoil, caught, charge
from tests.consortium.invariants.world import BRANCH, HERE, THERE, World
from tests.make import HOST, NOW

# --- I5: logs ---


def gap(made: World, history: History) -> str:
    row = next(row for row in history.log if row.id == made.names["renewed"])
    history.log.remove(row)
    return row.id


def gap_at_the_end(made: World, history: History) -> str:
    history.cursors[HERE, "e1"] += 3
    return f"{HERE}/e1/{history.cursors[HERE, 'e1']}"


def whole_node_missing(made: World, history: History) -> str:
    history.cursors["edge-990003-01", "e1"] = 2
    return "edge-990003-01/e1/1"


def a_gap_of_millions(made: World, history: History) -> str:
    history.cursors["edge-990003-01", "e1"] = 1 << 52
    return "edge-990003-01/e1/1"


def no_cursor(made: World, history: History) -> str:
    del history.cursors[THERE, "e1"]
    return f"{THERE}/e1"


def _replace(history: History, name: str, **more: str | None) -> None:
    at = next(number for number, row in enumerate(history.log) if row.id == name)
    history.log[at] = msgspec.structs.replace(history.log[at], **more)


def rewritten(made: World, history: History) -> str:
    row = next(row for row in history.log if row.id == made.names["back"])
    _replace(history, row.id, body=row.body.replace('"BOOK"', '"BOOC"'))
    return "back"


def rehashed(made: World, history: History) -> str:
    _replace(history, made.names["lent"], hash="0" * 64)
    return "lent"


def unreadable(made: World, history: History) -> str:
    _replace(history, made.names["refused"], body="{}")
    return "refused"


def turned_into_another_kind(made: World, history: History) -> str:
    row = next(row for row in history.log if row.id == made.names["lent"])
    _replace(history, row.id, body=row.body.replace('"kind":"CHECKOUT"', '"kind":"RETURN"'))
    return "lent"


def a_visit_turned_into_a_closing(made: World, history: History) -> str:
    row = next(row for row in history.log if row.id == made.names["came"])
    _replace(history, row.id, body=row.body.replace('"kind":"ENTRY"', '"kind":"VISIT_CLOSED"'))
    return "came"


def other_identity(made: World, history: History) -> str:
    _replace(history, made.names["lent"], srid="somebody else")
    return "lent"


def half_erased(made: World, history: History) -> str:
    _replace(history, made.names["lent"], salt=None)
    return "lent"


def under_another_name(made: World, history: History) -> str:
    row = next(row for row in history.log if row.id == made.names["refused"])
    history.log.append(msgspec.structs.replace(row, epoch="e9", seq=1))
    history.cursors[HERE, "e9"] = 1
    return f"{HERE}/e9/1"


# --- I13: visits ---


def doubled_visit(made: World, history: History) -> str:
    history.visits.append(dataclasses.replace(history.visits[0]))
    return history.visits[0].id


def entry_without_visit(made: World, history: History) -> str:
    history.visits = [visit for visit in history.visits if visit.id != made.names["came"]]
    return "came"


def visit_without_entry(made: World, history: History) -> str:
    history.visits.append(
        dataclasses.replace(history.visits[0], id="edge-x/e1/9", t_out=None, out_event=None, out_kind=None)
    )
    return "edge-x/e1/9"


def _visit(made: World, history: History, name: str) -> int:
    return next(at for at, visit in enumerate(history.visits) if visit.id == made.names[name])


def left_twice_by_one_exit(made: World, history: History) -> str:
    at = _visit(made, history, "came again")
    history.visits[at].out_event = made.names["left"]
    return "left"


def left_before_coming(made: World, history: History) -> str:
    at = _visit(made, history, "came")
    history.visits[at].t_out = history.visits[at].t_in - 1
    return "came"


def left_somehow(made: World, history: History) -> str:
    history.visits[_visit(made, history, "came")].out_kind = None
    return "came"


def left_without_an_event(made: World, history: History) -> str:
    history.visits[_visit(made, history, "came")].out_event = None
    return "came"


def left_by_nothing(made: World, history: History) -> str:
    history.visits[_visit(made, history, "came")].out_event = "edge-x/e1/9"
    return "came"


def left_otherwise(made: World, history: History) -> str:
    history.visits[_visit(made, history, "came")].out_kind = OutKind.INFERRED_CLOSE
    return "came"


def inside_with_an_end(made: World, history: History) -> str:
    history.visits[_visit(made, history, "came once more")].out_kind = OutKind.EXIT
    return "came once more"


def closed_another(made: World, history: History) -> str:
    old = history.visits[_visit(made, history, "stayed")]
    row = next(row for row in history.log if row.id == made.names["closed"])
    _replace(history, row.id, body=row.body.replace(old.id, made.names["came"]))
    return "stayed"


def left_before_anybody_came(made: World, history: History) -> str:
    for visit in history.visits:
        if visit.id == made.names["erased"]:
            visit.t_in, visit.t_out = NOW - 2, NOW - 1
            visit.out_kind, visit.out_event = OutKind.EXIT, "edge-x/e1/9"
    return f"{BRANCH[HERE]} at {NOW - 1}"


# --- I14, I15, I17: ledgers beside ---


def too_much(made: World, history: History) -> str:
    charge(made, history, ("second", "late", 41, 0))
    return "late"


def before_it_was_due(made: World, history: History) -> str:
    charge(made, history, ("second", "second", 10, 0))
    return "second"


def grown_by_lateness(made: World, history: History) -> str:
    charge(made, history, ("second", "late", 30, 0), ("second", "settled", 10, 0))
    return "settled"


def charged_for_an_implied_return(made: World, history: History) -> str:
    charge(made, history, ("first", "late", 10, 0))
    return "late"


def charged_for_nothing(made: World, history: History) -> str:
    charge(made, history, ("edge-x/e1/9", "late", 10, 0))
    return "edge-x/e1/9"


def total_too_high(made: World, history: History) -> str:
    assert history.totals is not None
    history.totals["2026-11-22", HOST, "loans"] += 1
    return f"2026-11-22 {HOST} loans"


def total_forgotten(made: World, history: History) -> str:
    assert history.totals is not None
    del history.totals["2026-11-22", HOST, "visits"]
    return f"2026-11-22 {HOST} visits"


def total_of_a_day_without_anything(made: World, history: History) -> str:
    assert history.totals is not None
    history.totals["2026-10-01", HOST, "returns"] = 1
    return f"2026-10-01 {HOST} returns"


def secret_in_quarantine(made: World, history: History) -> str:
    history.quarantined.append(LoggedRow("edge-x", "e1", 9, "no JSON, but 04a1B2C3D4E5F6 in it", ""))
    return "edge-x/e1/9"


SPOILED: list[tuple[str, Spoil]] = [
    ("I5", gap),
    ("I5", gap_at_the_end),
    ("I5", whole_node_missing),
    ("I5", a_gap_of_millions),
    ("I5", no_cursor),
    ("I5", rewritten),
    ("I5", rehashed),
    ("I5", unreadable),
    ("I5", turned_into_another_kind),
    ("I5", a_visit_turned_into_a_closing),
    ("I5", other_identity),
    ("I5", half_erased),
    ("I5", under_another_name),
    ("I13", entry_without_visit),
    ("I13", doubled_visit),
    ("I13", visit_without_entry),
    ("I13", left_twice_by_one_exit),
    ("I13", left_before_coming),
    ("I13", left_somehow),
    ("I13", left_without_an_event),
    ("I13", left_by_nothing),
    ("I13", left_otherwise),
    ("I13", inside_with_an_end),
    ("I13", closed_another),
    ("I13", left_before_anybody_came),
    ("I14", too_much),
    ("I14", before_it_was_due),
    ("I14", grown_by_lateness),
    ("I14", charged_for_an_implied_return),
    ("I14", charged_for_nothing),
    ("I15", secret_in_quarantine),
    ("I17", total_too_high),
    ("I17", total_forgotten),
    ("I17", total_of_a_day_without_anything),
]


@pytest.mark.parametrize(("invariant", "spoil"), SPOILED, ids=lambda one: one if isinstance(one, str) else one.__name__)
def test_a_spoiled_projection_or_log_is_caught_and_named(invariant: str, spoil: Spoil) -> None:
    finding, offender = caught(invariant, spoil)
    assert offender in finding.offending
    if spoil is gap_at_the_end:
        assert finding.offending[-1] == offender
    assert len(finding.why) == len(finding.offending)
    assert finding.total >= len(finding.offending)
    assert all(finding.why)
    assert finding.offending[0] in finding.note
