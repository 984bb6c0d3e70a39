"""What the edge measures about itself, for Prometheus: base units, no reader, card or item in any label."""

from __future__ import annotations

from collections import deque

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_FAST = (0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 1.0)
_SLOW = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
KEPT = 10_000
"""Most recent samples kept of each latency, for the demo's report."""


class Samples:
    """The last ``KEPT`` values of one latency, in ms."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=KEPT)

    def add(self, ms: float) -> None:
        """Keep one value."""
        self._values.append(ms)

    def raw(self) -> list[float]:
        """The values, oldest first, to a microsecond."""
        return [round(value, 3) for value in self._values]

    def summary(self) -> dict[str, float | int | None]:
        """n, p50, p99 and max in ms; None where there is no value."""
        values = sorted(self._values)
        if not values:
            return {"n": 0, "p50": None, "p99": None, "max": None}
        last = len(values) - 1
        return {
            "n": len(values),
            "p50": round(values[last // 2], 3),
            "p99": round(values[min(last, round(last * 0.99))], 3),
            "max": round(values[-1], 3),
        }


class Metrics:
    """The edge's registry. One object per agent, so that two agents in one test do not share counts."""

    def __init__(self, library: str) -> None:
        self.library = library
        self.registry = CollectorRegistry()
        self.latency: dict[str, Samples] = {"tap_to_open": Samples(), "kiosk_checkout": Samples()}
        labels = ("library",)
        kiosk = ("library", "kiosk", "operation", "result")
        self.passages = Counter(
            "tongjie_gate_passages_total", "Cards decided at gates, by result code.",
            ("library", "gate", "direction", "result"), registry=self.registry,
        )  # fmt: skip
        self.decision_seconds = Histogram(
            "tongjie_gate_decision_duration_seconds", "From card read to open command issued or refusal shown.",
            ("library", "gate"), registry=self.registry, buckets=_FAST,
        )  # fmt: skip
        self.card_reads = Counter(
            "tongjie_card_reads_total", "Cards read, by what became of them.",
            ("library", "device", "result"), registry=self.registry,
        )  # fmt: skip
        self.transactions = Counter(
            "tongjie_selfcheck_transactions_total", "Loans and returns at kiosks, by result code.",
            kiosk, registry=self.registry,
        )  # fmt: skip
        self.transaction_seconds = Histogram(
            "tongjie_selfcheck_transaction_duration_seconds", "From request to durable answer.",
            ("library", "operation"), registry=self.registry, buckets=_SLOW,
        )  # fmt: skip
        self.sip2_seconds = Histogram(
            "tongjie_sip2_request_duration_seconds", "From SIP2 request to reply.",
            ("library", "message"), registry=self.registry, buckets=_SLOW,
        )  # fmt: skip
        self.sip2_connections = Gauge(
            "tongjie_sip2_connections", "Kiosks logged in now.", labels, registry=self.registry
        )
        self.occupancy = Gauge(
            "tongjie_gate_occupancy", "Readers inside by own counts.", labels, registry=self.registry
        )
        self.outbox_depth = Gauge(
            "tongjie_outbox_depth", "Events not yet acknowledged.", labels, registry=self.registry
        )
        self.outbox_oldest = Gauge(
            "tongjie_outbox_oldest_timestamp_seconds", "When the oldest unacknowledged event happened, 0 = none.",
            labels, registry=self.registry,
        )  # fmt: skip
        self.link_online = Gauge("tongjie_hub_link_up", "1 while the hub answers.", labels, registry=self.registry)
        self.clock_skew = Gauge(
            "tongjie_clock_skew_seconds", "Hub time less device time.", labels, registry=self.registry
        )
        self.replica_asof = Gauge(
            "tongjie_replica_asof_timestamp_seconds", "As-of time of the replica.", labels, registry=self.registry
        )
        self.devices_up = Gauge(
            "tongjie_device_up",
            "1 online, 0.5 degraded, 0 offline.",
            ("library", "device", "kind"),
            registry=self.registry,
        )
        self.device_seen = Gauge(
            "tongjie_device_last_seen_timestamp_seconds",
            "Last sign of life.",
            ("library", "device"),
            registry=self.registry,
        )
        self.asked = Counter(
            "tongjie_hub_requests_total", "Questions to the hub, by name and result.",
            ("library", "name", "result"), registry=self.registry,
        )  # fmt: skip
        self.tags_written = Counter(
            "tongjie_tag_writes_total", "Security states written to tags, by result.",
            ("library", "device", "result"), registry=self.registry,
        )  # fmt: skip
        self.went_through = Counter(
            "tongjie_gate_went_through_total", "What became of openings, and passages without one.",
            ("library", "gate", "direction", "what"), registry=self.registry,
        )  # fmt: skip
        self.people = Counter(
            "tongjie_people_counted_total", "Persons counted by people counters.",
            ("library", "device", "direction"), registry=self.registry,
        )  # fmt: skip
        self.tags_passed = Counter(
            "tongjie_security_gate_tags_total", "Tags carried through security gates, by what they were.",
            ("library", "gate", "code"), registry=self.registry,
        )  # fmt: skip
        self.door_alarms = Counter(
            "tongjie_door_alarms_total",
            "Alarms of doors, by code.",
            ("library", "device", "code"),
            registry=self.registry,
        )
        self.receipts = Counter(
            "tongjie_receipts_total",
            "Receipts asked for, by what came of it.",
            ("library", "result"),
            registry=self.registry,
        )
