"""What a controller's records mean, without a controller: whose way it was, and for which card it opened."""

from __future__ import annotations

import pytest

from drivers.base import Direction, Passage
from drivers.gate.zkteco.meaning import Meaning, ZkSettings
from protocols.zkteco import EventRecord, EventType

S = 1_000_000_000
CARD = 0x04A1B2C3


def make(door_out: int = 0) -> Meaning:
    return Meaning("g", ZkSettings(door_out=door_out, door_passage=True))


def way(meaning: Meaning, now_ns: int, door: int = 1) -> Direction:
    """The way of whoever goes through now."""
    (passage,) = meaning.take(EventRecord(EventType.DOOR_OPENED, door), now_ns)
    assert isinstance(passage, Passage)
    return passage.direction


class TestWay:
    def test_it_is_over_some_seconds_after_the_opening(self) -> None:
        meaning = make()
        meaning.opened("IN", 2, 0)
        assert way(meaning, 8 * S) == ""

    @pytest.mark.parametrize("event", [EventType.EXIT_BUTTON, EventType.OPENED_BY_FORCE])
    def test_it_is_over_when_the_door_opens_for_somebody_else(self, event: EventType) -> None:
        meaning = make()
        meaning.opened("IN", 5, 0)
        meaning.take(EventRecord(event, 1), S)
        assert way(meaning, 2 * S) == ""

    def test_an_opening_from_afar_that_is_not_ours_ends_it_and_our_own_does_not(self) -> None:
        meaning = make()
        meaning.opened("IN", 5, 0)
        meaning.take(EventRecord(EventType.REMOTE_OPEN, 1), S)
        assert way(meaning, 2 * S) == "IN"
        meaning.opened("IN", 5, 10 * S)
        for _ in range(2):
            meaning.take(EventRecord(EventType.REMOTE_OPEN, 1), 11 * S)
        assert way(meaning, 12 * S) == ""

    def test_a_card_that_the_controller_opened_for_goes_out_of_mind_too(self) -> None:
        meaning = make()
        meaning.take(EventRecord(EventType.PUNCH_OPEN, 1, CARD, way=3), 0)
        assert way(meaning, 4 * S) == "OUT"
        meaning.take(EventRecord(EventType.PUNCH_OPEN, 1, CARD, way=3), 10 * S)
        assert way(meaning, 60 * S) == ""

    def test_each_door_has_its_own(self) -> None:
        meaning = make(door_out=2)
        meaning.opened("OUT", 5, 0)
        assert way(meaning, S, door=1) == ""
        assert way(meaning, S, door=2) == "OUT"


class TestOpenedItself:
    def test_for_nobody(self) -> None:
        assert not make().opened_itself("IN", S)

    def test_the_card_told_of_last_counts_and_it_was_refused(self) -> None:
        meaning = make()
        meaning.take(EventRecord(EventType.PUNCH_OPEN, 1, CARD, way=0), S)
        meaning.take(EventRecord(EventType.UNREGISTERED_CARD, 1, CARD + 1, way=0), 2 * S)
        assert not meaning.opened_itself("IN", 2 * S)

    def test_once_for_each_card_and_not_long_after_it(self) -> None:
        meaning = make()
        meaning.take(EventRecord(EventType.PUNCH_OPEN, 1, CARD, way=0), S)
        assert meaning.opened_itself("IN", 2 * S)
        assert not meaning.opened_itself("IN", 2 * S)
        meaning.take(EventRecord(EventType.PUNCH_OPEN, 1, CARD, way=0), 10 * S)
        assert not meaning.opened_itself("IN", 16 * S)

    def test_not_for_a_card_at_the_other_door(self) -> None:
        meaning = make(door_out=2)
        meaning.take(EventRecord(EventType.PUNCH_OPEN, 2, CARD, way=3), S)
        assert not meaning.opened_itself("IN", S)
        assert meaning.opened_itself("OUT", S)

    def test_not_for_a_card_of_the_backlog(self) -> None:
        meaning = make()
        meaning.take(EventRecord(EventType.PUNCH_OPEN, 1, CARD, way=0), S, backlog=True)
        assert not meaning.opened_itself("IN", S)
