"""The demo consortium as data: as large as promised, every number once, every refusal somewhere, every tag readable."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from consortium.bundle import Policy, from_plain
from consortium.calendar import DAY_MS
from consortium.identity import canonical_uid
from firmware_sim.consortium import BRANCHES, LIBRARIES, build
from firmware_sim.consortium.build import CASES, cases_of, titles
from tests.make import NOW
from tongjie.demo.expect import expectations


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return build(1, NOW)


@pytest.fixture(scope="module")
def expected(data: dict[str, Any]) -> dict[tuple[str, str], dict[str, dict[str, str]]]:
    return expectations(data, NOW)


# Codes that come from the reader, the card or the agreements of the reader's library: no code here depends on a machine, a
# clock, an item that somebody else has, or how many people are inside.
BY_READERS_AT_GATES = {
    "OK", "CARD_LOST", "CARD_EXPIRED", "CARD_REPLACED", "READER_INACTIVE", "READER_EXPIRED", "READER_NOT_SHARED",
    "AGR_NONE", "AGR_NOT_YET", "AGR_ENDED", "AGR_SUSPENDED", "AGR_CATEGORY", "AGR_BLACKOUT", "BLOCK_HOME", "BLOCK_HERE",
    "BLOCK_CONSORTIUM",
}  # fmt: skip
BY_READERS_AT_KIOSKS = BY_READERS_AT_GATES | {
    "CARD_ASSURANCE_LOW", "AGR_SERVICE_OFF", "BLOCK_OVERDUE", "BLOCK_FEES", "LIMIT_LENDER", "LIMIT_CONSORTIUM",
    "LIMIT_VALUE", "READER_AGE", "ITEM_REFERENCE",
}  # fmt: skip


def test_there_are_enough_readers_and_items(data: dict[str, Any]) -> None:
    assert len(data["readers"]) >= 300
    assert len(data["items"]) >= 3000


@pytest.mark.parametrize("org", LIBRARIES)
def test_enough_readers_in_good_standing_are_free(data: dict[str, Any], expected: Any, org: str) -> None:
    free = [row for row in data["readers"] if row["home"] == org and row["free"]]
    assert len(free) >= 100
    for row in free:
        own = expected[org, row["reader_no"]]
        assert (own["enter"][f"{org}-01"], own["borrow"][f"{org}-01"]) == ("OK", "OK")
        assert row["pin"]


@pytest.mark.parametrize("branch", BRANCHES)
def test_enough_lendable_items_are_free(data: dict[str, Any], branch: str) -> None:
    on_loan = {(loan["owner"], loan["item_no"]) for loan in data["open_loans"]}
    free = [row for row in data["items"] if row["owner_branch"] == branch and row["free"]]
    assert len(free) >= 400
    assert {row["item_type"] for row in free} == {"BOOK"}
    assert all(row["shareable"] and not row["reference"] for row in free)
    assert not on_loan & {(row["owner"], row["item_no"]) for row in free}


def test_every_number_and_every_chip_is_there_once(data: dict[str, Any]) -> None:
    for numbers in (
        [(row["home"], row["reader_no"]) for row in data["readers"]],
        [(row["owner"], row["item_no"]) for row in data["items"]],
        [canonical_uid(card["uid"]) for row in data["readers"] for card in row["cards"]],
        # Bare numbers as well: at a kiosk a number means one item of the consortium.
        [row["reader_no"] for row in data["readers"]],
        [row["item_no"] for row in data["items"]],
        [(loan["owner"], loan["item_no"]) for loan in data["open_loans"]],
    ):
        assert [number for number, times in Counter(numbers).items() if times > 1] == []


def test_chips_are_as_long_as_they_are_sold(data: dict[str, Any]) -> None:
    for row in data["readers"]:
        for card in row["cards"]:
            assert len(bytes.fromhex(card["uid"])) == (4 if card["assurance"] == "LOW" else 7)


def test_one_seed_is_one_consortium_and_another_is_another(data: dict[str, Any]) -> None:
    assert build(1, NOW) == data
    other = build(2, NOW)
    assert [row["pin"] for row in other["readers"]] != [row["pin"] for row in data["readers"]]
    assert [row["title"] for row in other["items"]] != [row["title"] for row in data["items"]]


def test_titles_are_chinese_and_latin() -> None:
    by_language = Counter(language for language, _ in titles())
    assert by_language["zh"] >= 100
    assert sum(by_language.values()) - by_language["zh"] >= 100
    assert all(title == title.strip() and title for _, title in titles())
    assert any("一" <= char <= "鿿" for _, title in titles() for char in title)


def test_the_policy_is_one_the_domain_takes_and_branches_are_always_open(data: dict[str, Any]) -> None:
    policy = Policy(from_plain(data["bundle"]))
    assert set(policy.branches) == set(BRANCHES)
    for branch in BRANCHES:
        assert all(policy.calendar_of(branch).is_open(NOW + hour * DAY_MS // 24) for hour in range(0, 24 * 8, 5))


def test_agreements_differ_in_what_they_offer(data: dict[str, Any]) -> None:
    agreements = data["bundle"]["agreements"]
    assert len({tuple(agreement["services"]) for agreement in agreements}) >= 3
    assert any(agreement.get("blackouts") for agreement in agreements)
    assert {agreement.get("status", "ACTIVE") for agreement in agreements} >= {"ACTIVE", "SUSPENDED"}
    assert len(data["bundle"]["limits"]) >= 3


def test_every_refusal_that_a_reader_can_cause_is_expected_of_somebody(expected: Any) -> None:
    at_gates = {code for row in expected.values() for code in row["enter"].values()}
    at_kiosks = {code for row in expected.values() for code in row["borrow"].values()}
    assert at_gates == BY_READERS_AT_GATES
    assert at_kiosks == BY_READERS_AT_KIOSKS


@pytest.mark.parametrize("org", LIBRARIES)
def test_each_library_has_readers_of_each_case(data: dict[str, Any], org: str) -> None:
    cases = Counter(row["case"] for row in data["readers"] if row["home"] == org)
    assert all(cases[case] >= 2 for case in cases_of(org))
    assert not any(row["free"] for row in data["readers"] if row["case"])
    assert set(cases_of(org)) <= set(CASES)


def test_each_reader_of_a_case_meets_it_somewhere(data: dict[str, Any], expected: Any) -> None:
    for row in data["readers"]:
        if row["case"] in ("", "AGR"):
            continue
        met = expected[row["home"], row["reader_no"]]
        codes = {*met["enter"].values(), *met["borrow"].values()}
        assert row["case"] in codes, (row["home"], row["case"], codes)


def test_what_a_reader_meets_does_not_depend_on_the_state_of_the_ils(data: dict[str, Any], expected: Any) -> None:
    asked = expectations(data, NOW, ils_lends=True)
    assert [key for key in expected if asked[key] != expected[key]] == []
    assert any(library.masters.loans == "ILS" for library in Policy(from_plain(data["bundle"])).libraries.values())


def test_open_loans_name_readers_and_items_that_exist(data: dict[str, Any]) -> None:
    readers = {(row["home"], row["reader_no"]) for row in data["readers"]}
    items = {(row["owner"], row["item_no"]): row for row in data["items"]}
    for loan in data["open_loans"]:
        assert (loan["home"], loan["reader_no"]) in readers
        assert items[loan["owner"], loan["item_no"]]["owner_branch"] == loan["place"]
        assert loan["t_out"] < NOW < loan["due"]
