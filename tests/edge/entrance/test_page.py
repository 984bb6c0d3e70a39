"""The gate page: who may see it, who may press, and what comes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import httpx2
import pytest

from drivers.base import DeviceOffline, DeviceRefused, ResetCounter, SetAlarm
from edge.easgate import LEVELS
from edge.gatepages.routes import MAX_STREAMS
from edge.gatepages.texts import CODES, TEXTS
from tests.edge.bed import Bed, standard_rows, until, write_replica
from tests.edge.entrance.doors import Hall, book, failure

TOKEN = "staff-token-of-this-test-01"
BY_NAME = {"Host": "edge.library.example", "Origin": "https://edge.library.example", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def hall() -> Hall:
    """An empty hall."""
    return Hall()


@pytest.fixture
async def bed(tmp_path: Path, hall: Hall) -> AsyncIterator[Bed]:
    """An edge with a security gate and a turnstile, served over HTTP; no token is configured."""
    write_replica(tmp_path, standard_rows())
    async with hall.bed(tmp_path, ("eas1", "eas", {}), ("gate1", "turnstile", {})) as running:
        await running.serve()
        await until(lambda: running.agent.devices.records["gate1"].state == "online")
        yield running


@pytest.fixture
async def http(bed: Bed) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser on this machine."""
    async with httpx2.AsyncClient(base_url=bed.http, timeout=10) as client:
        yield client


async def press(http: httpx2.AsyncClient, device: str, command: str, **headers: str) -> tuple[int, Any]:
    """A press on the page."""
    answer = await http.post("/gate/api/press", json={"device": device, "command": command}, headers=headers)
    return answer.status_code, answer.json()


class TestWhoMaySee:
    @pytest.fixture
    async def guarded(self, tmp_path: Path, hall: Hall) -> AsyncIterator[httpx2.AsyncClient]:
        """An edge with a staff token."""
        write_replica(tmp_path, standard_rows())
        async with hall.bed(tmp_path, ("eas1", "eas", {}), trace_token=TOKEN) as running:
            base = await running.serve()
            async with httpx2.AsyncClient(base_url=base, timeout=10) as client:
                yield client

    @pytest.mark.parametrize("path", ["/gate", "/gate/api/state", "/gate/api/stream"])
    async def test_nobody_without_the_token(self, guarded: httpx2.AsyncClient, path: str) -> None:
        answer = await guarded.get(path)
        assert (answer.status_code, answer.json()["code"]) == (401, "TOKEN_NEEDED")
        wrong = await guarded.get(path, headers={"Authorization": "Bearer wrong-wrong-wrong-wrong-wrong"})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "TOKEN_WRONG")

    async def test_a_press_needs_it_too(self, guarded: httpx2.AsyncClient, hall: Hall) -> None:
        assert (await press(guarded, "eas1", "alarm_off"))[0] == 401
        assert hall.at["eas1"].done == []

    async def test_a_browser_is_led_to_the_sign_in_and_from_there_to_the_page(
        self, guarded: httpx2.AsyncClient
    ) -> None:
        answer = await guarded.get("/gate", headers={"Accept": "text/html"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/gate/sign-in")
        assert (await guarded.post("/gate/sign-in", data={"token": "x" * 30})).status_code == 401
        signed = await guarded.post("/gate/sign-in", data={"token": TOKEN})
        assert (signed.status_code, signed.headers["location"]) == (303, "/gate")
        cookie = signed.headers["set-cookie"]
        assert "HttpOnly" in cookie and "Path=/gate" in cookie and "SameSite=strict" in cookie
        assert (await guarded.get("/gate")).status_code == 200

    async def test_a_proxy_on_this_machine_is_not_this_machine(self, http: httpx2.AsyncClient) -> None:
        answer = await http.get("/gate", headers={"X-Forwarded-For": "10.0.0.9"})
        assert answer.json()["code"] == "LOOPBACK_ONLY"


class TestPressing:
    @pytest.mark.parametrize(
        "headers",
        [{"Origin": "http://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Content-Type": "text/plain"}],
    )
    async def test_another_sites_page_can_press_nothing(
        self, http: httpx2.AsyncClient, hall: Hall, headers: dict[str, str]
    ) -> None:
        assert (await press(http, "eas1", "alarm_off", **headers))[0] in (403, 415)
        assert hall.at["eas1"].done == []

    @pytest.mark.parametrize(
        ("device", "command", "status"),
        [
            ("nobody", "restart", 404),
            ("gate1", "reset_counter", 409),
            ("eas1", "open", 409),
            ("eas1", "", 409),
            ("kiosk1", "restart", 409),
        ],
    )
    async def test_what_a_device_cannot_do_is_refused(
        self, http: httpx2.AsyncClient, device: str, command: str, status: int
    ) -> None:
        assert await press(http, device, command) == (status, {"code": "NOT_SUPPORTED"})

    async def test_a_body_that_is_none_is_refused(self, http: httpx2.AsyncClient) -> None:
        answer = await http.post("/gate/api/press", json={"device": "eas1", "command": "restart", "more": 1})
        assert answer.status_code == 422

    @pytest.mark.parametrize(("kind", "status"), [(DeviceOffline, 503), (DeviceRefused, 409)])
    async def test_what_the_device_does_not_do_is_told(
        self, http: httpx2.AsyncClient, hall: Hall, kind: Any, status: int
    ) -> None:
        hall.at["eas1"].fails.append(failure("NO_ANSWER", kind))
        assert await press(http, "eas1", "alarm_off") == (status, {"code": "NO_ANSWER"})

    async def test_alarm_and_counter(self, http: httpx2.AsyncClient, hall: Hall) -> None:
        for command in ("alarm_off", "alarm_on", "reset_counter"):
            assert await press(http, "eas1", command) == (200, {"code": "OK"})
        assert hall.at["eas1"].done == [SetAlarm(False), SetAlarm(True), ResetCounter()]

    async def test_a_device_is_restarted_alone(self, http: httpx2.AsyncClient, hall: Hall) -> None:
        assert (await press(http, "eas1", "restart"))[0] == 200
        await until(lambda: hall.at["eas1"].starts == 2)
        assert hall.at["gate1"].starts == 1


class TestByName:
    """Staff who come by a name, through a proxy with TLS."""

    async def test_without_a_token_a_name_is_not_this_machine(self, http: httpx2.AsyncClient, hall: Hall) -> None:
        assert await press(http, "eas1", "alarm_off", **BY_NAME) == (403, ANY)
        assert hall.at["eas1"].done == []

    async def test_with_the_token_they_may_press_and_another_site_may_not(self, tmp_path: Path, hall: Hall) -> None:
        write_replica(tmp_path, standard_rows())
        async with hall.bed(tmp_path, ("eas1", "eas", {}), trace_token=TOKEN) as bed:
            given = {"Authorization": f"Bearer {TOKEN}"}
            async with httpx2.AsyncClient(base_url=await bed.serve(), timeout=10, headers=given) as http:
                for more in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "same-site"}):
                    assert (await press(http, "eas1", "alarm_off", **{**BY_NAME, **more}))[0] == 403
                assert hall.at["eas1"].done == []
                assert await press(http, "eas1", "alarm_off", **BY_NAME) == (200, {"code": "OK"})


class TestView:
    async def test_the_page_comes_with_its_own_scripts_alone(self, http: httpx2.AsyncClient) -> None:
        answer = await http.get("/gate")
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert (await http.get("/gate/static/gates.js")).status_code == 200

    async def test_alarms_counts_and_what_may_be_pressed(self, http: httpx2.AsyncClient, hall: Hall) -> None:
        hall.at["eas1"].carry(book("1001"))
        hall.at["eas1"].people(3, 1)
        view = (await http.get("/gate/api/state")).json()
        (note,) = view["notes"]
        assert (note["title"], note["code"], note["level"], note["antenna"]) == ("书名 1001", "NOT_LENT", "alarm", 2)
        assert set(note["owner_name"]) == {"zh", "en"}
        devices = {device["id"]: device for device in view["devices"]}
        assert devices["eas1"]["can"] == ["alarm_on", "alarm_off", "reset_counter", "restart"]
        assert devices["gate1"]["can"] == ["restart"]
        assert devices["kiosk1"]["can"] == []
        assert (devices["eas1"]["counts"]["came"], devices["eas1"]["counts"]["drift"]) == (3, 3)

    async def test_an_alarm_is_seen_at_once(self, http: httpx2.AsyncClient, bed: Bed, hall: Hall) -> None:
        async with http.stream("GET", "/gate/api/stream") as stream:
            lines = stream.aiter_lines()
            assert (await _state(lines))["notes"] == []
            hall.at["eas1"].carry(book("1001"))
            async with asyncio.timeout(1.5):  # before the look that comes without an alarm
                assert (await _state(lines))["notes"][0]["item_no"] == "1001"
        await until(lambda: not bed.agent.gates.alarms.changed)

    async def test_streams_are_bounded(self, http: httpx2.AsyncClient, bed: Bed) -> None:
        bed.agent.gates.alarms.changed.update(asyncio.Event() for _ in range(MAX_STREAMS))
        assert (await http.get("/gate/api/stream")).status_code == 503

    def test_every_code_and_text_is_in_both_languages(self) -> None:
        assert set(CODES["zh"]) == set(CODES["en"]) == set(LEVELS)
        assert set(TEXTS["zh"]) == set(TEXTS["en"])


async def _state(lines: Any) -> dict[str, Any]:
    async for line in lines:
        if line.startswith("data: "):
            return dict(json.loads(line[6:]))
    raise AssertionError("the stream ended")
