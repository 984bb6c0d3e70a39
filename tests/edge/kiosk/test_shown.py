"""Cards and numbers shown to the kiosk's own cardreader and scanner, over real lines."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bus.broker import IotcoreBroker
from consortium.events import Kind
from drivers.base import CardRead
from edge.config import DeviceConfig
from edge.selfservice.shown import KEEP_S, PIN_S
from firmware_sim.pcsc import simulate
from tests.drivers.card.pcsc_bed import daemon
from tests.edge.bed import KEY, PIN, Hub, Machines, Rows, srid_of, until
from tests.edge.desk.ils import Books
from tests.edge.kiosk.hearing import (
    BIG,
    CUT_OWN,
    CUT_PARTNER,
    HIGH,
    LOW,
    MED,
    NUMBERS,
    PARTNER,
    Kiosk,
    cut,
    kiosk_bed,
    uid_token,
)  # fmt: skip
from tests.edge.pads import book, kiosk_of, quiet, seen
from tests.make import HOME, HOST

UNKNOWN = "04FFEE01"


@pytest.fixture
async def kiosk(tmp_path: Path) -> AsyncIterator[Kiosk]:
    """A kiosk whose hub is away."""
    async with kiosk_bed(tmp_path) as running:
        yield running


@pytest.fixture
async def asking(tmp_path: Path, hub: Hub, broker: IotcoreBroker) -> AsyncIterator[Kiosk]:
    """A kiosk whose hub answers."""
    async with kiosk_bed(tmp_path, broker_url=broker.url) as running:
        await until(lambda: running.bed.agent.link.online)
        yield running


def later(kiosk: Kiosk, seconds: float) -> None:
    """Let time pass for what was shown."""
    here = kiosk.bed.agent.tags.shown
    mono = here._mono
    here._mono = lambda: mono() + seconds


def see(kiosk: Kiosk, card: str, medium: str) -> str:
    """A read by a cardreader that tells what it saw of the chip."""
    raw = bytes.fromhex(card)
    kiosk.bed.agent.devices._emit(CardRead("card1", 0, "", "raw", len(raw) * 8, raw, 0, medium))
    assert kiosk.name is not None
    return kiosk.name


def known(token: str, number: str, home: str, **more: Any) -> dict[str, Any]:
    """The hub's answer about a reader."""
    row = next(row for kind, _, row in Rows.reader(number, home=home) if kind == "reader")
    value = {"status": "ACTIVE", "assurance": "HIGH", "to_ms": None}
    row = {key: field for key, field in row.items() if key != "pin"}
    return {"found": True, "srid": srid_of(number), "home": home, "token": value, "reader": {**row, "pin": None},
            "pin_ok": None, "code": "OK", **more}  # fmt: skip


class TestNobodyIsSignedIn:
    async def test_by_a_card_that_nobody_here_knows_while_the_hub_is_away(self, kiosk: Kiosk) -> None:
        status, code, answer = await kiosk.identify(shown=await kiosk.tap(UNKNOWN))
        assert (status, code) == (403, "NOT_DECIDABLE_OFFLINE")
        assert "session" not in answer

    async def test_by_a_card_that_the_hub_does_not_know_either(self, asking: Kiosk, hub: Hub) -> None:
        hub.answers["reader"] = lambda data: {"found": False, "code": "CARD_UNKNOWN"}
        assert (await asking.identify(shown=await asking.tap(UNKNOWN)))[:2] == (403, "CARD_UNKNOWN")
        assert [(name, data["tokens"]) for name, data in hub.asked] == [("reader", [uid_token(UNKNOWN)])]

    async def test_a_page_elsewhere_hears_of_no_card_and_signs_nobody_in_by_one(self, kiosk: Kiosk) -> None:
        name = await kiosk.tap(HIGH)
        async with httpx2.AsyncClient(
            base_url=kiosk.bed.http, timeout=10, headers={"X-Forwarded-For": "192.0.2.7"}
        ) as elsewhere:
            assert (await elsewhere.get("/kiosk/api/pad")).json()["shown"] is None
            refused = await elsewhere.post("/kiosk/api/identify", json={"shown": name})
            assert (refused.status_code, refused.json()["code"]) == (403, "SHOW_AGAIN")
        assert (await kiosk.identify(shown=name))[0] == 200

    async def test_an_unknown_card_shown_again_is_told_to_the_page_again(self, kiosk: Kiosk) -> None:
        first = await kiosk.tap(UNKNOWN)
        await kiosk.identify(shown=first)
        await asyncio.sleep(1.1)  # the cardreader takes less for one card that lies there
        assert await kiosk.tap(UNKNOWN) != first

    @pytest.mark.parametrize("lang", ["zh", "en"])
    async def test_by_a_name_that_is_old(self, kiosk: Kiosk, lang: str) -> None:
        name = await kiosk.tap(HIGH)
        later(kiosk, KEEP_S + 0.1)
        assert (await kiosk.page.pad())["shown"] is None
        status, code, answer = await kiosk.identify(shown=name, lang=lang)
        assert (status, code) == (403, "SHOW_AGAIN")
        assert answer["text"] == {"zh": "请重新出示读者卡", "en": "Please show the card again"}[lang]

    @pytest.mark.parametrize("name", ["made-up", "card-", "读者", "x" * 64])
    async def test_by_a_name_that_never_was(self, kiosk: Kiosk, name: str) -> None:
        await kiosk.tap(HIGH)
        assert (await kiosk.identify(shown=name))[:2] == (403, "SHOW_AGAIN")

    async def test_by_a_name_that_was_used(self, kiosk: Kiosk) -> None:
        name = await kiosk.tap(HIGH)
        assert (await kiosk.identify(shown=name))[0] == 200
        assert (await kiosk.page.pad())["shown"] is None
        assert (await kiosk.identify(shown=name))[:2] == (403, "SHOW_AGAIN")

    async def test_by_a_cut_number_that_a_partners_card_has_too(self, kiosk: Kiosk) -> None:
        assert (await kiosk.identify(shown=await kiosk.tap(CUT_PARTNER)))[:2] == (403, "CARD_UNKNOWN")

    async def test_by_a_cut_number_that_the_hub_takes_for_a_partners(self, asking: Kiosk, hub: Hub) -> None:
        hub.answers["reader"] = lambda data: known(data["tokens"][0], "P9", HOST)
        assert (await asking.identify(shown=await asking.tap("D1D2D9")))[:2] == (403, "CARD_UNKNOWN")
        assert hub.asked[-1][1]["tokens"] == [cut("D1D2D9")]

    async def test_by_what_can_be_no_card(self, kiosk: Kiosk, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO):
            await kiosk.card.do({"op": "tap", "card": "00000000"})
            await until(lambda: "CARD_BLANK" in caplog.text)
        assert kiosk.name is None

    async def test_where_the_own_ils_wants_a_number(self, kiosk: Kiosk) -> None:
        kiosk.bed.agent.identifier.ils = Books()
        assert (await kiosk.identify(shown=await kiosk.tap(HIGH)))[:2] == (403, "NUMBER_NEEDED")
        # A partner's loans are not that ILS's to decide.
        assert (await kiosk.identify(shown=await kiosk.tap(PARTNER)))[0] == 200


class TestThePinIsAskedFor:
    async def test_by_an_easily_copied_card_and_the_same_name_then_counts(self, kiosk: Kiosk) -> None:
        name = await kiosk.tap(LOW)
        assert (await kiosk.identify(shown=name))[:2] == (403, "CARD_ASSURANCE_LOW")
        later(kiosk, KEEP_S + 1)  # typing takes its time
        assert (await kiosk.identify(shown=name, pin="0000"))[:2] == (403, "PIN_WRONG")
        status, _, answer = await kiosk.identify(shown=name, pin=PIN)
        assert (status, answer["reader"]["pin"]) == (200, True)

    async def test_but_not_for_ever(self, kiosk: Kiosk) -> None:
        name = await kiosk.tap(LOW)
        await kiosk.identify(shown=name)
        later(kiosk, PIN_S + 0.1)
        assert (await kiosk.identify(shown=name, pin=PIN))[:2] == (403, "SHOW_AGAIN")

    @pytest.mark.parametrize("medium", ["MF_CLASSIC", "MF_PLUS", "ISO15693"])
    async def test_by_a_card_that_is_registered_as_better_than_it_was_seen(self, kiosk: Kiosk, medium: str) -> None:
        name = see(kiosk, HIGH, medium)
        assert (await kiosk.identify(shown=name))[:2] == (403, "CARD_ASSURANCE_LOW")
        assert (await kiosk.identify(shown=name, pin=PIN))[0] == 200

    async def test_by_a_card_that_the_hub_knows_and_that_was_seen_as_an_easy_one(self, asking: Kiosk, hub: Hub) -> None:
        hub.answers["reader"] = lambda data: known(data["tokens"][0], "P9", HOST, pin_ok=data["pin"] and True)
        name = see(asking, "04D1D2D9", "MF_CLASSIC")
        assert (await asking.identify(shown=name))[:2] == (403, "CARD_ASSURANCE_LOW")
        status, _, answer = await asking.identify(shown=name, pin=PIN)
        assert (status, answer["reader"]["home"]) == (200, HOST)

    async def test_by_the_same_chip_when_a_real_pcscd_sees_it_as_a_classic_one(self, tmp_path: Path) -> None:
        async with daemon() as pcscd:
            desk = DeviceConfig("desk", "pcsc", "pcsc:00 00", {"socket": pcscd.socket, "role": "kiosk"})
            async with kiosk_bed(tmp_path, desk) as kiosk:
                card = simulate(pcscd.url, {})
                await until(lambda: kiosk.bed.agent.devices.records["desk"].state == "online", 15)
                assert (await card.do({"op": "tap", "card": BIG, "medium": "MF_CLASSIC", "seconds": 5}))["read"]
                await until(lambda: kiosk.name)
                weak = kiosk.name
                assert (await kiosk.identify(shown=weak))[:2] == (403, "CARD_ASSURANCE_LOW")
                assert (await card.do({"op": "tap", "card": BIG, "medium": "DESFIRE", "seconds": 5}))["read"]
                await until(lambda: kiosk.name != weak)
                assert (await kiosk.identify(shown=kiosk.name))[0] == 200
                await card.stop()

    async def test_a_card_seen_as_better_than_it_is_registered_is_worth_no_more(self, kiosk: Kiosk) -> None:
        assert (await kiosk.identify(shown=see(kiosk, LOW, "CPU")))[:2] == (403, "CARD_ASSURANCE_LOW")

    async def test_a_card_that_lies_there_while_its_reader_types_keeps_its_name(self, kiosk: Kiosk) -> None:
        name = await kiosk.tap(LOW)
        await kiosk.identify(shown=name)
        assert see(kiosk, LOW, "") == name
        assert see(kiosk, HIGH, "") != name
        assert (await kiosk.identify(shown=name, pin=PIN))[:2] == (403, "SHOW_AGAIN")

    async def test_by_a_scanned_number(self, kiosk: Kiosk) -> None:
        name = await kiosk.scan(" SCANNED-77 ")
        assert (await kiosk.identify(shown=name))[:2] == (403, "CARD_ASSURANCE_LOW")
        assert (await kiosk.identify(shown=name, pin="1"))[:2] == (403, "PIN_WRONG")
        status, _, answer = await kiosk.identify(shown=name, pin=PIN)
        assert (status, answer["reader"]["pin"]) == (200, True)

    async def test_five_wrong_pins_for_a_card_lock_its_reader(self, kiosk: Kiosk) -> None:
        name = await kiosk.tap(LOW)
        codes = [(await kiosk.identify(shown=name, pin="1"))[1] for _ in range(5)]
        assert codes == ["PIN_WRONG"] * 4 + ["PIN_LOCKED"]
        assert (await kiosk.identify(number="L1", pin=PIN))[1] == "PIN_LOCKED"


class TestACardSignsIn:
    async def test_without_a_pin_and_borrows(self, kiosk: Kiosk) -> None:
        status, _, answer = await kiosk.identify(shown=await kiosk.tap(HIGH))
        assert (status, answer["reader"]["own"], answer["reader"]["pin"]) == (200, True, False)
        kiosk.pads.put(book("1001", 1))
        await seen(kiosk.bed.agent.pads["pad1"], 1)
        status, done = await kiosk.page.press("borrow", {"session": answer["session"]})
        assert [(item["outcome"], item["unsecured"]) for item in done["items"]] == [("ALLOW", True)]
        assert kiosk.bed.subjects(Kind.CHECKOUT) == [srid_of("R1")]
        assert kiosk.pads.afi(1) == [0xC2]

    @pytest.mark.parametrize(("card", "home"), [(MED, HOME), (PARTNER, HOST), (BIG, HOME), (CUT_OWN, HOME)])
    async def test_of_middling_worth_a_partners_a_long_one_and_an_own_cut_one(
        self, kiosk: Kiosk, card: str, home: str
    ) -> None:
        status, _, answer = await kiosk.identify(shown=await kiosk.tap(card))
        assert (status, answer["reader"]["home"]) == (200, home)

    async def test_that_only_the_hub_knows(self, asking: Kiosk, hub: Hub) -> None:
        hub.answers["reader"] = lambda data: known(data["tokens"][0], "P9", HOST)
        status, _, answer = await asking.identify(shown=await asking.tap("04D1D2D9"))
        assert (status, answer["reader"]["home"]) == (200, HOST)
        assert [(name, data["tokens"], data["pin"]) for name, data in hub.asked] == [
            ("reader", [uid_token("04D1D2D9")], None)
        ]

    async def test_of_somebody_else_meanwhile_and_nothing_changes(self, kiosk: Kiosk) -> None:
        _, _, answer = await kiosk.identify(shown=await kiosk.tap(HIGH))
        session = answer["session"]
        name = await kiosk.tap(PARTNER)
        kiosk.pads.put(book("1001", 1))
        await seen(kiosk.bed.agent.pads["pad1"], 1)
        _, done = await kiosk.page.press("borrow", {"session": session})
        assert done["reader"]["home"] == HOME
        assert kiosk.bed.subjects(Kind.CHECKOUT) == [srid_of("R1")]
        assert list(kiosk_of(kiosk.bed)._sessions) == [session]
        await kiosk.page.press("end", {"session": session})
        assert (await kiosk.page.pad())["shown"] is None
        assert (await kiosk.identify(shown=name))[:2] == (403, "SHOW_AGAIN")

    async def test_on_a_line_that_was_pulled_out_and_is_noisy(self, kiosk: Kiosk) -> None:
        await kiosk.card.do({"op": "unplug"})
        await until(lambda: kiosk.bed.agent.devices.records["card1"].state == "offline", 10)
        await kiosk.card.do({"op": "plug"})
        await until(lambda: kiosk.bed.agent.devices.records["card1"].state == "online", 10)
        await kiosk.card.do({"op": "noise", "bytes": 5000})
        await quiet(0.5)
        assert (await kiosk.identify(shown=await kiosk.tap(HIGH)))[0] == 200


class TestNothingIsTold:
    async def test_neither_stream_nor_log_holds_a_number_or_a_token(
        self, kiosk: Kiosk, caplog: pytest.LogCaptureFixture
    ) -> None:
        told: list[str] = []

        async def listen() -> None:
            async with kiosk.page.http.stream("GET", "/kiosk/api/stream") as stream:
                async for line in stream.aiter_lines():
                    told.append(line)

        with caplog.at_level(logging.DEBUG):
            task = asyncio.create_task(listen())
            await until(lambda: told)
            names = [await kiosk.tap(card) for card in (HIGH, LOW, CUT_OWN, UNKNOWN)]
            names.append(await kiosk.scan("SCANNED-77"))
            await until(lambda: any(names[-1] in line for line in told))
            told += [json.dumps((await kiosk.identify(shown=name))[2]) for name in names]
            told.append(json.dumps((await kiosk.identify(shown=await kiosk.tap(MED)))[2]))
            assert '"session"' in told[-1]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        everything = "\n".join(told) + caplog.text + repr(kiosk.bed.agent.tags.shown.get(kiosk.name or ""))
        everything += json.dumps(kiosk.bed.agent.devices.public())
        for secret in (*NUMBERS, UNKNOWN, *(uid_token(card) for card in (HIGH, LOW, UNKNOWN)), cut(CUT_OWN), KEY.hex()):
            assert secret not in everything
        assert len(set(names)) == len(names)


class TestWhatBelongsToTheKiosk:
    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"role": "kiosk", "gate": "gate1"}, "BAD_OPTION"),
            ({"role": "kiosk", "card": "of course"}, "CARD_PROFILE"),
        ],
    )
    async def test_a_cardreader_that_cannot_be_meant_says_why(
        self, tmp_path: Path, options: dict[str, Any], reason: str
    ) -> None:
        extra = DeviceConfig("card2", "cardserial", f"pty:{tmp_path}/none", options)
        async with kiosk_bed(tmp_path, extra) as kiosk:
            record = kiosk.bed.agent.devices.records["card2"]
            assert (record.state, record.reason_code) == ("offline", reason)
            assert (await kiosk.identify(shown=await kiosk.tap(HIGH)))[0] == 200

    async def test_a_cardreader_without_that_role_is_not_heard(self, kiosk: Kiosk) -> None:
        raw = bytes.fromhex(HIGH)
        kiosk.bed.agent.tags.shown.notice(CardRead("card9", 0, "", "raw", 32, raw, 0))
        assert kiosk.name is None

    async def test_the_cardreader_of_a_gate_kind_lets_nobody_in(self, tmp_path: Path, machines: Machines) -> None:
        (osdp,) = machines.devices("gate1", role="kiosk")
        async with kiosk_bed(tmp_path, osdp) as kiosk:
            await until(lambda: kiosk.bed.agent.devices.records["gate1"].state == "online", 10)
            player = machines.client()
            await player.connect()
            tap = asyncio.create_task(player.tap(HIGH, timeout_s=1.0))
            await until(lambda: kiosk.name)
            assert (await kiosk.identify(shown=kiosk.name))[0] == 200
            assert (await tap).opened is False
            await player.close()
            assert kiosk.bed.events(Kind.ENTRY, Kind.EXIT, Kind.REFUSED) == []
