"""What the hub counts (platform §8): names without reader, card or item, base units."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """The hub's metrics on a registry of their own; ``registry`` is what /metrics renders."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.events = Counter("tongjie_hub_events", "Events by what became of them", ["result"], registry=registry)
        self.quarantined = Counter(
            "tongjie_hub_quarantined_events", "Events kept in quarantine", ["code"], registry=registry
        )
        self.conflicts = Counter("tongjie_hub_conflicts", "Conflicts found by folding", ["kind"], registry=registry)
        self.refolds = Counter(
            "tongjie_hub_refolds", "Items or visits folded again for a late event", registry=registry
        )
        self.ingest_seconds = Histogram(
            "tongjie_hub_ingest_duration_seconds", "One transaction of ingest", buckets=_BUCKETS, registry=registry
        )
        self.batches_refused = Counter("tongjie_hub_batches_refused", "Batches not taken", ["code"], registry=registry)
        self.requests = Counter(
            "tongjie_hub_requests", "Requests of edges by outcome", ["name", "result"], registry=registry
        )
        self.request_seconds = Histogram(
            "tongjie_hub_request_duration_seconds",
            "Deciding, without the bus",
            ["name"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self.decisions = Counter(
            "tongjie_hub_decisions", "Decisions the hub took", ["function", "outcome", "code"], registry=registry
        )
        self.messages = Counter(
            "tongjie_mqtt_messages", "Messages on the bus", ["direction", "kind"], registry=registry
        )
        self.node_online = Gauge("tongjie_node_online", "Whether a node says it is online", ["node"], registry=registry)
        self.node_last_seen = Gauge(
            "tongjie_node_last_seen_timestamp_seconds", "When a node was last heard", ["node"], registry=registry
        )
        self.device_last_seen = Gauge(
            "tongjie_device_last_seen_timestamp_seconds",
            "When a device was last heard of",
            ["node", "device"],
            registry=registry,
        )
        self.broker_up = Gauge(
            "tongjie_hub_broker_up", "Whether the hub's connections to the broker stand", registry=registry
        )
        self.ils_work = Gauge(
            "tongjie_ils_work", "Jobs for members' own ILS, by how they stand", ["state"], registry=registry
        )
