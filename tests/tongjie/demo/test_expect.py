"""What demo.json promises of each reader, against a handful worked out by hand from the agreements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from firmware_sim.consortium import BRANCHES, build
from tests.make import NOW
from tongjie.demo.expect import expectations

Codes = tuple[str, str, str]
Find = Callable[..., dict[str, dict[str, str]]]


@pytest.fixture(scope="module")
def find() -> Find:
    """The expectation of the first reader of a library, category and case."""
    data = build(1, NOW)
    found = expectations(data, NOW)

    def one(home: str, case: str = "", **fields: Any) -> dict[str, dict[str, str]]:
        row = next(
            row for row in data["readers"]
            if row["home"] == home and row["case"] == case and all(row[name] == value for name, value in fields.items())
        )  # fmt: skip
        return found[home, row["reader_no"]]

    return one


# Branches in the order 251020-01, 990001-01, 990002-01.
WORKED: list[tuple[str, str, dict[str, Any], Codes, Codes]] = [
    # 990002 lets readers of 251020 in to read; its agreement with them has no BORROW.
    ("251020", "", {"category": "UG"}, ("OK", "OK", "OK"), ("OK", "OK", "AGR_SERVICE_OFF")),
    ("990001", "", {"category": "PG"}, ("OK", "OK", "OK"), ("OK", "OK", "OK")),
    # No agreement has 990002 as home and 251020 as host.
    ("990002", "", {"category": "ADULT"}, ("AGR_NONE", "OK", "OK"), ("AGR_NONE", "OK", "OK")),
    # A lost card stops everything everywhere, before agreements are asked.
    ("990002", "CARD_LOST", {}, ("CARD_LOST",) * 3, ("CARD_LOST",) * 3),
    ("251020", "READER_EXPIRED", {}, ("READER_EXPIRED",) * 3, ("READER_EXPIRED",) * 3),
    # Sharing is asked only away from home, and before agreements.
    ("251020", "READER_NOT_SHARED", {}, ("OK", *("READER_NOT_SHARED",) * 2), ("OK", *("READER_NOT_SHARED",) * 2)),
    # A card that is easily copied opens gates; to borrow at a partner it wants a PIN, and this reader has none.
    ("990001", "CARD_ASSURANCE_LOW", {}, ("OK", "OK", "OK"), ("CARD_ASSURANCE_LOW", "OK", "CARD_ASSURANCE_LOW")),
    # The year of the alumni is over at 990001, suspended at 990002.
    ("251020", "AGR", {"category": "ALUMNI"}, ("OK", "AGR_ENDED", "AGR_SUSPENDED"), ("OK", "AGR_ENDED", "AGR_SUSPENDED")),
    # Visitors come from a later day on; at 990002 no agreement names them.
    ("251020", "AGR", {"category": "VISITOR"}, ("OK", "AGR_NOT_YET", "AGR_CATEGORY"), ("OK", "AGR_NOT_YET", "AGR_CATEGORY")),
    ("990001", "AGR", {"category": "ALUMNI"}, ("AGR_CATEGORY", "OK", "AGR_BLACKOUT"), ("AGR_CATEGORY", "OK", "AGR_BLACKOUT")),
    # Overdue items stop borrowing; only the issuer's own machines say what it is about.
    ("251020", "BLOCK_OVERDUE", {}, ("OK", "OK", "OK"), ("BLOCK_OVERDUE", "BLOCK_HOME", "AGR_SERVICE_OFF")),
    ("251020", "BLOCK_HOME", {}, ("BLOCK_HERE", "BLOCK_HOME", "BLOCK_HOME"), ("BLOCK_HERE", "BLOCK_HOME", "AGR_SERVICE_OFF")),
    ("251020", "BLOCK_CONSORTIUM", {}, ("BLOCK_CONSORTIUM",) * 3, ("BLOCK_CONSORTIUM", "BLOCK_CONSORTIUM", "AGR_SERVICE_OFF")),
    # A block of 990001 for its own house.
    ("251020", "BLOCK_HERE", {}, ("OK", "BLOCK_HERE", "OK"), ("OK", "BLOCK_HERE", "AGR_SERVICE_OFF")),
    # Two open loans, and two is the limit of the young.
    ("990002", "LIMIT_LENDER", {}, ("AGR_NONE", "OK", "OK"), ("AGR_NONE", "OK", "LIMIT_LENDER")),
    # Two discs of value 2 are open; a book of value 1 would be 5, and 4 is the limit.
    ("251020", "LIMIT_VALUE", {}, ("OK", "AGR_NOT_YET", "AGR_CATEGORY"), ("LIMIT_VALUE", "AGR_NOT_YET", "AGR_CATEGORY")),
    ("251020", "LIMIT_CONSORTIUM", {}, ("OK", "AGR_ENDED", "AGR_SUSPENDED"), ("LIMIT_CONSORTIUM", "AGR_ENDED", "AGR_SUSPENDED")),
]  # fmt: skip


@pytest.mark.parametrize(("home", "case", "fields", "enter", "borrow"), WORKED)
def test_expectations_are_those_worked_out_by_hand(
    find: Find, home: str, case: str, fields: dict[str, Any], enter: Codes, borrow: Codes
) -> None:
    expected = find(home, case, **fields)
    assert tuple(expected["enter"][branch] for branch in BRANCHES) == enter
    assert tuple(expected["borrow"][branch] for branch in BRANCHES) == borrow


def test_the_young_borrow_from_sixteen_on(find: Find) -> None:
    assert find("990002", "READER_AGE", age=14)["borrow"]["990002-01"] == "READER_AGE"
    assert find("990002", "", category="TEEN", age=17)["borrow"]["990002-01"] == "OK"
