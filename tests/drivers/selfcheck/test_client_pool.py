"""The pool against library systems that drop, dawdle, mix up and hang."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from drivers.selfcheck.client import PoolState, Sip2Pool, Unreachable
from drivers.selfcheck.client_breaker import BreakerLimits
from drivers.selfcheck.client_errors import CircuitOpen, PoolBusy
from protocols.sip2 import RemoteProtocolError
from protocols.sip2.requests import checkin, checkout, item_information
from tests.drivers.selfcheck.client_acs import DATE, Acs, Peer, seal

NOW = datetime(2026, 11, 22, 19, 37, 11, tzinfo=UTC)
QUICK = BreakerLimits(failures=3, first_s=0.05, most_s=0.1, refused_s=5.0)
LEND = checkout("990001", "R1", "B1", None, NOW)


def pool(acs: Acs, **more: Any) -> Sip2Pool:
    settings: dict[str, Any] = {"login": ("u", "p", None), "deadline_s": 1.0, "breaker": QUICK, "uniform": lambda: 0.5}
    return Sip2Pool(acs.url, **{**settings, **more})


def question(item_no: str) -> Any:
    return item_information("990001", item_no, NOW)


class Once:
    """Misbehaves the first time a code is asked, or as often as told."""

    def __init__(self, acs: Acs, code: str, act: Any, times: int = 1) -> None:
        self.acs, self.code, self.act, self.left = acs, code, act, times
        acs.way = self

    async def __call__(self, peer: Peer, text: str, sequence: str | None) -> None:
        if text.startswith(self.code) and self.left:
            self.left -= 1
            await self.act(peer, text, sequence)
        else:
            await self.acs.by_the_book(peer, text, sequence)


async def hang_up(peer: Peer, text: str, sequence: str | None) -> None:
    peer.hang_up()


async def half_a_reply(peer: Peer, text: str, sequence: str | None) -> None:
    peer.writer.write(b"12")
    await peer.writer.drain()
    peer.writer.write_eof()


async def silence(peer: Peer, text: str, sequence: str | None) -> None:
    return None


class TestRefused:
    async def test_a_payment_without_its_id_is_not_sent_twice(self) -> None:
        async with Acs() as acs, pool(acs) as asking:
            Once(acs, "37", hang_up)
            with pytest.raises(Unreachable) as lost:
                await asking.call(f"37{DATE}0100CNYBV1.00|AO990001|AA1|")
            assert (lost.value.code, len(acs.asked("37"))) == ("lost", 1)

    async def test_an_undated_loan_is_not_sent_twice(self) -> None:
        async with Acs() as acs, pool(acs) as asking:
            Once(acs, "11", hang_up)
            with pytest.raises(Unreachable):
                await asking.call(f"11NN{' ' * 18}{' ' * 18}AO990001|AA1|AB1|AC|")
            assert len(acs.asked("11")) == 1

    async def test_a_reply_that_cannot_be_read_is_told_and_the_connection_stays(self) -> None:
        async def odd(peer: Peer, text: str, sequence: str | None) -> None:
            peer.say("18xx", sequence)

        async with Acs() as acs, pool(acs) as asking:
            Once(acs, "17", odd)
            with pytest.raises(RemoteProtocolError):
                await asking.call(question("1"))
            assert (await asking.call(question("2"))).get("AB") == "2"
            assert acs.connections == 1

    async def test_a_system_that_hangs_up_over_a_question_is_asked_twice_and_no_more(self) -> None:
        async with Acs() as acs, pool(acs) as asking:
            Once(acs, "17", hang_up, times=9)
            with pytest.raises(Unreachable):
                await asking.call(question("1"))
            assert len(acs.asked("17")) == 2


class TestLost:
    @pytest.mark.parametrize("act", [hang_up, half_a_reply])
    async def test_a_loan_whose_reply_was_lost_goes_once_more_with_its_date(self, act: Any) -> None:
        async with Acs() as acs, pool(acs) as asking:
            Once(acs, "11", act)
            done = await asking.exchange(LEND)
            assert (done.message.fixed["ok"], done.again) == ("1", True)
            first, second = acs.asked("11")
            assert first == second
            assert (await asking.exchange(LEND)).again is False

    async def test_a_system_that_closed_an_idle_connection_is_asked_on_a_new_one(self) -> None:
        async with Acs() as acs, pool(acs) as asking:
            await asking.call(question("1"))
            await acs.stop()
            await acs.start()
            assert (await asking.exchange(question("2"))).again is False
            assert len(acs.asked("93")) == 2

    async def test_a_late_reply_never_meets_the_next_question(self) -> None:
        async def late(peer: Peer, text: str, sequence: str | None) -> None:
            await asyncio.sleep(0.2)
            peer.say(f"18030201{DATE}ABLATE|AJ|", sequence)

        async with Acs(detection=False) as acs, pool(acs, deadline_s=0.1) as asking:
            await asking.call(question("0"))
            Once(acs, "17", late)
            with pytest.raises(Unreachable) as silent:
                await asking.call(question("1"))
            assert silent.value.code == "timeout"
            found = [(await asking.call(question(str(n)), deadline_s=1.0)).get("AB") for n in range(2, 6)]
            assert found == ["2", "3", "4", "5"]

    async def test_a_reply_with_another_number_is_dropped(self) -> None:
        async def another(peer: Peer, text: str, sequence: str | None) -> None:
            peer.say(f"18030201{DATE}ABWRONG|AJ|", str((int(sequence or 0) + 5) % 10))
            await asyncio.sleep(0.05)
            await peer.acs.by_the_book(peer, text, sequence)

        async with Acs() as acs, pool(acs) as asking:
            Once(acs, "17", another)
            assert (await asking.call(question("1"))).get("AB") == "1"

    async def test_a_broken_reply_is_asked_for_again(self) -> None:
        async def broken(peer: Peer, text: str, sequence: str | None) -> None:
            whole = seal(peer.acs.right(text) or "", sequence or "")
            peer.writer.write(whole[:-4] + b"0000\r")
            assert (await peer.reader.readuntil(b"\r")).startswith(b"97AZ")
            peer.writer.write(whole + b"\r")

        async with Acs() as acs, pool(acs, retries=1) as asking:
            Once(acs, "17", broken)
            assert (await asking.call(question("1"))).get("AB") == "1"
            assert len(acs.asked("17")) == 1

    async def test_a_98_instead_of_an_answer_is_taken_and_the_question_repeated(self) -> None:
        async def status(peer: Peer, text: str, sequence: str | None) -> None:
            peer.say(peer.acs.status, sequence)

        async with Acs() as acs, pool(acs) as asking:
            Once(acs, "11", status)
            assert (await asking.call(LEND)).fixed["ok"] == "1"
            first, second = acs.asked("11")
            assert first == second

    async def test_nothing_but_98_is_no_answer(self) -> None:
        async def status(peer: Peer, text: str, sequence: str | None) -> None:
            peer.say(peer.acs.status, sequence)

        async with Acs() as acs, pool(acs) as asking:
            Once(acs, "11", status, times=99)
            with pytest.raises(Unreachable) as refused:
                await asking.call(LEND)
            assert (refused.value.code, len(acs.asked("11"))) == ("no_answer", 2)

    async def test_a_cancelled_call_does_not_spoil_the_next(self) -> None:
        heard = asyncio.Event()

        async def hear(peer: Peer, text: str, sequence: str | None) -> None:
            heard.set()

        async with Acs() as acs, pool(acs) as asking:
            Once(acs, "17", hear)
            given_up = asyncio.create_task(asking.call(question("1")))
            async with asyncio.timeout(10):
                await heard.wait()
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            assert (await asking.call(question("2"))).get("AB") == "2"
            assert asking.up


class TestConnections:
    async def test_no_more_than_allowed_and_all_are_used(self) -> None:
        async def dawdle(peer: Peer, text: str, sequence: str | None) -> None:
            if text.startswith("17"):
                await asyncio.sleep(0.1)
            await peer.acs.by_the_book(peer, text, sequence)

        async with Acs() as acs, pool(acs, connections=3) as asking:
            acs.way = dawdle
            await asyncio.gather(*(asking.call(question(str(n))) for n in range(9)))
            assert acs.connections == 3

    async def test_a_question_that_finds_no_free_connection_says_so_and_is_nobodys_fault(self) -> None:
        async def dawdle(peer: Peer, text: str, sequence: str | None) -> None:
            if text.startswith("17"):
                await asyncio.sleep(0.4)
            await peer.acs.by_the_book(peer, text, sequence)

        async with Acs() as acs, pool(acs, connections=1) as asking:
            await asking.call(LEND)
            acs.way = dawdle
            first = asyncio.create_task(asking.call(question("1")))
            await asyncio.sleep(0.05)
            for _ in range(4):
                with pytest.raises(PoolBusy):
                    await asking.call(question("2"), deadline_s=0.05)
            assert (await first).get("AB") == "1"
            assert asking.up

    async def test_first_come_first_served(self) -> None:
        async with Acs() as acs, pool(acs, connections=2) as asking:
            served = [0] * 12
            apart = 0

            async def ask(number: int) -> None:
                nonlocal apart
                for _ in range(5):
                    await asking.call(question(str(number)))
                    served[number] += 1
                    apart = max(apart, max(served) - min(served))

            await asyncio.gather(*(ask(number) for number in range(12)))
            assert apart <= 2

    async def test_who_gives_up_waiting_holds_up_nobody(self) -> None:
        async with Acs() as acs, pool(acs, connections=1) as asking:
            await asking.call(LEND)
            waiting = [asyncio.create_task(asking.call(question(str(number)))) for number in range(9)]
            await asyncio.sleep(0)
            for task in waiting[::2]:
                task.cancel()
            found = await asyncio.gather(*waiting, return_exceptions=True)
            assert [reply.get("AB") for reply in found[1::2] if not isinstance(reply, BaseException)] == [
                "1",
                "3",
                "5",
                "7",
            ]

    async def test_a_system_that_takes_two_connections_only_is_served_by_two(self) -> None:
        async def dawdle(peer: Peer, text: str, sequence: str | None) -> None:
            if peer.number > 2:
                peer.hang_up()
                return
            if text.startswith("17"):
                await asyncio.sleep(0.05)
            await peer.acs.by_the_book(peer, text, sequence)

        async with Acs() as acs, pool(acs, connections=8, deadline_s=5.0) as asking:
            acs.way = dawdle
            found = await asyncio.gather(*(asking.call(question(str(n))) for n in range(20)))
            assert [reply.get("AB") for reply in found] == [str(n) for n in range(20)]
            assert asking.up
            assert acs.connections == 3

    async def test_an_idle_connection_is_kept_alive(self) -> None:
        async with Acs() as acs, pool(acs, keepalive_s=0.04) as asking:
            await asking.call(question("1"))
            await asyncio.sleep(0.3)
            assert len(acs.asked("99")) >= 3
            assert acs.connections == 1


class TestPipeline:
    async def test_several_open_requests_are_matched_by_their_number(self) -> None:
        waiting: list[tuple[str, str | None]] = []

        async def backwards(peer: Peer, text: str, sequence: str | None) -> None:
            if not text.startswith("17"):
                await peer.acs.by_the_book(peer, text, sequence)
                return
            waiting.append((text, sequence))
            if len(waiting) == 4:
                for one in reversed(waiting):
                    await peer.acs.by_the_book(peer, *one)
                waiting.clear()

        async with Acs() as acs, pool(acs, connections=1, pipeline=4) as asking:
            acs.way = backwards
            for start in range(0, 40, 4):
                found = await asyncio.gather(*(asking.call(question(str(n))) for n in range(start, start + 4)))
                assert [reply.get("AB") for reply in found] == [str(n) for n in range(start, start + 4)]
            assert acs.connections == 1

    async def test_a_system_that_mixes_them_up_is_asked_one_at_a_time_from_then_on(self) -> None:
        most = 0
        under_way = 0

        async def forgetful(peer: Peer, text: str, sequence: str | None) -> None:
            nonlocal most, under_way
            if text.startswith("17"):
                under_way += 1
                most = max(most, len(acs.asked("17")))
                peer.say("96", None) if most == 1 else await peer.acs.by_the_book(peer, text, sequence)
            else:
                await peer.acs.by_the_book(peer, text, sequence)

        async with Acs() as acs, pool(acs, connections=1, pipeline=3, retries=1) as asking:
            await asking.call(LEND)
            acs.way = forgetful
            found = await asyncio.gather(*(asking.call(question(str(n))) for n in range(3)))
            assert [reply.get("AB") for reply in found] == ["0", "1", "2"]
            assert asking.public()["pipeline"] == 1


class TestBreaker:
    async def test_nobody_there_opens_it_at_once_and_a_probe_closes_it(self) -> None:
        heard: list[PoolState] = []
        acs = await Acs().start()
        await acs.stop()
        async with pool(acs, changed=heard.append) as asking:
            with pytest.raises(Unreachable):
                await asking.call(question("1"))
            with pytest.raises(CircuitOpen):
                await asking.call(question("1"))
            assert (asking.state.circuit in ("open", "half_open"), asking.state.reason) == (True, "unreachable")
            await acs.start()
            await _until(lambda: asking.up)
            assert (await asking.call(question("1"))).get("AB") == "1"
        assert [state.circuit for state in heard][-1] == "closed"
        assert not acs.asked("17")[1:]
        await acs.stop()

    async def test_failures_in_a_row_open_it_though_the_greeting_works(self) -> None:
        async with Acs() as acs, pool(acs, deadline_s=0.05) as asking:
            await asking.call(LEND)
            Once(acs, "17", silence, times=99)
            for _ in range(3):
                assert asking.up
                with pytest.raises(Unreachable):
                    await asking.call(question("1"))
            assert not asking.up
            assert asking.state.reason == "timeout"
            await _until(lambda: asking.up)
            assert (await asking.call(LEND, deadline_s=1.0)).fixed["ok"] == "1"

    async def test_an_answer_between_them_starts_the_count_anew(self) -> None:
        async with Acs() as acs, pool(acs, deadline_s=0.1) as asking:
            await asking.call(LEND)
            for _ in range(4):
                Once(acs, "17", silence)
                with pytest.raises(Unreachable):
                    await asking.call(question("1"))
                await asking.call(LEND, deadline_s=1.0)
            assert asking.up

    async def test_a_system_that_takes_connections_and_is_silent_keeps_nobody_waiting_for_long(self) -> None:
        async with Acs() as acs:
            acs.way = silence
            async with pool(acs, deadline_s=0.1, connect_timeout_s=0.3) as asking:
                failed = 0
                while asking.up:
                    with pytest.raises(Unreachable):
                        await asking.call(question("1"))
                    failed += 1
                assert failed <= 3
                acs.way = None
                await _until(lambda: asking.up)

    async def test_off_line_by_its_own_word_opens_it(self) -> None:
        async with Acs() as acs, pool(acs) as asking:
            await asking.call(question("1"))
            on, acs.status = acs.status, "98N" + acs.status[3:]

            async def status(peer: Peer, text: str, sequence: str | None) -> None:
                peer.say(peer.acs.status, sequence)

            Once(acs, "17", status)
            with pytest.raises(Unreachable) as away:
                await asking.call(question("2"))
            assert (away.value.code, asking.up) == ("off_line", False)
            await asyncio.sleep(0.2)
            assert not asking.up
            acs.status = on
            await _until(lambda: asking.up)

    async def test_closing_leaves_nothing_open(self) -> None:
        async with Acs() as acs:
            asking = pool(acs)
            asking.start()
            await asking.call(checkin("990001", "1", NOW))
            await asking.close()
            await asking.close()
            await _until(lambda: acs.open == 0)
            with pytest.raises(CircuitOpen):
                await asking.call(question("1"))


async def _until(ask: Any, within_s: float = 3.0) -> None:
    deadline = time.monotonic() + within_s
    while not ask():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.01)
