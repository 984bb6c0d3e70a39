"""What every pad believes of its field: sightings, misses and remembered content."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drivers.base import PadTag
from drivers.rfid.sightings import KEEP_S, ContentCache, Sightings


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
