"""The checker: a sound history holds, and for every invariant a history that breaks it is caught."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import pytest

from consortium.agreement import Staleness
from consortium.bundle import to_json
from consortium.decisions import may_borrow, may_enter
from consortium.events import Event, Kind, encode
from consortium.facts import ItemStatus
from consortium.fold import Logged, fold_item, fold_visits
from consortium.identity import CHAIN_START, chain, subject
from consortium.invariants import NOT_YET, History, LoggedRow, check
from consortium.record import record
from consortium.states import EndKind, TransitState
from tests.make import HOST, HOUR, NOW, THIRD, Make

NODE = "edge-990001-01"


def _decided(kind: Kind) -> dict:
    if kind is Kind.ENTRY:
        return record(may_enter(Make.policy(), Make.enter(), NOW), Make.enter(), NOW)
    return record(may_borrow(Make.policy(), Make.borrow(), NOW), Make.borrow(), NOW)


def _events() -> list[Event]:
    due = _decided(Kind.CHECKOUT)["due"]
    away = {"route": {"action": "TRANSIT", "dest": f"{HOST}-01", "reason": "HOME"}, "code": "RETURN_TRANSIT"}
    plan = [
        (Kind.ENTRY, {"decision": _decided(Kind.ENTRY)}),
        (Kind.CHECKOUT, {"decision": _decided(Kind.CHECKOUT), "data": {"due": due}}),
        (Kind.RETURN, {"branch": f"{THIRD}-01", "data": away}),
        (Kind.RECEIVE, {}),
        (Kind.CHECKOUT, {"item": (HOST, "1002"), "data": {"due": due}}),
        (Kind.CHECKOUT, {"item": (HOST, "1002"), "data": {"due": due}}),
        (Kind.EXIT, {}),
    ]
    return [
        Make.event(kind, seq, at=NOW + seq * 1000, subject=subject("salt", "srid"), **more)
        for seq, (kind, more) in enumerate(plan, start=1)
    ]


def sound() -> History:
    """A small history in which everything is right."""
    log, previous = [], CHAIN_START
    events = _events()
    for event in events:
        body = encode(event)
        previous = chain(previous, body)
        log.append(LoggedRow(event.node, event.epoch, event.seq, body, previous, "r1", "salt", "srid"))
    logged = [Logged(event, "r1") for event in events]
    items = [(HOST, "1001"), (HOST, "1002")]
    states = [fold_item(*key, f"{HOST}-01", [e for e in logged if e.event.item == key]) for key in items]
    return History(
        log=log,
        cursors={(NODE, "e1"): len(events)},
        states=states,
        loans=[copy.copy(loan) for state in states for loan in state.loans],
        transits=[copy.copy(transit) for state in states for transit in state.transits],
        visits=fold_visits([e for e in logged if e.event.kind in (Kind.ENTRY, Kind.EXIT)]),
        conflicts=[copy.copy(conflict) for state in states for conflict in state.conflicts],
        bundles={1: to_json(Make.bundle())},
        items=dict.fromkeys(items, f"{HOST}-01"),
        secrets=frozenset({"04A1B2C3D4E5F6", "20240001"}),
    )


def test_a_sound_history_holds_and_what_is_not_built_is_not_claimed():
    findings = {finding.invariant: finding for finding in check(sound())}
    assert len(findings) == 18
    assert {name for name, f in findings.items() if f.status == "not-checked"} == set(NOT_YET)
    assert [f for f in findings.values() if f.status == "broken"] == []
    assert all(f.checked for f in findings.values() if f.status == "holds")


def _second_open_loan(history: History) -> None:
    history.loans.append(dataclasses.replace(history.loans[-1], id="edge-x/e1/99"))


def _lost_checkout(history: History) -> None:
    history.loans.pop(0)


def _closed_twice(history: History) -> None:
    history.loans[1].t_end, history.loans[1].end_event = NOW + 9000, history.loans[0].end_event


def _closed_before_it_began(history: History) -> None:
    history.loans[0].t_end = history.loans[0].t_out - 1


def _silent_end(history: History) -> None:
    history.loans[0].end_kind = None


def _implied_without_conflict(history: History) -> None:
    history.loans[0].end_kind = EndKind.IMPLIED_RETURN


def _gap(history: History) -> None:
    history.log.pop(3)


def _rewritten_body(history: History) -> None:
    row = history.log[2]
    history.log[2] = dataclasses.replace(row, body=row.body.replace("RETURN_TRANSIT", "RETURN_TRANSIZ"))


def _swapped_identity(history: History) -> None:
    history.log[1] = dataclasses.replace(history.log[1], srid="somebody else")


def _edited_projection(history: History) -> None:
    history.states[0].status = ItemStatus.MISSING


def _transit_left_open(history: History) -> None:
    history.transits[0].state = TransitState.SENT
    history.loans[0].t_end = None


def _changed_decision(history: History) -> None:
    row = history.log[1]
    history.log[1] = dataclasses.replace(row, body=row.body.replace('"c":["OK"]', '"c":["KO"]'))


def _stale_but_online(history: History) -> None:
    row = history.log[1]
    history.log[1] = dataclasses.replace(row, body=row.body.replace('"k":[0,0,0,0,0]', f'"k":[0,{9 * HOUR},0,0,0]'))


def _loan_unknown_to_the_item(history: History) -> None:
    history.states.pop(1)


def _doubled_visit(history: History) -> None:
    history.visits.append(history.visits[0])


def _visit_without_entry(history: History) -> None:
    history.visits.clear()


def _left_before_anybody_came(history: History) -> None:
    visit = history.visits[0]
    history.visits[0] = dataclasses.replace(visit, t_in=0, t_out=1)


def _stale_by_its_own_agreement(history: History) -> None:
    strict = Make.agreement(staleness=Staleness(borrow_facts_fresh_ms=60_000))
    history.bundles[1] = to_json(Make.bundle(agreements=(strict,)))
    row = history.log[1]
    history.log[1] = dataclasses.replace(row, body=row.body.replace('"k":[0,0,0,0,0]', '"k":[0,120000,0,0,0]'))


def _reader_number_in_a_body(history: History) -> None:
    row = history.log[6]
    history.log[6] = dataclasses.replace(row, body=row.body.replace('"kiosk1"', '"20240001"'))


def _returned_to_nowhere(history: History) -> None:
    history.states[0].branch = "770000-01"


@pytest.mark.parametrize(
    ("break_it", "invariant"),
    [
        (_second_open_loan, "I1"),
        (_lost_checkout, "I2"),
        (_closed_twice, "I3"),
        (_closed_before_it_began, "I3"),
        (_silent_end, "I4"),
        (_implied_without_conflict, "I4"),
        (_gap, "I5"),
        (_rewritten_body, "I5"),
        (_swapped_identity, "I5"),
        (_edited_projection, "I6"),
        (_transit_left_open, "I7"),
        (_changed_decision, "I8"),
        (_stale_but_online, "I9"),
        (_stale_by_its_own_agreement, "I9"),
        (_left_before_anybody_came, "I13"),
        (_loan_unknown_to_the_item, "I11"),
        (_doubled_visit, "I13"),
        (_visit_without_entry, "I13"),
        (_reader_number_in_a_body, "I15"),
        (_returned_to_nowhere, "I18"),
    ],
)
def test_a_history_that_breaks_an_invariant_is_caught(break_it: Callable[[History], None], invariant: str):
    history = sound()
    break_it(history)
    findings = {finding.invariant: finding for finding in check(history)}
    assert findings[invariant].status == "broken"
    assert findings[invariant].offending
