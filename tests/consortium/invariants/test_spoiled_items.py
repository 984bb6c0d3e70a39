"""For every invariant of loans, states and places (I1 to I4, I6, I7, I11, I12, I18) a spoiled projection that is caught, and why."""

from __future__ import annotations

import dataclasses

import pytest

from consortium.facts import ItemStatus
from consortium.invariants import History
from consortium.states import EndKind, Loan, TransitState
from tests.consortium.invariants.faults import Spoil, caught
from tests.consortium.invariants.world import World, broken, lend, world
from tests.make import DAY, HOME, HOST, HOUR, NOW, THIRD


def _loan(made: World, history: History, name: str) -> Loan:
    return next(loan for loan in history.loans if loan.id == made.names[name])


def _status(history: History, item_no: str, status: ItemStatus) -> None:
    next(state for state in history.states if state.item_no == item_no).status = status


# --- I1 to I4, I11, I12: loans ---


def second_open_loan(made: World, history: History) -> str:
    loan = _loan(made, history, "fetched")
    history.loans.append(dataclasses.replace(loan, id="edge-x/e1/99", t_out=loan.t_out + HOUR))
    return "edge-x/e1/99"


def overlapping_loans(made: World, history: History) -> str:
    first = _loan(made, history, "first")
    assert first.t_end is not None
    first.t_end += DAY
    return "second"


def vanished_checkout(made: World, history: History) -> str:
    history.loans.remove(_loan(made, history, "lent"))
    return "lent"


def checkout_with_two_fates(made: World, history: History) -> str:
    _loan(made, history, "second").renewals.append(made.names["first"])
    return "first"


def loan_that_nothing_began(made: World, history: History) -> str:
    _loan(made, history, "lent").id = "edge-x/e1/99"
    return "edge-x/e1/99"


def swallowed_reissue(made: World, history: History) -> str:
    again = _loan(made, history, "original")
    history.loans.append(
        dataclasses.replace(again, id=made.names["reissue"], t_end=again.t_out, end_kind=EndKind.STAFF)
    )
    history.loans.append(dataclasses.replace(again, id=made.names["reissue"]))
    return "reissue"


def closed_two(made: World, history: History) -> str:
    _loan(made, history, "first").end_event = made.names["late"]
    return "late"


def closed_by_another_items_event(made: World, history: History) -> str:
    _loan(made, history, "lent").end_event = made.names["late"]
    return "late"


def closed_before_it_began(made: World, history: History) -> str:
    loan = _loan(made, history, "lent")
    loan.t_end = loan.t_out - 1
    return "lent"


def stored_twice(made: World, history: History) -> str:
    loan = _loan(made, history, "lent")
    history.loans.append(dataclasses.replace(loan))
    return "lent"


def silent_end(made: World, history: History) -> str:
    _loan(made, history, "lent").end_kind = None
    return "lent"


def end_without_event(made: World, history: History) -> str:
    _loan(made, history, "lent").end_event = None
    return "lent"


def end_by_nothing(made: World, history: History) -> str:
    _loan(made, history, "lent").end_event = "edge-x/e1/99"
    return "lent"


def open_with_an_end(made: World, history: History) -> str:
    _loan(made, history, "fetched").end_kind = EndKind.RETURN
    return "fetched"


def implied_and_nobody_told(made: World, history: History) -> str:
    history.conflicts = [one for one in history.conflicts if one.kind != "CF_IMPLIED_RETURN"]
    return "first"


def on_loan_to_nobody(made: World, history: History) -> str:
    _status(history, "1001", ItemStatus.ON_LOAN)
    return f"{HOST}/1001"


def lent_from_the_shelf(made: World, history: History) -> str:
    _status(history, "1007", ItemStatus.SHELVED)
    return f"{HOST}/1007"


def lent_and_missing(made: World, history: History) -> str:
    _status(history, "1005", ItemStatus.MISSING)
    return f"{HOST}/1005"


def unknown_to_the_item(made: World, history: History) -> str:
    history.states = [state for state in history.states if state.item_no != "1007"]
    return f"{HOST}/1007"


def due_before_it_was_printed(made: World, history: History) -> str:
    _loan(made, history, "lent").due = made.event("renewed").data["due"] - 1
    return "renewed"


def due_before_the_first_print(made: World, history: History) -> str:
    _loan(made, history, "second").due -= 1
    return "second"


# --- I6, I7, I18: states and places ---


def other_status(made: World, history: History) -> str:
    _status(history, "1001", ItemStatus.MISSING)
    return f"{HOST}/1001"


def other_branch(made: World, history: History) -> str:
    next(state for state in history.states if state.item_no == "1001").branch = f"{THIRD}-01"
    return f"{HOST}/1001"


def no_state(made: World, history: History) -> str:
    history.states = [state for state in history.states if state.item_no != "1001"]
    return f"{HOST}/1001"


def state_of_nothing(made: World, history: History) -> str:
    history.states.append(dataclasses.replace(history.states[0], item_no="4711", loans=[], transits=[]))
    return f"{HOST}/4711"


def other_reader(made: World, history: History) -> str:
    _loan(made, history, "second").who = "r8"
    return f"{HOST}/1002"


def later_due(made: World, history: History) -> str:
    _loan(made, history, "second").due += 1
    return f"{HOST}/1002"


def forgotten_renewal(made: World, history: History) -> str:
    _loan(made, history, "lent").renewals.clear()
    return f"{HOST}/1001"


def other_end(made: World, history: History) -> str:
    _loan(made, history, "paid loan").end_kind = EndKind.STAFF
    return f"{HOST}/1006"


def end_by_the_wrong_clock(made: World, history: History) -> str:
    loan = _loan(made, history, "wrong clock")
    loan.t_out += HOUR
    return f"{HOST}/1009"


def transit_elsewhere(made: World, history: History) -> str:
    history.transits[0].to = f"{HOME}-01"
    return f"{HOST}/1001"


def silent_conflict(made: World, history: History) -> str:
    history.conflicts = [one for one in history.conflicts if one.kind != "CF_ORDER_AMBIGUOUS"]
    assert history.conflicts
    history.conflicts = []
    return f"{HOST}/1002"


def not_where_its_item_is(made: World, history: History) -> str:
    row = next(row for row in history.log if row.id == made.names["read here"])
    history.log.remove(row)
    return f"{HOST}/1009"


def two_transits(made: World, history: History) -> str:
    one = dataclasses.replace(history.transits[0], state=TransitState.SENT, t_end=None)
    history.transits += [dataclasses.replace(one, id="edge-x/e1/8"), dataclasses.replace(one, id="edge-x/e1/9")]
    return "edge-x/e1/9"


def under_way_and_lent(made: World, history: History) -> str:
    history.transits.append(
        dataclasses.replace(history.transits[0], id="edge-x/e1/9", item_no="1007", state=TransitState.SENT, t_end=None)
    )
    return "edge-x/e1/9"


def over_since_never(made: World, history: History) -> str:
    history.transits[0].t_end = None
    return history.transits[0].id


def returned_to_nowhere(made: World, history: History) -> str:
    next(state for state in history.states if state.item_no == "1001").branch = "770000-01"
    return "received"


def returned_and_on_loan(made: World, history: History) -> str:
    _status(history, "1002", ItemStatus.ON_LOAN)
    return "late"


def returned_and_under_way_with_nothing(made: World, history: History) -> str:
    _status(history, "1002", ItemStatus.IN_TRANSIT)
    return "late"


def returned_without_a_state(made: World, history: History) -> str:
    history.states = [state for state in history.states if state.item_no != "1002"]
    return "late"


SPOILED: list[tuple[str, Spoil]] = [
    ("I1", second_open_loan),
    ("I1", overlapping_loans),
    ("I2", vanished_checkout),
    ("I2", checkout_with_two_fates),
    ("I2", loan_that_nothing_began),
    ("I2", swallowed_reissue),
    ("I3", closed_two),
    ("I3", closed_by_another_items_event),
    ("I3", closed_before_it_began),
    ("I3", stored_twice),
    ("I4", silent_end),
    ("I4", end_without_event),
    ("I4", end_by_nothing),
    ("I4", open_with_an_end),
    ("I4", implied_and_nobody_told),
    ("I6", other_status),
    ("I6", other_branch),
    ("I6", no_state),
    ("I6", state_of_nothing),
    ("I6", other_reader),
    ("I6", later_due),
    ("I6", forgotten_renewal),
    ("I6", other_end),
    ("I6", end_by_the_wrong_clock),
    ("I6", transit_elsewhere),
    ("I6", silent_conflict),
    ("I7", two_transits),
    ("I7", under_way_and_lent),
    ("I7", over_since_never),
    ("I11", on_loan_to_nobody),
    ("I11", lent_from_the_shelf),
    ("I11", lent_and_missing),
    ("I11", unknown_to_the_item),
    ("I12", due_before_it_was_printed),
    ("I12", due_before_the_first_print),
    ("I18", returned_to_nowhere),
    ("I18", returned_and_on_loan),
    ("I18", returned_and_under_way_with_nothing),
    ("I18", returned_without_a_state),
]


@pytest.mark.parametrize(("invariant", "spoil"), SPOILED, ids=lambda one: one if isinstance(one, str) else one.__name__)
def test_a_spoiled_projection_or_log_is_caught_and_named(invariant: str, spoil: Spoil) -> None:
    finding, offender = caught(invariant, spoil)
    assert offender in finding.offending
    assert len(finding.why) == len(finding.offending)
    assert finding.total >= len(finding.offending)
    assert all(finding.why)
    assert finding.offending[0] in finding.note


# --- how much is told ---


def test_a_hundred_offenders_are_named_and_the_rest_counted() -> None:
    made = world()
    history = made.history()
    history.loans = []
    for number in range(250):
        lend(made, NOW + number, f"L{number}", "r1")
    history = made.history()
    history.loans = []
    finding = broken(history)["I2"]
    assert (len(finding.offending), len(finding.why)) == (100, 100)
    assert finding.total == 250 + 11
    assert finding.note.endswith("and 258 more")


def test_no_finding_names_a_reader() -> None:
    made = world()
    history = made.history()
    for loan in history.loans:
        loan.who = "secretrid"
    told = [text for finding in broken(history).values() for text in (finding.note, *finding.why)]
    assert told
    assert not [text for text in told if "secretrid" in text or '"r1"' in text]
