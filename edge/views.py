"""What an agent shows of itself: vitals for the checks, `/state`, `/state/latency`, readiness and gauges. No personal data."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edge import checks
from edge.checks import DeviceVitals, Vitals
from edge.link import SOFTWARE

if TYPE_CHECKING:
    from edge.agent import Agent

_LEVEL = {"online": 1.0, "degraded": 0.5, "offline": 0.0}


def vitals(agent: Agent) -> Vitals:
    """One look at everything."""
    now = agent.clock.now()
    age = agent.replica.age_ms()
    try:
        free: int | None = shutil.disk_usage(agent.config.data).free
    except OSError:
        free = None
    return Vitals(
        now=now,
        started=agent.started,
        outbox_depth=agent.outbox.depth,
        outbox_oldest=agent.outbox.oldest_ms() if agent.running else None,
        outbox_full=agent.desk.full,
        policy_version=agent.replica.policy.version if agent.replica.policy is not None else None,
        facts_asof=None if age is None else now - age,
        broker_online=agent.link.state.connected,
        hub_away=agent.link.away,
        clock_trusted=agent.clock.trusted,
        clock_offset_ms=agent.clock.offset_ms,
        disk_free_bytes=free,
        devices=tuple(
            DeviceVitals(d.id, d.kind, d.state, d.reason_code, d.since) for d in agent.devices.records.values()
        ),
    )


def not_ready(agent: Agent) -> list[str]:
    """What keeps this edge from serving: no policy, an outbox that takes nothing, devices not yet heard of."""
    missing = []
    if agent.replica.policy is None:
        missing.append("REPLICA_MISSING")
    if not agent.running:
        missing.append("STOPPED")
    if agent.desk.full:
        missing.append("OUTBOX_FULL")
    starting = [record.id for record in agent.devices.records.values() if record.reason_code == "STARTING"]
    return missing + [f"DEVICE_STARTING {device}" for device in sorted(starting)]


def state(agent: Agent) -> dict[str, Any]:
    """Everything a systems person may see: devices, link, ages, depth, checks. No personal data."""
    seen = vitals(agent)
    age = agent.replica.age_ms()
    return {
        "node": agent.config.node,
        "branch": agent.config.branch,
        "software": SOFTWARE,
        "t": seen.now,
        "started": agent.started,
        "link": asdict(agent.link.state),
        "replica": {
            "generation": agent.replica.generation,
            "version": agent.replica.version,
            "policy": seen.policy_version,
            "age_ms": age,
            "refused": dict(agent.link.follower.stats.refused),
        },
        "outbox": {
            "epoch": agent.outbox.epoch,
            "last_seq": agent.outbox.last_seq,
            "acked_seq": agent.outbox.acked_seq,
            "depth": seen.outbox_depth,
            "oldest_ms": seen.outbox_oldest,
            "dropped": dict(agent.outbox.stats.dropped),
        },
        "clock": {
            "trusted": seen.clock_trusted,
            "offset_ms": seen.clock_offset_ms,
            "uncertainty_ms": agent.clock.uncertainty_ms(),
        },
        "sip2": {"host": agent.sip2_at[0], "port": agent.sip2_at[1]} if agent.sip2_at is not None else None,
        "ils": agent.own_ils.public() if agent.own_ils is not None else None,
        "occupancy": agent.facts.occupancy(seen.now),
        "latency_ms": {name: samples.summary() for name, samples in agent.metrics.latency.items()},
        "devices": agent.devices.public(),
        "issues": [issue.public() for issue in checks.run(seen)],
    }


def latency(agent: Agent) -> dict[str, Any]:
    """The last samples of each latency, in ms."""
    return {f"{name}_ms": samples.raw() for name, samples in agent.metrics.latency.items()}


def refresh_metrics(agent: Agent) -> None:
    metrics, library, seen = agent.metrics, agent.config.org, vitals(agent)
    metrics.occupancy.labels(library).set(agent.facts.occupancy(seen.now))
    metrics.outbox_depth.labels(library).set(seen.outbox_depth)
    metrics.outbox_oldest.labels(library).set((seen.outbox_oldest or 0) / 1000)
    metrics.link_online.labels(library).set(0 if seen.hub_away else 1)
    metrics.clock_skew.labels(library).set(seen.clock_offset_ms / 1000)
    metrics.replica_asof.labels(library).set((seen.facts_asof or 0) / 1000)
    metrics.sip2_connections.labels(library).set(len(agent.sip2.kiosks) if agent.sip2 is not None else 0)
    for record in agent.devices.records.values():
        metrics.devices_up.labels(library, record.id, record.kind).set(_LEVEL[record.state])
        metrics.device_seen.labels(library, record.id).set(record.seen / 1000)
