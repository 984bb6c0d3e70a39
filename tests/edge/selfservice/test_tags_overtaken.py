"""Wishes for tags that the ledger overtook: whatever waits, a tag is never set to what was true before the last loan or return."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consortium.events import Kind
from consortium.identity import ItemKey
from edge.answers import ItemRef
from edge.config import AccountConfig
from edge.outbox import Draft
from edge.selfservice.repairs import Repair
from tests.edge.bed import BRANCH, Bed, RawKiosk, now_ms, until
from tests.edge.pads import (
    IN_STOCK,
    ON_LOAN,
    Pads,
    book,
    edge_over,
    kiosk_of,
    quiet,
    reader,
    seen,
    signed_in,
    uid,
)
from tests.edge.selfservice.messages import checkin
from tests.make import HOME

KEY = ItemKey(HOME, "1001")
REF = ItemRef(HOME, "1001")
BESIDE = (AccountConfig("kiosk1", "secret", HOME, "kiosk1", pad="pad1"),)


@pytest.fixture
async def pads(tmp_path: Path) -> AsyncIterator[Pads]:
    made = Pads(tmp_path, ("pad1", "pad2"))
    yield made
    made.close()


async def lend_and_pull(bed: Bed, pads: Pads) -> None:
    """A loan at the pad whose tag was pulled away: it waits to be unsecured."""
    pads.put(book("1001", 1))
    await seen(bed.agent.pads["pad1"], 1)
    pads.fault(pull=1.0)
    await kiosk_of(bed).borrow(await signed_in(bed), "zh")
    await seen(bed.agent.pads["pad1"], 0)
    assert bed.agent.pads["pad1"].put_back == (KEY,)


async def lay_again(bed: Bed, pads: Pads, pad: str) -> None:
    """Lay the same chip on a pad and give the queue its time."""
    tag = pads.store.get(uid(1))
    assert tag is not None
    pads.fault(pad=pad)
    pads.put(tag, pad=pad)
    await seen(bed.agent.pads[pad], 1)
    await quiet(1.0)


class TestWhileItRuns:
    async def test_a_return_without_a_pad_ends_the_wish_to_unsecure(self, tmp_path: Path, pads: Pads) -> None:
        async with edge_over(tmp_path, pads) as bed:
            await lend_and_pull(bed, pads)
            assert bed.agent.sip2_at is not None
            async with RawKiosk(bed.agent.sip2_at) as raw:
                await raw.login()
                assert (await raw.ask(checkin("1001"))).startswith("101")
            await until(lambda: not bed.agent.pads["pad1"].put_back)
            await lay_again(bed, pads, "pad2")
            assert pads.afi(1) == [IN_STOCK]

    async def test_a_return_that_the_ils_saw_ends_it_too(self, tmp_path: Path, pads: Pads) -> None:
        async with edge_over(tmp_path, pads) as bed:
            await lend_and_pull(bed, pads)
            seen_there = {"item": [HOME, "1001"], "what": "RETURN", "as_of": now_ms()}
            await bed.agent.outbox.append(Draft(Kind.ILS_OBSERVED, BRANCH, "ils", seen_there))
            await until(lambda: not bed.agent.pads["pad1"].put_back)
            await lay_again(bed, pads, "pad1")
            assert pads.afi(1) == [IN_STOCK]

    async def test_a_loan_without_a_pad_ends_the_wish_to_secure(self, tmp_path: Path, pads: Pads) -> None:
        async with edge_over(tmp_path, pads) as bed:
            who = await reader(bed)
            pads.put(book("1001", 1, afi=ON_LOAN))
            await seen(bed.agent.pads["pad1"], 1)
            pads.fault(pull=1.0)
            await kiosk_of(bed).give_back("zh")
            assert bed.agent.pads["pad1"].put_back == (KEY,)
            (answer,) = await bed.agent.desk.borrow(who, [REF], "kiosk9")
            assert answer.ok
            await until(lambda: not bed.agent.pads["pad1"].put_back)
            await lay_again(bed, pads, "pad2")
            assert pads.afi(1) == [ON_LOAN]

    async def test_a_wish_that_the_ledger_contradicts_is_ended_when_its_tag_is_seen(
        self, tmp_path: Path, pads: Pads
    ) -> None:
        async with edge_over(tmp_path, pads) as bed:  # what another branch did is in the replica alone
            await bed.agent.tags.repairs.put(Repair(KEY, False, now_ms(), "NO_TAG", "pad1"))
            pads.put(book("1001", 1))
            await until(lambda: not bed.agent.pads["pad1"].put_back)
            assert pads.afi(1) == [IN_STOCK]
            assert bed.events(Kind.TAG_WRITTEN) == []

    async def test_of_an_item_that_the_ledger_does_not_know_nothing_speaks_against_a_wish(
        self, tmp_path: Path, pads: Pads
    ) -> None:
        async with edge_over(tmp_path, pads) as bed:
            await bed.agent.tags.repairs.put(Repair(ItemKey(HOME, "404"), False, now_ms(), "NO_TAG", "pad1"))
            pads.put(book("404", 1))
            await until(lambda: not bed.agent.pads["pad1"].put_back)
            assert pads.afi(1) == [ON_LOAN]


class TestAfterARestart:
    @pytest.mark.parametrize(("where", "waits"), [("pad1", (KEY,)), ("kiosk9", ())])
    async def test_a_kept_wish_does_not_win_over_a_return_after_it(
        self, tmp_path: Path, pads: Pads, where: str, waits: tuple[ItemKey, ...]
    ) -> None:
        async with edge_over(tmp_path, pads) as bed:
            await lend_and_pull(bed, pads)
            kept = bed.agent.tags.repairs.get(KEY)
            assert kept is not None
            assert (await bed.agent.desk.give_back(REF, where)).ok  # and the power fails before the tag is written
            await quiet(0.1)
            await bed.agent.tags.repairs.put(kept)
        async with edge_over(tmp_path, pads) as bed:
            assert bed.agent.pads["pad1"].put_back == waits
            assert all(entry.secured for entry in bed.agent.tags.repairs.waiting())
            await lay_again(bed, pads, "pad1")
            assert pads.afi(1) == [IN_STOCK]
            assert bed.agent.pads["pad1"].put_back == ()

    async def test_a_return_beside_a_sip2_kiosk_is_made_good(self, tmp_path: Path, pads: Pads) -> None:
        async with edge_over(tmp_path, pads, accounts=BESIDE) as bed:
            await bed.agent.desk.borrow(await reader(bed), [REF], "kiosk1")
            await bed.agent.desk.note(Kind.TAG_WRITTEN, KEY, "pad1", {"secured": 0, "ok": 1})
            await bed.agent.desk.give_back(REF, "kiosk1")  # and the power fails
        async with edge_over(tmp_path, pads, accounts=BESIDE) as bed:
            assert bed.agent.pads["pad1"].asked_back == (KEY,)
            pads.put(book("1001", 1, afi=ON_LOAN))
            await until(lambda: not bed.agent.pads["pad1"].put_back)
            assert pads.afi(1) == [IN_STOCK]

    async def test_a_tag_written_for_an_older_wish_settles_nothing(self, tmp_path: Path, pads: Pads) -> None:
        async with edge_over(tmp_path, pads) as bed:
            await bed.agent.desk.borrow(await reader(bed), [REF], "pad1")
            await bed.agent.desk.give_back(REF, "pad1")
            await bed.agent.desk.note(Kind.TAG_WRITTEN, KEY, "pad1", {"secured": 0, "ok": 1})
        async with edge_over(tmp_path, pads) as bed:
            (entry,) = bed.agent.tags.repairs.waiting()
            assert (entry.key, entry.secured) == (KEY, True)
