"""One branch's edge for tests: a real agent over a real outbox and a real replica file built from a small bundle.

Around it stand peers on the wire: a SIP2 client of plain bytes, a branch of simulated devices in its own process, and, where
a test wants one, a hub that speaks MQTT.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from pwdlib.hashers.argon2 import Argon2Hasher

from bus import Request, Responder, Transport
from consortium import bundle as bundles
from consortium.agreement import Agreement, PolicyRule, Service
from consortium.events import Event, Kind, decode
from consortium.identity import CHAIN_START, TokenKind, canonical_uid, chain, srid, token
from drivers.base import DriverFactory, load
from edge.agent import Agent
from edge.config import AccountConfig, DeviceConfig, EdgeConfig
from edge.replica import store
from edge.replica.build import build
from edge.serve import listen
from firmware_sim.branch_client import SimBranchClient
from protocols.bus import Envelope, encode, message_type, rfc3339, topics
from protocols.bus import Kind as Topic
from protocols.bus import decode as open_envelope
from protocols.iso28560 import encode_part3
from tests.make import HOME, HOST, Make
from tests.sealing import TRUST, sealed_text

KEY = bytes(range(32))
BRANCH = f"{HOME}-01"
NODE = f"edge-{BRANCH}"
PIN = "2468"
VERIFIER = Argon2Hasher(time_cost=1, memory_cost=64, parallelism=1).hash(PIN)
HOUR_MS = 3_600_000
OSDP_KEY = "00112233445566778899aabbccddeeff"


def now_ms() -> int:
    """Wall time in ms UTC."""
    return time.time_ns() // 1_000_000


def srid_of(number: str) -> str:
    """The reader's id at this site; the number stands in for the rid that only the hub knows."""
    return srid(KEY, f"rid-{number}")


class Rows:
    """Replica rows."""

    @staticmethod
    def reader(
        number: str, *, home: str = HOME, card: str | None = None, token_more: dict[str, Any] | None = None, **more: Any
    ) -> list[Any]:
        """Rows of one reader: number, ``ORG:NUMBER``, a card, and the reader."""
        row = {"home": home, "category": "UG", "status": "ACTIVE", "valid_to_ms": None, "shared": True, "age": 20,
               "blocks": [], "open_loans": [], "pin": VERIFIER if home == HOME else None, **more}  # fmt: skip
        value = {"srid": srid_of(number), "status": "ACTIVE", "assurance": "HIGH", "to_ms": None, **(token_more or {})}
        tokens = [token(KEY, TokenKind.READER_NO, text.encode()) for text in (number, f"{home}:{number}")]
        if card is not None:
            tokens.append(token(KEY, TokenKind.UID, canonical_uid(card)))
        return [["reader", srid_of(number), row], *(["token", each, value] for each in tokens)]

    @staticmethod
    def item(number: str, *, owner: str = HOME, **more: Any) -> list[Any]:
        """Rows of one item."""
        row = {"type": "BOOK", "owner_branch": f"{owner}-01", "title": f"书名 {number}", "value": 1, "shareable": True,
               "reference": False, "status": "SHELVED", "branch": f"{owner}-01", "loan_srid": None, "due": None,
               "transit_to": None, "hold_srid": None, **more}  # fmt: skip
        rows: list[Any] = [["item", f"{owner}/{number}", row]]
        if owner != HOME:
            rows.append(["number", number, owner])
        return rows


def block(issuer: str = HOME, *actions: str, scope: str = "issuer", kind: str = "") -> dict[str, Any]:
    """A block as in a reader's row."""
    return {
        "issuer": issuer,
        "scope": scope,
        "actions": list(actions or ("BORROW",)),
        "kind": kind,
        "from_ms": 0,
        "to_ms": None,
    }


def standard_rows() -> list[Any]:
    """Readers of every kind that these tests need, and items."""
    rows = [
        *Rows.reader("R1", card="04A1B2C3"),
        *Rows.reader("R2", blocks=[block(HOME, "BORROW", "ENTER", kind="OVERDUE")]),
        *Rows.reader("R3", token_more={"status": "LOST"}, card="04A1B2C5"),
        *Rows.reader("R4", home=HOME, shared=False),
        *Rows.reader("P1", home=HOST, card="04D1D2D3"),
        *Rows.reader("P2", home=HOST, shared=False, card="04D1D2D4"),
    ]
    for number in range(1001, 1011):
        rows += Rows.item(str(number))
    rows += Rows.item("1011", reference=True)
    rows += Rows.item("1012", status="ON_LOAN", loan_srid=srid_of("R2"), due=now_ms() - HOUR_MS)
    rows += Rows.item("2001", owner=HOST, status="IN_TRANSIT", transit_to=BRANCH, branch=f"{HOST}-01")
    rows += Rows.item("2002", owner=HOST, branch=BRANCH)
    return rows


def policy_text(**more: Any) -> str:
    """A bundle in which both libraries serve each other."""
    now = now_ms()
    fields: dict[str, Any] = {
        "issued_ms": now, "valid_from_ms": now - HOUR_MS, "valid_to_ms": now + 10_000 * HOUR_MS,
        "rules": (PolicyRule("general", lend=True, period_days=30),),
    }  # fmt: skip
    return bundles.to_json(Make.bundle(**{**fields, **more}))


def agreement(**more: Any) -> Agreement:
    """The agreement of the standard bundle, changed."""
    return Make.agreement(**{"services": frozenset(Service), **more})


def write_replica(data: Path, rows: list[Any], *, policy: str | None = None, age_ms: int = 0) -> None:
    """Build the replica file as a snapshot from the hub would."""
    directory = data / "replica"
    directory.mkdir(parents=True, exist_ok=True)
    head = {
        "org": HOME,
        "generation": 1,
        "version": 1,
        "asof_ms": now_ms() - age_ms,
        "includes": {"epoch": "", "upto": 0},
    }
    lines = [head, ["policy", "1", sealed_text(policy if policy is not None else policy_text())], *rows]
    body = gzip.compress("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode(), 1)
    snapshot = directory / "snapshot.gz"
    snapshot.write_bytes(body)
    manifest = {
        "org": HOME,
        "generation": 1,
        "version": 1,
        "sha256": hashlib.sha256(body).hexdigest(),
        "size": len(body),
    }
    build(snapshot, directory / "replica-1.db", manifest)
    store.set_current(directory, directory / "replica-1.db")


def make_config(data: Path, **more: Any) -> EdgeConfig:
    """An edge whose hub is away unless a test names a broker."""
    fields: dict[str, Any] = {
        "node": NODE, "branch": BRANCH, "org": HOME, "data": data, "hub_url": "http://127.0.0.1:9",
        "broker_url": "mqtt://127.0.0.1:9", "node_token": "t", "site_key": KEY, "http_port": 0, "sip2_port": 0,
        "accounts": (
            AccountConfig("kiosk1", "secret", HOME, "kiosk1"),
            AccountConfig("card1", "secret", HOME, "card1", trusts_card=True, lang="en"),
        ),
        "mode": "demo", "policy_trust": TRUST,
    }  # fmt: skip
    return EdgeConfig(**{**fields, **more})


class Bed:
    """A running agent. ``trusted``: the clock was compared with a hub before."""

    def __init__(
        self, config: EdgeConfig, *, trusted: bool = True, factory: Callable[[str], DriverFactory] = load
    ) -> None:
        self.agent = Agent(config, uniform=lambda: 0.5, factory=factory)
        if trusted:
            mono = self.agent.clock.mono()
            self.agent.clock.measure(now_ms(), mono, mono)
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self.http = ""

    async def __aenter__(self) -> Bed:
        await self.agent.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None and self._serving is not None:
            self.agent.stopping.set()
            if self.agent.kiosk is not None:
                self.agent.kiosk.changes.tell()
            self._server.should_exit = True
            await self._serving
        await self.agent.stop()

    async def serve(self) -> str:
        """Serve HTTP on a free port; gives the base address."""
        listener = listen(self.agent.config)
        self.http = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(self.agent.app, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._server.capture_signals = _no_signals  # type: ignore[method-assign]
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            await asyncio.sleep(0.01)
        return self.http

    def events(self, *kinds: Kind) -> list[Event]:
        """Durable events, in order."""
        rows = self.agent.outbox.unsent(0, 10_000_000)
        events = [decode(row.body) for row, _ in rows]
        return [event for event in events if not kinds or event.kind in kinds]

    def subjects(self, kind: Kind) -> list[str | None]:
        """Whom the durable events of a kind are about."""
        return [row.srid for row, _ in self.agent.outbox.unsent(0, 10_000_000) if decode(row.body).kind is kind]

    async def settled(self, kind: Kind, n: int = 1) -> list[Event]:
        """The events of a kind once there are ``n``."""
        return await until(lambda: self.events(kind) if len(self.events(kind)) >= n else None)


class _NoSignals:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _no_signals() -> _NoSignals:
    return _NoSignals()


async def until(ask: Callable[[], Any], timeout_s: float = 5.0) -> Any:
    """What ``ask`` gives once it is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := ask()):
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.01)
    return found


def seal(text: str, sequence: int) -> bytes:
    """A SIP2 message with AY and AZ, CR at its end."""
    body = f"{text}AY{sequence}AZ".encode()
    return body + f"{-sum(body) & 0xFFFF:04X}".encode() + b"\r"


class RawKiosk:
    """A kiosk of plain bytes over TCP: what is sent and received here was written by hand."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._n = -1

    async def __aenter__(self) -> RawKiosk:
        self._read, self._write = await asyncio.open_connection(*self._address)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._write.close()

    async def ask(self, text: str) -> str:
        """Send one message, give its reply without AY, AZ and terminator."""
        self._n = (self._n + 1) % 10
        self._write.write(seal(text, self._n))
        reply = (await asyncio.wait_for(self._read.readuntil(b"\r"), 10)).decode().rstrip("\r")
        body, _, _ = reply.rpartition("AY")
        assert reply[len(body) + 2] == str(self._n)
        return body

    async def login(self, user: str = "kiosk1") -> RawKiosk:
        """Log in."""
        assert await self.ask(f"9300CN{user}|COsecret|") == "941"
        return self


def field(reply: str, name: str, fixed: int) -> str | None:
    """A field of a reply whose fixed part has ``fixed`` characters."""
    for part in reply[fixed:].split("|"):
        if part.startswith(name):
            return part[2:]
    return None


class Machines:
    """A branch of simulated devices in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.osdp, self.feig = folder / "osdp", folder / "feig"
        words = [sys.executable, "-m", "firmware_sim.branch", "--osdp-link", str(self.osdp), "--osdp-key", OSDP_KEY,
                 "--feig-link", str(self.feig), "--control-port", "0"]  # fmt: skip
        environment = dict(os.environ, PYTHONPATH=os.getcwd())
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        assert self._process.stdout is not None
        self.control = int(json.loads(self._process.stdout.readline())["control"])

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.communicate(timeout=10)

    def client(self) -> SimBranchClient:
        """A player's end of its control channel."""
        return SimBranchClient(self.control)

    def devices(self, *kinds: str, **gate_options: Any) -> tuple[DeviceConfig, ...]:
        """Devices of an edge's configuration."""
        known = {
            "gate1": DeviceConfig("gate1", "osdp", f"pty:{self.osdp}", {"key": OSDP_KEY, **gate_options}),
            "pad1": DeviceConfig("pad1", "feig", f"pty:{self.feig}", {"poll_ms": 50}),
        }
        return tuple(known[kind] for kind in kinds)


def tag(item_no: str, *, owner: str = f"CN-{HOME}") -> str:
    """A tag's blocks in hex, ISO 28560-3."""
    return encode_part3(item_no, owner).hex()


class Hub:
    """A hub on the wire: takes events and acknowledges them, answers questions from what a test put into ``answers``."""

    def __init__(self, broker_url: str) -> None:
        self._transport = Transport(broker_url, "hub-test")
        self._leaving = asyncio.Event()
        self.thinks_s = 0.0
        self.answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "fee": lambda data: {"currency": "CNY", "charges": [], "total": 0}
        }
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.bodies: list[str] = []
        self.states: list[dict[str, Any]] = []
        self.chain = CHAIN_START
        self.upto = 0

    async def __aenter__(self) -> Hub:
        names = ("hello", "enter", "borrow", "renew", "reader", "item", "hold", "fee", "block")
        responder = Responder(self._transport, dict.fromkeys(names, self._answer))
        await responder.start()
        await self._transport.subscribe(f"{topics.ROOT}/{NODE}/evt", self._events)
        await self._transport.subscribe(topics.state(NODE), self._state)
        await self._transport.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leaving.set()
        await self._transport.close()

    async def _answer(self, request: Request) -> dict[str, Any]:
        data = dict(request.data)
        if request.name == "hello":
            return {"upto": self.upto, "chain": self.chain, "epoch_ok": True, "generation": 1, "version": 1,
                    "t": now_ms(), "manifest": None}  # fmt: skip
        self.asked.append((request.name, data))
        answer = self.answers.get(request.name)
        if answer is None:
            await self._leaving.wait()  # silent: the edge must not wait for it
            return {}
        await asyncio.sleep(self.thinks_s)
        return answer(data)

    def _state(self, incoming: Any) -> None:
        self.states.append(open_envelope(incoming.payload).data)
        incoming.ack()

    async def _events(self, incoming: Any) -> None:
        data = open_envelope(incoming.payload).data
        for row in data["events"]:
            if row["seq"] == self.upto + 1:
                self.chain = chain(self.chain, row["body"])
                assert self.chain == row["hash"]
                self.upto = row["seq"]
                self.bodies.append(row["body"])
        incoming.ack()
        ack = Envelope(
            id=f"ack-{self.upto}", source="hub-test", type=message_type(Topic.ACK), time=rfc3339(now_ms()),
            data={"epoch": data["epoch"], "upto": self.upto, "rejected": []},
        )  # fmt: skip
        await self._transport.publish(topics.ack(NODE), encode(ack))
