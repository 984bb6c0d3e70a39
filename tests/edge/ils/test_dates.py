"""Due dates as library systems print them."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ils.dates import due_instant

ZONE = ZoneInfo("Asia/Shanghai")


def local(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp()) * 1000


@pytest.mark.parametrize(
    "text",
    [
     "", " ", "soon", "2027", "2027-13-01", "2027-02-30", "20270230", "31/31/2027",
     "2027-03-04T25:00", "2027-03-04 10:61", "0000-00-00",
     "1 Foo 2027", "00000000    000000", "2027年13月1日", "2027-03-04 13:00 PM", "2027-03-04Zulu", "9" * 64, "x" * 65, "1900-01-01"],
)  # fmt: skip
def test_what_cannot_be_read_is_none(text: str) -> None:
    assert due_instant(text, ZONE) is None


@pytest.mark.parametrize(
    "text",
    ["2027-03-04", "2027/3/4", "2027.03.04", "20270304", "2027年3月4日", "2027 年 03 月 04 日", "04/03/2027", "4-3-2027", "04.03.27",
     "4 Mar 2027", "4 March 2027", "04-MAR-2027", "Mar 4, 2027", "  2027-03-04  "],
)  # fmt: skip
def test_a_day_is_its_end_in_the_branchs_zone(text: str) -> None:
    assert due_instant(text, ZONE) == local("2027-03-04T23:59:59")


@pytest.mark.parametrize(
    ("text", "wall"),
    [
        ("2027-03-04T18:30:00", "2027-03-04T18:30:00"),
        ("2027-03-04 18:30", "2027-03-04T18:30:00"),
        ("2027-03-04T10:30:00Z", "2027-03-04T18:30:00"),
        ("2027-03-04T18:30:00+08:00", "2027-03-04T18:30:00"),
        ("2027-03-04T18:30:00.123+0800", "2027-03-04T18:30:00"),
        ("04/03/2027 06:30 PM", "2027-03-04T18:30:00"),
        ("04/03/2027 12:05 am", "2027-03-04T00:05:00"),
        ("20270304    183000", "2027-03-04T18:30:00"),
        ("20270304   Z103000", "2027-03-04T18:30:00"),
        ("20270304 CST183000", "2027-03-04T18:30:00"),
        ("2027年3月4日 18时30分", "2027-03-04T18:30:00"),
    ],
)
def test_a_time_of_day_is_kept(text: str, wall: str) -> None:
    assert due_instant(text, ZONE) == local(wall)


def test_which_comes_first_is_configured_unless_it_cannot_be() -> None:
    assert due_instant("03/04/2027", ZONE, "dmy") == local("2027-04-03T23:59:59")
    assert due_instant("03/04/2027", ZONE, "mdy") == local("2027-03-04T23:59:59")
    assert due_instant("03/24/2027", ZONE, "dmy") == local("2027-03-24T23:59:59")


def test_the_end_of_a_day_that_the_clocks_change_on() -> None:
    zone = ZoneInfo("Europe/Berlin")
    found = due_instant("2027-03-28", zone)
    assert found is not None
    assert datetime.fromtimestamp(found / 1000, zone).isoformat() == "2027-03-28T23:59:59+02:00"


@given(st.text(max_size=80))
def test_no_text_harms(text: str) -> None:
    found = due_instant(text, ZONE)
    assert found is None or found >= 0


@given(
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2999, 1, 1)).map(
        lambda at: at.replace(microsecond=0)
    )
)
def test_iso_and_the_wires_form_mean_the_same(at: datetime) -> None:
    assert due_instant(at.isoformat(), ZONE) == due_instant(f"{at:%Y%m%d    %H%M%S}", ZONE) == local(at.isoformat())
    end = at.replace(hour=0, minute=0, second=0) + timedelta(days=1, seconds=-1)
    assert due_instant(f"{at:%Y-%m-%d}", ZONE) == local(end.isoformat())
