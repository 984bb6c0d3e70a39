"""What a member's ILS says counts for one decision, within its time; where it says nothing the ledger decides."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bus import LinkDown, RequestRefused, RequestTimeout
from hub.decide.service import Decider
from hub.devices.nodes import Node
from hub.ils.asking import IlsAsking
from hub.ils.places import SILENT_MS, Places
from hub.store import schema
from tests.hub.api.world import BRANCHES, CQU, HOUR, SCS, YLG, Edge, item
from tests.hub.core import Core
from tests.hub.ils.bed import ALL, keeping, state
from tests.make import NOW

AT_YLG = f"edge-{BRANCHES[YLG]}"


class Answers:
    """The asking side of a bus: answers by (name, number), or an error; ``slow`` seconds late."""

    def __init__(self, told: Mapping[tuple[str, str], Any] | None = None, slow: float = 0) -> None:
        self.told = dict(told or {})
        self.slow = slow
        self.asked: list[tuple[str, str, Mapping[str, Any], float]] = []

    async def ask(self, node: str, name: str, data: Mapping[str, Any], *, timeout_s: float) -> dict[str, Any]:
        self.asked.append((node, name, data, timeout_s))
        if self.slow > timeout_s:
            await asyncio.sleep(timeout_s)
            raise RequestTimeout("too slow")
        await asyncio.sleep(self.slow)
        said = self.told.get((name, data.get("item_no") or data.get("number") or ""), {"found": None})
        if isinstance(said, Exception):
            raise said
        return dict(said)


def asking(core: Core, answers: Answers, *, how: str = "online", **more: Any) -> Decider:
    """The core's decisions with an ILS at YLG's branch."""
    places = Places()
    places.heard(AT_YLG, YLG, state(core.now, how, **more), retained=False, now=core.now)
    return Decider(
        core.store, core.identity, core.policy, core.reservations, core.pins, core.metrics, core.clock,
        ils=IlsAsking(places, answers, core.clock),
    )  # fmt: skip


def stack(core: Core, *numbers: int, at: str = CQU, **more: Any) -> dict[str, Any]:
    """A reader of CQU at a kiosk with items of YLG."""
    return {
        "branch": BRANCHES[at], "device": "kiosk1", "token": core.card(at, 0, CQU), "pin": True,
        "items": [{"owner": YLG, "item_no": item(YLG, n)[1]} for n in numbers], **more,
    }  # fmt: skip


async def codes(core: Core, decider: Decider, data: dict[str, Any], node: Node | None = None) -> list[str]:
    answer = await decider.borrow(node or core.node(CQU), data)
    return [one["codes"][0] for one in answer["answers"]]


def say(n: int, circulation: str, holds: int = 0) -> dict[tuple[str, str], Any]:
    return {("item", item(YLG, n)[1]): {"found": True, "circulation": circulation, "due": None, "holds": holds}}


async def test_what_the_ils_says_decides_and_is_not_remembered(tmp_path: Path) -> None:
    async with keeping(tmp_path) as core:
        answers = Answers({**say(0, "04"), **say(1, "03"), **say(2, "03", holds=2), **say(3, "08")})
        decider = asking(core, answers)
        assert await codes(core, decider, stack(core, 0, 1, 2, 3)) == ["ITEM_ON_LOAN", "OK", "ITEM_HELD", "ITEM_HELD"]
        assert {(node, name) for node, name, _, _ in answers.asked} == {(AT_YLG, "item")}
        assert await core.rows(schema.item_state) == []
        answers.told.clear()
        assert await codes(core, decider, stack(core, 0)) == ["OK"]


async def test_it_is_asked_for_the_whole_stack_at_once_and_no_longer_than_the_question_lives(tmp_path: Path) -> None:
    async with keeping(tmp_path) as core:
        answers = Answers(slow=0.15)
        decider = asking(core, answers)
        began = asyncio.get_running_loop().time()
        await codes(core, decider, stack(core, *range(10)))
        assert asyncio.get_running_loop().time() - began < 0.6
        assert {round(timeout, 3) for *_, timeout in answers.asked} == {0.3}
        answers.asked.clear()
        await codes(core, decider, stack(core, 0, deadline_at=core.now + 220))
        assert [round(timeout, 3) for *_, timeout in answers.asked] == [0.12]
        answers.asked.clear()
        await codes(core, decider, stack(core, 0, deadline_at=core.now + 100))
        assert answers.asked == []


@pytest.mark.parametrize(
    "said",
    [
        {"found": None}, {"found": False}, {"found": "yes"}, {"found": True, "circulation": "0004"}, {},
        RequestRefused("ILS_AWAY", ""), LinkDown("gone"), RequestTimeout("late"),
    ],
)  # fmt: skip
async def test_an_ils_that_says_nothing_usable_leaves_the_ledger_to_decide(tmp_path: Path, said: Any) -> None:
    async with keeping(tmp_path) as core:
        decider = asking(core, Answers({("item", item(YLG, 0)[1]): said}))
        assert await codes(core, decider, stack(core, 0)) == ["OK"]


async def test_a_slow_ils_never_makes_the_answer_later_than_its_deadline(tmp_path: Path) -> None:
    async with keeping(tmp_path) as core:
        decider = asking(core, Answers(say(0, "04"), slow=5))
        began = asyncio.get_running_loop().time()
        assert await codes(core, decider, stack(core, 0)) == ["OK"]
        assert asyncio.get_running_loop().time() - began < 0.6


async def test_nobody_is_asked_where_it_is_away_ours_to_say_or_standing_beside_the_kiosk(tmp_path: Path) -> None:
    async with keeping(tmp_path / "a") as core:
        for more in ({"how": "offline"}, {"online": False}, {"kind": "sip2"}):
            answers = Answers(say(0, "04"))
            await codes(core, asking(core, answers, **more), stack(core, 0))
            assert answers.asked == []
        answers = Answers(say(0, "04"))
        assert await codes(core, asking(core, answers), stack(core, 0, at=YLG), core.node(YLG)) == ["OK"]
        assert answers.asked == []
        decider = asking(core, answers)
        core.now += SILENT_MS + 1
        await codes(core, decider, stack(core, 0))
        assert answers.asked == []
    async with keeping(tmp_path / "b", {**ALL, "items": "TONGJIE"}) as core:
        answers = Answers(say(0, "04"))
        assert await codes(core, asking(core, answers), stack(core, 0)) == ["OK"]
        assert answers.asked == []


async def test_a_loan_of_ours_that_the_ils_has_booked_stays_this_readers(tmp_path: Path) -> None:
    async with keeping(tmp_path) as core:
        cqu = Edge(CQU)
        cqu.lend(NOW - HOUR, item(YLG, 0), core.rids[CQU][0], CQU)
        await core.take(cqu)
        decider = asking(core, Answers(say(0, "04", holds=1)))
        assert await codes(core, decider, stack(core, 0)) == ["ITEM_ON_LOAN_SELF"]


async def test_what_happened_while_the_ils_was_asked_counts(tmp_path: Path) -> None:
    async with keeping(tmp_path) as core:
        decider = asking(core, Answers(say(0, "03"), slow=0.2))
        answer = asyncio.create_task(codes(core, decider, stack(core, 0)))
        await asyncio.sleep(0.05)
        ylg = Edge(YLG)
        ylg.lend(NOW, item(YLG, 0), core.rids[YLG][3], YLG)
        await core.take(ylg)
        assert await answer == ["ITEM_ON_LOAN"]


def of_ylg(core: Core, at: str, n: int = 3, **more: Any) -> dict[str, Any]:
    return {"tokens": [core.card(at, n, YLG)], **more}


class TestPin:
    async def test_the_home_librarys_ils_says_whether_it_is_right(self, tmp_path: Path) -> None:
        async with keeping(tmp_path) as core:
            number = "01000003"
            answers = Answers({("reader", number): {"found": True, "valid": True, "pin_ok": True, "blocked": False}})
            decider = asking(core, answers)
            asked = of_ylg(core, CQU, pin="not our verifier's")
            answer = await decider.reader(core.node(CQU), asked)
            assert (answer["pin_ok"], answer["code"]) == (True, "OK")
            node, _, data, timeout = answers.asked[0]
            assert (node, dict(data), timeout) == (AT_YLG, {"number": number, "pin": "not our verifier's"}, 0.4)
            answers.told = {("reader", number): {"found": True, "valid": True, "pin_ok": False, "blocked": False}}
            told = [await decider.reader(core.node(CQU), of_ylg(core, CQU, pin="434711")) for _ in range(6)]
            assert [one["code"] for one in told] == ["PIN_WRONG"] * 4 + ["PIN_LOCKED"] * 2
            assert len(answers.asked) == 6  # who is locked out guesses no more

    @pytest.mark.parametrize(
        "said", [{"found": True, "pin_ok": None}, {"found": None}, RequestTimeout("late"), {"found": 5}]
    )
    async def test_where_it_does_not_say_our_verifier_decides(self, tmp_path: Path, said: Any) -> None:
        async with keeping(tmp_path) as core:
            decider = asking(core, Answers({("reader", "01000003"): said}))
            for pin, code in (("434711", "OK"), ("0000", "PIN_WRONG")):
                assert (await decider.reader(core.node(CQU), of_ylg(core, CQU, pin=pin)))["code"] == code

    async def test_nobody_asks_it_about_anothers_reader_or_at_home_itself(self, tmp_path: Path) -> None:
        async with keeping(tmp_path) as core:
            answers = Answers()
            decider = asking(core, answers)
            await decider.reader(core.node(SCS), {"tokens": [core.card(SCS, 0, CQU)], "pin": "1"})
            await decider.reader(core.node(YLG), of_ylg(core, YLG, pin="434711"))
            assert answers.asked == []

    async def test_guesses_made_at_once_do_not_pass_the_lock(self, tmp_path: Path) -> None:
        async with keeping(tmp_path) as core:
            answers = Answers({("reader", "01000003"): {"found": True, "pin_ok": False}}, slow=0.05)
            decider = asking(core, answers)
            told = await asyncio.gather(
                *(decider.reader(core.node(CQU), of_ylg(core, CQU, pin=f"{n:04d}")) for n in range(20))
            )
            assert [one["code"] for one in told].count("PIN_LOCKED") >= 15
            assert len(answers.asked) == 5

    async def test_what_it_says_of_the_standing_is_in_the_answer_and_nowhere_else(self, tmp_path: Path) -> None:
        async with keeping(tmp_path) as core:
            said = {"found": True, "valid": False, "pin_ok": None, "blocked": True, "fees": 0, "currency": "CNY"}
            decider = asking(core, Answers({("reader", "01000003"): said}))
            row = (await decider.reader(core.node(CQU), of_ylg(core, CQU)))["reader"]
            assert (row["status"], [one["issuer"] for one in row["blocks"]]) == ("INACTIVE", [YLG])
            assert await core.rows(schema.blocks) == []
            assert (await core.decider.reader(core.node(CQU), of_ylg(core, CQU)))["reader"]["status"] == "ACTIVE"


class TestPlaces:
    def test_an_online_ils_comes_before_a_degraded_one_and_a_goodbye_ends_it(self) -> None:
        places = Places()
        assert places.to_ask(YLG, NOW) is None
        assert places.heard("edge-a", YLG, state(NOW, "degraded"), retained=False, now=NOW) is True
        assert places.heard("edge-b", YLG, state(NOW), retained=False, now=NOW) is True
        assert places.heard("edge-b", YLG, state(NOW), retained=False, now=NOW + 1) is False
        assert places.to_ask(YLG, NOW) == "edge-b"
        places.heard("edge-b", YLG, {"online": False}, retained=False, now=NOW)
        assert places.to_ask(YLG, NOW) == "edge-a"
        assert places.to_ask(CQU, NOW) is None

    def test_work_goes_to_a_node_whose_ils_is_away_where_there_is_no_other(self) -> None:
        places = Places()
        assert places.heard("edge-a", YLG, state(NOW, "offline"), retained=False, now=NOW) is True
        assert (places.to_ask(YLG, NOW), places.for_work(YLG, NOW)) == (None, "edge-a")
        places.heard("edge-b", YLG, state(NOW, "degraded"), retained=False, now=NOW)
        assert (places.to_ask(YLG, NOW), places.for_work(YLG, NOW)) == ("edge-b", "edge-b")
        assert places.for_work(YLG, NOW + SILENT_MS + 1) is None

    def test_an_old_word_told_again_is_as_old_as_it_says(self) -> None:
        places = Places()
        places.heard("edge-a", YLG, state(NOW - SILENT_MS - 1), retained=True, now=NOW)
        assert places.to_ask(YLG, NOW) is None
        places.heard("edge-a", YLG, state(NOW + HOUR), retained=True, now=NOW)
        assert places.to_ask(YLG, NOW) == "edge-a"

    @pytest.mark.parametrize(
        "devices", [None, [], {"ils": None}, {"ils": {"kind": "sip2"}}, {"x": {"state": "online"}}]
    )
    def test_devices_that_cannot_be_read_are_none(self, devices: Any) -> None:
        places = Places()
        assert (
            places.heard("edge-a", YLG, {"online": True, "t": NOW, "devices": devices}, retained=False, now=NOW)
            is False
        )
        assert places.to_ask(YLG, NOW) is None
