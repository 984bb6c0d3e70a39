"""A history in which everything is right holds, whatever order it came in; what cannot be looked at is said, never claimed."""

from __future__ import annotations

import dataclasses
import random

import msgspec
import pytest

from consortium.invariants import NAMES, History, LoggedRow, check
from tests.consortium.invariants.world import HERE, broken, findings, sound, with_charges, world


def test_a_rich_history_in_which_everything_is_right_holds_in_all_eighteen() -> None:
    found = check(sound())
    assert [finding.invariant for finding in found] == list(NAMES) == [f"I{number}" for number in range(1, 19)]
    assert [(f.invariant, f.note) for f in found if f.status != "holds"] == []
    assert all(finding.checked > 0 for finding in found)
    assert all((finding.total, finding.offending, finding.why) == (0, (), ()) for finding in found)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_arrival_changes_nothing(seed: int) -> None:
    history = sound()
    history.charges = None  # a charge names the arrival that it was booked at
    random.Random(seed).shuffle(history.log)
    assert broken(history) == {}


def test_what_is_not_there_to_look_at_is_said() -> None:
    history = sound()
    history.charges = history.totals = history.secrets = None
    history.policy_keys = {}
    found = findings(history)
    assert {name for name, one in found.items() if one.status == "not-checked"} == {"I10", "I14", "I15", "I17"}
    assert all(found[name].note for name in ("I10", "I14", "I15", "I17"))


def test_an_empty_vault_is_no_proof() -> None:
    history = sound()
    history.secrets = frozenset({"7", "12"})  # too short to be told from counts
    assert findings(history)["I15"].status == "not-checked"


def test_nothing_at_all_holds_or_is_not_checked() -> None:
    assert {finding.status for finding in check(History(log=[]))} == {"holds", "not-checked"}


def test_an_event_above_a_hole_waits_and_is_not_folded_yet() -> None:
    made = world()
    history = with_charges(made, made.history())
    early = made.event("renewed")
    body = history.log[1].body.replace(f'"seq":{early.seq}', '"seq":900')
    history.log.append(LoggedRow(HERE, "e1", 900, body, "0" * 64, "r1"))
    assert broken(history) == {}


def test_a_node_that_counted_twice_is_told_by_its_own_words() -> None:
    history = sound()
    row = history.log[0]
    history.log.append(msgspec.structs.replace(row, pos=999))
    assert "more than once" in broken(history)["I5"].note


def test_a_rejected_event_is_part_of_the_chain() -> None:
    history = sound()
    at = next(number for number, row in enumerate(history.log) if '"TAG_WRITTEN"' in row.body)
    history.quarantined.append(history.log.pop(at))
    assert broken(history) == {}


def test_a_conflict_that_somebody_settled_stays_whatever_later_facts_say() -> None:
    history = sound()
    extra = dataclasses.replace(history.conflicts[0], id="CF_RETURN_NO_LOAN:edge-x/e1/1", kind="CF_RETURN_NO_LOAN")
    history.conflicts.append(extra)
    assert set(broken(history)) == {"I6"}
    history.settled.add(extra.id)
    assert broken(history) == {}


def test_a_conflict_about_a_reader_alone_is_no_item() -> None:
    history = sound()
    extra = dataclasses.replace(
        history.conflicts[0], id="CF_LIMIT_EXCEEDED:x", kind="CF_LIMIT_EXCEEDED", owner="", item_no=""
    )
    history.conflicts.append(extra)
    assert broken(history) == {}
