"""The order of the stages: every fault alone, then every two at once. The earlier stage answers; within a stage all codes are told."""

from __future__ import annotations

import pytest

from consortium.decision import Mode, Outcome
from consortium.decisions import accept_return, may_borrow, may_enter, may_renew
from consortium.reasons import REASONS
from tests.consortium.scenes import ALL, Fault, decide, outcome_of, pairs, singles
from tests.make import NOW, Make

ALONE = {"CARD_UNKNOWN", "AGR_NOT_YET", "AGR_CATEGORY", "READER_AGE", "RULE_NONE", "ITEM_UNKNOWN", "CARD_LOST"}
"""Codes that leave nothing else of their stage to be asked."""

LINES = {
    "enter": ["device", "card", "reader", "agreement", "freshness", "open", "blocks", "capacity"],
    "borrow": [
        "device", "card", "reader", "item", "state", "agreement", "rule general", "freshness", "blocks", "limits",
    ],
    "renew": [
        "device", "loan", "reader", "agreement", "rule general", "freshness", "blocks", "renewals", "window", "wanted",
        "overdue", "gain",
    ],
}  # fmt: skip


@pytest.mark.parametrize("function", ALL)
def test_without_a_fault_the_answer_is_yes(function):
    decision = decide(function, explain=True)
    assert (decision.outcome, decision.codes, decision.mode) == (Outcome.ALLOW, ("OK",), Mode.ONLINE)
    assert [line.split(":")[0] for line in decision.trace] == LINES[function]
    assert all(line.endswith(": ok") for line in decision.trace)
    assert decision.function == function
    assert decision.notes == ()


@pytest.mark.parametrize(("function", "fault"), list(singles()), ids=str)
def test_each_fault_alone_has_its_code_at_its_stage(function, fault: Fault):
    decision = decide(function, fault, explain=True)
    assert decision.codes == (fault.code,)
    assert decision.outcome is outcome_of(fault.code)
    assert not decision.allowed
    stage = next(name for name in [*LINES[function], fault.stage] if name.split()[0] == fault.stage)
    assert decision.trace[-1] in {f"{stage}: {fault.code}", f"{fault.stage} : {fault.code}"}
    assert [line for line in decision.trace[:-1] if not line.endswith(": ok")] == []
    assert decision.due_ms is None
    assert decision.terms is None
    assert decision.obligations == decision.basis == ()


@pytest.mark.parametrize("function", ALL)
def test_of_two_faults_the_earlier_stage_answers_and_one_stage_tells_both(function):
    seen = 0
    for name, first, second in pairs():
        if name != function:
            continue
        codes = decide(function, first, second).codes
        if first.stage != second.stage:
            assert codes == (first.code,), (first.stage, first.code, second.stage, second.code)
        elif first.stage == "rule":
            assert len(codes) == 1
        elif first.code in ALONE or (first.stage, second.code) == ("agreement", "AGR_CATEGORY"):
            assert codes[0] in (first.code, second.code)
            assert len(codes) == 1 or codes == (first.code, second.code)
        elif first.stage == "agreement" and "AGR_QUOTA" in (first.code, second.code):
            assert codes in {(first.code,), (first.code, second.code)}
        elif first.stage == "agreement" and second.code == "ITEM_NOT_SHARED":
            assert codes == (first.code,)
        else:
            assert codes == (first.code, second.code)
        seen += 1
    assert seen > 50


def test_every_code_that_a_decision_can_give_has_its_text_in_both_languages():
    for _, fault in singles():
        reason = REASONS[fault.code]
        assert reason.zh
        assert reason.en


@pytest.mark.parametrize(
    ("function", "given"),
    [(may_enter, Make.enter()), (may_enter, Make.enter(card=None)), (may_borrow, Make.borrow()), (may_renew, Make.renew()),
     (accept_return, Make.give_back()), (accept_return, Make.give_back(device=Make.device(authorised=False)))],
)  # fmt: skip
def test_a_decision_tells_where_it_was_made_by_which_policy_and_what_was_known(function, given):
    assert function(Make.policy(), given, NOW).source == "edge"
    for source in ("edge", "hub"):
        decision = function(Make.policy(version=7), given, NOW, source=source)
        assert (decision.source, decision.policy_version, decision.known) == (source, 7, given.known)
