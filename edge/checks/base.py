"""What a check looks at and what it finds: an issue with a stable kind, a context and a suggestion a person can follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Severity = Literal["warning", "error"]


@dataclass(frozen=True, slots=True)
class DeviceVitals:
    """State of one device: ``since`` ms UTC."""

    id: str
    kind: str
    state: str
    reason_code: str
    since: int


@dataclass(frozen=True, slots=True)
class Vitals:
    """One look at the whole edge; times in ms UTC, None = not known. Made once, read by every check."""

    now: int
    started: int
    outbox_depth: int = 0
    outbox_oldest: int | None = None
    outbox_full: bool = False
    policy_version: int | None = None
    facts_asof: int | None = None
    broker_online: bool = False
    hub_away: bool = True
    clock_trusted: bool = False
    clock_offset_ms: int = 0
    disk_free_bytes: int | None = None
    devices: tuple[DeviceVitals, ...] = ()


@dataclass(frozen=True, slots=True)
class Issue:
    """Something a person should know. ``context`` names what it is about; ``suggestion`` is {"zh", "en"}."""

    kind: str
    context: str
    severity: Severity
    suggestion: Mapping[str, str]
    fields: Mapping[str, str | int] = field(default_factory=dict)

    def public(self) -> dict[str, object]:
        """As shown in ``/state`` and by the doctor."""
        return {
            "kind": self.kind,
            "context": self.context,
            "severity": self.severity,
            "suggestion": dict(self.suggestion),
            "fields": dict(self.fields),
        }


class Check(Protocol):
    """One question to the vitals. Pure: the same vitals give the same issues."""

    name: str

    def find(self, vitals: Vitals) -> list[Issue]:
        """Every issue that holds now, none where all is well."""
        ...
