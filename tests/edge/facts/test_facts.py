"""Facts = replica ⊕ own later events: nothing forgotten, nothing counted twice, whichever arrives first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consortium.decisions import may_borrow, may_enter
from consortium.events import Kind
from consortium.facts import CardStatus, ItemStatus, OpenLoans, Relation
from consortium.identity import ItemKey
from edge.facts import Facts
from edge.outbox import Draft, DraftInvalid, Outbox, Recorded
from edge.overlay import VISIT_MS, Overlay
from edge.replica import Replica
from tests.edge.site import (
    ANN,
    BOB,
    BRANCH,
    EVE,
    KEY,
    NODE,
    Time,
    delta,
    item_row,
    number_token,
    prepared,
    reader_row,
    token_row,
    uid_token,
    watermark,
)
from tests.make import DAY, HOME, HOST, NOW
from tests.sealing import TRUST

BOOK = ItemKey(HOME, "1001")
OTHER = ItemKey(HOME, "1002")


@dataclass
class Edge:
    """The core of an edge on real files."""

    folder: Path
    time: Time
    outbox: Outbox
    replica: Replica
    overlay: Overlay
    facts: Facts

    @classmethod
    async def start(cls, folder: Path, time: Time) -> Edge:
        replica = Replica(folder / "replica", time.clock, TRUST)
        await replica.start()
        if not replica.ready:
            prepared(folder / "replica")
            await replica.start()
        outbox = Outbox(folder / "outbox.db", NODE, time.clock)
        await outbox.start()
        overlay = Overlay(outbox, replica)
        overlay.load(time.now)
        facts = Facts(replica, overlay, time.clock, branch=BRANCH, org=HOME, site_key=KEY)
        return cls(folder, time, outbox, replica, overlay, facts)

    async def stop(self) -> None:
        await self.outbox.close()
        await self.replica.close()

    async def again(self) -> Edge:
        await self.stop()
        return await Edge.start(self.folder, self.time)

    async def checkout(self, item: ItemKey = BOOK, srid: str = ANN) -> Recorded:
        data = {"item": [item.owner, item.item_no], "type": "BOOK", "home": HOME, "due": NOW + DAY}
        return await self.outbox.append(Draft(Kind.CHECKOUT, BRANCH, "kiosk1", data, srid=srid))

    async def give_back(
        self, item: ItemKey = BOOK, action: str = "SHELVE", dest: str = BRANCH, **more: Any
    ) -> Recorded:
        data = {"item": [item.owner, item.item_no], "route": {"action": action, "dest": dest}, "code": "RETURN_HOME"}
        return await self.outbox.append(Draft(Kind.RETURN, BRANCH, "bin1", {**data, **more}))

    def visit(self, kind: Kind, srid: str | None, visitor: str = "own") -> None:
        data = {"home": HOME, "class": visitor} if kind is Kind.ENTRY else {}
        assert self.outbox.append_nowait(Draft(kind, BRANCH, "gate1", data, srid=srid))

    async def hub_says(self, *rows: list[Any], upto: int | None = None) -> None:
        """A delta with these rows that includes own events up to ``upto`` (default: all)."""
        version, own = self.replica.version + 1, self.outbox.last_seq if upto is None else upto
        await self.replica.apply_delta(
            delta(version, list(rows), asof_ms=self.time.now, epoch=self.outbox.epoch, upto=own)
        )

    def loans(self, srid: str = ANN) -> dict[str, int]:
        reader = self.facts.reader(srid)
        assert reader is not None
        return {loan.lender: loan.n for loan in reader.open_loans}


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    made = await Edge.start(tmp_path, Time())
    yield made
    await made.stop()


class TestWho:
    def test_an_unknown_card_and_a_card_of_nobody_are_no_person(self, edge: Edge) -> None:
        assert edge.facts.person(uid_token("DEADBEEF")) is None
        assert edge.facts.find("no such number") is None
        assert edge.facts.tokens_of_number("  ") == ()

    async def test_a_token_whose_reader_is_missing_is_no_person(self, edge: Edge) -> None:
        await edge.hub_says(token_row(uid_token("04FFFFFF"), EVE))
        assert edge.facts.person(uid_token("04FFFFFF")) is None

    def test_a_card_is_found_by_its_bytes_and_a_reader_by_number_or_by_the_cards_hex(self, edge: Edge) -> None:
        assert edge.facts.token_of_uid(bytes.fromhex("04A1B2C3")) == uid_token("04A1B2C3")
        for text in ("R1", " R1 ", "04A1B2C3", "04:a1:b2:c3"):
            found = edge.facts.find(text)
            assert found is not None
            assert found[1].srid == ANN
        assert edge.facts.tokens_of_number("R1") == (number_token("R1"),)
        assert len(edge.facts.tokens_of_number("04A1B2C3")) == 2

    async def test_a_lost_card_is_a_person_with_a_lost_card(self, edge: Edge) -> None:
        await edge.hub_says(token_row(uid_token("04A1B2C3"), ANN, status="LOST"))
        person = edge.facts.person(uid_token("04A1B2C3"))
        assert person is not None
        assert person.card.status is CardStatus.LOST


class TestLoans:
    async def test_a_refused_append_leaves_no_loan_behind(self, edge: Edge) -> None:
        data = {"item": [HOME, "1001"], "type": "BOOK", "home": HOME, "due": NOW, "weight": 1.5}
        waiting = edge.outbox.append(Draft(Kind.CHECKOUT, BRANCH, "kiosk1", data, srid=ANN))
        assert edge.facts.loan_srid(BOOK) == ANN  # while it is under way nobody else may have it
        with pytest.raises(DraftInvalid):
            await waiting
        assert edge.facts.loan_srid(BOOK) is None
        assert edge.loans() == {}

    async def test_an_own_checkout_counts_before_the_hub_has_heard_of_it(self, edge: Edge) -> None:
        await edge.checkout()
        item, ann = edge.facts.item(BOOK, ANN), edge.facts.reader(ANN)
        assert item is not None
        assert ann is not None
        assert (item.status, item.loan) == (ItemStatus.ON_LOAN, Relation.SELF)
        seen = edge.facts.item(BOOK, BOB)
        assert seen is not None
        assert seen.loan is Relation.OTHER
        assert ann.open_loans == (OpenLoans(HOME, "BOOK", 1, 1),)
        assert ann.unsynced == 1
        assert edge.facts.loans_of(ANN) == [BOOK]
        assert edge.facts.due(BOOK) == NOW + DAY

    async def test_it_is_counted_once_whether_the_row_or_the_includes_arrives_first(self, edge: Edge) -> None:
        await edge.checkout()
        await edge.hub_says(
            item_row("1001", loan_srid=ANN, status="ON_LOAN"),
            reader_row(ANN, open_loans=[[HOME, "BOOK", 1, 1]]),
            upto=0,
        )
        assert edge.loans() == {HOME: 1}
        ann = edge.facts.reader(ANN)
        assert ann is not None
        assert ann.unsynced == 0
        await edge.replica.apply_watermark(
            watermark(edge.replica.version, asof_ms=edge.time.now, epoch=edge.outbox.epoch, upto=edge.outbox.last_seq)
        )
        assert len(edge.overlay) == 0
        assert edge.loans() == {HOME: 1}

    async def test_a_loan_the_hub_knows_is_gone_with_an_own_return(self, edge: Edge) -> None:
        await edge.hub_says(
            item_row("1001", loan_srid=ANN, status="ON_LOAN"), reader_row(ANN, open_loans=[[HOME, "BOOK", 2, 2]])
        )
        await edge.give_back()
        assert edge.loans() == {HOME: 1}
        assert edge.facts.loan_srid(BOOK) is None
        assert edge.facts.loans_of(ANN) == []
        item = edge.facts.item(BOOK)
        assert item is not None
        assert (item.status, item.loan) == (ItemStatus.SHELVED, Relation.NOBODY)
        await edge.hub_says(item_row("1001"), reader_row(ANN, open_loans=[[HOME, "BOOK", 1, 1]]))
        assert edge.loans() == {HOME: 1}

    async def test_borrowed_returned_and_borrowed_by_another_leaves_one_loan(self, edge: Edge) -> None:
        await edge.checkout()
        await edge.give_back()
        await edge.checkout(srid=BOB)
        assert (edge.loans(ANN), edge.loans(BOB)) == ({}, {HOME: 1})
        assert edge.facts.loan_srid(BOOK) == BOB

    async def test_a_return_that_travels_says_where_to(self, edge: Edge) -> None:
        partner = ItemKey(HOST, "2001")
        await edge.give_back(partner, action="TRANSIT", dest=f"{HOST}-01")
        item = edge.facts.item(partner)
        assert item is not None
        assert (item.status, item.transit_to) == (ItemStatus.IN_TRANSIT, f"{HOST}-01")

    async def test_a_partners_item_the_replica_lacks_is_known_by_own_events(self, edge: Edge) -> None:
        strange = ItemKey(HOST, "777")
        assert edge.facts.item(strange) is None
        await edge.checkout(strange)
        await edge.give_back(strange)
        item = edge.facts.item(strange)
        assert item is not None
        assert (item.item_type, item.owner_branch, item.loan) == ("BOOK", f"{HOST}-01", Relation.NOBODY)

    async def test_the_second_item_of_a_stack_counts_the_first(self, edge: Edge) -> None:
        person = edge.facts.person(uid_token("04A1B2C3"))
        policy = edge.replica.policy
        assert policy is not None
        device = edge.facts.device("kiosk1")
        outcomes = []
        for n in range(6):
            key = ItemKey(HOME, f"30{n}")
            await edge.hub_says(item_row(key.item_no), upto=0)
            decision = may_borrow(policy, edge.facts.borrow(person, key, device, edge.time.now), edge.time.now)
            outcomes.append(decision.primary)
            if decision.allowed:
                await edge.checkout(key)
        assert outcomes == ["OK"] * 5 + ["LIMIT_LENDER"]

    async def test_a_restart_finds_what_the_replica_does_not_include(self, edge: Edge) -> None:
        await edge.checkout(BOOK)
        await edge.hub_says(
            item_row("1001", loan_srid=ANN, status="ON_LOAN"), reader_row(ANN, open_loans=[[HOME, "BOOK", 1, 1]])
        )
        await edge.checkout(OTHER)
        again = await edge.again()
        assert again.loans() == {HOME: 2}
        ann = again.facts.reader(ANN)
        assert ann is not None
        assert ann.unsynced == 1
        assert len(again.overlay) == 1
        await again.stop()

    async def test_a_new_epoch_changes_no_fact(self, edge: Edge) -> None:
        await edge.checkout(BOOK)
        await edge.checkout(OTHER)
        edge.outbox.acked(edge.outbox.epoch, 1)
        waiting = edge.outbox.append(
            Draft(Kind.CHECKOUT, BRANCH, "k", {"item": [HOME, "3"], "type": "BOOK", "home": HOME, "due": NOW}, srid=ANN)
        )
        await edge.outbox.begin_epoch(1)
        await waiting
        assert edge.loans() == {HOME: 3}
        await edge.hub_says(
            *(item_row(n, loan_srid=ANN, status="ON_LOAN") for n in ("1001", "1002", "3")),
            reader_row(ANN, open_loans=[[HOME, "BOOK", 3, 3]]),
        )
        assert edge.loans() == {HOME: 3}
        assert len(edge.overlay) == 0

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from(["out", "back", "sync", "restart"]), st.integers(0, 2), st.sampled_from([ANN, BOB])
            ),
            max_size=14,
        )
    )
    async def test_whatever_happens_facts_are_what_happened(
        self, tmp_path_factory: Any, steps: list[tuple[str, int, str]]
    ) -> None:
        edge = await Edge.start(tmp_path_factory.mktemp("edge"), Time())
        has: dict[str, str] = {}  # the truth: item -> reader
        try:
            for what, n, srid in steps:
                key = ItemKey(HOME, f"500{n}")
                if what == "out":
                    await edge.checkout(key, srid)
                    has[key.item_no] = srid
                elif what == "back":
                    await edge.give_back(key)
                    has.pop(key.item_no, None)
                elif what == "sync":
                    rows = [
                        item_row(
                            f"500{m}", loan_srid=has.get(f"500{m}"), status="ON_LOAN" if f"500{m}" in has else "SHELVED"
                        )
                        for m in range(3)
                    ]
                    for who in (ANN, BOB):
                        held = sum(1 for by in has.values() if by == who)
                        rows.append(reader_row(who, open_loans=[[HOME, "BOOK", held, held]] if held else []))
                    await edge.hub_says(*rows)
                else:
                    edge = await edge.again()
                for who in (ANN, BOB):
                    held = sum(1 for by in has.values() if by == who)
                    assert edge.loans(who) == ({HOME: held} if held else {})
                    assert [key.item_no for key in edge.facts.loans_of(who)] == sorted(
                        i for i, by in has.items() if by == who
                    )
        finally:
            await edge.stop()


class TestHouse:
    async def test_entries_and_exits_count_and_a_strangers_exit_changes_nothing(self, edge: Edge) -> None:
        edge.visit(Kind.EXIT, EVE)
        edge.visit(Kind.EXIT, None)
        assert edge.facts.occupancy(edge.time.now) == 0
        edge.visit(Kind.ENTRY, ANN)
        edge.visit(Kind.ENTRY, BOB, "partner")
        edge.visit(Kind.ENTRY, BOB, "partner")  # out by another door, and in again
        facts, person = edge.facts.enter(uid_token("04A1B2C4"), edge.facts.device("gate1"), edge.time.now)
        assert person is not None
        assert (facts.occupancy, facts.partner_visitors, facts.visits_today, facts.inside) == (2, 1, 2, True)
        edge.visit(Kind.EXIT, BOB)
        facts, _ = edge.facts.enter(uid_token("04A1B2C4"), edge.facts.device("gate1"), edge.time.now)
        assert (facts.occupancy, facts.partner_visitors, facts.visits_today, facts.inside) == (1, 0, 2, False)

    async def test_a_restart_keeps_who_is_inside(self, edge: Edge) -> None:
        for srid, visitor in ((ANN, "own"), (BOB, "partner"), (EVE, "own")):
            edge.visit(Kind.ENTRY, srid, visitor)
        edge.visit(Kind.EXIT, EVE)
        again = await edge.again()
        house = again.overlay.house(BRANCH)
        assert (house.occupancy(again.time.now), house.partners) == (2, 1)
        await again.stop()

    async def test_a_forgotten_exit_does_not_fill_the_house_for_ever_and_days_begin_at_local_midnight(
        self, edge: Edge
    ) -> None:
        edge.visit(Kind.ENTRY, BOB, "partner")
        edge.time.ms += VISIT_MS + 1
        facts, _ = edge.facts.enter(uid_token("04A1B2C3"), edge.facts.device("gate1"), edge.time.now)
        assert (facts.occupancy, facts.partner_visitors) == (0, 0)
        edge.time.ms += DAY
        facts, _ = edge.facts.enter(uid_token("04A1B2C3"), edge.facts.device("gate1"), edge.time.now)
        assert facts.visits_today == 0

    async def test_facts_of_an_entry_are_enough_to_decide(self, edge: Edge) -> None:
        policy = edge.replica.policy
        assert policy is not None
        device = edge.facts.device("gate1")
        answers = []
        for uid in ("04A1B2C3", "04A1B2C4", "DEADBEEF"):
            facts, _ = edge.facts.enter(uid_token(uid), device, edge.time.now)
            answers.append(may_enter(policy, facts, edge.time.now).primary)
        assert answers == ["OK", "OK", "CARD_UNKNOWN"]

    async def test_a_return_is_seen_from_nobody(self, edge: Edge) -> None:
        await edge.checkout()
        facts = edge.facts.give_back(BOOK, edge.facts.device("bin1"), edge.time.now)
        assert facts.item is not None
        assert facts.item.loan is Relation.OTHER
        assert edge.facts.give_back(None, edge.facts.device("bin1"), edge.time.now).item is None


async def test_many_own_events_are_trimmed_without_a_walk(edge: Edge) -> None:
    await asyncio.gather(*(edge.checkout(ItemKey(HOME, f"9{n:04d}")) for n in range(300)))
    assert len(edge.overlay) == 300
    await edge.hub_says(upto=299)
    assert len(edge.overlay) == 1
