"""What every pad believes of its field: sightings, misses and remembered content."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drivers.base import PadTag, Security
from drivers.rfid.securing import Writing
from drivers.rfid.sightings import BARE_AFTER, KEEP_S, PAUSE_MOST_S, UNSEEN_S, ContentCache, Sightings, Unreadable


def uid(number: int) -> str:
    return f"E00401{number:010X}"


def test_a_tag_the_rfid_reader_is_sure_of_needs_no_second_look_and_leaves_by_two_misses_as_any_other() -> None:
    seen = Sightings()
    assert seen.take({"A", "B"}, sure={"A"})
    assert seen.stable == {"A"}
    seen.take({"B"})
    assert seen.stable == {"A", "B"}
    seen.take({"B"})
    assert seen.stable == {"B"}


def test_one_missed_look_does_not_lift_a_tag_and_one_sighting_does_not_lay_it_down() -> None:
    seen = Sightings()
    assert seen.take({"A"})
    assert seen.stable == frozenset()
    assert not seen.take({"A"})
    assert seen.stable == {"A"}
    assert seen.take(set())
    assert seen.stable == {"A"}
    assert not seen.take({"A"})
    seen.take(set())
    seen.take(set())
    assert seen.stable == frozenset()


@given(st.lists(st.frozensets(st.sampled_from("ABCD")), max_size=30))
def test_two_equal_looks_always_settle_the_picture(looks: list[frozenset[str]]) -> None:
    seen = Sightings()
    for look in looks:
        seen.take(look)
    last = looks[-1] if looks else frozenset()
    seen.take(last)
    seen.take(last)
    assert seen.stable == last


def test_content_is_believed_for_a_while_and_the_cache_is_bounded() -> None:
    cache = ContentCache()
    tag = PadTag(uid(1), 0x3E, 7, b"x", 4)
    cache.put(tag, now=0.0)
    assert cache.get(uid(1), KEEP_S) == tag
    assert cache.get(uid(1), KEEP_S + 1) is None
    cache.touch([uid(1)], now=KEEP_S)
    assert cache.get(uid(1), KEEP_S + 1) == tag
    for number in range(2, 1100):
        cache.put(PadTag(uid(number), 0x3E, 7, b"x", 4), now=KEEP_S)
    assert cache.get(uid(1), KEEP_S + 1) is None
    assert cache.get(uid(1099), KEEP_S + 1) is not None


def test_a_look_that_may_lack_tags_lifts_none_until_nobody_saw_it_for_long() -> None:
    seen = Sightings()
    for now in (0.0, 0.1):
        seen.take({"A", "B"}, now=now)
    for now in (1.0, 2.0, 3.0):
        assert not seen.take_part({"A"}, now=now)
        assert seen.stable == {"A", "B"}
    seen.take_part({"A"}, now=0.1 + UNSEEN_S)
    assert seen.stable == {"A", "B"}
    seen.take_part({"A"}, now=0.2 + UNSEEN_S)
    assert seen.stable == {"A"}
    seen.take_part((), now=20.0)
    assert seen.stable == frozenset()


def test_a_look_that_may_lack_tags_still_shows_those_that_came() -> None:
    seen = Sightings()
    assert seen.take_part({"A"}, now=0.0)
    assert seen.take_part({"B"}, now=0.1)
    assert seen.take_part({"A"}, now=0.2) is False
    assert seen.stable == {"A"}
    seen.take_part({"C"}, sure={"C"}, now=0.3)
    assert seen.stable == {"A", "C"}


def test_a_tag_in_doubt_must_be_seen_twice_again() -> None:
    seen = Sightings()
    seen.take({"A", "B"})
    seen.take({"A", "B"})
    seen.drop("A")
    assert seen.stable == {"B"}
    seen.take({"A", "B"})
    assert seen.stable == {"B"}
    seen.take({"A", "B"})
    assert seen.stable == {"A", "B"}


def test_a_tag_that_cannot_be_read_is_asked_ever_less_often() -> None:
    unread = Unreadable(0.25)
    for times in range(BARE_AFTER):
        assert unread.is_due("A", 0.0)
        assert unread.is_bare("A") is False, times
        unread.note(("A",), 0.0)
    assert unread.is_bare("A")
    assert [unread.is_due("A", at) for at in (0.24, 0.25)] == [False, True]
    unread.note(("A",), 1.0)
    assert [unread.is_due("A", at) for at in (1.49, 1.5)] == [False, True]
    for _ in range(100):
        unread.note(("A",), 2.0)
    assert [unread.is_due("A", at) for at in (1.99 + PAUSE_MOST_S, 2.0 + PAUSE_MOST_S)] == [False, True]
    unread.keep(("B",))
    assert unread.is_due("A", 0.0)
    assert not unread.is_bare("A")


def test_nothing_wanted_is_no_success_and_a_part_that_appears_is_wanted_from_then_on() -> None:
    writing = Writing("A")
    assert not writing.told(Security(), "").ok
    writing.learn(Security(eas=True), lambda now: Security(0xC2 if now.afi is not None else None, False))
    assert writing.told(Security(eas=False), "").ok
    writing.learn(Security(0x07, False), lambda now: Security(0xC2 if now.afi is not None else None, False))
    told = writing.told(Security(0x07, False), "")
    assert (told.ok, told.before, told.failed) == (False, Security(0x07, True), ("AFI",))
