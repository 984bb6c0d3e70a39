"""Which of several agreements serves, and whose refusal is told where none does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.agreement import AgreementStatus, CategoryMap, Party, Role, Service
from consortium.calendar import Period
from consortium.serving import find_agreement
from tests.make import HOME, HOST, NOW, THIRD, Make

NO_MAP = {"category_map": (CategoryMap(HOME, "STAFF", "S"),)}


def find(*agreements, service=Service.BORROW, host=HOST, reader=None):
    found, codes = find_agreement(Make.policy(agreements=agreements), reader or Make.reader(), host, service, NOW)
    return found.id if found else None, codes


def test_no_agreement_at_all():
    assert find() == (None, ["AGR_NONE"])
    assert find(Make.agreement(parties=(Party(HOME), Party(THIRD)))) == (None, ["AGR_NONE"])
    assert find(Make.agreement(), host=HOME) == (None, ["AGR_NONE"])


@pytest.mark.parametrize(
    ("home", "host", "found"),
    [(Role.BOTH, Role.BOTH, True), (Role.HOME, Role.HOST, True), (Role.HOST, Role.HOST, False), (Role.HOME, Role.HOME, False),
     (Role.HOME, Role.BOTH, True), (Role.BOTH, Role.HOST, True)],
)  # fmt: skip
def test_who_sends_and_who_serves(home, host, found):
    agreement = Make.agreement(parties=(Party(HOME, home), Party(HOST, host)))
    assert find(agreement) == (("both", []) if found else (None, ["AGR_NONE"]))


def test_service_and_blackout_are_both_told():
    agreement = Make.agreement(services=frozenset({Service.ENTER}), blackouts=(Period(NOW, NOW + 1),))
    assert find(agreement) == (None, ["AGR_SERVICE_OFF", "AGR_BLACKOUT"])
    assert find(agreement, service=Service.ENTER) == (None, ["AGR_BLACKOUT"])


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (AgreementStatus.SUSPENDED, "AGR_SUSPENDED"),
        (AgreementStatus.ENDED, "AGR_ENDED"),
        (AgreementStatus.DRAFT, "AGR_NOT_YET"),
    ],
)
def test_one_that_does_not_stand_says_only_that(status, code):
    agreement = Make.agreement(status=status, services=frozenset(), valid_to_ms=NOW, blackouts=(Period(NOW, NOW + 1),))
    assert find(agreement) == (None, [code])


def test_a_category_left_out_is_told_only_where_the_agreement_stands():
    assert find(Make.agreement(**NO_MAP)) == (None, ["AGR_CATEGORY"])
    ended = Make.agreement(valid_to_ms=NOW, **NO_MAP)
    assert find(ended) == (None, ["AGR_ENDED"])
    later = Make.agreement("z", valid_from_ms=NOW + 1, **NO_MAP)
    assert find(ended, later) == (None, ["AGR_ENDED"])
    assert find(ended, Make.agreement("z", **NO_MAP)) == (None, ["AGR_CATEGORY"])


def test_a_star_takes_every_category_of_that_home_alone():
    everybody = Make.agreement(category_map=(CategoryMap(HOME, "*", "ANY"),))
    assert find(everybody, reader=Make.reader(category="GUEST")) == ("both", [])
    assert find(Make.agreement(category_map=(CategoryMap(HOST, "*", "ANY"),))) == (None, ["AGR_CATEGORY"])


def test_one_that_serves_beats_those_that_refuse_wherever_it_stands():
    refusing, serving = Make.agreement("a", services=frozenset()), Make.agreement("b")
    assert find(refusing, serving) == find(serving, refusing) == ("b", [])
    assert find(Make.agreement("a", **NO_MAP), serving) == ("b", [])


def test_of_several_that_refuse_the_first_by_name_says_why():
    suspended, off = Make.agreement("a", status=AgreementStatus.SUSPENDED), Make.agreement("b", services=frozenset())
    assert find(off, suspended) == (None, ["AGR_SUSPENDED"])
    assert find(Make.agreement("0", **NO_MAP), off) == (None, ["AGR_SERVICE_OFF"])


def test_the_newer_version_of_two_speaks_first():
    old = Make.agreement()
    policy = Make.policy(agreements=(old, replace(old, version=2)))
    found, _ = find_agreement(policy, Make.reader(), HOST, Service.BORROW, NOW)
    assert found.key == "both@2"
