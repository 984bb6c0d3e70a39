"""How long the fastest needs between two branches."""

from __future__ import annotations

from dataclasses import replace
from math import pi

import pytest

from consortium.agreement import Branch
from consortium.places import travel_ms
from tests.make import HOUR

HERE = Branch("a-01", "a", "馆", "Branch", "always", geo=(29_560_000, 106_550_000))


def at(name: str, lat: int, lon: int) -> Branch:
    return replace(HERE, id=name, geo=(lat, lon))


def test_a_degree_along_the_equator_is_111_km_and_three_quarters_of_an_hour():
    # 6371 km * pi / 180 = 111.195 km, at 150 km/h 2,668,676 ms.
    assert travel_ms(at("b", 0, 0), at("c", 0, 1_000_000)) == pytest.approx(2_668_676, abs=2)


def test_degrees_of_longitude_shrink_towards_the_pole_and_those_of_latitude_do_not():
    assert travel_ms(at("b", 60_000_000, 0), at("c", 60_000_000, 1_000_000)) == pytest.approx(1_334_338, rel=1e-3)
    assert travel_ms(at("b", 60_000_000, 0), at("c", 61_000_000, 0)) == pytest.approx(2_668_676, abs=2)


def test_chongqing_to_chengdu_and_back_is_the_same():
    there = at("b", 30_660_000, 104_070_000)
    assert travel_ms(HERE, there) == travel_ms(there, HERE)
    assert 1.7 * HOUR < travel_ms(HERE, there) < 1.9 * HOUR


def test_half_around_the_world_is_20015_km():
    assert travel_ms(at("b", 0, 0), at("c", 0, 180_000_000)) == pytest.approx(pi * 6_371 / 150 * HOUR, abs=2)


def test_an_unknown_place_or_the_same_branch_is_no_way_at_all():
    nowhere = replace(HERE, id="b", geo=None)
    assert travel_ms(HERE, nowhere) == travel_ms(nowhere, HERE) == travel_ms(HERE, HERE) == 0
    assert travel_ms(HERE, replace(HERE, geo=(0, 0))) == 0
    assert travel_ms(HERE, replace(HERE, id="b")) == 0
