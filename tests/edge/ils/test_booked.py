"""What the ILS is told afterwards: by whom, when, once, in order; and what comes of what it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from consortium.events import Kind
from consortium.identity import srid
from edge.outbox import Draft
from tests.edge.ils.member import (
    BRANCH,
    DAY_MS,
    HOME,
    HOST,
    HOUR_MS,
    KEY,
    PROXY,
    THIRD,
    ZONE,
    Member,
    Place,
    now_ms,
    until,
)


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Member]:
    one = Member(tmp_path)
    one.start()
    yield one
    one.kill()


@pytest.fixture
async def place(tmp_path: Path, member: Member) -> AsyncIterator[Place]:
    async with Place(tmp_path / "edge", member.port) as one:
        yield await one.ready()


async def settled(place: Place, n: int, within_s: float = 10.0) -> list[tuple[str, str, str]]:
    """The outcomes once there are ``n`` and nothing waits."""
    await until(lambda: len(place.outcomes()) >= n and place.waiting == 0, within_s)
    return place.outcomes()


def day_of(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, ZONE).date().isoformat()


class TestRefused:
    async def test_an_item_the_ils_does_not_know_is_a_refused_event_that_names_ours(self, place: Place) -> None:
        of = await place.lend("NOT-IN-BOOKS")
        assert await settled(place, 1) == [("REFUSED", "NOT-IN-BOOKS", "CHECKOUT")]
        (event,) = place.events(Kind.ILS_OBSERVED)
        assert event.data["ref"] == of
        assert (event.data["item"], event.data["home"], event.subject) == ([HOME, "NOT-IN-BOOKS"], HOME, None)

    async def test_a_partner_without_a_proxy_account_is_refused_without_asking(
        self, place: Place, member: Member
    ) -> None:
        await place.lend("1001", home=THIRD, number="T-77")
        assert await settled(place, 1) == [("REFUSED", "1001", "NO_PROXY")]
        assert member.changes() == []

    async def test_an_own_reader_whose_number_nobody_kept(self, place: Place) -> None:
        data = {"item": [HOME, "1001"], "type": "BOOK", "home": HOME, "due": now_ms(), "flags": ["ILS_AWAY"]}
        await place.outbox.append(Draft(Kind.CHECKOUT, BRANCH, "kiosk1", data, srid=srid(KEY, "unknown")))
        assert await settled(place, 1) == [("REFUSED", "1001", "NO_NUMBER")]

    async def test_a_refused_booking_stops_neither_its_item_nor_any_other(self, place: Place, member: Member) -> None:
        await place.lend("1001", number="STRANGER")
        await place.lend("1001")
        await place.lend("1002")
        assert sorted(await settled(place, 3)) == [
            ("BOOKED", "1001", "CHECKOUT"), ("BOOKED", "1002", "CHECKOUT"), ("REFUSED", "1001", "CHECKOUT"),
        ]  # fmt: skip
        assert set(member.loans()) == {"1001", "1002"}

    async def test_what_the_ils_made_itself_it_is_not_told(self, place: Place, member: Member) -> None:
        await place.lend("1001", flags=("ILS",))
        await place.take_back("1001", flags=("ILS",))
        await place.lend("1002")
        assert await settled(place, 1) == [("BOOKED", "1002", "CHECKOUT")]

    async def test_items_of_others_only_where_it_wants_them(self, tmp_path: Path, member: Member) -> None:
        async with Place(tmp_path / "no", member.port) as place:
            await (await place.ready()).lend("2001", owner=HOST, flags=())
            await place.lend("1002")
            assert await settled(place, 1) == [("BOOKED", "1002", "CHECKOUT")]
        async with Place(tmp_path / "yes", member.port, book_foreign=True) as place:
            await (await place.ready()).lend("2001", owner=HOST, flags=())
            assert await settled(place, 1) == [("REFUSED", "2001", "CHECKOUT")]  # it has no such item


class TestBooked:
    async def test_an_own_reader_under_the_own_number_with_the_true_dates(self, place: Place, member: Member) -> None:
        t, due = now_ms() - 5 * HOUR_MS, now_ms() + 9 * DAY_MS
        await place.lend("1001", t=t, due=due)
        assert await settled(place, 1) == [("BOOKED", "1001", "CHECKOUT")]
        assert member.loans() == {"1001": ("R1", t // 1000 * 1000, day_of(due))}

    async def test_a_partner_under_the_proxy_account_and_nobody_sees_who(self, place: Place, member: Member) -> None:
        await place.lend("1001", home=HOST, number="P-4711", flags=())
        await settled(place, 1)
        assert member.loans()["1001"][0] == PROXY
        assert b"P-4711" not in member.books.read_bytes() + Path(f"{member.books}-wal").read_bytes()

    async def test_a_blocked_reader_s_loan_of_yesterday_is_recorded_all_the_same(
        self, place: Place, member: Member
    ) -> None:
        await place.lend("1001", number="R2", t=now_ms() - DAY_MS)
        assert await settled(place, 1) == [("BOOKED", "1001", "CHECKOUT")]
        assert member.loans()["1001"][0] == "R2"

    async def test_renewals_and_returns_in_their_order(self, place: Place, member: Member) -> None:
        t, due = now_ms() - 3 * HOUR_MS, now_ms() + 40 * DAY_MS
        await place.lend("1001", t=t)
        renewal = {"item": [HOME, "1001"], "home": HOME, "due": due, "flags": ["ILS_AWAY"]}
        await place.outbox.append(
            Draft(Kind.RENEW, BRANCH, "kiosk1", renewal, srid=srid(KEY, f"{HOME}-R1"), t_eff=t + HOUR_MS)
        )
        await settled(place, 2)
        assert member.loans()["1001"][2] == day_of(due)
        await place.take_back("1001", t=t + 2 * HOUR_MS)
        assert [what for what, _, _ in await settled(place, 3)] == ["BOOKED"] * 3
        assert [(what, at // 1000) for what, _, at in member.changes()] == [
            ("LOAN", t // 1000), ("RENEWAL", (t + HOUR_MS) // 1000), ("RETURN", (t + 2 * HOUR_MS) // 1000),
        ]  # fmt: skip

    async def test_a_loan_that_the_ils_has_already_is_booked(self, place: Place, member: Member) -> None:
        await member.staff("lend", number="R1", item_no="1001", due="2030-01-01")
        await place.lend("1001")
        assert await settled(place, 1) == [("BOOKED", "1001", "CHECKOUT")]
        assert member.loans()["1001"][2] == "2030-01-01"

    async def test_a_return_of_what_was_never_lent_there_is_booked(self, place: Place) -> None:
        await place.take_back("1001")
        assert await settled(place, 1) == [("BOOKED", "1001", "CHECKIN")]


class TestOrder:
    async def test_an_item_that_waits_is_not_asked_about_until_the_ils_knows_all(
        self, place: Place, member: Member
    ) -> None:
        """Else a return at once would reach the ILS before the loan it ends, and the loan would stay for ever."""
        await member.staff("slow", s=0.4)
        await place.lend("1001")
        for ask in (place.ils.checkin("1001"), place.ils.checkout("R1", "1001", ""), place.ils.renew("R1", "1001", "")):
            assert (await ask).outcome == "AWAY"
        assert place.ils.up
        assert (await place.ils.checkin("1002")).outcome == "OK"
        await place.take_back("1001")
        assert await settled(place, 2) == [("BOOKED", "1001", "CHECKOUT"), ("BOOKED", "1001", "CHECKIN")]
        assert member.loans() == {}
        assert (await place.ils.checkin("1001")).outcome == "OK"

    async def test_what_the_hub_sends_late_goes_where_it_happened(self, place: Place, member: Member) -> None:
        member.kill()
        await until(lambda: not place.ils.up or place.ils.public()["sip2"]["connections"] == 0)
        t = now_ms() - HOUR_MS
        await place.lend("1001", t=t + 2000)
        work = {
            "org": HOME,
            "of": "edge-x/1/1",
            "task": "CHECKIN",
            "owner": HOME,
            "item_no": "1001",
            "t": t,
            "due": None,
            "home": None,
        }
        assert (await place.ils.work(work))["state"] == "taken"
        member.start()
        assert await settled(place, 2) == [("BOOKED", "1001", "CHECKIN"), ("BOOKED", "1001", "CHECKOUT")]
        assert member.loans()["1001"][0] == "R1"


class TestWork:
    async def test_nonsense_and_another_librarys_work_are_rejected(self, place: Place) -> None:
        good = {"org": HOME, "of": "n/1/1", "task": "CHECKIN", "owner": HOME, "item_no": "1001", "t": 1}
        assert (await place.ils.work({})) == {"of": "", "org": "", "state": "rejected", "code": "WORK_INVALID"}
        for wrong in ({"task": "BURN"}, {"t": -1}, {"t": "1"}, {"item_no": ""}, {"of": "x" * 161}, {"due": True}):
            assert (await place.ils.work({**good, **wrong}))["code"] == "WORK_INVALID"
        assert (await place.ils.work({**good, "org": HOST}))["code"] == "WORK_ORG"
        assert place.waiting == 0

    async def test_a_partners_loan_elsewhere_is_booked_once_however_often_it_is_sent(
        self, place: Place, member: Member
    ) -> None:
        t, due = now_ms() - HOUR_MS, now_ms() + DAY_MS
        work = {
            "org": HOME,
            "of": "edge-host/1/7",
            "task": "CHECKOUT",
            "owner": HOME,
            "item_no": "1005",
            "t": t,
            "due": due,
            "home": HOST,
        }
        assert await place.ils.work(work) == {"of": "edge-host/1/7", "org": HOME, "state": "taken"}
        await settled(place, 1)
        for _ in range(3):
            assert (await place.ils.work(work))["state"] == "taken"
        await place.lend("1006")
        assert await settled(place, 2) == [("BOOKED", "1005", "CHECKOUT"), ("BOOKED", "1006", "CHECKOUT")]
        assert member.loans()["1005"] == (PROXY, t // 1000 * 1000, day_of(due))
        assert place.events(Kind.ILS_OBSERVED)[0].data["ref"] == "edge-host/1/7"

    async def test_an_own_reader_elsewhere_goes_to_the_account_kept_for_that(
        self, tmp_path: Path, member: Member
    ) -> None:
        work = {
            "org": HOME,
            "of": "edge-host/1/8",
            "task": "CHECKOUT",
            "owner": HOME,
            "item_no": "1005",
            "t": 1,
            "due": None,
            "home": HOME,
        }
        async with Place(tmp_path / "with", member.port, proxies={HOME: PROXY}) as place:
            await (await place.ready()).ils.work(work)
            assert await settled(place, 1) == [("BOOKED", "1005", "CHECKOUT")]
        async with Place(tmp_path / "without", member.port) as place:
            await (await place.ready()).ils.work(work)
            assert await settled(place, 1) == [("REFUSED", "1005", "NO_NUMBER")]

    async def test_what_was_taken_survives(self, tmp_path: Path, member: Member) -> None:
        member.kill()
        work = {"org": HOME, "of": "edge-host/1/9", "task": "CHECKIN", "owner": HOME, "item_no": "1005", "t": 1}
        async with Place(tmp_path / "edge", member.port) as place:
            assert (await place.ils.work(work))["state"] == "taken"
        member.start()
        async with Place(tmp_path / "edge", member.port) as place:
            assert await settled(place, 1) == [("BOOKED", "1005", "CHECKIN")]
