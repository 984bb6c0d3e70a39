"""may_enter: refusals in evaluation order, then the ways in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.agreement import AgreementStatus, Branch, Party, Quotas, Role, Service
from consortium.calendar import ALL_DAY, Calendar, Period
from consortium.decision import Mode, Outcome
from consortium.decisions import may_enter
from consortium.facts import BlockFacts, CardStatus
from tests.make import DAY, HOME, HOST, HOUR, NOW, THIRD, Make

_ENTER = frozenset({"ENTER"})


def decide(facts, **policy):
    return may_enter(Make.policy(**policy), facts, NOW)


def test_an_unauthorised_device_decides_nothing():
    decision = decide(Make.enter(device=Make.device(authorised=False)))
    assert (decision.outcome, decision.codes) == (Outcome.REFER, ("DEVICE_UNAUTHORISED",))


def test_a_device_of_a_branch_outside_the_policy_decides_nothing():
    assert decide(Make.enter(device=Make.device("990009-01"))).primary == "DEVICE_UNAUTHORISED"


@pytest.mark.parametrize(
    ("card", "code"),
    [
        (None, "CARD_UNKNOWN"),
        (Make.card(status=CardStatus.LOST), "CARD_LOST"),
        (Make.card(status=CardStatus.REPLACED), "CARD_REPLACED"),
        (Make.card(status=CardStatus.EXPIRED), "CARD_EXPIRED"),
        (Make.card(to_ms=NOW), "CARD_EXPIRED"),
    ],
)
def test_a_card_that_does_not_count_is_refused(card, code):
    assert decide(Make.enter(card=card)).codes == (code,)


def test_a_card_is_good_until_the_instant_it_ends():
    assert decide(Make.enter(card=Make.card(to_ms=NOW + 1))).allowed


def test_every_check_of_the_reader_stage_is_told_to_staff():
    reader = Make.reader(status="INACTIVE", valid_to_ms=NOW - 1)
    assert decide(Make.enter(reader=reader)).codes == ("READER_INACTIVE", "READER_EXPIRED")


def test_a_partner_who_has_not_activated_sharing_is_refused_but_not_at_home():
    reader = Make.reader(shared=False)
    assert decide(Make.enter(reader=reader)).primary == "READER_NOT_SHARED"
    assert decide(Make.enter(reader=reader, device=Make.device(f"{HOME}-01"))).allowed


@pytest.mark.parametrize(
    ("agreement", "code"),
    [
        (Make.agreement(status=AgreementStatus.SUSPENDED), "AGR_SUSPENDED"),
        (Make.agreement(status=AgreementStatus.ENDED), "AGR_ENDED"),
        (Make.agreement(status=AgreementStatus.DRAFT), "AGR_NOT_YET"),
        (Make.agreement(valid_from_ms=NOW + 1), "AGR_NOT_YET"),
        (Make.agreement(valid_to_ms=NOW), "AGR_ENDED"),
        (Make.agreement(services=frozenset({Service.BORROW})), "AGR_SERVICE_OFF"),
        (Make.agreement(category_map=()), "AGR_CATEGORY"),
        (Make.agreement(blackouts=(Period(NOW, NOW + 1),)), "AGR_BLACKOUT"),
        (Make.agreement(parties=(Party(HOME), Party(THIRD))), "AGR_NONE"),
        (Make.agreement(parties=(Party(HOME, Role.HOST), Party(HOST, Role.HOME))), "AGR_NONE"),
    ],
)
def test_the_agreement_says_why_not(agreement, code):
    assert decide(Make.enter(), agreements=(agreement,)).codes == (code,)


def test_a_blackout_is_over_at_its_end():
    assert decide(Make.enter(), agreements=(Make.agreement(blackouts=(Period(NOW - DAY, NOW),)),)).allowed


@pytest.mark.parametrize(("inside", "allowed"), [(9, True), (10, False)])
def test_the_visitor_quota_is_the_last_that_fits(inside, allowed):
    agreement = Make.agreement(quotas=Quotas(visitors_now=10))
    decision = decide(Make.enter(partner_visitors=inside), agreements=(agreement,))
    assert decision.allowed is allowed
    assert decision.primary == ("OK" if allowed else "AGR_QUOTA")


def test_another_agreement_that_serves_beats_one_that_does_not():
    ended = Make.agreement("a-ended", valid_to_ms=NOW - 1)
    assert decide(Make.enter(), agreements=(ended, Make.agreement("b"))).allowed


def test_a_closed_branch_lets_nobody_in():
    shut = Calendar("always", "Asia/Shanghai", ((),) * 7, {"2030-01-01": ALL_DAY})
    assert decide(Make.enter(), calendars=(shut,)).primary == "BRANCH_CLOSED"


@pytest.mark.parametrize(
    ("block", "code"),
    [
        (BlockFacts(HOME, "issuer", _ENTER), "BLOCK_HOME"),
        (BlockFacts(HOST, "issuer", _ENTER), "BLOCK_HERE"),
        (BlockFacts(HOST, "issuer", _ENTER, "OVERDUE"), "BLOCK_OVERDUE"),
        (BlockFacts(HOST, "issuer", _ENTER, "FEES"), "BLOCK_FEES"),
        (BlockFacts(HOME, "issuer", _ENTER, "FEES"), "BLOCK_HOME"),
        (BlockFacts(THIRD, "consortium", _ENTER), "BLOCK_CONSORTIUM"),
        (BlockFacts(THIRD, "issuer", _ENTER), "OK"),
        (BlockFacts(HOME, "issuer", frozenset({"BORROW"})), "OK"),
        (BlockFacts(HOME, "issuer", _ENTER, from_ms=NOW + 1), "OK"),
        (BlockFacts(HOME, "issuer", _ENTER, to_ms=NOW), "OK"),
    ],
)
def test_a_block_counts_where_and_when_it_is_in_force_and_keeps_its_reason(block, code):
    assert decide(Make.enter(reader=Make.reader(blocks=(block,)))).primary == code


def test_a_full_branch_is_full_at_its_capacity():
    full = (Branch(f"{HOST}-01", HOST, "馆", "Branch", "always", capacity=2), *Make.bundle().branches[0::2])
    assert decide(Make.enter(occupancy=1), branches=full).allowed
    assert decide(Make.enter(occupancy=2), branches=full).primary == "BRANCH_FULL"


def test_a_card_recorded_inside_is_noted_and_only_refused_where_the_branch_says_so():
    decision = decide(Make.enter(inside=True))
    assert decision.allowed
    assert decision.notes == ("ALREADY_INSIDE",)
    strict = tuple(replace(branch, anti_pass_back=True) for branch in Make.bundle().branches)
    assert decide(Make.enter(inside=True), branches=strict).primary == "ALREADY_INSIDE"


@pytest.mark.parametrize(
    ("age", "own", "outcome", "mode"),
    [
        (4 * HOUR, False, Outcome.ALLOW, Mode.ONLINE),
        (4 * HOUR + 1, False, Outcome.ALLOW, Mode.STALE),
        (24 * HOUR + 1, False, Outcome.REFER, Mode.STALE),
        (24 * HOUR + 1, True, Outcome.ALLOW, Mode.STALE),
        (80 * HOUR, True, Outcome.ALLOW, Mode.STALE),
    ],
)
def test_old_facts_close_the_gate_to_partners_and_not_to_own_readers(age, own, outcome, mode):
    device = Make.device(f"{HOME}-01") if own else Make.device()
    decision = decide(Make.enter(known=Make.known(age, policy=NOW), device=device))
    assert (decision.outcome, decision.mode) == (outcome, mode)


def test_an_untrusted_clock_admits_own_readers_only():
    assert decide(Make.enter(device=Make.device(clock_trusted=False))).primary == "CLOCK_UNTRUSTED"
    assert decide(Make.enter(device=Make.device(f"{HOME}-01", clock_trusted=False))).allowed


def test_an_old_policy_refers_partners():
    assert decide(Make.enter(known=Make.known(policy=NOW - 73 * HOUR))).primary == "STALE_POLICY"


def test_the_trace_names_each_stage_only_when_asked():
    assert decide(Make.enter()).trace == ()
    explained = may_enter(Make.policy(), Make.enter(), NOW, explain=True)
    assert [line.split(":")[0] for line in explained.trace] == [
        "device", "card", "reader", "agreement", "freshness", "open", "blocks", "capacity",
    ]  # fmt: skip
