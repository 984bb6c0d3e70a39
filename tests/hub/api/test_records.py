"""Conflicts with who settles them, corrections, charges and marked loans in the API: who may see them, then what they say."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import delete, insert, update

from hub.store import schema as t
from tests.hub.api.hubside import Hub
from tests.hub.api.test_access import is_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")

CQU, YLG, SCS = "251020", "990001", "990002"


async def rows(hub: Hub, path: str, token: str = "all") -> list[dict[str, Any]]:
    answer = await hub.get(f"/api/v1/{path}", token=token)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def charge(n: int, home: str, lender: str, owner: str) -> dict[str, Any]:
    return {
        "id": n, "loan": f"edge-x/e/{n}", "owner": owner, "item_no": "1", "home": home, "lender": lender, "amount": 10 * n,
        "cause": f"edge-x/e/{n + 1}", "t": 1_795_300_000_000, "pos": n,
    }  # fmt: skip


def correction(n: int, owner: str) -> dict[str, Any]:
    return {
        "id": n, "pos": n, "t": 1_795_300_000_000, "cause": "edge-x/e/1", "change": "LOAN_ENDED", "subject": "edge-x/e/0",
        "owner": owner, "item_no": "1", "before": {"t_end": None}, "after": {"t_end": 5},
    }  # fmt: skip


def job(org: str, of: str, state: str) -> dict[str, Any]:
    return {
        "org": org, "of": of, "task": "CHECKIN", "owner": org, "item_no": "1", "t": 1_795_300_000_000, "home": "", "state": state,
        "made_ms": 1_795_300_000_000,
    }  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def records(hub: Hub) -> Any:
    """A few records of each kind, for as long as this module runs."""
    async with hub.worker.store.write() as conn:
        await conn.execute(insert(t.charges), [charge(901, CQU, YLG, YLG), charge(902, SCS, SCS, SCS)])
        await conn.execute(insert(t.corrections), [correction(901, YLG), correction(902, SCS)])
        await conn.execute(insert(t.ils_work), [job(YLG, "edge-x/e/1", "BOOKED"), job(SCS, "edge-x/e/1", "BOOKED")])
    yield
    async with hub.worker.store.write() as conn:
        for table in (t.charges, t.corrections):
            await conn.execute(delete(table).where(table.c.id > 900))
        await conn.execute(delete(t.ils_work))


async def test_records_have_filters_and_no_others(hub: Hub) -> None:
    is_problem(await hub.get("/api/v1/charges?rid=x"), 422, "FILTER_UNKNOWN")
    is_problem(await hub.get("/api/v1/corrections?after=x"), 422, "FILTER_INVALID")


async def test_a_charge_exists_for_home_owner_and_lender_alone(hub: Hub) -> None:
    assert [row["id"] for row in await rows(hub, "charges?since=2026-01-01T00:00:00Z", "cqu")] == [901]
    assert 902 not in [row["id"] for row in await rows(hub, "charges", "ylg")]
    row = next(row for row in await rows(hub, "charges", "ylg") if row["id"] == 901)
    assert (row["amount"], row["item"], row["home"]) == (9010, {"owner": YLG, "item_no": "1"}, CQU)
    assert {901, 902} <= {row["id"] for row in await rows(hub, "charges")}


async def test_a_correction_exists_for_the_items_owner(hub: Hub) -> None:
    assert 901 not in [row["id"] for row in await rows(hub, "corrections", "cqu")]
    row = next(row for row in await rows(hub, "corrections?after=900", "ylg"))
    assert (row["change"], row["before"], row["after"]) == ("LOAN_ENDED", {"t_end": None}, {"t_end": 5})
    assert [row["id"] for row in await rows(hub, "corrections?after=901")] == [902]


async def test_a_conflict_says_who_settles_it_and_exists_for_them_too(hub: Hub) -> None:
    found = next(row for row in await rows(hub, "conflicts?kind=CF_IMPLIED_RETURN"))
    assert (found["library"], found["default_resolution"], found["settled_by"]) == (YLG, "END_WITHOUT_CHARGE", None)
    assert found["deadline"] > found["t"]
    assert found["text"]["zh"].startswith("在借文献")
    assert found["codes"] == []
    assert not [row for row in await rows(hub, "conflicts", "cqu") if row["id"] == found["id"]]
    async with hub.worker.store.write() as conn:
        await conn.execute(update(t.conflicts).where(t.conflicts.c.id == found["id"]).values(library=CQU))
    assert [row["id"] for row in await rows(hub, f"conflicts?library={CQU}&kind=CF_IMPLIED_RETURN", "cqu")] == [
        found["id"]
    ]
    async with hub.worker.store.write() as conn:
        await conn.execute(update(t.conflicts).where(t.conflicts.c.id == found["id"]).values(library=YLG))


async def test_a_marked_loan_shows_its_marks_among_its_flags(hub: Hub) -> None:
    loan = next(row for row in await rows(hub, "loans") if not row["flags"])
    async with hub.worker.store.write() as conn:
        await conn.execute(
            update(t.loans).where(t.loans.c.id == loan["id"]).values(breaches=["POLICY_BREACH:AGR_ENDED"])
        )
    flags = (await hub.get(f"/api/v1/loans/{loan['id']}")).json()["flags"]
    assert flags == [*loan["flags"], "POLICY_BREACH:AGR_ENDED"]
    async with hub.worker.store.write() as conn:
        await conn.execute(update(t.loans).where(t.loans.c.id == loan["id"]).values(breaches=None))


async def test_work_for_an_ils_exists_for_its_own_library(hub: Hub) -> None:
    is_problem(await hub.get("/api/v1/ils-work?rid=x"), 422, "FILTER_UNKNOWN")
    assert await rows(hub, "ils-work", "cqu") == []
    (row,) = await rows(hub, "ils-work?state=BOOKED", "ylg")
    assert (row["org"], row["of"], row["task"], row["taken"], row["due"]) == (YLG, "edge-x/e/1", "CHECKIN", None, None)
    assert row["item"] == {"owner": YLG, "item_no": "1"}
    assert len(await rows(hub, "ils-work")) == 2
