"""What the envelopes carry: message types, batches of events, acks, birth and will, refusals.

Events travel as the exact JSON text that the edge hashed, a string inside the envelope, because the hub stores and hashes these bytes
and a JSON library on the way would rewrite them. Identity (salt, srid) travels beside the body and never inside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from protocols.bus.errors import LocalProtocolError, RemoteProtocolError
from protocols.bus.topics import Kind

__all__ = [
    "BATCH_OVERHEAD",
    "TYPES",
    "Ack",
    "EventBatch",
    "EventRow",
    "Rejected",
    "State",
    "message_type",
    "row_size",
]

TYPES: Final[dict[Kind, str]] = {
    Kind.EVT: "tongjie.evt.v1",
    Kind.ACK: "tongjie.ack.v1",
    Kind.REQ: "tongjie.req.{name}.v1",
    Kind.REP: "tongjie.rep.{name}.v1",
    Kind.ASK: "tongjie.ask.{name}.v1",
    Kind.ASK_REP: "tongjie.ask-rep.{name}.v1",
    Kind.WORK: "tongjie.work.v1",
    Kind.WORK_REP: "tongjie.work-rep.v1",
    Kind.STATE: "tongjie.state.v1",
    Kind.TWIN: "tongjie.twin.{name}.v1",
    Kind.REPLICA: "tongjie.replica.{name}.v1",
    Kind.CMD: "tongjie.cmd.{name}.v1",
    Kind.CMD_REP: "tongjie.cmd-rep.{name}.v1",
}
"""The CloudEvents `type` of each kind of topic; `{name}` is the name of the topic, or of what is answered."""

BATCH_OVERHEAD: Final = 1_024
"""Bytes of an evt message that are not rows, at the most: attributes at their usual lengths and a signature of 86 characters."""

_EPOCH = re.compile(r"[0-9A-Za-z-]{1,64}")
_HASH = re.compile(r"[0-9a-f]{64}")
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,39}")
_IDENTITY = re.compile(r"[0-9A-Za-z_=-]{1,128}")
_MAX_SEQ = 2**53 - 1  # every JSON reader holds these exactly


def message_type(kind: Kind, name: str | None = None) -> str:
    """The CloudEvents `type` of a message of this kind; `name` where the type has one."""
    return TYPES[kind].format(name=name)


def _count(value: object, field: str, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MAX_SEQ:
        raise LocalProtocolError("BUS_MESSAGE_FIELD", field=field)
    return value


def _match(pattern: re.Pattern[str], value: object, field: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise LocalProtocolError("BUS_MESSAGE_FIELD", field=field)
    return value


def _list(value: object, field: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise RemoteProtocolError("BUS_MESSAGE_FIELD", field=field)
    return value


def _dict(value: object, field: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise RemoteProtocolError("BUS_MESSAGE_FIELD", field=field)
    return value


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event on its way: `seq` from 1, `body` the exact JSON text, `hash` 64 hex digits, identity beside it or erased (None).

    Raises LocalProtocolError BUS_MESSAGE_FIELD. Whether the hash fits the body is the receiver's question, per row.
    """

    seq: int
    body: str
    hash: str
    salt: str | None = None
    srid: str | None = None

    def __post_init__(self) -> None:
        _count(self.seq, "seq", 1)
        if not isinstance(self.body, str) or not self.body:
            raise LocalProtocolError("BUS_MESSAGE_FIELD", field="body")
        _match(_HASH, self.hash, "hash")
        for name in ("salt", "srid"):
            if (value := getattr(self, name)) is not None:
                _match(_IDENTITY, value, name)

    def to_data(self) -> dict[str, Any]:
        """The row as it stands in the batch."""
        return {"seq": self.seq, "body": self.body, "hash": self.hash, "salt": self.salt, "srid": self.srid}


def row_size(row: EventRow) -> int:
    """Bytes that this row takes in an evt message, its comma included; what `Uploader.offer` counts with."""
    return len(msgspec.json.encode(row.to_data())) + 1


@dataclass(frozen=True, slots=True)
class EventBatch:
    """The data of an evt message: consecutive rows of one epoch, `seq` rising without a hole."""

    epoch: str
    events: tuple[EventRow, ...]

    def __post_init__(self) -> None:
        _match(_EPOCH, self.epoch, "epoch")
        if not self.events:
            raise LocalProtocolError("BUS_MESSAGE_FIELD", field="events")
        first = self.events[0].seq
        for place, row in enumerate(self.events):
            if row.seq != first + place:
                raise LocalProtocolError("BUS_BATCH_ORDER", seq=row.seq)

    def to_data(self) -> dict[str, Any]:
        """The batch as envelope data."""
        return {"epoch": self.epoch, "events": [row.to_data() for row in self.events]}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> EventBatch:
        """The batch in an envelope's data; unknown keys are ignored. Raises RemoteProtocolError BUS_MESSAGE_FIELD, BUS_BATCH_ORDER."""
        # Here and below: what came from the wire goes untyped into constructors, and these refuse what is not of its type.
        try:
            rows = []
            for item in _list(data.get("events"), "events"):
                raw = _dict(item, "events")
                rows.append(EventRow(*(raw.get(name) for name in ("seq", "body", "hash", "salt", "srid"))))  # type: ignore[arg-type]
            return cls(data.get("epoch"), tuple(rows))  # type: ignore[arg-type]
        except LocalProtocolError as error:
            raise error.as_remote() from None


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that the hub keeps in quarantine and counts as received; `code` says why."""

    seq: int
    code: str

    def __post_init__(self) -> None:
        _count(self.seq, "seq", 1)
        _match(_CODE, self.code, "code")


@dataclass(frozen=True, slots=True)
class Ack:
    """The data of an ack: the hub holds every event of this epoch up to and including `upto` (0: none), on disk."""

    epoch: str
    upto: int
    rejected: tuple[Rejected, ...] = ()

    def __post_init__(self) -> None:
        _match(_EPOCH, self.epoch, "epoch")
        _count(self.upto, "upto", 0)

    def to_data(self) -> dict[str, Any]:
        """The ack as envelope data."""
        rejected = [{"seq": row.seq, "code": row.code} for row in self.rejected]
        return {"epoch": self.epoch, "upto": self.upto, "rejected": rejected}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Ack:
        """The ack in an envelope's data; unknown keys are ignored. Raises RemoteProtocolError BUS_MESSAGE_FIELD."""
        try:
            rejected = []
            for item in _list(data.get("rejected", []), "rejected"):
                raw = _dict(item, "rejected")
                rejected.append(Rejected(raw.get("seq"), raw.get("code")))  # type: ignore[arg-type]
            return cls(data.get("epoch"), data.get("upto"), tuple(rejected))  # type: ignore[arg-type]
        except LocalProtocolError as error:
            raise error.as_remote() from None


@dataclass(frozen=True, slots=True)
class State:
    """The data of a birth (`online`) or a will; a will knows no more than that the node is gone.

    `version` is the program's; `devices` maps a device's id to what is known of it.
    """

    online: bool
    epoch: str | None = None
    version: str | None = None
    devices: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.online, bool):
            raise LocalProtocolError("BUS_MESSAGE_FIELD", field="online")
        if self.online:
            _match(_EPOCH, self.epoch, "epoch")
        if self.version is not None and (not isinstance(self.version, str) or not 0 < len(self.version) <= 64):
            raise LocalProtocolError("BUS_MESSAGE_FIELD", field="version")
        if self.devices is not None and not isinstance(self.devices, Mapping):
            raise LocalProtocolError("BUS_MESSAGE_FIELD", field="devices")

    def to_data(self) -> dict[str, Any]:
        """The state as envelope data; what is not known is left out."""
        out: dict[str, Any] = {"online": self.online}
        for name in ("epoch", "version", "devices"):
            if (value := getattr(self, name)) is not None:
                out[name] = value
        return out

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> State:
        """The state in an envelope's data; unknown keys are ignored. Raises RemoteProtocolError BUS_MESSAGE_FIELD."""
        try:
            return cls(*(data.get(name) for name in ("online", "epoch", "version", "devices")))  # type: ignore[arg-type]
        except LocalProtocolError as error:
            raise error.as_remote() from None
