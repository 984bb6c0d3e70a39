"""The sixteen kinds of conflict: whose each is, what is done if nobody acts, and by when."""

from __future__ import annotations

import pytest

from consortium.conflicts import CONSORTIUM, KINDS, Assignment, Default, Responsible, assign, overdue
from consortium.states import Conflict
from tests.make import DAY, HOME, HOST, NOW, THIRD, Make

SIXTEEN = [
    ("CF_IMPLIED_RETURN", "LENDER", "END_WITHOUT_CHARGE", 7),
    ("CF_READER_BLOCKED_MEANWHILE", "HOME", "KEEP_LOAN", 3),
    ("CF_LIMIT_EXCEEDED", "LENDER", "KEEP_LOAN", 0),
    ("CF_HELD_FOR_OTHER", "OWNER", "KEEP_LOAN", 3),
    ("CF_ITEM_NOT_LENDABLE", "OWNER", "KEEP_LOAN", 3),
    ("CF_DOUBLE_RETURN", "OWNER", "KEEP_LAST_PLACE", 3),
    ("CF_RETURN_NO_LOAN", "OWNER", "ACCEPT", 0),
    ("CF_RENEW_NOT_ALLOWED", "LENDER", "KEEP_DUE", 3),
    ("CF_CARD_REVOKED_MEANWHILE", "HOME", "NOT_LIABLE", 3),
    ("CF_UNKNOWN_CARD", "HUB", "WAIT_FOR_CARD", 30),
    ("CF_UNKNOWN_ITEM", "OWNER", "SET_ASIDE", 14),
    ("CF_ORDER_AMBIGUOUS", "OWNER", "KEEP_ORDER", 7),
    ("CF_EVENT_FORK", "HUB", "KEEP_FIRST", 7),
    ("CF_AGREEMENT_ENDED", "OWNER", "KEEP_LOAN", 7),
    ("CF_ILS_REFUSED", "OWNER", "KEEP_LOAN", 7),
    ("CF_ILS_DIFFERS", "LENDER", "KEEP_LOAN", 7),
]


def conflict(kind: str, *events: str, owner: str = THIRD) -> Conflict:
    return Conflict(f"{kind}:e", kind, owner, "1001", list(events), NOW)


def test_there_are_these_sixteen():
    assert [(one.code, one.responsible, one.default, one.days) for one in KINDS.values()] == SIXTEEN
    assert {kind for _, _, kind, _ in SIXTEEN} == set(Default)
    assert CONSORTIUM == "*"
    assert all(one.zh and one.en and KINDS[one.code] is one for one in KINDS.values())


@pytest.mark.parametrize(("kind", "responsible", "default", "days"), SIXTEEN)
def test_each_goes_to_its_library_with_its_deadline(kind, responsible, default, days):
    loan = Make.loan("l1", owner=THIRD)
    whose = {"HOME": HOME, "LENDER": HOST, "OWNER": THIRD, "HUB": CONSORTIUM}[responsible]
    expected = Assignment(whose, Default(default), NOW + days * DAY if days else 0)
    assert assign(conflict(kind, "l1"), [Make.loan("l0", home="x", place="y-01"), loan]) == expected
    assert Responsible(responsible) is KINDS[kind].responsible


@pytest.mark.parametrize("kind", ["CF_READER_BLOCKED_MEANWHILE", "CF_IMPLIED_RETURN", "CF_HELD_FOR_OTHER"])
def test_without_a_loan_to_speak_of_it_is_the_owners(kind):
    assert assign(conflict(kind, "e1")).library == THIRD
    assert assign(conflict(kind, "e1"), [Make.loan("l1")]).library == THIRD


def test_a_loan_that_the_event_ended_says_whose_it_is_too():
    ended = Make.loan("l1", end_event="e1")
    assert assign(conflict("CF_IMPLIED_RETURN", "e1"), [ended]).library == HOST
    assert assign(conflict("CF_CARD_REVOKED_MEANWHILE", "e1"), [ended]).library == HOME


def test_of_several_loans_the_first_that_the_events_name_speaks_in_whatever_order_they_come():
    first, second = Make.loan("l1", home="a", t_out=NOW), Make.loan("l2", home="b", t_out=NOW + 1)
    ended = Make.loan("l0", home="c", t_out=NOW - 2, end_event="l1")
    earlier = Make.loan("lz", home="d", t_out=NOW - 3, end_event="e9")
    later = Make.loan("la", home="e", t_out=NOW - 1, end_event="e9")
    for loans in ([first, second, ended], [ended, second, first]):
        assert assign(conflict("CF_CARD_REVOKED_MEANWHILE", "l2", "l1"), loans).library == "b"
        assert assign(conflict("CF_CARD_REVOKED_MEANWHILE", "l1", "l2"), loans).library == "a"
        assert assign(conflict("CF_CARD_REVOKED_MEANWHILE", "x", "l1"), loans).library == "a"
    for loans in ([earlier, later], [later, earlier]):
        assert assign(conflict("CF_CARD_REVOKED_MEANWHILE", "e9"), loans).library == "d"
    tied = [Make.loan("b", home="b", end_event="e9"), Make.loan("a", home="a", end_event="e9")]
    assert assign(conflict("CF_CARD_REVOKED_MEANWHILE", "e9"), tied).library == "a"


def test_a_rule_settles_at_once_what_has_no_days():
    assert {code for code, *_ in SIXTEEN if assign(conflict(code)).by_rule} == {
        "CF_RETURN_NO_LOAN",
        "CF_LIMIT_EXCEEDED",
    }
    assert Assignment(HOST, Default.ACCEPT, NOW).by_rule


def test_the_default_is_taken_at_the_deadline():
    given = assign(conflict("CF_DOUBLE_RETURN"))
    assert [overdue(given, NOW + 3 * DAY + late) for late in (-1, 0, 1)] == [False, True, True]
    assert overdue(assign(conflict("CF_RETURN_NO_LOAN")), NOW)
