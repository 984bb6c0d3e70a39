"""Replicas out: what each library's edges may know, as versions, deltas and snapshots."""

from hub.spread.service import Snapshot, Spread

__all__ = ["Snapshot", "Spread"]
