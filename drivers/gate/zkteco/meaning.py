"""What a controller's records mean at a gate: a table, and the little that must be remembered between two records."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal, TypeAlias

from drivers.events import CardRead, DeviceEvent, Direction, DoorAlarm, InputChanged, Passage, Tamper
from protocols.zkteco import DoorStatus, EventRecord, EventType, Record

__all__ = ["Meaning", "Mode", "ZkSettings"]

Mode: TypeAlias = Literal["command", "observe"]
_WAY_IN, _WAY_OUT = 0, 3
_OPENED = frozenset({0, 1, 2, 3, 14, 15, 16, 17, 18, 19, 203, 208})
"""Events of a card (or finger with card) for which the controller itself opened."""
_ALARMS: dict[int, tuple[str, str]] = {
    EventType.OPENED_BY_FORCE: ("FORCED_OPEN", ""),
    EventType.OPENING_TIMEOUT: ("HELD_OPEN", ""),
    EventType.DURESS_PASSWORD: ("DEVICE", "DURESS"),
    EventType.DURESS_FINGER: ("DEVICE", "DURESS"),
    EventType.ANTI_PASSBACK: ("DEVICE", "ANTI_PASSBACK"),
}
_OTHERS = frozenset({EventType.EXIT_BUTTON, EventType.REMOTE_OPEN, EventType.OPENED_BY_FORCE})
"""The door is open for somebody of whom nobody knows the way."""
_TOLD_NS = 10_000_000_000
"""An alarm bit of the door status says again what an alarm event said within so long."""
_HELD_BIT = 2
_LATE_NS = 5_000_000_000
"""Somebody goes through within so long after the lock fell shut again: people are slow, and so is a log."""
_OWN_LOCK_NS = 10_000_000_000
"""The controller's own lock time for a card of its list, as it is usually set at most; it tells nobody."""
_ANSWERS_NS = 5_000_000_000
"""In mode observe a card's record answers for so long the question whether the controller opened for it."""
_OWN_RECORD_NS = 5_000_000_000
"""The record of our own opening comes within so long."""


@dataclass(frozen=True, slots=True)
class ZkSettings:
    """Which doors are this gate's and what its auxiliary inputs (from 1, 0 = none) are wired to."""

    mode: Mode = "command"
    door_in: int = 1
    door_out: int = 0
    door_passage: bool = False
    passage_in: int = 0
    passage_out: int = 0
    fire_aux: int = 0
    tamper_aux: int = 0
    card_bits: int = 32

    @property
    def confirms_passage(self) -> bool:
        """Whether some record tells that somebody went through."""
        return self.door_passage or bool(self.passage_in or self.passage_out)


class Meaning:
    """Turns records into events; the time of arrival is an argument, the controller's own clock is not believed."""

    def __init__(self, device: str, settings: ZkSettings) -> None:
        self._device = device
        self._set = settings
        self._alarms: tuple[int, ...] = (0, 0, 0, 0)
        self._alarmed_ns = dict.fromkeys(range(1, 5), -_TOLD_NS)
        self._ways: dict[int, tuple[Direction, int]] = {}
        self._own_until_ns: deque[int] = deque(maxlen=16)
        self._last_card: dict[int, tuple[bool, int]] = {}
        self.foreign = 0
        """Records of doors that are not this gate's."""

    def door(self, direction: Direction) -> int:
        """The door that leads that way."""
        return self._set.door_out if direction == "OUT" and self._set.door_out else self._set.door_in

    def opened(self, direction: Direction, seconds: int, now_ns: int) -> None:
        """We opened the door for somebody going that way: what its sensor tells while it is open, or soon after, is theirs."""
        self._ways[self.door(direction)] = direction, now_ns + seconds * 1_000_000_000 + _LATE_NS
        self._own_until_ns.append(now_ns + _OWN_RECORD_NS)

    def opened_itself(self, direction: Direction, now_ns: int) -> bool:
        """Whether the controller opened the door that leads that way for the card it told of last; asked once for each card."""
        opened, at_ns = self._last_card.pop(self.door(direction), (False, 0))
        return opened and now_ns - at_ns <= _ANSWERS_NS

    def take(self, record: Record, now_ns: int, *, backlog: bool = False) -> list[DeviceEvent]:
        """The events of a record; of the ``backlog`` gathered before we came, cards and passages are nobody's any more."""
        if isinstance(record, DoorStatus):
            return self._status(record, now_ns)
        if record.event in (EventType.AUX_OPEN, EventType.AUX_SHORT):
            return self._auxiliary(record.door, record.event == EventType.AUX_SHORT, now_ns, backlog)
        if record.door not in (self._set.door_in, self._set.door_out):
            self.foreign += record.event != EventType.DEVICE_START
            return []
        if record.event in _OTHERS and not (record.event == EventType.REMOTE_OPEN and self._is_ours(now_ns)):
            self._ways.pop(record.door, None)
        if record.event in _ALARMS:
            code, detail = _ALARMS[record.event]
            self._alarmed_ns[record.door] = now_ns
            return [DoorAlarm(self._device, code, detail, now_ns), *self._card(record, now_ns, backlog)]
        if record.event == EventType.DOOR_OPENED and self._set.door_passage and not backlog:
            way, until_ns = self._ways.pop(record.door, ("", 0))
            known = way if now_ns <= until_ns else ""
            return [Passage(self._device, "OUT" if record.door == self._set.door_out else known, now_ns)]
        return self._card(record, now_ns, backlog)

    def _is_ours(self, now_ns: int) -> bool:
        """Whether a record of an opening from afar can be that of our own order; each order has one."""
        while self._own_until_ns:
            if now_ns <= self._own_until_ns.popleft():
                return True
        return False

    def _card(self, record: EventRecord, now_ns: int, backlog: bool) -> list[DeviceEvent]:
        if not record.card or backlog:
            return []
        way = self._direction(record)
        self._last_card[record.door] = record.event in _OPENED, now_ns
        if record.event in _OPENED:
            self._ways[record.door] = way, now_ns + _OWN_LOCK_NS + _LATE_NS
        # a number that is longer than configured keeps its bits, in whole bytes
        size = max(self._set.card_bits // 8, (record.card.bit_length() + 7) // 8)
        bits, raw = size * 8, record.card.to_bytes(size, "big")
        return [CardRead(self._device, int(way == "OUT"), way, "raw", bits, raw, now_ns)]

    def _direction(self, record: EventRecord) -> Direction:
        if self._set.door_out:
            return "OUT" if record.door == self._set.door_out else "IN"
        return "OUT" if record.way == _WAY_OUT else "IN" if record.way == _WAY_IN else ""

    def _auxiliary(self, number: int, active: bool, now_ns: int, backlog: bool) -> list[DeviceEvent]:
        events: list[DeviceEvent] = [InputChanged(self._device, max(number - 1, 0), active, now_ns)]
        if number == self._set.tamper_aux and number:
            events.append(Tamper(self._device, active))
        if active and number and number == self._set.fire_aux:
            events.append(DoorAlarm(self._device, "FIRE", "", now_ns))
        if active and number and not backlog and number in (self._set.passage_in, self._set.passage_out):
            events.append(Passage(self._device, "IN" if number == self._set.passage_in else "OUT", now_ns))
        return events

    def _status(self, status: DoorStatus, now_ns: int) -> list[DeviceEvent]:
        events: list[DeviceEvent] = []
        for door in (self._set.door_in, self._set.door_out):
            if not door:
                continue
            new = status.alarms[door - 1] & ~self._alarms[door - 1]
            if new and now_ns - self._alarmed_ns[door] >= _TOLD_NS:
                code, detail = ("HELD_OPEN", "") if new & _HELD_BIT else ("DEVICE", "ALARM")
                events.append(DoorAlarm(self._device, code, detail, now_ns))
        self._alarms = status.alarms
        return events
