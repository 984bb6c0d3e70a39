"""Contacts of a gate as events: debounced inputs, passages, and the alarms of a door.

The same for every gate that has inputs (relay boards, OSDP cardreaders): a contact that has held its new state for the
debounce time is told once; what it means is said by `ContactSettings`. Pure: the time is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers.base import ConfigurationError, Options
from drivers.events import DeviceEvent, Direction, DoorAlarm, InputChanged, Passage

__all__ = ["CONTACT_OPTIONS", "ContactSettings", "Contacts", "contact_settings", "count_of", "numbers_of"]

GRACE_NS = 3_000_000_000
"""A door opened so long after the end of a pulse still belongs to it: people are slow."""
FIRST_LOOK_NS = 2_000_000_000
"""A device that reports only changes tells its state at the start within so long, if it does at all."""
CONTACT_OPTIONS = frozenset(
    {
        "passage_in",
        "passage_out",
        "passage",
        "passage_edge",
        "debounce_ms",
        "inverted",
        "door_input",
        "door_held_s",
        "fire_input",
    }
)


@dataclass(frozen=True, slots=True)
class ContactSettings:
    """What a gate's inputs (from 0) mean; ``inverted`` are contacts that are open when active (NC).

    ``passages`` gives the way of each passage contact, told on its rising edge, or its falling one. ``door`` is active while the
    door stands open, longer than ``held_s`` seconds (after the opening it belongs to) is HELD_OPEN; ``fire`` is the alarm system's.
    """

    passages: Mapping[int, Direction]
    falling: bool = False
    debounce_ms: int = 30
    inverted: frozenset[int] = frozenset()
    door: int | None = None
    held_s: int = 30
    fire: int | None = None


def contact_settings(options: Options, inputs: int) -> ContactSettings:
    """Read the options in `CONTACT_OPTIONS` for a device with so many inputs.

    ``passage_in``, ``passage_out`` and ``passage`` (way not told), ``door_input``, ``fire_input``: input numbers from 0, none by
    default. ``passage_edge``: rising or falling. ``debounce_ms`` 0..1000 (30). ``inverted``: "0,3". ``door_held_s`` 1..3600 (30).
    Raises `ConfigurationError` BAD_OPTION.
    """
    named = {name: count_of(options, name, -1, -1, inputs - 1) for name in _INPUTS}
    used = [number for number in named.values() if number >= 0]
    if len(set(used)) != len(used):
        raise ConfigurationError("BAD_OPTION", "an input has two meanings; give each its own")
    ways: tuple[tuple[str, Direction], ...] = (("passage_in", "IN"), ("passage_out", "OUT"), ("passage", ""))
    edge = str(options.get("passage_edge", "rising"))
    if edge not in ("rising", "falling"):
        raise ConfigurationError("BAD_OPTION", "passage_edge is rising or falling")
    return ContactSettings(
        passages={named[name]: way for name, way in ways if named[name] >= 0},
        falling=edge == "falling",
        debounce_ms=count_of(options, "debounce_ms", 30, 0, 1000),
        inverted=numbers_of(options, "inverted", inputs),
        door=named["door_input"] if named["door_input"] >= 0 else None,
        held_s=count_of(options, "door_held_s", 30, 1, 3600),
        fire=named["fire_input"] if named["fire_input"] >= 0 else None,
    )


_INPUTS = ("passage_in", "passage_out", "passage", "door_input", "fire_input")


def count_of(options: Options, name: str, default: int, least: int, most: int) -> int:
    """A whole number among the options; raises `ConfigurationError` BAD_OPTION."""
    try:
        value = int(options.get(name, default))
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise ConfigurationError("BAD_OPTION", f"{name} is a number from {least} to {most}")
    return value


def numbers_of(options: Options, name: str, below: int) -> frozenset[int]:
    """Numbers from 0 to ``below`` - 1 written "0,3"; raises `ConfigurationError` BAD_OPTION."""
    text = str(options.get(name, "")).replace(" ", "")
    parts = [part for part in text.split(",") if part]
    if not all(part.isascii() and part.isdigit() and int(part) < below for part in parts):
        raise ConfigurationError("BAD_OPTION", f"{name} is a list of numbers below {below}, as 0,3")
    return frozenset(int(part) for part in parts)


class _Contact:
    """One input: what it shows, since when, and what was told of it last."""

    __slots__ = ("seen", "since_ns", "stable", "told")

    def __init__(self) -> None:
        self.seen: bool | None = None
        self.since_ns = 0
        self.stable: bool | None = None
        self.told: bool | None = None


class Contacts:
    """The inputs of one device; feed it every look, or every report, and emit what it gives.

    The first look is no edge. ``only_changes``: the device is never asked and need not tell its state at the start; a first report
    that comes later than `FIRST_LOOK_NS` after `linked` came because something happened, so what is active in it, and was not told
    so before, is an edge.
    """

    def __init__(self, device: str, settings: ContactSettings, *, only_changes: bool = False) -> None:
        self._device = device
        self._only_changes = only_changes
        self._linked_ns: int | None = None
        self._set = settings
        self._contacts: dict[int, _Contact] = {}
        self._authorised_ns = 0
        self._door_since_ns: int | None = None
        self._held_told = False

    def linked(self, now_ns: int) -> None:
        """The device is there: what it reports from now on is how it stands."""
        self._linked_ns = now_ns

    def forget(self) -> None:
        """The link was lost: what changes before the next look is no edge, and nobody went through because of it."""
        self._linked_ns = None
        for contact in self._contacts.values():
            contact.seen = contact.stable = None

    def authorise(self, until_ns: int) -> None:
        """The gate was opened until then (monotonic): a door opened meanwhile is not forced."""
        self._authorised_ns = max(self._authorised_ns, until_ns + GRACE_NS)

    def active(self, number: int) -> bool | None:
        """The stable state of an input, None where it is not known."""
        contact = self._contacts.get(number)
        return contact.stable if contact else None

    @property
    def settling(self) -> bool:
        """Whether an input has changed and its debounce time is not over."""
        return any(contact.seen != contact.stable for contact in self._contacts.values())

    def take(self, states: Sequence[bool], now_ns: int) -> list[DeviceEvent]:
        """Take the contacts as they are (closed = True); gives the events of whatever became stable or due."""
        events: list[DeviceEvent] = []
        late = self._only_changes and self._linked_ns is not None and now_ns - self._linked_ns > FIRST_LOOK_NS
        for number, closed in enumerate(states):
            contact = self._contacts.setdefault(number, _Contact())
            active = bool(closed) != (number in self._set.inverted)
            if active != contact.seen:
                contact.seen, contact.since_ns = active, now_ns
            first = contact.stable is None
            if active != contact.stable and (first or now_ns - contact.since_ns >= self._set.debounce_ms * 1_000_000):
                contact.stable = active
                edge = not first or (late and active and contact.told is not True)
                events += self._changed(number, contact, now_ns, edge=edge)
        return events + self._held(now_ns)

    def _changed(self, number: int, contact: _Contact, now_ns: int, *, edge: bool) -> list[DeviceEvent]:
        active = bool(contact.stable)
        events: list[DeviceEvent] = []
        if contact.told != active:
            contact.told = active
            events.append(InputChanged(self._device, number, active, now_ns))
            if number == self._set.fire and active:
                events.append(DoorAlarm(self._device, "FIRE", "", now_ns))
        way = self._set.passages.get(number)
        if way is not None and edge and active != self._set.falling:
            events.append(Passage(self._device, way, contact.since_ns))
        if number == self._set.door:
            self._door_since_ns = now_ns if active else None
            self._held_told = False
            if active and edge and now_ns > self._authorised_ns:
                events.append(DoorAlarm(self._device, "FORCED_OPEN", "", now_ns))
        return events

    def _held(self, now_ns: int) -> list[DeviceEvent]:
        if self._door_since_ns is None or self._held_told:
            return []
        if now_ns - max(self._door_since_ns, self._authorised_ns - GRACE_NS) < self._set.held_s * 1_000_000_000:
            return []
        self._held_told = True
        return [DoorAlarm(self._device, "HELD_OPEN", "", now_ns)]
