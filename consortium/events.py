"""Events: facts that happened, with identity, corrected time and an exact body (domain §1).

The body is canonical JSON (RFC 8785 restricted to integers and strings) and is kept byte for byte; who it was about stands
beside it as (salt, srid), committed to by ``subject`` inside, so that erasing a person leaves every hash valid.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from consortium import schemas
from consortium.identity import EventId, IdentityError, check_branch, check_node

SCHEMA_VERSION = 1
MAX_BODY = 8_192
"""Longest body accepted, in bytes of UTF-8."""


class EventError(ValueError):
    """An event that cannot be accepted; ``code`` is stable and goes into quarantine with the bytes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Kind(StrEnum):
    """The closed set of event types."""

    CHECKOUT = "CHECKOUT"
    RENEW = "RENEW"
    RETURN = "RETURN"
    RECEIVE = "RECEIVE"
    IN_USE = "IN_USE"
    TRANSIT_BAGGED = "TRANSIT_BAGGED"
    TRANSIT_SENT = "TRANSIT_SENT"
    TRANSIT_SEEN = "TRANSIT_SEEN"
    TRANSIT_CANCELLED = "TRANSIT_CANCELLED"
    ITEM_MARKED = "ITEM_MARKED"
    LOAN_ENDED = "LOAN_ENDED"
    LOAN_EXTENDED = "LOAN_EXTENDED"
    ILS_OBSERVED = "ILS_OBSERVED"
    HOLD_PLACED = "HOLD_PLACED"
    HOLD_CANCELLED = "HOLD_CANCELLED"
    HOLD_EXPIRED = "HOLD_EXPIRED"
    ENTRY = "ENTRY"
    EXIT = "EXIT"
    VISIT_CLOSED = "VISIT_CLOSED"
    REFUSED = "REFUSED"
    TAG_WRITTEN = "TAG_WRITTEN"
    DEVICE = "DEVICE"
    GATE_ALARM = "GATE_ALARM"
    PEOPLE_COUNTED = "PEOPLE_COUNTED"
    BLOCK_SET = "BLOCK_SET"
    BLOCK_LIFTED = "BLOCK_LIFTED"
    CARD_STATUS = "CARD_STATUS"
    PIN_LOCKED = "PIN_LOCKED"
    CHARGE_PAID = "CHARGE_PAID"
    CHARGE_WAIVED = "CHARGE_WAIVED"
    CLOCK_CORRECTED = "CLOCK_CORRECTED"
    CONFLICT_SETTLED = "CONFLICT_SETTLED"
    POLICY_PUBLISHED = "POLICY_PUBLISHED"


class EventClass(StrEnum):
    """How an outbox admits and sheds: CIRCULATION is never shed."""

    CIRCULATION = "CIRCULATION"
    VISIT = "VISIT"
    PRESENCE = "PRESENCE"


CLASS_OF: dict[Kind, EventClass] = {
    **dict.fromkeys(Kind, EventClass.CIRCULATION),
    Kind.ENTRY: EventClass.VISIT,
    Kind.EXIT: EventClass.VISIT,
    Kind.VISIT_CLOSED: EventClass.VISIT,
    Kind.REFUSED: EventClass.VISIT,
    Kind.GATE_ALARM: EventClass.VISIT,
    Kind.IN_USE: EventClass.PRESENCE,
    Kind.DEVICE: EventClass.PRESENCE,
    Kind.PEOPLE_COUNTED: EventClass.PRESENCE,
}

ITEM_KINDS = frozenset(
    {
        Kind.CHECKOUT,
        Kind.RENEW,
        Kind.RETURN,
        Kind.RECEIVE,
        Kind.IN_USE,
        Kind.TRANSIT_BAGGED,
        Kind.TRANSIT_SENT,
        Kind.TRANSIT_SEEN,
        Kind.TRANSIT_CANCELLED,
        Kind.ITEM_MARKED,
        Kind.LOAN_ENDED,
        Kind.LOAN_EXTENDED,
        Kind.ILS_OBSERVED,
    }
)
"""Events that an item's fold reads, where they name an item."""

VISIT_KINDS = frozenset({Kind.ENTRY, Kind.EXIT, Kind.VISIT_CLOSED})
"""Events that a visit's fold reads."""

HOLD_KINDS = frozenset({Kind.HOLD_PLACED, Kind.HOLD_CANCELLED, Kind.HOLD_EXPIRED})
"""Events that are about a hold alone; an item's events move it too (``consortium.holds``)."""

SCHEMAS: dict[Kind, type[msgspec.Struct]] = {
    Kind.CHECKOUT: schemas.Checkout,
    Kind.RENEW: schemas.Renew,
    Kind.RETURN: schemas.Return,
    Kind.RECEIVE: schemas.Return,
    Kind.IN_USE: schemas.InUse,
    Kind.TRANSIT_BAGGED: schemas.TransitStep,
    Kind.TRANSIT_SENT: schemas.TransitSent,
    Kind.TRANSIT_SEEN: schemas.TransitStep,
    Kind.TRANSIT_CANCELLED: schemas.TransitCancelled,
    Kind.ITEM_MARKED: schemas.ItemMarked,
    Kind.LOAN_ENDED: schemas.LoanEnded,
    Kind.LOAN_EXTENDED: schemas.LoanExtended,
    Kind.ILS_OBSERVED: schemas.IlsObserved,
    Kind.HOLD_PLACED: schemas.HoldPlaced,
    Kind.HOLD_CANCELLED: schemas.HoldEnded,
    Kind.HOLD_EXPIRED: schemas.HoldEnded,
    Kind.ENTRY: schemas.Entry,
    Kind.EXIT: schemas.Exit,
    Kind.VISIT_CLOSED: schemas.VisitClosed,
    Kind.REFUSED: schemas.Refused,
    Kind.TAG_WRITTEN: schemas.TagWritten,
    Kind.DEVICE: schemas.DeviceState,
    Kind.GATE_ALARM: schemas.GateAlarm,
    Kind.PEOPLE_COUNTED: schemas.PeopleCounted,
    Kind.BLOCK_SET: schemas.BlockSet,
    Kind.BLOCK_LIFTED: schemas.BlockLifted,
    Kind.CARD_STATUS: schemas.CardStatusSet,
    Kind.PIN_LOCKED: schemas.PinLocked,
    Kind.CHARGE_PAID: schemas.ChargePaid,
    Kind.CHARGE_WAIVED: schemas.ChargePaid,
    Kind.CLOCK_CORRECTED: schemas.ClockCorrected,
    Kind.CONFLICT_SETTLED: schemas.ConflictSettled,
    Kind.POLICY_PUBLISHED: schemas.PolicyPublished,
}
"""The data each type must carry; what a schema does not name is kept and read by nobody."""

NEEDS_SUBJECT = frozenset({Kind.CHECKOUT, Kind.RENEW, Kind.ENTRY, Kind.HOLD_PLACED, Kind.CARD_STATUS, Kind.PIN_LOCKED})


@dataclass(frozen=True, slots=True)
class Event:
    """One event. Times in ms UTC; ``t_eff`` is device time plus measured offset, ``t_unc`` its uncertainty;
    ``mono`` in ms since boot ``boot``. ``name`` is the id as text."""

    node: str
    epoch: str
    seq: int
    kind: Kind
    branch: str
    device: str
    t_dev: int
    t_eff: int
    t_unc: int
    mono: int
    boot: str
    data: dict[str, Any] = field(default_factory=dict)
    subject: str | None = None
    decision: dict[str, Any] | None = None
    reissue_of: str | None = None
    name: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{self.node}/{self.epoch}/{self.seq}")

    @property
    def id(self) -> EventId:
        """(node, epoch, seq)."""
        return EventId(self.node, self.epoch, self.seq)

    @property
    def order(self) -> tuple[int, str, str, int]:
        """Total order of all events: (t_eff, node, epoch, seq)."""
        return (self.t_eff, self.node, self.epoch, self.seq)

    @property
    def item(self) -> tuple[str, str] | None:
        """(owner, item_no) where the event is about an item."""
        value = self.data.get("item")
        return (value[0], value[1]) if value else None


def encode(event: Event) -> str:
    """The canonical body: what is hashed, sent and kept."""
    body: dict[str, Any] = {
        "v": SCHEMA_VERSION,
        "node": event.node,
        "epoch": event.epoch,
        "seq": event.seq,
        "kind": event.kind.value,
        "branch": event.branch,
        "device": event.device,
        "t_dev": event.t_dev,
        "t_eff": event.t_eff,
        "t_unc": event.t_unc,
        "mono": event.mono,
        "boot": event.boot,
        "data": event.data,
    }
    if event.subject is not None:
        body["subject"] = event.subject
    if event.decision is not None:
        body["decision"] = event.decision
    if event.reissue_of is not None:
        body["reissue_of"] = event.reissue_of
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def decode(body: str) -> Event:
    """Read a body; raises EventError with a code for everything that is not a well-formed event of a known version."""
    return event_of(parse(body))


def parse(body: str) -> dict[str, Any]:
    """A body as plain JSON of integers and strings. Raises EventError EVENT_TOO_LONG, EVENT_NOT_JSON."""
    if len(body.encode("utf-8", "surrogatepass")) > MAX_BODY:
        raise EventError("EVENT_TOO_LONG", f"an event body has at most {MAX_BODY} bytes")
    try:
        raw = _plain.decode(body)
    except (ValueError, RecursionError) as error:
        raise EventError("EVENT_NOT_JSON", "the event body is not JSON of integers and strings") from error
    if not isinstance(raw, dict):
        raise EventError("EVENT_NOT_JSON", "the event body is not a JSON object")
    return raw


def event_of(raw: dict[str, Any]) -> Event:
    """The event that a parsed body is; raises EventError."""
    version = raw.get("v")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise EventError(
            "EVENT_VERSION", f"this software reads event version {SCHEMA_VERSION}; update it to read others"
        )
    try:
        kind = Kind(str(raw.get("kind")))
    except ValueError as error:
        raise EventError("EVENT_KIND", "the event type is not known to this software; update it") from error
    data = raw.get("data")
    if not isinstance(data, dict):
        raise EventError("EVENT_DATA", "the event has no data object")
    _check_data(kind, data)
    try:
        event = Event(
            node=check_node(_typed(raw, "node", str)),
            epoch=_typed(raw, "epoch", str),
            seq=_typed(raw, "seq", int),
            kind=kind,
            branch=check_branch(_typed(raw, "branch", str)),
            device=_typed(raw, "device", str),
            t_dev=_typed(raw, "t_dev", int),
            t_eff=_typed(raw, "t_eff", int),
            t_unc=_typed(raw, "t_unc", int),
            mono=_typed(raw, "mono", int),
            boot=_typed(raw, "boot", str),
            data=data,
            subject=_maybe(raw, "subject", str, "EVENT_SUBJECT"),
            decision=_maybe(raw, "decision", dict, "EVENT_DECISION"),
            reissue_of=_maybe(raw, "reissue_of", str, "EVENT_REISSUE"),
        )
    except IdentityError as error:
        raise EventError(error.code, str(error)) from error
    if event.seq < 1 or event.t_unc < 0:
        raise EventError("EVENT_FIELD", "seq counts from 1 and t_unc is not negative")
    if kind in NEEDS_SUBJECT and not isinstance(event.subject, str):
        raise EventError("EVENT_SUBJECT", f"{kind.value} needs a subject")
    return event


def _no_float(text: str) -> None:
    raise ValueError(f"no floats in an event body: {text[:20]}")


_plain = msgspec.json.Decoder(float_hook=_no_float)


def _maybe(raw: dict[str, Any], name: str, kind: type, code: str) -> Any:
    value = raw.get(name)
    if value is not None and not isinstance(value, kind):
        raise EventError(code, f"the event's {name} is of the wrong type")
    return value


def _typed(raw: dict[str, Any], name: str, kind: type) -> Any:
    value = raw.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise EventError("EVENT_FIELD", f"the event's {name} is missing or of the wrong type")
    return value


def _check_data(kind: Kind, data: dict[str, Any]) -> None:
    try:
        msgspec.convert(data, SCHEMAS[kind])
    except msgspec.ValidationError as error:
        raise EventError("EVENT_DATA", f"{kind.value}: {error}") from error
