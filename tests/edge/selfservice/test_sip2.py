"""SIP2 as a kiosk sees it: bytes on a socket, literal messages, what the desk did behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consortium.events import Kind
from tests.edge.bed import (
    BRANCH,
    PIN,
    Bed,
    Hub,
    Machines,
    RawKiosk,
    make_config,
    srid_of,
    standard_rows,
    tag,
    until,
    write_replica,
)
from tests.edge.selfservice.messages import AT, checkin, checkout, get, information
from tests.make import HOME, HOST


@pytest.fixture
async def kiosk(bed: Bed) -> AsyncIterator[RawKiosk]:
    """A kiosk that is logged in."""
    assert bed.agent.sip2_at is not None
    async with RawKiosk(bed.agent.sip2_at) as raw:
        yield await raw.login()


class TestCheckoutRefusals:
    @pytest.mark.parametrize(
        ("message", "screen"),
        [
            (checkout("1001", "R2"), "有逾期未还 (BLOCK_OVERDUE)"),
            (checkout("1001", "R3"), "此卡已挂失 (CARD_LOST)"),
            (checkout("1011"), "仅限馆内阅览 (ITEM_REFERENCE)"),
            (checkout("1012"), "已借出(请交服务台) (ITEM_ON_LOAN)"),
            (checkout("1001", "P1", None), "请加验密码或二维码 (CARD_ASSURANCE_LOW)"),
            (checkout("1001", "NOBODY"), "网络中断,请到服务台 (NOT_DECIDABLE_OFFLINE)"),
            (checkout("1001", pin="0000"), "密码错误 (PIN_WRONG)"),
            (checkout("1001", ""), "未识别的读者卡 (CARD_UNKNOWN)"),
            (checkout(""), "未识别的文献 (ITEM_UNKNOWN)"),
            (checkout("1012", more="BIY|"), "已借出(请交服务台) (ITEM_ON_LOAN)"),
        ],
    )
    async def test_it_says_no_and_why(self, bed: Bed, kiosk: RawKiosk, message: str, screen: str) -> None:
        reply = await kiosk.ask(message)
        assert reply.startswith("120NNN")
        assert get(reply, "AF") == screen
        assert get(reply, "AH") == ""
        assert bed.events(Kind.CHECKOUT) == []

    async def test_a_partner_who_never_activated_sharing_is_told_so(self, bed: Bed) -> None:
        assert bed.agent.sip2_at is not None
        async with RawKiosk(bed.agent.sip2_at) as raw:
            await raw.login("card1")
            await raw.ask(information("04D1D2D4", None))  # says 019: from here on the session reads Chinese
            reply = await raw.ask(checkout("1001", "04D1D2D4", None))
            assert get(reply, "AF") == "尚未开通联盟共享服务 (READER_NOT_SHARED)"

    async def test_an_english_kiosk_reads_english(self, bed: Bed) -> None:
        assert bed.agent.sip2_at is not None
        async with RawKiosk(bed.agent.sip2_at) as raw:
            await raw.login("card1")
            assert get(await raw.ask(checkout("1001", "R2")), "AF") == "Overdue items (BLOCK_OVERDUE)"

    async def test_ones_own_loan_is_refused_as_a_renewal_would_be(self, kiosk: RawKiosk) -> None:
        await kiosk.ask(checkout("1001"))
        reply = await kiosk.ask(checkout("1001", at="20261122    101501"))
        assert reply.startswith("120YNN")
        assert get(reply, "AF") == "您已借此书 (ITEM_ON_LOAN_SELF)"


class TestCheckout:
    async def test_a_loan_is_confirmed_with_title_and_due_day(self, bed: Bed, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(checkout("1001"))
        assert reply.startswith("121NNY")
        assert get(reply, "AJ") == "书名 1001"
        (event,) = bed.events(Kind.CHECKOUT)
        assert get(reply, "AH") == bed.agent.due_text(event.data["due"])
        assert get(reply, "BK")
        assert (event.device, bed.subjects(Kind.CHECKOUT)) == ("kiosk1", [srid_of("R1")])

    async def test_the_library_may_be_typed_before_number_and_item(self, bed: Bed, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(checkout(f"{HOME}:1001", f"{HOME}:R1"))
        assert reply.startswith("121")

    async def test_a_card_read_by_the_kiosk_counts_as_the_card_it_is(self, bed: Bed) -> None:
        assert bed.agent.sip2_at is not None
        async with RawKiosk(bed.agent.sip2_at) as raw:
            await raw.login("card1")
            assert (await raw.ask(checkout("1001", "04D1D2D3", None))).startswith("121")

    async def test_a_repeat_after_a_restart_is_answered_as_the_first_time(self, tmp_path: Path) -> None:
        write_replica(tmp_path, standard_rows())
        replies = []
        for _ in range(2):
            async with Bed(make_config(tmp_path)) as bed:
                assert bed.agent.sip2_at is not None
                async with RawKiosk(bed.agent.sip2_at) as raw:
                    await raw.login()
                    replies.append(await raw.ask(checkout("1001")))
                assert len(bed.events(Kind.CHECKOUT)) == 1
        first, second = (reply[24:].split("|") for reply in replies)
        assert first == second
        assert replies[0][:6] == replies[1][:6] == "121NNY"

    async def test_many_loans_and_returns_of_one_item_within_one_second_are_each_what_they_are(
        self, bed: Bed, kiosk: RawKiosk
    ) -> None:
        """The kiosk's date has seconds only: a request is a repeat only while nothing else was done with the item."""
        for _ in range(4):
            assert (await kiosk.ask(checkout("1001"))).startswith("121")
            assert (await kiosk.ask(checkin("1001"))).startswith("101")
        assert len(bed.events(Kind.CHECKOUT)) == 4
        assert len(bed.events(Kind.RETURN)) == 4

    async def test_a_new_loan_after_a_return_is_no_repeat(self, bed: Bed, kiosk: RawKiosk) -> None:
        await kiosk.ask(checkout("1001"))
        await kiosk.ask(checkin("1001"))
        assert (await kiosk.ask(checkout("1001", at="20261122    102000"))).startswith("121")
        assert len(bed.events(Kind.CHECKOUT)) == 2

    async def test_numbers_and_pins_stand_in_no_log(self, kiosk: RawKiosk, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(0):
            await kiosk.ask(checkout("1001", pin="97531"))
            await kiosk.ask(checkout("1001", "R9876543"))
        assert "97531" not in caplog.text
        assert "R9876543" not in caplog.text


class TestCheckin:
    async def test_an_item_at_home_needs_no_attention(self, kiosk: RawKiosk) -> None:
        await kiosk.ask(checkout("1001"))
        reply = await kiosk.ask(checkin("1001"))
        assert reply.startswith("101YNN")
        assert (get(reply, "AQ"), get(reply, "CL"), get(reply, "CV")) == (BRANCH, "1", None)
        assert get(reply, "AF") == "已还 (RETURN_HOME)"

    async def test_a_partners_item_is_routed_home(self, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(checkin("2002"))
        assert reply.startswith("101YNY")
        assert (get(reply, "CV"), get(reply, "CT"), get(reply, "CL")) == ("04", f"{HOST}-01", "3")

    async def test_what_nobody_knows_goes_to_the_exception_bin(self, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(checkin("7777777"))
        assert reply.startswith("101YNY")
        assert (get(reply, "CV"), get(reply, "CL")) == ("99", "9")
        assert get(reply, "AF") == "已收存待核 (RETURN_SET_ASIDE)"

    async def test_a_return_said_twice_is_written_once(self, bed: Bed, kiosk: RawKiosk) -> None:
        assert bed.agent.sip2_at is not None
        await kiosk.ask(checkin("1012"))
        async with RawKiosk(bed.agent.sip2_at) as again:
            await again.login()
            assert (await again.ask(checkin("1012"))).startswith("101Y")
        assert len(bed.events(Kind.RETURN)) == 1

    async def test_no_item_is_no_return(self, bed: Bed, kiosk: RawKiosk) -> None:
        for nothing in ("", "9" * 65):
            assert (await kiosk.ask(checkin(nothing))).startswith("100")
        assert bed.events(Kind.RETURN) == []


class TestReader:
    async def test_an_unknown_reader_is_not_valid(self, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(information("NOBODY"))
        assert reply.startswith("64YYYY")
        assert get(reply, "BL") == "N"

    async def test_a_wrong_pin_shows_nobodys_loans(self, bed: Bed, kiosk: RawKiosk) -> None:
        await kiosk.ask(checkout("1001"))
        reply = await kiosk.ask(information(pin="0000"))
        assert (get(reply, "CQ"), get(reply, "AU")) == ("N", None)
        assert get(reply, "AF") == "密码错误 (PIN_WRONG)"

    async def test_five_wrong_pins_lock_and_a_restart_forgives_nothing(self, tmp_path: Path) -> None:
        write_replica(tmp_path, standard_rows())
        for wrong in (5, 0):
            async with Bed(make_config(tmp_path)) as bed:
                assert bed.agent.sip2_at is not None
                async with RawKiosk(bed.agent.sip2_at) as raw:
                    await raw.login()
                    for n in range(wrong):
                        reply = await raw.ask(information(pin="0000"))
                        assert get(reply, "AF") == (
                            "密码已锁定,请到服务台 (PIN_LOCKED)" if n == 4 else "密码错误 (PIN_WRONG)"
                        )
                    assert get(await raw.ask(checkout("1001")), "AF") == "密码已锁定,请到服务台 (PIN_LOCKED)"
                    codes = [event.data["codes"] for event in bed.events(Kind.REFUSED)]
                    assert codes == [["PIN_WRONG"]] * 4 + [["PIN_LOCKED"]]

    async def test_counts_lists_and_limit(self, bed: Bed, kiosk: RawKiosk) -> None:
        await kiosk.ask(checkout("1001"))
        await kiosk.ask(checkout("1002", at="20261122    101501"))
        reply = await kiosk.ask(information())
        assert reply[2:16] == " " * 14
        assert reply[45:49] == "0002"  # hold, overdue, then charged count, behind status, language and date
        assert reply.count("|AU") == 2
        assert (get(reply, "BL"), get(reply, "CQ"), get(reply, "CB")) == ("Y", "Y", "0005")

    async def test_an_overdue_loan_of_the_replica_is_listed(self, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(information("R2", summary=" Y        "))
        assert reply[41:45] == "0001"
        assert get(reply, "AT") == "1012"
        assert reply[2] == "Y"
        assert get(reply, "AF") == "有逾期未还 (BLOCK_OVERDUE)"

    async def test_a_pin_given_once_serves_the_session(self, kiosk: RawKiosk, bed: Bed) -> None:
        await kiosk.ask(information())
        await kiosk.ask(checkout("1001", pin=None))
        (event,) = bed.events(Kind.CHECKOUT)
        assert event.decision is not None
        assert event.decision["facts"]["pin"] == 1
        assert (await kiosk.ask(f"35{AT}AO{HOME}|AAR1|AC|")).startswith("36Y")
        await kiosk.ask(checkout("1002", pin=None, at="20261122    101501"))
        assert "pin" not in (bed.events(Kind.CHECKOUT)[1].decision or {})["facts"]

    async def test_23_is_the_short_form(self, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(f"23019{AT}AO{HOME}|AAR1|AC|AD{PIN}|")
        assert reply.startswith("24" + " " * 14 + "019")
        assert (get(reply, "BL"), get(reply, "CQ")) == ("Y", "Y")


class TestItemAndStatus:
    async def test_an_item_nobody_can_be_asked_about(self, kiosk: RawKiosk) -> None:
        reply = await kiosk.ask(f"17{AT}AO{HOME}|AB99999|AC|")
        assert reply.startswith("1801")
        assert get(reply, "AF") == "网络中断,请到服务台 (NOT_DECIDABLE_OFFLINE)"

    @pytest.mark.parametrize(("number", "status"), [("1001", "03"), ("1012", "04"), ("2001", "10")])
    async def test_where_an_item_stands(self, kiosk: RawKiosk, number: str, status: str) -> None:
        reply = await kiosk.ask(f"17{AT}AO{HOME}|AB{number}|AC|")
        assert reply[2:4] == status
        assert get(reply, "AJ") == f"书名 {number}"

    async def test_without_a_replica_kiosks_may_only_return(self, tmp_path: Path) -> None:
        async with Bed(make_config(tmp_path)) as bed:
            assert bed.agent.sip2_at is not None
            async with RawKiosk(bed.agent.sip2_at) as raw:
                await raw.login()
                assert (await raw.ask("9900802.00"))[2:5] == "NYN"
                assert (await raw.ask(checkin("1001"))).startswith("101Y")


class TestWithTheHub:
    async def test_a_reader_only_the_hub_knows_is_found_and_the_pin_checked_there(self, hub_bed: Bed, hub: Hub) -> None:
        hub.answers["reader"] = lambda data: {
            "found": True, "srid": srid_of("X1"), "home": HOST, "pin_ok": data["pin"] == "1357",
            "token": {"status": "ACTIVE", "assurance": "LOW", "to_ms": None},
            "reader": {"home": HOST, "category": "UG", "status": "ACTIVE", "shared": True, "age": 20, "blocks": [], "open_loans": []},
        }  # fmt: skip
        assert hub_bed.agent.sip2_at is not None
        async with RawKiosk(hub_bed.agent.sip2_at) as raw:
            await raw.login()
            wrong = await raw.ask(information("X1", "0000"))
            right = await raw.ask(information("X1", "1357"))
        assert (get(wrong, "BL"), get(wrong, "CQ")) == ("Y", "N")
        assert (get(right, "BL"), get(right, "CQ"), get(right, "AQ")) == ("Y", "Y", HOST)
        assert all(isinstance(data["tokens"], list) for name, data in hub.asked if name == "reader")

    async def test_a_reader_nobody_knows_is_unknown(self, hub_bed: Bed, hub: Hub) -> None:
        hub.answers["reader"] = lambda data: {"found": False}
        assert hub_bed.agent.sip2_at is not None
        async with RawKiosk(hub_bed.agent.sip2_at) as raw:
            await raw.login()
            assert get(await raw.ask(information("X1")), "AF") == "未识别的读者卡 (CARD_UNKNOWN)"


class TestPadBesideTheKiosk:
    async def test_the_tag_follows_the_loan_and_the_return(self, tmp_path: Path, machines: Machines) -> None:
        write_replica(tmp_path, standard_rows())
        config = make_config(tmp_path, devices=machines.devices("pad1"))
        accounts = tuple(
            type(account)(account.user, account.password, HOME, account.device, pad="pad1")
            for account in config.accounts
        )
        player = machines.client()
        await player.connect()
        async with Bed(make_config(tmp_path, devices=config.devices, accounts=accounts)) as bed:
            assert bed.agent.sip2_at is not None
            uid, other = "E004010000001001", "E004010000001002"
            await player.place(uid, dsfid=0x3E, afi=0x07, blocks=tag("1001"))
            await player.place(other, dsfid=0x3E, afi=0x07, blocks=tag("1002"))
            await until(lambda: len(bed.agent.pads["pad1"].on_pad()) == 2)
            async with RawKiosk(bed.agent.sip2_at) as raw:
                await raw.login()
                assert (await raw.ask(checkout("1001"))).startswith("121NNY")
                states = {tag["uid"]: tag["afi"] for tag in await player.pad()}
                assert states == {uid: 0xC2, other: 0x07}
                await raw.ask(checkin("1001"))
                states = {tag["uid"]: tag["afi"] for tag in await player.pad()}
                assert states == {uid: 0x07, other: 0x07}
                # An item without its tag on the pad is lent all the same: readers put whole stacks down.
                assert (await raw.ask(checkout("1003"))).startswith("121NNY")
            kinds = [event.kind for event in bed.events(Kind.CHECKOUT, Kind.RETURN, Kind.TAG_WRITTEN)]
            assert kinds == [Kind.CHECKOUT, Kind.TAG_WRITTEN, Kind.RETURN, Kind.TAG_WRITTEN, Kind.CHECKOUT]
            await player.lift(uid)
            await player.lift(other)
        await player.close()


async def test_many_kiosks_at_once_are_all_answered(bed: Bed) -> None:
    assert bed.agent.sip2_at is not None
    address = bed.agent.sip2_at

    async def one(n: int) -> str:
        async with RawKiosk(address) as raw:
            await raw.login()
            return await raw.ask(checkin(f"9{n:04d}"))

    replies = await asyncio.gather(*(one(n) for n in range(40)))
    assert all(reply.startswith("101Y") for reply in replies)
    assert len(bed.events(Kind.RETURN)) == 40
