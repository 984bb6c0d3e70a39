"""The link over a real broker to a small hub that speaks the wire."""

from __future__ import annotations

import asyncio
import time as wall
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bus import RequestRefused
from bus.broker import make_broker
from consortium.events import Kind, decode
from edge.clock import EdgeClock, Ticks, machine_ticks
from edge.config import EdgeConfig
from edge.link import Away, Link, LinkState, LinkTimes
from edge.outbox import Draft, Outbox, OutboxLimits
from edge.replica import Replica
from tests.edge.link.hub import SmallHub
from tests.edge.site import ANN, BRANCH, KEY, NODE, delta, policy_row, reader_row, snapshot, watermark
from tests.make import HOME, NOW, Make
from tests.sealing import STRANGER, TRUST

TIMES = LinkTimes(probe_s=0.2, hello_timeout_s=0.4, state_every_s=0.3, resend_after_s=0.5)


async def until(what: Callable[[], object], timeout_s: float = 8.0) -> None:
    """Wait until it is so; fails when it does not become so."""
    end = wall.monotonic() + timeout_s
    while not what():
        assert wall.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.01)


@pytest.fixture
async def broker_url() -> AsyncIterator[str]:
    broker = make_broker("iotcore")
    yield await broker.start()
    await broker.stop()


@pytest.fixture
async def hub(broker_url: str) -> AsyncIterator[SmallHub]:
    made = SmallHub(broker_url)
    await made.start()
    yield made
    await made.stop()


class Edge:
    """The core of an edge with its link."""

    def __init__(self, folder: Path, hub: SmallHub, limits: OutboxLimits | None = None) -> None:
        ticks = machine_ticks()
        self.clock = EdgeClock(Ticks(lambda: NOW, ticks.mono_ms, ticks.boot))
        self.config = EdgeConfig(
            node=NODE, branch=BRANCH, org=HOME, data=folder, hub_url=hub.files.url, broker_url=hub.transport.url,
            node_token="tj_node", site_key=KEY,
        )  # fmt: skip
        self.outbox = Outbox(folder / "outbox.db", NODE, self.clock, limits=limits)
        self.replica = Replica(folder / "replica", self.clock, TRUST)
        self.heard: list[LinkState] = []
        self.link = Link(self.config, self.outbox, self.replica, self.clock, self.heard.append, times=TIMES)

    async def start(self) -> Edge:
        await self.outbox.start()
        await self.replica.start()
        await self.link.start()
        return self

    async def online(self) -> Edge:
        await self.start()
        await until(lambda: self.link.online)
        return self

    async def stop(self) -> None:
        await self.link.stop()
        await self.outbox.close()
        await self.replica.close()

    async def fill(self, n: int, note: str = "") -> None:
        await asyncio.gather(*(self.outbox.append(checkout(number, note)) for number in range(n)))


def checkout(n: int, note: str = "") -> Draft:
    data = {"item": [HOME, str(n)], "type": "BOOK", "home": HOME, "due": NOW, "note": note}
    return Draft(Kind.CHECKOUT, BRANCH, "kiosk1", data, srid=ANN)


@pytest.fixture
async def edge(tmp_path: Path, hub: SmallHub) -> AsyncIterator[Edge]:
    made = Edge(tmp_path, hub)
    yield made
    await made.stop()


class TestAway:
    async def test_a_question_fails_at_once_while_there_is_no_broker(self, tmp_path: Path, hub: SmallHub) -> None:
        hub.transport.url = "mqtt://127.0.0.1:1"
        edge = await Edge(tmp_path, hub).start()
        began = wall.monotonic()
        with pytest.raises(Away):
            await edge.link.ask("enter", {"token": "x"}, timeout_s=5)
        assert wall.monotonic() - began < 2  # not the 5 s it was given
        assert not edge.link.online
        began = wall.monotonic()
        await edge.stop()
        assert wall.monotonic() - began < 3

    async def test_one_timeout_makes_the_hub_away_and_a_probe_brings_it_back(self, edge: Edge, hub: SmallHub) -> None:
        await edge.online()
        hub.silent = True
        with pytest.raises(Away):
            await edge.link.ask("borrow", {}, timeout_s=0.1)
        began = wall.monotonic()
        with pytest.raises(Away):
            await edge.link.ask("borrow", {}, timeout_s=5)
        assert wall.monotonic() - began < 2  # not the 5 s it was given
        assert edge.link.state.connected
        hub.silent = False
        await until(lambda: edge.link.online)
        assert (await edge.link.ask("borrow", {}))["asked"] == "borrow"
        assert [state.online for state in edge.heard] == [False, True, False, True]

    async def test_a_refusal_is_an_answer(self, edge: Edge, hub: SmallHub) -> None:
        await edge.online()
        with pytest.raises(RequestRefused) as caught:
            await edge.link.ask("item", {"item_no": "1"})
        assert caught.value.reply_code == "ITEM_UNKNOWN"
        assert edge.link.online

    async def test_events_are_kept_while_the_hub_is_away_and_arrive_once_each_when_it_is_back(
        self, edge: Edge, hub: SmallHub
    ) -> None:
        await edge.online()
        hub.silent = True
        await edge.fill(40)
        hub.deaf = 3
        await edge.fill(40)
        hub.silent = False
        await until(lambda: edge.outbox.depth == 0)
        assert hub.upto(edge.outbox.epoch) == 80
        assert [decode(body).seq for body in hub.bodies(edge.outbox.epoch)] == list(range(1, 81))


class TestHello:
    async def test_it_says_what_the_edge_holds_and_measures_the_clock(self, edge: Edge, hub: SmallHub) -> None:
        assert not edge.clock.trusted
        await edge.online()
        said = hub.hellos[0]
        assert (said["epoch"], said["acked"], said["next_seq"]) == (edge.outbox.epoch, 0, 1)
        assert said["replica"] == {"generation": 0, "version": 0}
        assert edge.clock.trusted
        assert abs(edge.clock.now() - (NOW + 3_600_000)) < 5_000

    async def test_a_hub_restored_from_a_backup_is_sent_what_it_lacks(self, edge: Edge, hub: SmallHub) -> None:
        await edge.online()
        await edge.fill(30)
        await until(lambda: edge.outbox.depth == 0)
        for seq in range(11, 31):
            del hub.events[edge.outbox.epoch][seq]
        await edge.link.greet()
        await until(lambda: hub.upto(edge.outbox.epoch) == 30)
        await until(lambda: edge.outbox.depth == 0)

    async def test_a_restored_edge_disk_opens_a_new_epoch_and_issues_its_tail_again(
        self, edge: Edge, hub: SmallHub
    ) -> None:
        await edge.online()
        await edge.fill(5)
        await until(lambda: edge.outbox.depth == 0)
        old = edge.outbox.epoch
        hub.epoch_ok = False
        await edge.link.stop()
        await edge.outbox.append(checkout(99))
        again = Link(edge.config, edge.outbox, edge.replica, edge.clock, times=TIMES)
        await again.start()
        await until(lambda: edge.outbox.epoch != old)
        hub.epoch_ok = True
        await until(lambda: edge.outbox.depth == 0 and hub.upto(edge.outbox.epoch) > 0)
        (body,) = hub.bodies(edge.outbox.epoch)
        assert decode(body).reissue_of == f"{NODE}/{old}/6"
        assert edge.outbox.epoch > old
        await again.stop()

    @pytest.mark.parametrize("longer", [False, True])
    async def test_another_history_at_the_hub_is_never_written_over(
        self, edge: Edge, hub: SmallHub, longer: bool
    ) -> None:
        await edge.outbox.start()
        await edge.fill(3)
        old = edge.outbox.epoch
        rows = {row.seq: row for row, _ in edge.outbox.unsent(0, 10**6)}
        hub.events[old] = dict(rows)
        hub.events[old][3 if not longer else 4] = type(rows[3])(
            4 if longer else 3, rows[3].body + " ", "f" * 64, rows[3].salt, ANN
        )
        kept = dict(hub.events[old])
        await edge.replica.start()
        await edge.link.start()
        await until(lambda: edge.outbox.epoch != old and edge.outbox.depth == 0)
        assert hub.events[old] == kept
        assert len(hub.bodies(edge.outbox.epoch)) == 3

    async def test_an_ack_that_contradicts_our_chain_stops_the_upload_until_a_hello(
        self, edge: Edge, hub: SmallHub
    ) -> None:
        await edge.online()
        await edge.fill(3)
        await until(lambda: edge.outbox.depth == 0)
        said = len(hub.hellos)
        hub.silent = True
        await edge.fill(2)
        await until(lambda: hub.upto(edge.outbox.epoch) == 5)
        hub.silent = False
        await hub.ack(edge.outbox.epoch, chain="f" * 64)
        await until(lambda: len(hub.hellos) > said)
        await until(lambda: edge.outbox.depth == 0 and edge.link.online)


class TestUpload:
    async def test_every_event_arrives_once_in_order_in_bounded_messages(self, edge: Edge, hub: SmallHub) -> None:
        await edge.online()
        await edge.fill(300, note="字" * 100)
        await edge.outbox.append(checkout(1, "x" * 5_000))
        await until(lambda: edge.outbox.depth == 0)
        events = [decode(body) for body in hub.bodies(edge.outbox.epoch)]
        assert [event.data["item"][1] for event in events] == [*map(str, range(300)), "1"]
        firsts = [first for first, _ in hub.received]
        assert firsts == sorted(set(firsts))
        row = hub.events[edge.outbox.epoch][1]
        assert row.srid == ANN
        assert edge.link.upload.resends == 0

    async def test_a_lost_batch_is_sent_again_after_a_silence(self, edge: Edge, hub: SmallHub) -> None:
        await edge.online()
        hub.deaf = 1
        await edge.fill(3)
        await until(lambda: edge.outbox.depth == 0)
        assert edge.link.upload.resends == 1

    async def test_a_rejected_event_counts_as_delivered_and_is_remembered(self, edge: Edge, hub: SmallHub) -> None:
        await edge.online()
        hub.rejected = [{"seq": 2, "code": "EVENT_FIELD"}]
        await edge.fill(3)
        await until(lambda: edge.outbox.depth == 0)
        assert edge.outbox.stats.rejected == 1

    async def test_a_restart_sends_only_what_was_not_acked(self, edge: Edge, hub: SmallHub, tmp_path: Path) -> None:
        await edge.online()
        await edge.fill(5)
        await until(lambda: edge.outbox.depth == 0)
        await edge.stop()
        again = Edge(tmp_path, hub)
        await again.online()
        hub.received.clear()
        await again.fill(2)
        await until(lambda: again.outbox.depth == 0)
        assert min(first for first, _ in hub.received) == 6
        await again.stop()


class TestReplica:
    async def test_a_snapshot_named_in_hello_is_fetched_with_the_nodes_token(
        self, edge: Edge, hub: SmallHub, tmp_path: Path
    ) -> None:
        hub.offer(tmp_path / "s", snapshot(tmp_path / "s", version=7))
        await edge.online()
        await until(lambda: edge.replica.ready)
        assert (edge.replica.generation, edge.replica.version) == (1, 7)
        # The file goes once the replica stands; that may be a moment later.
        await until(lambda: list((tmp_path / "snapshots").iterdir()) == [])

    async def test_a_download_that_breaks_off_goes_on_where_it_was(
        self, edge: Edge, hub: SmallHub, tmp_path: Path
    ) -> None:
        hub.offer(tmp_path / "s", snapshot(tmp_path / "s"))
        hub.files.break_after = 200
        await edge.online()
        await until(lambda: edge.replica.ready)
        assert hub.files.asked == [None, "bytes=200-"]

    @pytest.mark.parametrize("form", ["{}/x", "@{}/x", "//{}/x"])
    async def test_a_manifest_that_points_elsewhere_never_gets_our_token(
        self, edge: Edge, hub: SmallHub, tmp_path: Path, form: str
    ) -> None:
        manifest = snapshot(tmp_path / "s")
        hub.offer(tmp_path / "s", manifest | {"url": form.format(hub.files.url.removeprefix("http://"))})
        await edge.online()
        await until(lambda: edge.link.follower.stats.failures > 0)
        assert hub.files.asked == []
        assert not edge.replica.ready

    async def test_a_snapshot_whose_bytes_changed_is_not_used_and_is_fetched_again(
        self, edge: Edge, hub: SmallHub, tmp_path: Path
    ) -> None:
        hub.offer(tmp_path / "s", snapshot(tmp_path / "s"))
        right = hub.files.body
        hub.files.body = right[:-9] + b"x" * 9
        await edge.online()
        await until(lambda: edge.link.follower.stats.failures > 0)
        assert not edge.replica.ready
        hub.files.body = right
        await until(lambda: edge.replica.ready)

    async def test_a_policy_nobody_trusted_sealed_is_counted_and_not_fetched_over_and_over(
        self, edge: Edge, hub: SmallHub, tmp_path: Path
    ) -> None:
        hub.offer(tmp_path / "s", snapshot(tmp_path / "s"))
        await edge.online()
        await until(lambda: edge.replica.ready)
        rows = [policy_row(Make.bundle(version=2), STRANGER), reader_row(ANN)]
        hub.offer(tmp_path / "s", snapshot(tmp_path / "s", rows, version=2))
        assert hub.manifest is not None
        await hub.spread("manifest", hub.manifest)
        await until(lambda: edge.link.follower.stats.refused["SEAL_UNKNOWN_KEY"] == 2)  # as it came, and after a hello
        hellos = len(hub.hellos)
        await asyncio.sleep(1.5)  # after a broken download the hub would have been asked again by now
        assert len(hub.hellos) == hellos
        assert edge.replica.policy is not None
        assert (edge.replica.policy.version, edge.replica.version) == (1, 1)

    async def test_deltas_are_applied_and_a_watermark_says_how_far(
        self, edge: Edge, hub: SmallHub, tmp_path: Path
    ) -> None:
        hub.offer(tmp_path / "s", snapshot(tmp_path / "s"))
        await edge.online()
        await until(lambda: edge.replica.ready)
        for version in range(2, 12):
            await hub.spread("delta", delta(version, [reader_row(ANN, status=f"V{version}")]))
        await hub.spread("watermark", watermark(11, epoch=edge.outbox.epoch, upto=0))
        await until(lambda: edge.replica.version == 11 and edge.replica.includes.epoch)
        ann = edge.replica.reader(ANN)
        assert ann is not None
        assert ann.status == "V11"
        assert edge.link.follower.stats.gaps == 0

    async def test_a_gap_is_closed_by_the_steps_the_hub_sends_again(
        self, edge: Edge, hub: SmallHub, tmp_path: Path
    ) -> None:
        hub.offer(tmp_path / "s", snapshot(tmp_path / "s"))
        await edge.online()
        await until(lambda: edge.replica.ready)
        hub.manifest, hub.replica = None, (1, 4)

        async def steps() -> None:
            for version in range(edge.replica.version + 1, 5):
                await hub.spread("delta", delta(version, [reader_row(ANN, status=f"V{version}")]))

        hub.before_hello = steps
        await hub.spread("delta", delta(4, [reader_row(ANN, status="V4")]))
        await until(lambda: edge.replica.version == 4)
        assert edge.link.follower.stats.gaps >= 1
        assert edge.link.follower.stats.snapshots == 1

    async def test_a_gap_is_closed_by_a_snapshot_and_what_came_meanwhile_is_kept(
        self, edge: Edge, hub: SmallHub, tmp_path: Path
    ) -> None:
        hub.offer(tmp_path / "s", snapshot(tmp_path / "s"))
        await edge.online()
        await until(lambda: edge.replica.ready)
        hub.offer(tmp_path / "t", snapshot(tmp_path / "t", version=20))
        for version in (20, 21, 22):
            await hub.spread("delta", delta(version, [reader_row(ANN, status=f"V{version}")]))
        await until(lambda: edge.replica.version == 22)
        ann = edge.replica.reader(ANN)
        assert ann is not None
        assert ann.status == "V22"

    async def test_a_manifest_sent_by_itself_is_fetched(self, edge: Edge, hub: SmallHub, tmp_path: Path) -> None:
        hub.offer(tmp_path / "s", snapshot(tmp_path / "s"))
        await edge.online()
        await until(lambda: edge.replica.ready)
        manifest = snapshot(tmp_path / "t", version=2)
        hub.offer(tmp_path / "t", manifest)
        await hub.spread("manifest", manifest)
        await until(lambda: edge.replica.version == 2)

    async def test_what_cannot_be_read_is_counted_and_costs_nothing(self, edge: Edge, hub: SmallHub) -> None:
        await edge.online()
        await hub.transport.publish(f"tongjie/v1/{NODE}/replica/delta", b"\xff\x00 no json")
        await hub.transport.publish(f"tongjie/v1/{NODE}/ack", b"{}")
        await until(lambda: edge.link.malformed == 2)
        assert (await edge.link.ask("enter", {"token": "t"}))["token"] == "t"


class TestState:
    async def test_birth_comes_before_hello_is_retained_and_repeated_with_the_devices(
        self, edge: Edge, hub: SmallHub
    ) -> None:
        await edge.online()
        await until(lambda: hub.states)
        assert (hub.states[0]["online"], hub.states[0]["epoch"]) == (True, edge.outbox.epoch)
        await edge.link.publish_state({"gate1": {"kind": "osdp", "state": "online", "since": NOW, "facts": {}}})
        await until(lambda: hub.states[-1].get("devices"))
        seen = len(hub.states)
        await until(lambda: len(hub.states) >= seen + 2)
        assert hub.states[-1]["devices"]["gate1"]["state"] == "online"

    async def test_too_many_facts_cost_the_facts_and_not_the_states(self, edge: Edge, hub: SmallHub) -> None:
        await edge.online()
        await edge.link.publish_state(
            {f"d{n}": {"kind": "osdp", "state": "online", "facts": {"x": "y" * 400}} for n in range(60)}
        )
        await until(lambda: len(hub.states[-1].get("devices", ())) == 60)
        assert "facts" not in hub.states[-1]["devices"]["d0"]

    async def test_a_stop_says_offline_and_is_quick(self, edge: Edge, hub: SmallHub) -> None:
        await edge.online()
        began = wall.monotonic()
        await edge.link.stop()
        assert wall.monotonic() - began < 3
        await until(lambda: hub.states[-1]["online"] is False)

    async def test_a_connection_that_is_cut_leaves_the_will_and_comes_back_with_a_birth(
        self, edge: Edge, hub: SmallHub
    ) -> None:
        await edge.online()
        edge.link._transport.drop()
        await until(lambda: any(not state["online"] for state in hub.states))
        await until(lambda: edge.link.online and hub.states[-1]["online"])
        assert len(hub.hellos) == 2


@pytest.mark.parametrize("turns", range(5))
async def test_a_stop_that_meets_an_event_in_the_same_turn_still_stops(
    tmp_path: Path, hub: SmallHub, turns: int
) -> None:
    edge = await Edge(tmp_path, hub).online()
    edge.link._wake.set()
    edge.link.upload._work.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    began = wall.monotonic()
    await asyncio.wait_for(edge.stop(), 5)
    assert wall.monotonic() - began < 3
