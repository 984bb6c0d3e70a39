"""The simulation itself: a truth that no ledger can bend, wires that do what they say, a yardstick that finds what is wrong."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from bench.simulation import side_by_side
from bench.simulation.__main__ import main
from bench.simulation.clocks import blurred, corrected, measurements, turnover_gap
from bench.simulation.edges import Row
from bench.simulation.measure import Books, by_item, compare, folded, our_books
from bench.simulation.plan import DAY, HOUR, SMALL, Plan, Wire
from bench.simulation.proof import OURS, complaint, examine, small_world
from bench.simulation.rivals import RULES, deduped
from bench.simulation.table import table
from bench.simulation.truth import TrueItem, TrueLoan, Truth
from bench.simulation.wire import arrivals, taken
from bench.simulation.world import Told, World, tell
from consortium.events import Kind, decode, encode
from tests.make import NOW, Make

QUIET = Wire(offline=0, resent=0, overtaken=0, restarts_per_day=0, new_epochs_per_day=0)
ITEM = ("990001", "1001")


@pytest.fixture(scope="module")
def told() -> Told:
    return tell(replace(SMALL, events=600), 11)


def row(kind: Kind, seq: int, who: str | None = "r1", *, at: int = NOW, **more) -> Row:
    return Row(Make.event(kind, seq, at=at, **more), who, at, at)


# --- the proof ---


def test_fifty_worlds_with_trusted_clocks_are_told_as_they_were():
    faulty = [verdict for verdict in map(examine, range(50)) if verdict.faults]
    assert not faulty, complaint(faulty)


def test_the_rivals_lose_and_invent_loans_on_the_same_rows():
    figures = examine(3, SMALL).figures
    assert figures[OURS].wrong == 0
    assert all(one.missing and one.ghosts for name, one in figures.items() if name != OURS)


def test_wrong_clocks_cost_something_and_their_correction_gives_it_back():
    totals, gap_h = side_by_side(4, replace(SMALL, events=400))
    assert gap_h > 1
    assert totals[f"{OURS}_clock_error"].ghosts > 0
    assert (totals[OURS].wrong, totals[f"{OURS}_clock_corrected"].wrong) == (0, 0)


def test_a_complaint_says_how_to_see_the_seed_again(capsys: pytest.CaptureFixture[str]):
    verdict = examine(5)
    verdict.faults.append("2 loans missing")
    assert "python -m bench.simulation 5" in complaint([verdict])
    assert main(["x"]) == 2
    assert main(["5"]) == 0
    assert "event-time refold" in capsys.readouterr().out


# --- the world ---


def test_a_seed_gives_the_same_history_again_and_another_seed_another():
    assert tell(SMALL, 4).arrived == tell(SMALL, 4).arrived
    assert tell(SMALL, 4).arrived != tell(SMALL, 5).arrived


def test_what_people_do_does_not_depend_on_the_wires(told: Told):
    quiet = tell(replace(told.plan, wire=replace(told.plan.wire, offline=0, resent=0)), told.seed)
    assert quiet.truth.loans == told.truth.loans


def test_every_event_is_one_that_an_edge_may_send(told: Told):
    for one in {one.event.id: one.event for one in told.arrived}.values():
        assert decode(encode(one)) == one


def test_everything_that_goes_wrong_in_libraries_goes_wrong_here():
    kinds: Counter[str] = Counter()
    for seed in range(12):
        told = tell(replace(small_world(seed), events=400), seed)
        for one in told.arrived:
            event = one.event
            kinds[event.kind] += 1
            kinds[event.data.get("mark", "")] += 1
            kinds["override"] += event.kind is Kind.CHECKOUT and "override" in event.data
            kinds["again"] += event.reissue_of is not None
        kinds["unscanned"] += sum(not item.scanned for item in told.truth.items)
    for what in (
        *map(str, by_name()),
        "MISSING",
        "FOUND",
        "LOST",
        "CLAIMED_RETURNED",
        "override",
        "again",
        "unscanned",
    ):
        assert kinds[what], what


def by_name() -> list[Kind]:
    return [
        Kind.CHECKOUT, Kind.RENEW, Kind.RETURN, Kind.RECEIVE, Kind.TRANSIT_SENT, Kind.IN_USE, Kind.ITEM_MARKED, Kind.LOAN_ENDED,
        Kind.HOLD_PLACED, Kind.HOLD_EXPIRED, Kind.ENTRY, Kind.EXIT,
    ]  # fmt: skip


def test_no_item_has_two_true_loans_at_once(told: Told):
    end_of: dict[int, int] = {}
    for loan in told.truth.loans:
        assert loan.t_out >= end_of.get(loan.item, 0)
        end_of[loan.item] = loan.t_end if loan.t_end is not None else 1 << 60


def test_a_trusted_clock_is_wrong_by_less_than_it_says_and_never_runs_back_within_a_boot(told: Told):
    last: dict[tuple[str, str], int] = {}
    rows = {one.event.id: one for one in told.arrived if one.event.reissue_of is None}
    for one in sorted(rows.values(), key=lambda one: (one.event.node, one.event.epoch, one.event.seq)):
        event = one.event
        assert abs(event.t_eff - one.acted) <= event.t_unc
        assert event.t_eff >= last.get((event.node, event.boot), 0)
        last[event.node, event.boot] = event.t_eff


def test_a_crash_loses_visits_of_the_last_moments_and_never_a_loan():
    world = World(replace(SMALL, wire=QUIET), 1)
    branch, item = world.branches[0], world.truth.items[0]
    reader = world.readers[0]
    world.say(branch, Kind.CHECKOUT, item, "kiosk1", reader, type="BOOK", home=reader.home, due=world.now)
    world.say(branch, Kind.ENTRY, None, "gate1", reader, home=reader.home, **{"class": "own"})
    world.crash(branch)
    assert [one.event.kind for one in world.edges[branch].rows] == [Kind.CHECKOUT]
    assert world.edges[branch].seq == 1


# --- the wires ---


def test_every_row_arrives_and_a_quiet_wire_brings_each_once_and_in_order():
    world = World(replace(SMALL, wire=QUIET), 2)
    edge = world.edges[world.branches[0]]
    for n in range(50):
        edge.say(Kind.DEVICE, world.now + n * 1_000, "kiosk1", {"state": "UP", "kind": "KIOSK"})
    rows = arrivals([edge], QUIET, random.Random(1), world.now + DAY)
    assert [one.event.seq for one in rows] == list(range(1, 51))
    rough = arrivals([edge], Wire(offline=0.5, spell_ms=HOUR), random.Random(1), world.now + DAY)
    assert {one.event.seq for one in rough} == set(range(1, 51))


def test_about_as_many_rows_come_twice_as_the_plan_says():
    told = tell(Plan(wire=replace(Plan().wire, new_epochs_per_day=0, restarts_per_day=0)), 1)
    assert (
        0.22 < 1 - len({one.event.id for one in told.arrived}) / len(told.arrived) < 0.3
    )  # 0.3 / 1.3 of the arrivals are doubles


def test_a_row_above_a_hole_waits_until_the_hole_is_filled():
    first, second, third = (row(Kind.RENEW, seq) for seq in (1, 2, 3))
    assert taken([first, third]) == [first]
    assert taken([third, first, second, first]) == [first, second, third, first]


def test_rows_without_doubles_have_each_act_once_also_under_another_epoch():
    first = row(Kind.RETURN, 1)
    again = replace(first, event=replace(first.event, epoch="e2", reissue_of=str(first.event.id)))
    assert deduped([first, again, first]) == [first]


# --- the rivals ---


def lend(rule: str, *rows: Row) -> list[tuple[str, str, bool]]:
    ledger = RULES[rule]()
    ledger.take(rows)
    return [(loan.who, loan.begun.rsplit("/", 1)[1], loan.ended is None) for loan in ledger.loans]


@pytest.mark.parametrize("rule", RULES)
def test_in_order_and_once_every_rule_tells_a_loan_and_its_return(rule):
    rows = (row(Kind.CHECKOUT, 1), row(Kind.RETURN, 2, at=NOW + 1), row(Kind.CHECKOUT, 3, "r2", at=NOW + 2))
    assert lend(rule, *rows) == [("r1", "1", False), ("r2", "3", True)]


@pytest.mark.parametrize(
    ("rule", "loans"),
    [
        ("force", [("r2", "3", False), ("r1", "1", False)]),
        ("reject", [("r2", "3", False)]),
        ("skip", [("r2", "3", True)]),
        ("skip_force", [("r2", "3", True)]),
    ],
)
def test_what_each_rule_makes_of_a_return_and_a_loan_that_come_late(rule, loans):
    rows = (row(Kind.CHECKOUT, 3, "r2", at=NOW + 2), row(Kind.CHECKOUT, 1), row(Kind.RETURN, 2, at=NOW + 1))
    assert lend(rule, *rows) == loans


# --- the yardstick ---


def truth() -> Truth:
    loans = [TrueLoan(0, "r1", 1, 10, 2, 20), TrueLoan(0, "r2", 3, 30)]
    item = TrueItem(0, *ITEM, "990001-01", "out", loan=loans[1])
    return Truth(items=[item], loans=loans)


def test_true_books_have_nothing_wrong():
    books = Books([(ITEM, "r1", 1, 2), (ITEM, "r2", 3, None)], {ITEM: "r2"}, {ITEM: "out"})
    assert compare(truth(), books).wrong == 0


@pytest.mark.parametrize(
    ("loans", "missing", "no_trace", "ghosts", "phantoms"),
    [
        ([], 2, 2, 0, 0),
        ([("r1", 1, 2)], 1, 1, 0, 0),
        ([("r1", 1, 2), ("r2", 3, None), ("r2", 3, None)], 0, 0, 1, 1),
        ([("r1", 1, None), ("r2", 3, None)], 1, 0, 1, 1),
        ([("r1", 1, 3), ("r2", 3, None)], 1, 0, 1, 0),
        ([("r9", 1, 2), ("r2", 3, None)], 1, 1, 1, 0),
    ],
)
def test_what_is_missing_and_what_was_made_up_is_counted(loans, missing, no_trace, ghosts, phantoms):
    found = compare(truth(), Books([(ITEM, *loan) for loan in loans]))
    assert (found.missing, found.no_trace, found.ghosts, found.phantoms) == (missing, no_trace, ghosts, phantoms)
    assert (found.wrong_holder, found.wrong_place) == (1, 1)


def test_what_nobody_scanned_is_held_against_no_ledger():
    unseen = truth()
    unseen.items[0].moved("at:990001-01", scanned=False)
    found = compare(unseen, Books())
    assert (found.items, found.wrong_holder, found.wrong_place, found.unscanned) == (0, 0, 0, 1)


def test_the_yardstick_sees_a_fold_that_is_not_given_everything(told: Told):
    rows = [one for one in taken(told.arrived) if one.event.kind is not Kind.RETURN]
    histories = folded(told.truth, by_item(rows))
    found = compare(told.truth, our_books(told.truth, histories.values()))
    assert found.missing > 10
    assert found.wrong_holder > 0


def test_measured_clocks_give_the_true_times_again(told: Told):
    bad = blurred(told.arrived, 0.25, random.Random(1))
    gap = turnover_gap(told.arrived)
    assert max(abs(one.event.t_eff - one.acted) for one in bad) > 0.05 * gap
    assert all(decode(encode(event)) == event for event in measurements(bad))
    assert all(one.event.t_eff == one.acted for one in corrected(bad))


def test_the_table_names_every_rule():
    lines = table(examine(1).figures).splitlines()
    assert len(lines) == 2 + 1 + 2 * len(RULES)
    assert lines[1].startswith("event-time refold (ours)")
