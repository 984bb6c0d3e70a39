"""Members' ILS over a real broker: work until it is taken, questions while a reader waits; and renew, hold, fee, block on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bus import Answerer, Transport
from consortium.events import Kind
from hub.ils.sender import Sender
from hub.store import schema
from hub.worker import HubWorker
from protocols.bus import topics
from tests.hub.api.world import BRANCHES, CQU, DAY, HOUR, YLG, Edge, item
from tests.hub.ils.bed import bundle, state
from tests.hub.ingest.test_worker import Wire, hub_and_edge, now

AT_YLG = f"edge-{BRANCHES[YLG]}"


class Branch:
    """YLG's branch with its ILS, on the wire."""

    def __init__(self, url: str) -> None:
        self.link = Transport(url, AT_YLG)
        self.wire = Wire(self.link, Edge(YLG))
        self.jobs: list[Mapping[str, Any]] = []
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.answer: dict[str, Any] = {"found": None}
        self.keeps = True

    async def _ask(self, name: str, data: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append((name, data))
        return self.answer

    async def _work(self, data: Mapping[str, Any]) -> dict[str, Any]:
        self.jobs.append(data)
        state = "taken" if self.keeps else "not yet"
        return {"org": data["org"], "of": data["of"], "state": state}

    async def start(self) -> None:
        await Answerer(self.link, AT_YLG, self._ask, self._work).start()
        await self.wire.listen()
        await self.link.connect()

    async def hello(self) -> None:
        edge = self.wire.edge
        replica = {"generation": 1, "version": 1}
        await self.wire.ask(
            "hello", {"epoch": edge.epoch, "acked": 0, "chain": None, "next_seq": 1, "replica": replica}
        )

    async def report(self, how: str = "online") -> None:
        await self.wire.state({**state(now(), how), "epoch": self.wire.edge.epoch, "version": "0.1.0"})


@asynccontextmanager
async def consortium(folder: Path) -> AsyncIterator[tuple[HubWorker, Wire, list[str], Branch]]:
    """A hub, CQU's edge, and YLG's branch with an ILS that has not reported yet."""
    async with hub_and_edge(folder, CQU, {"bundle": policy()}) as (worker, wire, rids):
        branch = Branch(worker.config.broker_url)
        await branch.start()
        try:
            yield worker, wire, rids, branch
        finally:
            await branch.link.close()


def policy() -> dict[str, Any]:
    out = bundle(now=now())
    out["rules"][0]["holdable"] = True
    return out


async def until(true: Callable[[], Any], within_s: float = 5) -> None:
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.01)


async def states(worker: HubWorker) -> list[str]:
    async with worker.store.read() as conn:
        rows = await conn.execute(schema.ils_work.select().order_by(schema.ils_work.c.t))
        return [row.state for row in rows]


async def becomes(worker: HubWorker, wanted: list[str]) -> None:
    async with asyncio.timeout(5):
        while await states(worker) != wanted:
            await asyncio.sleep(0.02)


def gauge(worker: HubWorker, state: str) -> float | None:
    return worker.metrics.registry.get_sample_value("tongjie_ils_work", {"state": state})


async def test_work_waits_for_an_ils_and_is_done_when_its_outcome_comes(tmp_path: Path) -> None:
    async with consortium(tmp_path) as (worker, wire, rids, branch):
        cqu = wire.edge
        for n in range(3):
            cqu.lend(now() - HOUR + n, item(YLG, n), rids[0], CQU)
        await wire.send(cqu.taken())
        await becomes(worker, ["WAITING"] * 3)
        await branch.hello()
        assert branch.jobs == []  # it has no ILS yet
        await branch.report("offline")  # the ILS is away: the branch keeps the work for it
        await becomes(worker, ["TAKEN"] * 3)
        names = [f"{cqu.node}/{cqu.epoch}/{n + 1}" for n in range(3)]
        assert [job["of"] for job in branch.jobs] == names
        first = branch.jobs[0]
        assert {*first} == {"org", "of", "task", "owner", "item_no", "t", "due", "home"}
        assert (first["org"], first["task"], first["home"]) == (YLG, "CHECKOUT", CQU)
        ylg = branch.wire.edge
        for n, what in enumerate(("BOOKED", "REFUSED", "BOOKED")):
            data = {"what": what, "as_of": now(), "item": list(item(YLG, n)), "ref": names[n], "status": "CHECKOUT"}
            ylg.say(Kind.ILS_OBSERVED, now(), data, device="ils")
        await branch.wire.send(ylg.taken())
        await becomes(worker, ["BOOKED", "REFUSED", "BOOKED"])
        worker.ils_work.poke([])
        await until(lambda: (gauge(worker, "BOOKED"), gauge(worker, "REFUSED"), gauge(worker, "TAKEN")) == (2, 1, 0))


async def test_what_was_not_taken_is_sent_again_at_a_hello_and_after_a_while(tmp_path: Path) -> None:
    async with consortium(tmp_path) as (worker, wire, rids, branch):
        await branch.report()
        await until(lambda: worker.places.to_ask(YLG, now()))
        branch.keeps = False
        wire.edge.lend(now() - HOUR, item(YLG, 0), rids[0], CQU)
        await wire.send(wire.edge.taken())
        await until(lambda: len(branch.jobs) == 1)
        worker.ils_work.poke([YLG])
        await asyncio.sleep(0.2)
        assert len(branch.jobs) == 1  # under way
        await branch.hello()
        await until(lambda: len(branch.jobs) == 2)
        assert await states(worker) == ["WAITING"]
        again = Sender(worker.store, worker.places, worker.metrics, worker.clock, worker._send_work, every_s=0.1)
        again.start()
        await until(lambda: len(branch.jobs) >= 4)
        await again.stop()
        branch.keeps = True
        await branch.hello()
        await becomes(worker, ["TAKEN"])


async def test_more_work_than_a_window_arrives_whole_and_in_order(tmp_path: Path) -> None:
    async with consortium(tmp_path) as (worker, wire, rids, branch):
        begin = now() - 3 * DAY
        for n in range(130):
            if n % 2 == 0:
                wire.edge.lend(begin + n, item(YLG, n // 2 % 20), rids[0], CQU)
            else:
                wire.edge.take_back(begin + n, item(YLG, n // 2 % 20))
        rows = wire.edge.taken()
        for first in range(0, len(rows), 10):
            await wire.send(rows[first : first + 10])
        await becomes(worker, ["WAITING"] * 130)
        await branch.report()
        await becomes(worker, ["TAKEN"] * 130)
        times = [job["t"] for job in branch.jobs]
        assert times == sorted(times)
        assert len({job["of"] for job in branch.jobs}) == 130


async def test_another_library_cannot_take_the_work(tmp_path: Path) -> None:
    async with consortium(tmp_path) as (worker, wire, rids, _):
        wire.edge.lend(now() - HOUR, item(YLG, 0), rids[0], CQU)
        await wire.send(wire.edge.taken())
        await becomes(worker, ["WAITING"])
        said = {"org": YLG, "of": f"{wire.edge.node}/{wire.edge.epoch}/1", "state": "taken"}
        await wire._say(topics.work_rep(wire.edge.node), topics.Kind.WORK_REP, said)
        await asyncio.sleep(0.3)
        assert await states(worker) == ["WAITING"]


async def test_the_owners_ils_is_asked_while_the_reader_waits(tmp_path: Path) -> None:
    async with consortium(tmp_path) as (worker, wire, _, branch):
        await branch.report()
        await until(lambda: worker.places.to_ask(YLG, now()))
        token = worker.identity.card(CQU, "0410A1B2C3D480")
        stack = {
            "branch": BRANCHES[CQU], "device": "k", "token": token, "pin": True,
            "items": [{"owner": YLG, "item_no": item(YLG, 0)[1]}],
        }  # fmt: skip
        branch.answer = {"found": True, "circulation": "04", "due": now() + DAY, "holds": 0}
        told = await wire.ask("borrow", stack)
        assert told["answers"][0]["codes"] == ["ITEM_ON_LOAN"]
        assert [(name, data["item_no"]) for name, data in branch.asked] == [("item", item(YLG, 0)[1])]
        await branch.link.close()
        began = asyncio.get_running_loop().time()
        assert (await wire.ask("borrow", stack))["answers"][0]["codes"] == ["OK"]
        assert asyncio.get_running_loop().time() - began < 1.0
        branch.link = Transport(worker.config.broker_url, AT_YLG)


async def test_renew_hold_fee_and_block_are_answered_on_the_wire(tmp_path: Path) -> None:
    async with consortium(tmp_path) as (worker, wire, rids, _):
        wire.edge.lend(now() - DAY, item(CQU, 0), rids[0], CQU, days=10)
        await wire.send(wire.edge.taken())
        await asyncio.wait_for(wire.acks.get(), 5)
        srid = worker.identity.srid(CQU, rids[0])
        at = {"branch": BRANCHES[CQU], "device": "kiosk1", "srid": srid}
        renewed = await wire.ask("renew", {**at, "token": None, "items": [{"owner": CQU, "item_no": item(CQU, 0)[1]}]})
        assert renewed["answers"][0]["outcome"] == "ALLOW"
        wish = {**at, "mode": "+", "owner": CQU, "item_no": item(CQU, 1)[1], "pickup": None, "expiry": None}
        assert (await wire.ask("hold", {**wish, "transaction": "1"}))["outcome"] == "ALLOW"
        assert await wire.ask("fee", {**at, "list": True}) == {"currency": "CNY", "charges": [], "total": 0}
        blocked = {**at, "enable": False, "retained": False, "text": "", "transaction": "2"}
        assert await wire.ask("block", blocked) == {"ok": True, "codes": ["OK"]}
