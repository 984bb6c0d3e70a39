"""Steps of the replica: a delta or a watermark as it travels, and the head of the file after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from edge.outbox import Watermark
from edge.replica import store
from edge.replica.rows import ReplicaInvalid

MAX_ROWS = 10_000
"""Rows of one delta; a message of 16 KB holds a few hundred."""


class Step(msgspec.Struct, frozen=True):
    """A delta or watermark as it travels."""

    generation: int
    version: int
    asof_ms: int
    includes: dict[str, Any]
    rows: list[Any] = []


def read_step(message: Mapping[str, Any]) -> Step:
    """A delta or watermark. Raises ReplicaInvalid REPLICA_STEP."""
    try:
        step = msgspec.convert(message, Step)
        Watermark(step.includes["epoch"], step.includes["upto"])
    except (msgspec.ValidationError, KeyError) as error:
        raise ReplicaInvalid("REPLICA_STEP", "a delta or watermark lacks a field") from error
    if len(step.rows) > MAX_ROWS:
        raise ReplicaInvalid("REPLICA_STEP", "a delta holds more rows than a message can")
    return step


def moved(head: store.Head, step: Step) -> store.Head:
    """The head after this step. Raises ReplicaInvalid REPLICA_STEP."""
    epoch, upto = step.includes["epoch"], step.includes["upto"]
    if not isinstance(epoch, str) or not isinstance(upto, int):
        raise ReplicaInvalid("REPLICA_STEP", "includes is {epoch, upto}")
    return replace(head, version=step.version, asof_ms=step.asof_ms, epoch=epoch, upto=upto)
