"""A partner's item on the pad, with a hub that knows it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from bus.broker import IotcoreBroker
from tests.edge.bed import Bed, Hub, Machines, make_config, standard_rows, until, write_replica
from tests.edge.kiosk.test_kiosk import Pad, Page
from tests.make import HOST


class TestAPartnersItem:
    async def test_its_title_is_asked_of_the_hub_once_while_it_lies_there(
        self, tmp_path: Path, hub: Hub, broker: IotcoreBroker, machines: Machines
    ) -> None:
        asked: list[str] = []

        def answer(data: dict[str, Any]) -> dict[str, Any]:
            asked.append(data["item_no"])
            row = {
                "type": "BOOK", "owner_branch": f"{HOST}-01", "title": "贵州省志", "value": 1, "shareable": True, "reference": False,
                "status": "SHELVED", "branch": f"{HOST}-01", "loan_srid": None, "due": None, "transit_to": None, "hold_srid": None,
            }  # fmt: skip
            return {"found": True, "owner": HOST, "item_no": data["item_no"], "item": row}

        hub.answers["item"] = answer
        write_replica(tmp_path, standard_rows())
        config = make_config(tmp_path, broker_url=broker.url, devices=machines.devices("pad1"))
        async with Bed(config) as running:
            await running.serve()
            await until(lambda: running.agent.link.online and running.agent.pads["pad1"].online)
            page = Page(running.http)
            player = machines.client()
            await player.connect()
            hands = Pad(player, page)
            try:
                await hands.put("9998", owner=f"CN-{HOST}")
                for _ in range(100):
                    (shown,) = (await page.pad())["items"]
                    if shown["title"]:
                        break
                    await asyncio.sleep(0.05)
                assert (shown["owner"], shown["title"]) == (HOST, "贵州省志")
                await hands.put("1001")
                assert asked == ["9998"]
            finally:
                for uid in hands.on:
                    await player.lift(uid)
                await player.close()
                await page.http.aclose()
