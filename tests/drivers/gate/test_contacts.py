"""Contacts as events, without a device: what the first report of a device that reports only changes means."""

from __future__ import annotations

from drivers.base import DeviceEvent, DoorAlarm, InputChanged, Passage
from drivers.gate.contacts import Contacts, contact_settings

S = 1_000_000_000


def meant(events: list[DeviceEvent]) -> list[DeviceEvent]:
    """What is told beside the bare inputs."""
    return [event for event in events if not isinstance(event, InputChanged)]


def make(*, only_changes: bool = True, **options: int) -> Contacts:
    return Contacts("g", contact_settings({"debounce_ms": 0, **options}, 3), only_changes=only_changes)


def test_what_a_device_tells_of_itself_at_the_start_is_no_edge() -> None:
    contacts = make(passage_in=0, door_input=1)
    contacts.linked(10 * S)
    assert meant(contacts.take([True, True, False], 11 * S)) == []


def test_of_a_device_that_is_looked_at_the_first_look_is_no_edge_however_late() -> None:
    contacts = make(only_changes=False, passage_in=0, door_input=1)
    contacts.linked(10 * S)
    assert meant(contacts.take([True, True, False], 60 * S)) == []


def test_a_first_report_long_after_the_link_came_up_was_made_by_somebody() -> None:
    contacts = make(passage_in=0, door_input=1)
    contacts.linked(10 * S)
    assert meant(contacts.take([True, False, False], 60 * S)) == [Passage("g", "IN", 60 * S)]
    contacts = make(passage_in=0, door_input=1)
    contacts.linked(10 * S)
    assert meant(contacts.take([False, True, False], 60 * S)) == [DoorAlarm("g", "FORCED_OPEN", "", 60 * S)]


def test_a_door_that_we_opened_is_not_forced_by_the_first_report_of_it() -> None:
    contacts = make(door_input=1)
    contacts.linked(10 * S)
    contacts.authorise(61 * S)
    assert meant(contacts.take([False, True, False], 60 * S)) == []


def test_after_a_lost_link_only_what_was_not_active_before_is_an_edge() -> None:
    contacts = make(passage_in=0, passage_out=1)
    contacts.linked(0)
    contacts.take([True, False, False], S)
    contacts.forget()
    contacts.linked(100 * S)
    assert meant(contacts.take([True, True, False], 160 * S)) == [Passage("g", "OUT", 160 * S)]


def test_a_fire_is_told_once_and_not_at_every_reconnection() -> None:
    contacts = make(fire_input=2)
    fire = DoorAlarm("g", "FIRE", "", S)
    assert meant(contacts.take([False, False, True], S)) == [fire]
    contacts.forget()
    assert meant(contacts.take([False, False, True], 2 * S)) == []
    contacts.take([False, False, False], 3 * S)
    contacts.forget()
    assert meant(contacts.take([False, False, True], 4 * S)) == [DoorAlarm("g", "FIRE", "", 4 * S)]
