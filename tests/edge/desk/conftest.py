"""Fixtures of the edge's services."""

from tests.edge.fixtures import bed, broker, hub, hub_bed, machines

__all__ = ["bed", "broker", "hub", "hub_bed", "machines"]
