"""Real-time records: what happened at a door, and how the doors stand; binary (16 bytes each) or text (one a reply)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import TypeAlias

from protocols.frames import LocalFrameError, Malformed
from protocols.zkteco.messages import parameters

__all__ = [
    "DoorStatus",
    "EventRecord",
    "EventType",
    "Record",
    "decode_records",
    "decode_text",
    "encode_record",
    "encode_text",
]

RECORD = 16
MAX_CARD = (1 << 64) - 1


class EventType(IntEnum):
    """Event numbers that mean something to a gate; a record may hold any other number, too."""

    PUNCH_OPEN = 0
    REMOTE_OPEN = 8
    ANTI_PASSBACK = 24
    UNREGISTERED_CARD = 27
    OPENING_TIMEOUT = 28
    DURESS_PASSWORD = 101
    OPENED_BY_FORCE = 102
    DURESS_FINGER = 103
    DOOR_OPENED = 200
    DOOR_CLOSED = 201
    EXIT_BUTTON = 202
    DEVICE_START = 206
    AUX_OPEN = 220
    AUX_SHORT = 221
    STATUS = 255


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something happened at ``door`` (1..; for the AUX events: the auxiliary input).

    ``card`` is the number as the controller made it of the Wiegand bits, 0 = none; it and the user's ``pin`` stay out of repr.
    ``way`` is 0 in, 3 out, 2 neither; ``verified`` how the person was identified (4 = card). ``at`` is the controller's local clock.
    """

    event: int
    door: int
    card: int = field(default=0, repr=False)
    pin: int = field(default=0, repr=False)
    way: int = 2
    verified: int = 4
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DoorStatus:
    """How doors 1 to 4 stand: sensor (0 none, 1 closed, 2 open) and alarm bits (1 alarm, 2 open too long)."""

    sensors: tuple[int, int, int, int]
    alarms: tuple[int, int, int, int]
    at: datetime | None = None


Record: TypeAlias = EventRecord | DoorStatus


def _time(value: int) -> datetime | None:
    """Seconds in months of 31 days since 2000; None for a day that no month has."""
    try:
        return datetime(
            value // 32140800 + 2000, value // 2678400 % 12 + 1, value // 86400 % 31 + 1,
            value // 3600 % 24, value // 60 % 60, value % 60,
        )  # fmt: skip
    except ValueError:
        return None


def _seconds(at: datetime | None) -> bytes:
    if at is None:
        return bytes(4)
    days = (at.year - 2000) * 372 + (at.month - 1) * 31 + at.day - 1
    seconds = days * 86400 + at.hour * 3600 + at.minute * 60 + at.second
    if not 0 <= seconds < 1 << 32:
        raise LocalFrameError("a binary record's time is from 2000 to 2133")
    return seconds.to_bytes(4, "little")


def decode_records(payload: bytes) -> list[Record]:
    """Records of a binary log reply, oldest first; raises `Malformed` where they are not whole."""
    if len(payload) % RECORD:
        raise Malformed(f"{len(payload)} bytes are not whole records")
    return [_record(payload[at : at + RECORD]) for at in range(0, len(payload), RECORD)]


def _record(raw: bytes) -> Record:
    at = _time(int.from_bytes(raw[12:], "little"))
    if raw[10] == EventType.STATUS:
        return DoorStatus(_four(bytes(byte & 0x0F for byte in raw[4:8])), _four(raw[:4]), at)
    low = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:8], "little")
    return EventRecord(raw[10], raw[9], low[0], low[1], raw[11], raw[8], at)


def _four(raw: bytes) -> tuple[int, int, int, int]:
    return raw[0], raw[1], raw[2], raw[3]


def encode_record(record: Record) -> bytes:
    """Sixteen bytes, as a controller sends them; raises `LocalFrameError` for what they have no room for."""
    clock = _seconds(record.at)
    if isinstance(record, DoorStatus):
        if not all(0 <= sensor <= 0x0F for sensor in record.sensors) or not all(
            0 <= bits <= 0xFF for bits in record.alarms
        ):
            raise LocalFrameError("a sensor is 0 to 15, alarm bits are a byte")
        return bytes(record.alarms) + bytes(record.sensors) + bytes((0, 1, EventType.STATUS, 0)) + clock
    if not (0 <= record.card < 1 << 32 and 0 <= record.pin < 1 << 32):
        raise LocalFrameError("a binary record has room for 32 bits of a card, and of a pin")
    tail = (record.verified, record.door, record.event, record.way)
    if not all(0 <= number <= 0xFF for number in tail) or record.event == EventType.STATUS:
        raise LocalFrameError("door, way and verification are a byte each, an event is 0 to 254")
    return record.card.to_bytes(4, "little") + record.pin.to_bytes(4, "little") + bytes(tail) + clock


def decode_text(payload: bytes) -> Record | None:
    """The record of a text log reply, None for an empty one; raises `Malformed`."""
    found = parameters(payload)
    if not found:
        return None
    try:
        at = datetime.strptime(found["time"], "%Y-%m-%d %H:%M:%S")
        if "event" not in found:
            sensors, alarms = _number(found["sensor"], 16), bytes.fromhex(found["alarm"])
            if len(alarms) < 4:
                raise ValueError("four doors are meant")
            return DoorStatus(_four(bytes(sensors >> 2 * door & 3 for door in range(4))), _four(alarms), at)
        numbers = [
            _number(found[name]) for name in ("event", "eventaddr", "cardno", "pin", "inoutstatus", "verifytype")
        ]
    except (KeyError, ValueError) as error:
        raise Malformed("a text record lacks a field, or a field is no number") from error
    event, door, card, pin, way, verified = numbers
    return EventRecord(event, door, card, pin, way, verified, at)


def _number(text: str, base: int = 10) -> int:
    """Digits and nothing else, of at most 64 bits; `int` would take a sign, blanks and underscores, too."""
    value = int(text, base) if text.isalnum() and text[1:2] not in ("x", "X") else -1
    if not 0 <= value <= MAX_CARD:
        raise ValueError("no number, or out of range")
    return value


def encode_text(record: Record, index: int) -> bytes:
    """One text record with tabs between its fields, as a controller sends it; raises `LocalFrameError` for a sensor over 3."""
    at = (record.at or datetime(2000, 1, 1)).isoformat(" ", "seconds")
    if isinstance(record, DoorStatus):
        if not all(0 <= sensor <= 3 for sensor in record.sensors):
            raise LocalFrameError("a text record has two bits for a sensor")
        sensors = sum(sensor << 2 * door for door, sensor in enumerate(record.sensors))
        return f"time={at}\tsensor={sensors:02x}\trelay=00\talarm={bytes(record.alarms).hex()}".encode()
    return (
        f"time={at}\tpin={record.pin}\tcardno={record.card}\teventaddr={record.door}\tevent={record.event}"
        f"\tinoutstatus={record.way}\tverifytype={record.verified}\tindex={index}"
    ).encode()
