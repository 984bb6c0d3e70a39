"""may_enter at its bounds: the last instant, the last visitor, the last place that still counts, and the first that does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.agreement import AgreementStatus, Branch, Library, LibraryStatus, Party, Quotas, Role, Staleness
from consortium.calendar import Calendar
from consortium.decision import Mode, Outcome
from consortium.decisions import may_enter
from consortium.facts import Assurance, BlockFacts, CardStatus, Sighting
from consortium.places import travel_ms
from tests.consortium.scenes import CHENGDU, CHONGQING
from tests.make import DAY, HOME, HOST, HOUR, NOW, THIRD, Make

OWN = Make.device(f"{HOME}-01")


def decide(facts, now=NOW, **policy):
    return may_enter(Make.policy(**policy), facts, now)


def bounds(**more: object):
    return (Make.agreement(staleness=Staleness(**more)),)


def branches(**more: object) -> tuple[Branch, ...]:
    return tuple(replace(branch, **more) for branch in Make.bundle().branches)


def libraries(**status: LibraryStatus) -> tuple[Library, ...]:
    return tuple(replace(one, status=status.get(f"L{one.org}", one.status)) for one in Make.bundle().libraries)


@pytest.mark.parametrize(
    ("reader", "codes"),
    [
        ({"valid_to_ms": NOW + 1}, ("OK",)),
        ({"valid_to_ms": NOW}, ("READER_EXPIRED",)),
        ({"status": "SUSPENDED"}, ("READER_INACTIVE",)),
        ({"status": "INACTIVE", "valid_to_ms": NOW, "shared": False}, ("READER_INACTIVE", "READER_EXPIRED", "READER_NOT_SHARED")),
    ],
)  # fmt: skip
def test_a_reader_is_valid_until_the_instant_the_account_ends(reader, codes):
    assert decide(Make.enter(reader=Make.reader(**reader))).codes == codes


def test_a_card_without_its_reader_is_unknown():
    assert decide(Make.enter(reader=None)).codes == ("CARD_UNKNOWN",)


def test_a_card_out_of_use_says_so_and_not_that_it_ended():
    assert decide(Make.enter(card=Make.card(status=CardStatus.LOST, to_ms=NOW))).codes == ("CARD_LOST",)


def test_a_copyable_card_may_enter():
    assert decide(Make.enter(card=Make.card(assurance=Assurance.LOW))).allowed


def test_an_agreement_serves_from_its_first_instant_to_before_its_last():
    day = Make.agreement(valid_from_ms=NOW, valid_to_ms=NOW + DAY)
    for now, code in [(NOW - 1, "AGR_NOT_YET"), (NOW, "OK"), (NOW + DAY - 1, "OK"), (NOW + DAY, "AGR_ENDED")]:
        known = Make.known(policy=now, cards=now, blocks=now)
        assert decide(Make.enter(known=known), now, agreements=(day,)).primary == code


@pytest.mark.parametrize(
    ("quotas", "facts", "code"),
    [
        (Quotas(visits_per_day=8), {"visits_today": 7}, "OK"),
        (Quotas(visits_per_day=8), {"visits_today": 8}, "AGR_QUOTA"),
        (Quotas(visitors_now=8), {"visits_today": 8, "partner_visitors": 7}, "OK"),
        (Quotas(), {"visits_today": 10**6, "partner_visitors": 10**6}, "OK"),
        (Quotas(loans_per_lender=1, loans_per_reader=1), {"partner_visitors": 9, "visits_today": 9}, "OK"),
    ],
)
def test_quotas_of_a_day_and_of_an_instant(quotas, facts, code):
    agreements = (Make.agreement(quotas=quotas),)
    assert decide(Make.enter(**facts), agreements=agreements).codes == (code,)
    assert decide(Make.enter(device=OWN, **facts), agreements=agreements).allowed


@pytest.mark.parametrize(
    ("age", "code"), [({"policy": 72 * HOUR}, "OK"), ({"policy": 72 * HOUR + 1}, "STALE_POLICY"),
    ({"cards": 24 * HOUR}, "OK"), ({"cards": 24 * HOUR + 1}, "NOT_DECIDABLE_OFFLINE"),
    ({"blocks": 24 * HOUR}, "OK"), ({"blocks": 24 * HOUR + 1}, "NOT_DECIDABLE_OFFLINE"),
    ({"loans": 99 * HOUR, "items": 99 * HOUR}, "OK")],
)  # fmt: skip
def test_facts_refuse_partners_after_their_bound_and_not_before(age, code):
    known = Make.known(**{name: NOW - ms for name, ms in age.items()})
    decision = decide(Make.enter(known=known))
    assert decision.codes == (code,)
    assert decision.mode is (Mode.ONLINE if "loans" in age else Mode.STALE)
    assert decide(Make.enter(known=known, device=OWN)).allowed


@pytest.mark.parametrize(
    ("name", "fresh"), [("policy", 24 * HOUR), ("cards", 4 * HOUR), ("blocks", 4 * HOUR)]
)  # fmt: skip
def test_the_mode_says_when_facts_were_no_longer_fresh(name, fresh):
    assert decide(Make.enter(known=Make.known(**{name: NOW - fresh}))).mode is Mode.ONLINE
    assert decide(Make.enter(known=Make.known(**{name: NOW - fresh - 1}))).mode is Mode.STALE
    assert decide(Make.enter(known=Make.known(**{name: NOW - fresh - 1}), device=OWN)).mode is Mode.STALE


def test_an_untrusted_clock_is_told_in_the_mode_too():
    for device in (Make.device(clock_trusted=False), Make.device(f"{HOME}-01", clock_trusted=False)):
        assert decide(Make.enter(device=device)).mode is Mode.STALE


def test_everything_stale_is_told_at_once():
    decision = decide(Make.enter(known=Make.known(100 * HOUR), device=Make.device(clock_trusted=False)))
    assert decision.codes == ("CLOCK_UNTRUSTED", "STALE_POLICY", "NOT_DECIDABLE_OFFLINE")
    assert decision.outcome is Outcome.REFER


@pytest.mark.parametrize(
    ("bound", "known"),
    [
        ({"policy_refuse_ms": HOUR}, {"policy": NOW - HOUR - 1}),
        ({"enter_cards_refuse_ms": HOUR}, {"cards": NOW - HOUR - 1}),
    ],
)
def test_the_bounds_are_the_agreements(bound, known):
    facts = Make.enter(known=Make.known(**known))
    assert decide(facts).allowed
    assert decide(facts, agreements=bounds(**bound)).outcome is Outcome.REFER


def test_failing_open_is_for_own_readers_alone():
    facts = Make.enter(known=Make.known(100 * HOUR))
    assert decide(facts, agreements=bounds(own_readers_fail_open=True)).outcome is Outcome.REFER


@pytest.mark.parametrize(
    ("agreement", "open_to_own"),
    [
        ({}, True),
        ({"status": AgreementStatus.SUSPENDED}, True),
        ({"parties": (Party(HOME, Role.HOME), Party(HOST, Role.HOST))}, True),
        ({"parties": (Party(HOST), Party(THIRD))}, True),
    ],
)
def test_a_host_may_agree_to_fail_closed_for_its_own_readers_too(agreement, open_to_own):
    facts = Make.enter(known=Make.known(100 * HOUR), device=OWN)
    closed = Make.agreement(staleness=Staleness(own_readers_fail_open=False))
    assert decide(facts, agreements=(closed,)).codes == ("STALE_POLICY", "NOT_DECIDABLE_OFFLINE")
    assert decide(facts, agreements=(replace(closed, **agreement),) if agreement else ()).allowed is open_to_own
    assert decide(Make.enter(device=OWN), agreements=(closed,)).allowed


def test_a_branch_opens_and_closes_to_the_minute():
    # NOW is 40 s past 06:26 in Shanghai.
    def hours(start: int, end: int):
        return {"calendars": (Calendar("always", "Asia/Shanghai", (((start, end),),) * 7),)}

    minute = 6 * 60 + 26
    assert minute == (NOW + 8 * HOUR) // 60_000 % 1440
    for start, end, code in [
        (minute, minute + 1, "OK"),
        (0, minute, "BRANCH_CLOSED"),
        (minute + 1, 1440, "BRANCH_CLOSED"),
    ]:
        assert decide(Make.enter(), **hours(start, end)).primary == code


@pytest.mark.parametrize(
    ("blocks", "codes"),
    [
        ([BlockFacts(HOME, "issuer", frozenset({"ENTER"}), from_ms=NOW)], ("BLOCK_HOME",)),
        ([BlockFacts(HOME, "issuer", frozenset({"ENTER"}), to_ms=NOW + 1)], ("BLOCK_HOME",)),
        ([BlockFacts(HOME, "issuer", frozenset({"ENTER"}))] * 2, ("BLOCK_HOME",)),
        (
            [BlockFacts(HOST, "issuer", frozenset({"ENTER"})), BlockFacts(THIRD, "consortium", frozenset({"ENTER"}), "FEES")],
            ("BLOCK_HERE", "BLOCK_CONSORTIUM"),
        ),
        ([BlockFacts(HOST, "consortium", frozenset({"ENTER"}), "FEES")], ("BLOCK_CONSORTIUM",)),
        ([BlockFacts(HOST, "issuer", frozenset({"ENTER"}), "NOISE")], ("BLOCK_HERE",)),
        (
            [BlockFacts(THIRD, "issuer", frozenset({"ENTER"})), BlockFacts(HOST, "issuer", frozenset({"ENTER"}), "OVERDUE")],
            ("BLOCK_OVERDUE",),
        ),
    ],
)  # fmt: skip
def test_blocks_in_force_are_told_once_each_in_their_order(blocks, codes):
    assert decide(Make.enter(reader=Make.reader(blocks=tuple(blocks)))).codes == codes


def test_at_home_a_block_of_home_says_what_it_is_about():
    block = BlockFacts(HOME, "issuer", frozenset({"ENTER"}), "FEES")
    assert decide(Make.enter(reader=Make.reader(blocks=(block,)), device=OWN)).codes == ("BLOCK_FEES",)
    assert decide(Make.enter(reader=Make.reader(blocks=(block,)))).codes == ("BLOCK_HOME",)


def test_a_branch_without_a_capacity_is_never_full():
    assert decide(Make.enter(occupancy=10**6)).allowed
    assert decide(Make.enter(occupancy=0), branches=branches(capacity=1)).allowed
    assert decide(Make.enter(occupancy=1), branches=branches(capacity=1)).codes == ("BRANCH_FULL",)


def test_a_refused_reader_inside_is_not_noted_and_an_admitted_one_is():
    assert decide(Make.enter(inside=True, occupancy=9), branches=branches(capacity=9)).notes == ("ALREADY_INSIDE",)
    assert decide(Make.enter(inside=True), branches=branches(anti_pass_back=True)).notes == ()
    assert decide(Make.enter()).notes == ()


def test_allowed_the_gate_opens_and_the_visit_is_logged():
    assert decide(Make.enter()).obligations == ("OPEN", "LOG_VISIT")


# --- one card at two places ---


def apart():
    geo = {HOME: CHONGQING, HOST: CHENGDU, THIRD: None}
    return tuple(replace(branch, geo=geo[branch.org]) for branch in Make.bundle().branches)


def test_a_card_seen_elsewhere_sooner_than_anybody_travels_is_sent_to_the_desk():
    there, here = apart()[:2]
    needed = travel_ms(there, here)
    assert HOUR < needed < 2 * HOUR
    for ago, code in [
        (needed - 1, "CARD_CLONE_SUSPECT"),
        (needed, "OK"),
        (0, "CARD_CLONE_SUSPECT"),
        (-5, "CARD_CLONE_SUSPECT"),
    ]:
        decision = decide(Make.enter(elsewhere=Sighting(there.id, NOW - ago)), branches=apart())
        assert decision.codes == (code,)
        assert decision.outcome is (Outcome.ALLOW if code == "OK" else Outcome.REFER)


@pytest.mark.parametrize("seen", [f"{THIRD}-01", f"{HOST}-01", "880000-01"])
def test_nobody_is_suspected_where_the_way_is_not_known(seen):
    for at in (NOW - 1, NOW, NOW + 5):
        assert decide(Make.enter(elsewhere=Sighting(seen, at)), branches=apart()).allowed


# --- libraries that leave ---


@pytest.mark.parametrize("status", [LibraryStatus.LEAVING, LibraryStatus.LEFT])
@pytest.mark.parametrize("org", [HOME, HOST])
def test_a_library_that_leaves_sends_nobody_and_admits_its_own_only(org, status):
    members = libraries(**{f"L{org}": status})
    assert decide(Make.enter(), libraries=members).codes == ("AGR_ENDED",)
    assert decide(Make.enter(device=OWN), libraries=members).allowed
