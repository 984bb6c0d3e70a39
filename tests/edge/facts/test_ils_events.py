"""What happened inside the library's own ILS counts at this edge as soon as it is recorded, and not twice."""

from __future__ import annotations

from typing import Any

import pytest

from consortium.events import Kind
from consortium.facts import ItemStatus
from edge.outbox import Draft
from tests.edge.facts.test_facts import BOOK, Edge, edge  # noqa: F401 - a fixture
from tests.edge.site import ANN, BOB, BRANCH, item_row, reader_row
from tests.make import DAY, HOME, NOW


async def seen(edge: Edge, what: str, srid: str | None = None, **more: Any) -> None:  # noqa: F811 - the fixture's value
    data = {"what": what, "as_of": NOW, "item": [BOOK.owner, BOOK.item_no], **more}
    await edge.outbox.append(Draft(Kind.ILS_OBSERVED, BRANCH, "ils", data, srid=srid))


async def test_a_desk_loan_is_on_loan_here_before_the_hub_has_heard_of_it(edge: Edge) -> None:  # noqa: F811
    await seen(edge, "LOAN", ANN, home=HOME, type="BOOK", due=NOW + DAY)
    assert (edge.facts.loan_srid(BOOK), edge.facts.due(BOOK), edge.loans()) == (ANN, NOW + DAY, {HOME: 1})
    await edge.hub_says(
        item_row("1001", loan_srid=ANN, status="ON_LOAN"), reader_row(ANN, open_loans=[[HOME, "BOOK", 1, 1]])
    )
    assert edge.loans() == {HOME: 1}


async def test_a_desk_return_ends_the_loan_the_replica_still_shows(edge: Edge) -> None:  # noqa: F811
    await edge.hub_says(
        item_row("1001", loan_srid=ANN, status="ON_LOAN"), reader_row(ANN, open_loans=[[HOME, "BOOK", 1, 1]])
    )
    await seen(edge, "RETURN")
    item = edge.facts.item(BOOK)
    assert item is not None
    assert (item.status, edge.facts.loan_srid(BOOK), edge.loans()) == (ItemStatus.SHELVED, None, {})


async def test_a_web_renewal_moves_the_due_date_and_keeps_the_reader(edge: Edge) -> None:  # noqa: F811
    await edge.checkout(srid=BOB)
    await seen(edge, "RENEWAL", BOB, due=NOW + 9 * DAY)
    assert (edge.facts.loan_srid(BOOK), edge.facts.due(BOOK)) == (BOB, NOW + 9 * DAY)
    await seen(edge, "RENEWAL", None, due=NOW + 99 * DAY)
    assert edge.facts.loan_srid(BOOK) == BOB


@pytest.mark.parametrize("status", ["MISSING", "LOST", "WITHDRAWN"])
async def test_what_the_catalogue_marks_is_marked_here(edge: Edge, status: str) -> None:  # noqa: F811
    await seen(edge, "ITEM", status=status)
    item = edge.facts.item(BOOK)
    assert item is not None
    assert item.status is ItemStatus(status)


@pytest.mark.parametrize(
    ("what", "more"),
    [
        ("BOOKED", {"ref": "e/1/1"}),
        ("REFUSED", {"ref": "e/1/1"}),
        ("DIFFERS", {"status": "DUE"}),
        ("ITEM", {"status": "FINE"}),
    ],
)
async def test_words_about_a_loan_change_nothing_about_it(edge: Edge, what: str, more: dict[str, Any]) -> None:  # noqa: F811
    await edge.checkout()
    await seen(edge, what, **more)
    assert edge.facts.loan_srid(BOOK) == ANN


async def test_it_is_still_known_after_a_restart(edge: Edge) -> None:  # noqa: F811
    await seen(edge, "LOAN", ANN, home=HOME, due=NOW + DAY)
    again = await edge.again()
    try:
        assert again.facts.loan_srid(BOOK) == ANN
    finally:
        await again.stop()
