"""A gate on a pty: card in, open command out, paperwork after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bus.broker import IotcoreBroker
from consortium.events import Kind
from drivers.base import CardRead
from firmware_sim.branch_client import SimBranchClient
from tests.edge.bed import (
    HOUR_MS,
    Bed,
    Hub,
    Machines,
    Rows,
    block,
    make_config,
    now_ms,
    srid_of,
    standard_rows,
    until,
    write_replica,
)
from tests.make import HOME, HOST

OWN, LOST, PARTNER, BLOCKED = "04A1B2C3", "04A1B2C5", "04D1D2D3", "04A1B2C7"
STRANGER = "0499999999"


@pytest.fixture
async def player(machines: Machines) -> AsyncIterator[SimBranchClient]:
    """Somebody with cards in the pocket."""
    client = machines.client()
    await client.connect()
    yield client
    await client.close()


async def at_the_gate(bed: Bed) -> Bed:
    """The edge once its gate is there."""
    await until(lambda: bed.agent.devices.records["gate1"].state == "online")
    return bed


@pytest.fixture
async def gate(tmp_path: Path, machines: Machines) -> AsyncIterator[Bed]:
    """An edge with a gate whose hub is away."""
    rows = [*standard_rows(), *Rows.reader("R7", card=BLOCKED, blocks=[block(HOME, "ENTER")])]
    write_replica(tmp_path, rows)
    async with Bed(make_config(tmp_path, devices=machines.devices("gate1"))) as bed:
        yield await at_the_gate(bed)


class TestRefusals:
    async def test_a_lost_card_stays_outside(self, gate: Bed, player: SimBranchClient) -> None:
        tap = await player.tap(LOST)
        assert (tap.opened, tap.denied) == (False, True)
        (event,) = await gate.settled(Kind.REFUSED)
        assert event.data == {"function": "enter", "codes": ["CARD_LOST"], "home": HOME}
        assert event.decision is not None
        assert gate.events(Kind.ENTRY) == []

    async def test_a_blocked_reader_stays_outside(self, gate: Bed, player: SimBranchClient) -> None:
        assert (await player.tap(BLOCKED)).denied
        (event,) = await gate.settled(Kind.REFUSED)
        assert event.data["codes"] == ["BLOCK_HERE"]

    async def test_an_unknown_card_is_not_called_unknown_while_nobody_can_be_asked(
        self, gate: Bed, player: SimBranchClient
    ) -> None:
        assert (await player.tap(STRANGER)).denied
        (event,) = await gate.settled(Kind.REFUSED)
        assert event.data == {"function": "enter", "codes": ["NOT_DECIDABLE_OFFLINE"]}
        assert event.subject is None

    async def test_old_facts_keep_partners_out_and_let_own_readers_in(
        self, tmp_path: Path, machines: Machines, player: SimBranchClient
    ) -> None:
        write_replica(tmp_path, standard_rows(), age_ms=25 * HOUR_MS)
        async with Bed(make_config(tmp_path, devices=machines.devices("gate1"))) as bed:
            await at_the_gate(bed)
            assert (await player.tap(PARTNER)).denied
            assert (await player.tap(OWN)).opened
            (event,) = await bed.settled(Kind.ENTRY)
            assert event.decision is not None
            assert event.decision["m"] == "OFFLINE"

    async def test_a_flood_of_reads_is_dropped_and_counted(self, bed: Bed) -> None:
        bed.agent.entrance.present(CardRead("gate9", 0, "IN", "raw", 32, b"\x01\x02\x03\x04", 0))
        assert not bed.agent.entrance._under_way  # a device that is no gate


class TestEntry:
    async def test_a_reader_walks_in_and_the_visit_is_written(self, gate: Bed, player: SimBranchClient) -> None:
        assert (await player.tap(OWN)).opened
        (event,) = await gate.settled(Kind.ENTRY)
        assert event.data == {"home": HOME, "class": "own", "passage": "assumed"}
        assert gate.subjects(Kind.ENTRY) == [srid_of("R1")]
        assert event.decision is not None
        assert event.decision["c"] == ["OK"]
        assert gate.agent.facts.occupancy(now_ms()) == 1

    async def test_a_partner_of_an_agreement_walks_in(self, gate: Bed, player: SimBranchClient) -> None:
        assert (await player.tap(PARTNER)).opened
        (event,) = await gate.settled(Kind.ENTRY)
        assert event.data == {"home": HOST, "class": "partner", "passage": "assumed"}

    async def test_out_is_open_for_whoever_it_is(self, gate: Bed, player: SimBranchClient) -> None:
        assert (await player.tap(OWN)).opened
        assert (await player.tap(STRANGER, "OUT")).opened
        assert (await player.tap(OWN, "OUT")).opened
        events = await gate.settled(Kind.EXIT, 2)
        assert gate.subjects(Kind.EXIT) == [None, srid_of("R1")]
        assert len(events) == 2
        assert gate.agent.facts.occupancy(now_ms()) == 0

    async def test_a_cardreader_that_reverses_bytes_reads_the_same_card(
        self, tmp_path: Path, machines: Machines, player: SimBranchClient
    ) -> None:
        write_replica(tmp_path, standard_rows())
        async with Bed(make_config(tmp_path, devices=machines.devices("gate1", reverse_bytes=True))) as bed:
            await at_the_gate(bed)
            assert (await player.tap(bytes.fromhex(OWN)[::-1].hex())).opened

    async def test_the_time_from_card_to_command_is_kept(self, gate: Bed, player: SimBranchClient) -> None:
        for _ in range(5):
            await player.tap(OWN)
        samples = gate.agent.metrics.latency["tap_to_open"]
        assert len(samples.raw()) == 5
        assert max(samples.raw()) < 50  # ms; the bench holds the real bound


class TestAskingTheHub:
    @pytest.fixture
    async def gate(self, tmp_path: Path, machines: Machines, broker: IotcoreBroker, hub: Hub) -> AsyncIterator[Bed]:
        """An edge with a gate whose hub answers."""
        write_replica(tmp_path, standard_rows())
        config = make_config(tmp_path, broker_url=broker.url, devices=machines.devices("gate1"))
        async with Bed(config) as bed:
            await until(lambda: bed.agent.link.online)
            yield await at_the_gate(bed)

    @staticmethod
    def answer(outcome: str, code: str, **more: Any) -> dict[str, Any]:
        """The hub's answer to a card."""
        kept = {"f": "enter", "o": outcome, "c": [code], "pv": 1, "k": [0] * 5, "s": "hub", "m": "ONLINE"}
        return {"record": kept, "srid": srid_of("X"), "home": HOST, **more}

    async def test_a_card_that_is_known_here_is_not_asked(self, gate: Bed, hub: Hub, player: SimBranchClient) -> None:
        assert (await player.tap(OWN)).opened
        assert hub.asked == []

    async def test_what_the_hub_refuses_stays_outside(self, gate: Bed, hub: Hub, player: SimBranchClient) -> None:
        hub.answers["enter"] = lambda data: self.answer("DENY", "READER_NOT_SHARED")
        assert (await player.tap(STRANGER)).denied
        (event,) = await gate.settled(Kind.REFUSED)
        assert event.data["codes"] == ["READER_NOT_SHARED"]

    async def test_a_card_only_the_hub_knows_opens_the_gate(self, gate: Bed, hub: Hub, player: SimBranchClient) -> None:
        hub.answers["enter"] = lambda data: self.answer("ALLOW", "OK")
        assert (await player.tap(STRANGER)).opened
        (event,) = await gate.settled(Kind.ENTRY)
        assert event.data == {"home": HOST, "class": "partner", "passage": "assumed"}
        assert gate.subjects(Kind.ENTRY) == [srid_of("X")]
        assert [set(data) >= {"token", "branch", "device", "direction", "t"} for _, data in hub.asked] == [True]

    @pytest.mark.parametrize(
        "nonsense", [{}, {"record": 5}, {"record": {"c": []}}, {"record": {"o": "ALLOW", "c": ["OK"]}}]
    )
    async def test_an_answer_that_cannot_be_read_opens_nothing(
        self, gate: Bed, hub: Hub, player: SimBranchClient, nonsense: dict[str, Any]
    ) -> None:
        hub.answers["enter"] = lambda data: nonsense
        assert (await player.tap(STRANGER)).denied

    async def test_a_silent_hub_makes_nobody_wait_long(self, gate: Bed, player: SimBranchClient) -> None:
        tap = await player.tap(STRANGER)
        assert tap.denied
        assert tap.ms < 900
        assert (await player.tap(OWN)).opened
