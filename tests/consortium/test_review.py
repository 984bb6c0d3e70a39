"""The second pass: what the whole log says against loans that were made on what a branch knew."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.agreement import AgreementStatus, CategoryMap, LimitScope, LimitSet, Party, PolicyRule
from consortium.facts import BlockFacts, CardStatus
from consortium.review import Breach, ReaderTimeline, conflicts_of, review_item, review_reader
from consortium.states import Hold
from tests.make import DAY, HOME, HOST, NOW, THIRD, Make

BORROW = frozenset({"BORROW"})
HERE = f"{HOST}-01"


def review(*loans, policy=None, at=None, **more):
    timeline = ReaderTimeline(HOME, "UG", loans, **more)
    made = Make.policy(**(policy or {}))
    return [(one.kind, one.loan, one.codes) for one in review_reader(at or (lambda _: made), timeline)]


def loan(name="l1", t=NOW, **more):
    return Make.loan(name, **{"t_out": t, "item_no": name, **more})


def test_a_loan_that_the_whole_log_would_have_made_is_not_marked():
    assert review(loan()) == []


@pytest.mark.parametrize(
    ("block", "codes"),
    [
        (BlockFacts(HOME, "issuer", BORROW, from_ms=NOW), ("BLOCK_HOME",)),
        (BlockFacts(HOME, "issuer", BORROW, from_ms=NOW + 1), None),
        (BlockFacts(HOME, "issuer", BORROW, to_ms=NOW + 1), ("BLOCK_HOME",)),
        (BlockFacts(HOME, "issuer", BORROW, to_ms=NOW), None),
        (BlockFacts(HOST, "issuer", BORROW, "FEES"), ("BLOCK_FEES",)),
        (BlockFacts(THIRD, "issuer", BORROW), None),
        (BlockFacts(THIRD, "consortium", BORROW), ("BLOCK_CONSORTIUM",)),
        (BlockFacts(HOME, "issuer", frozenset({"ENTER"})), None),
    ],
)
def test_a_block_in_force_at_the_instant_of_the_loan(block, codes):
    found = review(loan(), blocks=(block,))
    assert found == ([("CF_READER_BLOCKED_MEANWHILE", "l1", codes)] if codes else [])


LOST, ACTIVE, REPLACED = CardStatus.LOST, CardStatus.ACTIVE, CardStatus.REPLACED


@pytest.mark.parametrize(
    ("cards", "codes"),
    [
        ([("a", NOW, LOST)], ("CARD_LOST",)),
        ([("a", NOW + 1, LOST)], None),
        ([("a", NOW - 5, LOST), ("a", NOW - 3, ACTIVE)], None),
        ([("a", NOW - 3, LOST), ("a", NOW - 5, ACTIVE)], ("CARD_LOST",)),
        ([("a", NOW - 5, LOST), ("b", NOW - 5, ACTIVE)], None),
        ([("a", NOW - 5, REPLACED), ("b", NOW - 5, LOST)], ("CARD_LOST", "CARD_REPLACED")),
        ([], None),
    ],
)
def test_cards_count_where_none_that_the_reader_had_was_in_use(cards, codes):
    found = review(loan(), cards=tuple(cards))
    assert found == ([("CF_CARD_REVOKED_MEANWHILE", "l1", codes)] if codes else [])


def test_an_agreement_that_had_ended_is_told_for_lender_and_owner():
    ended = {"agreements": (Make.agreement(status=AgreementStatus.ENDED),)}
    assert review(loan(), policy=ended) == [("CF_AGREEMENT_ENDED", "l1", ("AGR_ENDED",))]
    assert review(loan(place=f"{HOME}-01"), policy=ended) == [("CF_AGREEMENT_ENDED", "l1", ("AGR_ENDED",))]
    assert review(loan(owner=HOME), policy=ended) == [("CF_AGREEMENT_ENDED", "l1", ("AGR_ENDED",))]
    assert review(loan(owner=HOME, place=f"{HOME}-01"), policy=ended) == []
    assert review(loan(owner=THIRD)) == [("CF_AGREEMENT_ENDED", "l1", ("AGR_NONE",))]


def test_the_policy_is_that_of_the_instant_and_where_there_was_none_nothing_is_said():
    before, after = Make.policy(), Make.policy(agreements=())
    loans = (loan("a", NOW - 1), loan("b", NOW))
    assert review(*loans, at=lambda t: after if t >= NOW else before) == [("CF_AGREEMENT_ENDED", "b", ("AGR_NONE",))]
    assert review(*loans, at=lambda t: after if t >= NOW else None) == [("CF_AGREEMENT_ENDED", "b", ("AGR_NONE",))]


def test_what_we_were_only_told_of_is_not_judged():
    gone = {"agreements": ()}
    assert review(loan(observed=True), policy=gone) == []
    assert review(loan(flags=["IMPORTED"]), policy=gone) == []
    assert review(loan(flags=["OFFLINE"]), policy=gone) == [("CF_AGREEMENT_ENDED", "l1", ("AGR_NONE",))]


# --- limits over all branches ---

TWO = {"limits": (LimitSet("two", LimitScope.CONSORTIUM, 2),)}
BROKEN = ("CF_LIMIT_EXCEEDED", "c", ("LIMIT_CONSORTIUM",))


def test_the_third_of_two_is_one_too_many_in_the_order_they_were_made():
    loans = [loan("c", NOW), loan("a", NOW - 2), loan("b", NOW - 1, place=f"{HOME}-01", owner=HOME)]
    assert review(*loans, policy=TWO) == [BROKEN]


def test_of_loans_made_at_once_the_smaller_id_came_first():
    assert review(loan("c"), loan("b"), loan("a"), policy=TWO) == [BROKEN]


@pytest.mark.parametrize(("t_end", "broken"), [(NOW, False), (NOW + 1, True), (NOW - 1, False), (None, True)])
def test_a_loan_that_had_ended_by_then_does_not_count(t_end, broken):
    loans = (loan("a", NOW - 5, t_end=t_end), loan("b", NOW - 4), loan("c", NOW))
    assert review(*loans, policy=TWO) == ([BROKEN] if broken else [])


def test_loans_of_one_lender_and_type_are_counted_together_and_their_values_summed():
    limits = {"limits": (LimitSet("value", LimitScope.LENDER, 99, max_value=50, item_types=frozenset({"BOOK"})),)}
    loans = (loan("a", NOW - 2), loan("b", NOW - 1), loan("c", NOW), loan("d", NOW - 1, item_type="DISC"))
    values = {(HOST, "a"): 20, (HOST, "b"): 20, (HOST, "c"): 10, (HOST, "d"): 90}
    assert review(*loans, policy=limits, values=values) == []
    values[HOST, "c"] = 11
    assert review(*loans, policy=limits, values=values) == [("CF_LIMIT_EXCEEDED", "c", ("LIMIT_VALUE",))]
    assert review(*loans, policy=limits) == []


def test_what_nobody_knows_the_value_of_counts_nothing():
    loans = (loan("a", NOW - 1), loan("c", NOW))
    for known in ({(HOST, "a"): 40}, {(HOST, "c"): 40}):
        for most, broken in [(40, []), (39, ["LIMIT_VALUE"])]:
            limits = {"limits": (LimitSet("value", LimitScope.LENDER, 99, max_value=most),)}
            found = {
                code for _, name, codes in review(*loans, policy=limits, values=known) if name == "c" for code in codes
            }
            assert sorted(found) == broken


def test_breaches_come_in_the_order_of_the_loans():
    loans = (loan("a", NOW), loan("b", NOW - 1), loan("d", NOW), loan("c", NOW))
    assert [name for _, name, _ in review(*loans, policy={"agreements": ()})] == ["b", "a", "c", "d"]


def test_a_limit_of_a_category_and_of_a_rules_age_is_asked_with_the_shared_category():
    limits = {"limits": (LimitSet("none", LimitScope.LENDER, 0, categories=frozenset({"U"})),)}
    assert review(loan("c"), policy=limits) == [("CF_LIMIT_EXCEEDED", "c", ("LIMIT_LENDER",))]
    limits = {"limits": (LimitSet("none", LimitScope.LENDER, 0, categories=frozenset({"UG"})),)}
    assert review(loan("c"), policy=limits) == []
    assert review(loan("c", owner=HOME, place=f"{HOME}-01"), policy=limits)[0][2] == ("LIMIT_LENDER",)


def test_all_that_speaks_against_a_loan_is_told_in_a_fixed_order():
    found = review(
        loan("c"), policy={"agreements": (), "limits": (LimitSet("none", LimitScope.LENDER, 0),)},
        blocks=(BlockFacts(HOME, "issuer", BORROW),), cards=(("a", NOW, LOST),),
    )  # fmt: skip
    assert [kind for kind, *_ in found] == [
        "CF_READER_BLOCKED_MEANWHILE", "CF_CARD_REVOKED_MEANWHILE", "CF_AGREEMENT_ENDED", "CF_LIMIT_EXCEEDED",
    ]  # fmt: skip


def test_the_shared_category_comes_from_the_lenders_agreement():
    agreements = (
        Make.agreement("lender", parties=(Party(HOME), Party(HOST)), category_map=(CategoryMap(HOME, "UG", "L"),)),
        Make.agreement("owner", parties=(Party(HOME), Party(THIRD)), category_map=(CategoryMap(HOME, "UG", "O"),)),
    )
    for category, broken in [("L", True), ("O", False)]:
        limits = (LimitSet("none", LimitScope.LENDER, 0, categories=frozenset({category})),)
        policy = {"agreements": agreements, "limits": limits, "rules": (PolicyRule("r", lend=True, period_days=1),)}
        assert bool(review(loan("c", owner=THIRD), policy=policy)) is broken


# --- the item ---


def hold(who="r2", t=NOW - 1, **more):
    return Hold("h", HOST, "1001", who, HERE, t, **more)


@pytest.mark.parametrize(
    ("waiting", "broken"),
    [
        (hold(), True), (hold(who="r1"), False), (hold(t=NOW), False), (hold(t=NOW - 1, t_end=NOW), False),
        (hold(t_end=NOW + 1), True), (hold(t=NOW + 5), False),
    ],
)  # fmt: skip
def test_a_hold_of_somebody_else_placed_before_and_not_over(waiting, broken):
    found = review_item([loan()], [waiting])
    assert found == ([Breach("CF_HELD_FOR_OTHER", "l1", ("ITEM_HELD",))] if broken else [])
    assert review_item([loan(observed=True)], [waiting]) == []


def test_an_item_not_for_lending_is_told_beside_its_hold():
    found = review_item([loan()], [hold(who="r1"), hold()], reference=True)
    assert [one.kind for one in found] == ["CF_HELD_FOR_OTHER", "CF_ITEM_NOT_LENDABLE"]
    assert found[1].codes == ("ITEM_REFERENCE",)
    assert review_item([loan()], []) == []
    assert review_item([loan("a", observed=True), loan("b")], [], reference=True)[0].loan == "b"


def test_a_breach_marks_its_loan_and_becomes_a_conflict_about_its_item():
    breach = Breach("CF_HELD_FOR_OTHER", "b", ("ITEM_HELD", "X"))
    assert breach.flag == "POLICY_BREACH:ITEM_HELD"
    other = replace(loan("b", NOW - DAY), owner=THIRD)
    (found,) = conflicts_of([breach], [loan("a"), other])
    assert (found.id, found.kind, found.owner, found.item_no, found.events, found.t) == (
        "CF_HELD_FOR_OTHER:b", "CF_HELD_FOR_OTHER", THIRD, "b", ["b"], NOW - DAY,
    )  # fmt: skip
