"""The report of a demo run: counted from the hub's log and the edges' own outbox files, not from what anyone claims."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from consortium.invariants import NAMES
from firmware_sim.players.stats import quantiles
from tongjie.commands.check import database_of, run_check
from tongjie.demo.layout import Layout
from tongjie.history import HistoryError


class ReportError(Exception):
    """The report cannot be made; the message says why."""


@dataclass
class Live:
    """What only running processes can tell: latencies and what the hub saw twice."""

    duplicated: int = 0
    tap_ms: list[float] = field(default_factory=list)
    console_ms: list[float] = field(default_factory=list)
    undelivered: int = 0
    ils: dict[str, int] = field(default_factory=dict)


async def collect_live(layout: Layout, drain_s: float) -> Live:
    """Wait until the outboxes are delivered (at most ``drain_s``), then ask edges and hub for their figures."""
    live = Live()
    deadline = time.monotonic() + drain_s
    async with httpx2.AsyncClient(timeout=5.0) as client:
        while True:
            depths = await asyncio.gather(*(_depth(client, b.http_port) for b in layout.branches))
            live.undelivered = sum(depth for depth in depths if depth > 0)
            if all(depth == 0 for depth in depths) or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
        for branch in layout.branches:
            found = await _json(client, f"http://127.0.0.1:{branch.http_port}/state/latency")
            live.tap_ms.extend(float(sample) for sample in found.get("tap_to_open_ms", ()))
        seen_twice = 'tongjie_hub_events_total{result="duplicate"}'
        live.duplicated = await _metric(client, f"{layout.hub_url}/metrics", seen_twice)
    return live


async def _json(client: httpx2.AsyncClient, address: str) -> dict[str, Any]:
    try:
        found = (await client.get(address)).json()
    except (httpx2.HTTPError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


async def _depth(client: httpx2.AsyncClient, port: int) -> int:
    state = await _json(client, f"http://127.0.0.1:{port}/state")
    depth = state.get("outbox", {}).get("depth", -1)
    return int(depth)


async def _metric(client: httpx2.AsyncClient, address: str, name: str) -> int:
    try:
        text = (await client.get(address)).text
    except httpx2.HTTPError:
        return 0
    return int(
        sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith((name + " ", name + "{")))
    )


def _outbox(folder: Path) -> tuple[set[tuple[str, str, int]], int]:
    """Ids of every durable event of an edge, and how many of them the hub acknowledged."""
    ids: set[tuple[str, str, int]] = set()
    path = folder / "outbox.db"
    if not path.exists():
        raise ReportError(f"{path} is missing")
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        acked = dict(connection.execute("SELECT epoch, acked FROM epochs"))
        for (body,) in connection.execute("SELECT body FROM events"):
            event = json.loads(body)
            ids.add((event["node"], event["epoch"], event["seq"]))
    finally:
        connection.close()
    return ids, sum(1 for _, epoch, seq in ids if seq <= acked.get(epoch, 0))


def build_report(layout: Layout, live: Live, ran_s: float, restarts: dict[str, int]) -> dict[str, Any]:
    """The report as design §4.1 names its keys; raises ReportError."""
    try:
        url = database_of(layout.folder)
        findings = run_check(url)
    except HistoryError as error:
        raise ReportError(str(error)) from error
    connection = sqlite3.connect(f"file:{url.removeprefix('sqlite:///')}?mode=ro", uri=True)
    try:
        facts = _from_database(connection)
    finally:
        connection.close()
    sent: set[tuple[str, str, int]] = set()
    acked = 0
    for branch in layout.branches:
        ids, delivered = _outbox(layout.folder / branch.id)
        sent |= ids
        acked += delivered
    held = facts.pop("held")
    players_file = layout.folder / "players.json"
    players = json.loads(players_file.read_text("utf-8")) if players_file.exists() else {}
    return {
        "seconds": round(ran_s, 1),
        "seed": layout.seed,
        "speed": layout.speed,
        **facts,
        "events_sent": len(sent),
        "events_acked": acked,
        "events_duplicated": live.duplicated,
        "events_lost": len(sent - held),
        "invariants": {finding.invariant: finding.status for finding in findings},
        "latency_ms": {
            "tap_to_open": quantiles(live.tap_ms),
            "kiosk_checkout": players.get("kiosk_checkout_ms", quantiles([])),
            "event_to_console": quantiles(live.console_ms),
        },
        "ils": live.ils,
        "restarts": restarts,
        "players": players,
    }


def _from_database(connection: sqlite3.Connection) -> dict[str, Any]:
    def one(query: str) -> int:
        return int(connection.execute(query).fetchone()[0])

    refused: Counter[str] = Counter()
    entered = denied_at_gate = 0
    for function, outcome, code in connection.execute("SELECT function, outcome, primary_code FROM decisions"):
        if outcome != "ALLOW":
            refused[code] += 1
            denied_at_gate += function == "enter"
    entered = one("SELECT COUNT(*) FROM events WHERE kind IN ('ENTRY', 'EXIT')")
    held = {(n, e, s) for n, e, s in connection.execute("SELECT node, epoch, seq FROM events")}
    held |= {(n, e, s) for n, e, s in connection.execute("SELECT node, epoch, seq FROM quarantine")}
    return {
        "taps": entered + denied_at_gate,
        "allowed": entered,
        "denied": dict(sorted(refused.items())),
        "loans_opened": one("SELECT COUNT(*) FROM loans"),
        "loans_closed": one("SELECT COUNT(*) FROM loans WHERE t_end IS NOT NULL"),
        "returns_away": one(
            "SELECT COUNT(*) FROM events WHERE kind = 'RETURN' AND owner IS NOT NULL AND substr(branch, 1, length(owner)) <> owner"
        ),
        "transits_opened": one("SELECT COUNT(*) FROM transits"),
        "transits_received": one("SELECT COUNT(*) FROM transits WHERE state = 'RECEIVED'"),
        "conflicts": dict(connection.execute("SELECT kind, COUNT(*) FROM conflicts GROUP BY kind")),
        "held": held,
    }


def summary(report: dict[str, Any]) -> str:
    """What a person wants to know at the end."""
    holds = [name for name, status in report["invariants"].items() if status == "holds"]
    broken = [name for name, status in report["invariants"].items() if status == "broken"]
    denied = sum(report["denied"].values())
    tap = report["latency_ms"]["tap_to_open"]
    lines = [
        f"ran {report['seconds']:.0f} s: {report['taps']} taps, {report['allowed']} let through, "
        f"{denied} refusals by {len(report['denied'])} reasons",
        f"  {report['loans_opened']} loans, {report['loans_closed']} ended, {report['returns_away']} returned away, "
        f"{report['transits_received']} of {report['transits_opened']} transits received",
        f"  {report['events_sent']} events sent, {report['events_acked']} acknowledged, {report['events_duplicated']} seen twice, "
        f"{report['events_lost']} lost",
        f"  tap to open p50 {tap['p50']} ms, p99 {tap['p99']} ms over {tap['n']}",
        *_of_ils(report["ils"]),
        f"  invariants: {len(holds)} of {len(NAMES)} hold"
        + (f", broken: {', '.join(broken)}" if broken else "")
        + f", {len(NAMES) - len(holds) - len(broken)} not checked yet",
    ]
    return "\n".join(lines)


def _of_ils(ils: dict[str, int]) -> list[str]:
    if not ils:
        return []
    refused = f", refused {ils['refused']}" if ils["refused"] else ""
    return [
        f"  the ILS: lent behind our back {ils['behind_our_back']}, found {ils['found']}; "
        f"transactions during the outage {ils['while_away']}, booked {ils['booked']}{refused}"
    ]
