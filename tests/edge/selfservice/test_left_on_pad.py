"""What is left on a pad when its reader leaves: exactly that reader's own loan is undone, however the session ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consortium.events import Kind
from consortium.identity import ItemKey
from edge.answers import ItemRef
from edge.desk import HowReturned
from edge.lookup import LoanId
from edge.selfservice.pad import MAX_SESSIONS
from edge.selfservice.session import KioskRefusal, SessionState
from tests.edge.bed import PIN, Bed, srid_of, until
from tests.edge.pads import IN_STOCK, Pads, book, edge_over, kiosk_of, quiet, seen, signed_in, uid
from tests.make import HOME

KEY = ItemKey(HOME, "1001")
REF = ItemRef(HOME, "1001")


@pytest.fixture
async def pads(tmp_path: Path) -> AsyncIterator[Pads]:
    made = Pads(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def bed(tmp_path: Path, pads: Pads) -> AsyncIterator[Bed]:
    async with edge_over(tmp_path, pads) as running:
        pads.put(book("1001", 1))
        await seen(running.agent.pads["pad1"], 1)
        yield running


class TestAnotherReadersLoan:
    @pytest.mark.parametrize("where", ["at the kiosk", "elsewhere"])
    async def test_it_stands_when_the_session_before_ends(self, bed: Bed, pads: Pads, where: str) -> None:
        kiosk = kiosk_of(bed)
        first = await signed_in(bed, "R1")
        await kiosk.borrow(first, "zh")
        if where == "at the kiosk":
            await kiosk.give_back("zh")
            assert kiosk._sessions[first].lent == {}
        else:
            await bed.agent.desk.give_back(REF, "kiosk9")
            tag = pads.store.get(uid(1))
            assert tag is not None
            tag.afi, tag.eas = IN_STOCK, True  # that machine secures it itself
        second = await signed_in(bed, "R4")
        pads.fault(forget=1.0)
        answer = await kiosk.borrow(second, "zh")
        assert [(item["outcome"], item["unsecured"]) for item in answer["items"]] == [("ALLOW", False)]
        returns = len(bed.events(Kind.RETURN))
        kiosk.end(first)
        await quiet(0.5)
        assert len(bed.events(Kind.RETURN)) == returns
        assert bed.agent.desk.on_loan(KEY)
        kiosk.end(second)  # whose loan it is, and who leaves it there
        await until(lambda: not bed.agent.desk.on_loan(KEY))

    async def test_the_desk_undoes_the_very_loan_or_nothing(self, bed: Bed) -> None:
        await kiosk_of(bed).borrow(await signed_in(bed), "zh")
        loan = bed.agent.desk.loan_of(KEY)
        assert loan is not None
        for other in (LoanId(srid_of("R4"), loan.t_out), LoanId(loan.srid, loan.t_out - 1)):
            answer = await bed.agent.desk.give_back(REF, "pad1", how=HowReturned(loan=other))
            assert (answer.ok, answer.code) == (False, "RETURN_NO_LOAN")
        assert bed.events(Kind.RETURN) == []
        assert (await bed.agent.desk.give_back(REF, "pad1", how=HowReturned(loan=loan))).ok


class TestWorkUnderWay:
    async def test_done_pressed_meanwhile_undoes_what_is_left_all_the_same(self, bed: Bed, pads: Pads) -> None:
        kiosk = kiosk_of(bed)
        pads.fault(forget=1.0)
        session = await signed_in(bed)
        lending = asyncio.create_task(kiosk.borrow(session, "zh"))
        await until(lambda: kiosk._sessions[session].state is SessionState.WORKING)
        kiosk.end(session)
        with pytest.raises(KioskRefusal, match="SESSION_ENDED"):
            kiosk.preview(session, "zh")
        assert [item["outcome"] for item in (await lending)["items"]] == ["ALLOW"]
        (undone,) = await bed.settled(Kind.RETURN)
        assert undone.data["flags"] == ["CHECKOUT_CANCELLED"]

    async def test_a_page_that_goes_away_leaves_the_session_at_work_to_its_end(self, bed: Bed, pads: Pads) -> None:
        kiosk = kiosk_of(bed)
        pads.fault(forget=1.0)
        session = await signed_in(bed)
        lending = asyncio.create_task(kiosk.borrow(session, "zh"))
        await until(lambda: kiosk._sessions[session].state is SessionState.WORKING)
        lending.cancel()
        await asyncio.gather(lending, return_exceptions=True)
        kiosk.end(session)
        assert await bed.settled(Kind.RETURN)


class TestTooManySessions:
    async def test_the_oldest_ends_like_any_other_and_never_one_at_work(self, bed: Bed, pads: Pads) -> None:
        kiosk = kiosk_of(bed)
        pads.fault(forget=1.0)
        leaving = await signed_in(bed)
        await kiosk.borrow(leaving, "zh")
        rest = [await signed_in(bed) for _ in range(MAX_SESSIONS - 1)]
        kiosk._sessions[leaving].state, kiosk._sessions[rest[0]].state = SessionState.SIGNED_IN, SessionState.WORKING
        await signed_in(bed)
        assert leaving not in kiosk._sessions
        assert await bed.settled(Kind.RETURN)  # what it left was undone
        await signed_in(bed)
        assert rest[0] in kiosk._sessions
        assert rest[1] not in kiosk._sessions
        for session in kiosk._sessions.values():
            session.state = SessionState.WORKING
        with pytest.raises(KioskRefusal, match="RATE_LIMITED"):
            await kiosk.identify("R1", "", PIN, "zh")
