"""What a kiosk did while it was off line: accepted, recorded at its own time, never taken for something new."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consortium.events import Kind
from edge.answers import ItemRef
from edge.sip2_config import AccountConfig
from tests.edge.bed import (
    BRANCH,
    HOUR_MS,
    Bed,
    RawKiosk,
    Rows,
    make_config,
    now_ms,
    srid_of,
    standard_rows,
    write_replica,
)
from tests.edge.selfservice.messages import checkin, checkout, date, get, instant_of, logged_in, renew
from tests.make import HOME

DAY_MS = 24 * HOUR_MS


@pytest.fixture
async def kiosk(bed: Bed) -> AsyncIterator[RawKiosk]:
    async with logged_in(bed) as raw:
        yield raw


def record(item_no: str, ago_ms: int = 5 * HOUR_MS, number: str = "R1", **more: str) -> str:
    """An off-line loan so long ago."""
    return checkout(item_no, number, at=date(ago_ms), flags="NY", **more)


class TestPermission:
    async def test_a_kiosk_without_it_records_no_loan(self, tmp_path: Path) -> None:
        write_replica(tmp_path, standard_rows())
        accounts = (AccountConfig("kiosk1", "secret", HOME, "kiosk1", no_block=False),)
        async with Bed(make_config(tmp_path, accounts=accounts)) as bed, logged_in(bed) as kiosk:
            reply = await kiosk.ask(record("1001"))
            assert reply.startswith("120N")
            assert get(reply, "AF") == "设备未授权 (DEVICE_UNAUTHORISED)"
            assert bed.events(Kind.CHECKOUT) == []
            assert (await kiosk.ask("9900802.00"))[7] == "N"

    async def test_a_return_is_taken_all_the_same_as_of_now(self, tmp_path: Path) -> None:
        write_replica(tmp_path, standard_rows())
        accounts = (AccountConfig("kiosk1", "secret", HOME, "kiosk1", no_block=False),)
        async with Bed(make_config(tmp_path, accounts=accounts)) as bed, logged_in(bed) as kiosk:
            assert (await kiosk.ask(checkin("1012", date(5 * HOUR_MS), no_block="Y"))).startswith("101Y")
            (event,) = bed.events(Kind.RETURN)
            assert now_ms() - event.t_eff < 60_000
            assert "flags" not in event.data


class TestLoans:
    async def test_it_is_recorded_when_it_happened(self, bed: Bed, kiosk: RawKiosk) -> None:
        at = date(5 * HOUR_MS)
        reply = await kiosk.ask(checkout("1001", at=at, flags="NY"))
        assert reply.startswith("121N")
        (event,) = bed.events(Kind.CHECKOUT)
        assert event.t_eff == instant_of(at)
        assert event.t_unc >= 60_000
        assert event.data["flags"] == ["OFFLINE"]
        assert bed.subjects(Kind.CHECKOUT) == [srid_of("R1")]

    async def test_utc_and_local_dates_mean_the_same_instant(self, bed: Bed, kiosk: RawKiosk) -> None:
        at = date(5 * HOUR_MS, utc=True)
        await kiosk.ask(checkout("1001", at=at, flags="NY"))
        assert bed.events(Kind.CHECKOUT)[0].t_eff == instant_of(at)

    async def test_the_due_date_the_kiosk_printed_is_kept_where_it_is_later(self, bed: Bed, kiosk: RawKiosk) -> None:
        due = date(-90 * DAY_MS)
        await kiosk.ask(record("1001", due=due))
        await kiosk.ask(record("1002", due=date(-DAY_MS)))
        first, second = bed.events(Kind.CHECKOUT)
        assert first.data["due"] == instant_of(due)
        assert second.data["due"] > now_ms() + 20 * DAY_MS  # ours is later: the reader gets it

    @pytest.mark.parametrize(
        ("item_no", "number", "code"),
        [("1001", "R2", "BLOCK_OVERDUE"), ("1011", "R1", "ITEM_REFERENCE"), ("1012", "R1", "ITEM_ON_LOAN")],
    )
    async def test_what_would_have_been_refused_stands_and_is_marked(
        self, bed: Bed, kiosk: RawKiosk, item_no: str, number: str, code: str
    ) -> None:
        reply = await kiosk.ask(record(item_no, number=number))
        assert reply.startswith("121N")
        (event,) = bed.events(Kind.CHECKOUT)
        assert f"POLICY_BREACH:{code}" in event.data["flags"]
        assert event.decision is not None
        assert event.decision["o"] == "DENY"
        assert event.data["due"] > now_ms()

    async def test_a_reader_and_an_item_nobody_knows_are_recorded_too(self, bed: Bed, kiosk: RawKiosk) -> None:
        assert (await kiosk.ask(record("88888", number="STRANGER-7"))).startswith("121N")
        (event,) = bed.events(Kind.CHECKOUT)
        assert (event.data["item"], event.data["type"]) == ([HOME, "88888"], "UNKNOWN")
        (who,) = bed.subjects(Kind.CHECKOUT)
        assert who is not None
        assert len(who) == 32
        assert "STRANGER-7" not in who

    async def test_a_wrong_pin_does_not_undo_what_happened(self, bed: Bed, kiosk: RawKiosk) -> None:
        assert (await kiosk.ask(record("1001", pin="0000"))).startswith("121N")
        assert bed.events(Kind.REFUSED) == []

    async def test_a_record_that_names_nobody_or_nothing_is_none(self, bed: Bed, kiosk: RawKiosk) -> None:
        assert get(await kiosk.ask(record("1001", number="")), "AF") == "未识别的读者卡 (CARD_UNKNOWN)"
        assert get(await kiosk.ask(record("")), "AF") == "未识别的文献 (ITEM_UNKNOWN)"
        assert bed.events(Kind.CHECKOUT) == []

    @pytest.mark.parametrize("at", ["20991231    120000", "20010101    000000", "20260231    999999"])
    async def test_a_date_that_cannot_be_gives_our_time_and_says_how_unsure(
        self, bed: Bed, kiosk: RawKiosk, at: str
    ) -> None:
        assert (await kiosk.ask(checkout("1001", at=at, flags="NY"))).startswith("121N")
        (event,) = bed.events(Kind.CHECKOUT)
        assert abs(now_ms() - event.t_eff) < 60_000
        assert event.t_unc >= 12 * HOUR_MS


class TestTheSameLoanAgain:
    async def test_the_replay_of_an_answered_loan_is_that_loan(self, bed: Bed, kiosk: RawKiosk) -> None:
        """The reply was lost, the kiosk went off line and reports the same transaction later."""
        at = date(60_000)
        first = await kiosk.ask(checkout("1001", at=at))
        again = await kiosk.ask(checkout("1001", at=at, flags="NY"))
        assert (get(again, "AH"), get(again, "BK")) == (get(first, "AH"), get(first, "BK"))
        assert len(bed.events(Kind.CHECKOUT)) == 1

    async def test_a_replay_of_yesterdays_loan_is_that_loan_and_no_renewal(self, tmp_path: Path) -> None:
        out, due = now_ms() - DAY_MS, now_ms() + 20 * DAY_MS
        loan = Rows.item("3001", status="ON_LOAN", loan_srid=srid_of("R1"), due=due, t_out=out, place=BRANCH)
        write_replica(tmp_path, [*standard_rows(), *loan])
        async with Bed(make_config(tmp_path)) as bed, logged_in(bed) as kiosk:
            for flags in ("NY", "YY"):
                reply = await kiosk.ask(checkout("3001", at=date(now_ms() - out), flags=flags))
                assert reply.startswith("121N")
                assert get(reply, "AH") == bed.agent.due_text(due)
            assert bed.events(Kind.CHECKOUT, Kind.RENEW) == []

    async def test_where_the_clocks_differ_the_due_day_tells(self, tmp_path: Path) -> None:
        out, due = now_ms() - DAY_MS, now_ms() + 20 * DAY_MS
        loan = Rows.item("3001", status="ON_LOAN", loan_srid=srid_of("R1"), due=due, t_out=out, place=BRANCH)
        write_replica(tmp_path, [*standard_rows(), *loan])
        late = date(now_ms() - out - 1_500_000)
        async with Bed(make_config(tmp_path)) as bed, logged_in(bed) as kiosk:
            await kiosk.ask(checkout("3001", at=late, flags="NY", due=date(now_ms() - due)))
            assert bed.events(Kind.CHECKOUT) == []
            # Nothing was printed, so nothing says that it is the same.
            await kiosk.ask(checkout("3001", at=date(now_ms() - out - 1_600_000), flags="NY"))
            assert len(bed.events(Kind.CHECKOUT)) == 1

    async def test_a_loan_that_came_back_since_is_not_lent_again(self, bed: Bed, kiosk: RawKiosk) -> None:
        at = date(100_000)
        await kiosk.ask(checkout("1001", at=at, flags="NY"))
        await kiosk.ask(checkin("1001"))
        assert (await kiosk.ask(checkout("1001", at=at, flags="NY"))).startswith("121N")
        assert len(bed.events(Kind.CHECKOUT)) == 1
        assert bed.agent.desk.loans_of(srid_of("R1")) == []

    async def test_a_repeat_after_a_restart_is_one_loan(self, tmp_path: Path) -> None:
        write_replica(tmp_path, standard_rows())
        message = record("1001")
        for _ in range(2):
            async with Bed(make_config(tmp_path)) as bed, logged_in(bed) as kiosk:
                assert (await kiosk.ask(message)).startswith("121N")
                assert len(bed.events(Kind.CHECKOUT)) == 1

    async def test_an_older_record_does_not_undo_a_later_return(self, bed: Bed, kiosk: RawKiosk) -> None:
        """The kiosk was off line for a day; meanwhile the item came back at another machine."""
        await kiosk.ask(checkin("1005"))
        await kiosk.ask(record("1005"))
        assert len(bed.events(Kind.CHECKOUT)) == 1
        assert not bed.agent.desk.on_loan(bed.agent.desk.key_of(ItemRef(None, "1005")))


class TestRenewals:
    async def test_it_is_recorded_and_never_refused(self, tmp_path: Path) -> None:
        due = now_ms() + 2 * DAY_MS
        loan = Rows.item("3001", status="ON_LOAN", loan_srid=srid_of("R1"), due=due, t_out=now_ms() - 10 * DAY_MS,
                         place=BRANCH, renewed=0)  # fmt: skip
        write_replica(tmp_path, [*standard_rows(), *loan])
        printed, at = date(-10 * DAY_MS), date(HOUR_MS)
        async with Bed(make_config(tmp_path)) as bed, logged_in(bed) as kiosk:
            reply = await kiosk.ask(renew("3001", at=at, flags="NY", due=printed))
            assert reply.startswith("301Y")
            (event,) = bed.events(Kind.RENEW)
            assert (event.t_eff, event.data["due"]) == (instant_of(at), instant_of(printed))
            assert event.data["flags"][0] == "OFFLINE"


class TestReturns:
    async def test_a_return_is_recorded_when_it_happened(self, bed: Bed, kiosk: RawKiosk) -> None:
        at = date(5 * HOUR_MS)
        assert (await kiosk.ask(checkin("1012", at, no_block="Y"))).startswith("101Y")
        (event,) = bed.events(Kind.RETURN)
        assert event.t_eff == instant_of(at)
        assert event.data["flags"] == ["OFFLINE"]

    async def test_a_checkout_that_failed_is_undone_by_a_return_that_says_so(self, bed: Bed, kiosk: RawKiosk) -> None:
        await kiosk.ask(checkout("1001"))
        assert (await kiosk.ask(checkin("1001", more="BIY|"))).startswith("101Y")
        (event,) = bed.events(Kind.RETURN)
        assert event.data["flags"] == ["CHECKOUT_CANCELLED"]
        assert bed.agent.desk.loans_of(srid_of("R1")) == []

    async def test_a_kiosks_own_return_date_back_dates_nothing(self, bed: Bed, kiosk: RawKiosk) -> None:
        await kiosk.ask(checkin("1012", returned=date(5 * DAY_MS)))
        (event,) = bed.events(Kind.RETURN)
        assert abs(now_ms() - event.t_eff) < 60_000
        assert "t_credit" not in event.data
