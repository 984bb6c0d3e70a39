"""The agent as a process and as a whole: starts, says so, isolates what fails, stops in order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bus.broker import IotcoreBroker
from consortium.events import Kind
from edge.config import DeviceConfig
from tests.edge.bed import (
    BRANCH,
    KEY,
    PIN,
    Bed,
    Hub,
    Machines,
    RawKiosk,
    make_config,
    standard_rows,
    until,
    write_replica,
)
from tests.make import HOME
from tests.sealing import TRUST

AT = "20261122    101500"
CHECKOUT = f"11NN{AT}{' ' * 18}AO{HOME}|AAR1|AB{{}}|AC|AD{PIN}|"


def config_file(folder: Path, **more: Any) -> Path:
    """An edge.toml with its secrets in files of their own."""
    key = folder / "site.key"
    key.write_text(KEY.hex())
    key.chmod(0o600)
    fields = {"http": 0, "sip2": 0, "broker": "mqtt://127.0.0.1:9", "data": "data", "extra": "", **more}
    path = folder / "edge.toml"
    path.write_text(
        f"""branch = "{BRANCH}"
mode = "demo"
data = "{fields["data"]}"
hub_url = "http://127.0.0.1:9"
broker_url = "{fields["broker"]}"
node_token = "t"
site_key_file = "site.key"
policy_keys = ["{TRUST.keys[0].public.hex()}"]
[http]
port = {fields["http"]}
[sip2]
port = {fields["sip2"]}
[[sip2.accounts]]
user = "kiosk1"
password = "secret"
{fields["extra"]}
"""
    )
    return path


async def start(path: Path) -> asyncio.subprocess.Process:
    """`python -m edge`."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge", "--config", str(path),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=dict(os.environ, PYTHONPATH=os.getcwd()),
    )  # fmt: skip


@asynccontextmanager
async def edge(path: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:
    """A running edge and the line it said when it was ready."""
    process = await start(path)
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 15)
        yield process, json.loads(line)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


class TestRefusalsToStart:
    async def said(self, path: Path) -> tuple[int | None, str]:
        process = await start(path)
        _, err = await asyncio.wait_for(process.communicate(), 15)
        return process.returncode, err.decode().strip().splitlines()[-1]

    async def test_no_configuration(self, tmp_path: Path) -> None:
        code, line = await self.said(tmp_path / "none.toml")
        assert code == 2
        assert "none.toml" in line

    @pytest.mark.parametrize("which", ["http", "sip2"])
    async def test_a_port_in_use_is_named_with_what_to_do(self, tmp_path: Path, which: str) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            code, line = await self.said(config_file(tmp_path, **{which: taken.getsockname()[1]}))
        assert code == 2
        assert f"{which}.port" in line
        assert "PORT_TAKEN" in line

    async def test_a_data_folder_that_cannot_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        code, line = await self.said(config_file(tmp_path, data="file/data"))
        assert code == 2
        assert "data folder" in line

    async def test_a_second_edge_on_one_data_folder(self, tmp_path: Path) -> None:
        path = config_file(tmp_path)
        async with edge(path):
            code, line = await self.said(path)
        assert code == 1
        assert "OUTBOX_FAULT" in line


class TestProcess:
    async def test_it_says_ready_serves_and_stops_in_three_seconds_with_a_page_open(self, tmp_path: Path) -> None:
        write_replica(tmp_path / "data", standard_rows())
        extra = '[[devices]]\nid = "pad1"\nkind = "feig"\nurl = "pty:nowhere"\n'
        async with edge(config_file(tmp_path, extra=extra)) as (process, line):
            assert line["ready"] is True
            async with httpx2.AsyncClient(base_url=line["edge"], timeout=5) as http:
                assert (await http.get("/healthz")).status_code == 200
                assert "tongjie_outbox_depth" in (await http.get("/metrics")).text
                state = (await http.get("/state")).json()
                assert state["branch"] == BRANCH
                async with http.stream("GET", "/kiosk/api/stream") as stream:
                    assert stream.status_code == 200
                    async with RawKiosk((line["sip2"]["host"], line["sip2"]["port"])) as raw:
                        await raw.login()
                        assert (await raw.ask(CHECKOUT.format("1001"))).startswith("121")
                        started = time.monotonic()
                        process.send_signal(signal.SIGTERM)
                        await asyncio.wait_for(process.wait(), 5)
        assert process.returncode == 0
        assert time.monotonic() - started < 3

    async def test_what_a_kiosk_was_told_survives_a_kill(self, tmp_path: Path) -> None:
        write_replica(tmp_path / "data", standard_rows())
        path = config_file(tmp_path)
        async with edge(path) as (process, line), RawKiosk((line["sip2"]["host"], line["sip2"]["port"])) as raw:
            await raw.login()
            assert (await raw.ask(CHECKOUT.format("1001"))).startswith("121")
            process.kill()
            await process.wait()
        async with edge(path) as (_, line), RawKiosk((line["sip2"]["host"], line["sip2"]["port"])) as raw:
            await raw.login()
            reply = await raw.ask(CHECKOUT.format("1001").replace("101500", "101600"))
            assert "ITEM_ON_LOAN_SELF" in reply


class TestIsolation:
    async def test_a_device_that_cannot_be_built_or_found_stops_nothing(self, tmp_path: Path) -> None:
        write_replica(tmp_path, standard_rows())
        devices = (
            DeviceConfig("gate1", "osdp", "pty:nowhere", {}),  # no key
            DeviceConfig("lamp1", "lamp", "pty:nowhere"),
            DeviceConfig("pad1", "feig", f"pty:{tmp_path}/nowhere"),
        )
        async with Bed(make_config(tmp_path, devices=devices)) as bed:
            await bed.serve()
            records = bed.agent.devices.records
            await until(lambda: records["pad1"].reason_code not in ("STARTING", ""))
            assert {name: records[name].state for name in ("gate1", "lamp1", "pad1")} == {
                "gate1": "offline", "lamp1": "offline", "pad1": "offline",
            }  # fmt: skip
            assert records["gate1"].reason_code == "SCBK_MISSING"
            assert records["lamp1"].reason_code == "UNKNOWN_DRIVER"
            assert bed.agent.sip2_at is not None
            async with RawKiosk(bed.agent.sip2_at) as raw:
                await raw.login()
                assert (await raw.ask(CHECKOUT.format("1001"))).startswith("121")
            async with httpx2.AsyncClient(base_url=bed.http) as http:
                assert (await http.get("/readyz")).status_code == 200
                issues = (await http.get("/state")).json()["issues"]
                contexts = {issue["context"] for issue in issues if issue["kind"] == "DEVICE_OFFLINE"}
                assert contexts == {"device:gate1", "device:lamp1", "device:pad1"}

    async def test_without_a_replica_it_is_alive_and_not_ready(self, tmp_path: Path) -> None:
        async with Bed(make_config(tmp_path)) as bed:
            await bed.serve()
            async with httpx2.AsyncClient(base_url=bed.http) as http:
                assert (await http.get("/healthz")).status_code == 200
                answer = await http.get("/readyz")
                assert (answer.status_code, answer.json()["missing"]) == (503, ["REPLICA_MISSING"])


class TestWithTheHub:
    async def test_events_reach_the_hub_and_devices_are_told(
        self, tmp_path: Path, broker: IotcoreBroker, hub: Hub, machines: Machines
    ) -> None:
        write_replica(tmp_path, standard_rows())
        config = make_config(tmp_path, broker_url=broker.url, devices=machines.devices("pad1"))
        async with Bed(config) as bed:
            await until(lambda: bed.agent.link.online)
            assert bed.agent.sip2_at is not None
            async with RawKiosk(bed.agent.sip2_at) as raw:
                await raw.login()
                assert (await raw.ask(CHECKOUT.format("1001"))).startswith("121")
            await until(lambda: bed.agent.outbox.depth == 0)
            assert any('"CHECKOUT"' in body for body in hub.bodies)
            await until(lambda: any(s["online"] and s["devices"]["pad1"]["state"] == "online" for s in hub.states))
            assert set(hub.states[-1]["devices"]) >= {"pad1", "kiosk1"}
            (told,) = [e for e in bed.events(Kind.DEVICE) if e.device == "pad1" and e.data["state"] == "online"]
            assert told.data["kind"] == "feig"

    async def test_no_number_token_or_card_stands_in_state_or_metrics(self, bed: Bed) -> None:
        assert bed.agent.sip2_at is not None
        await bed.serve()
        async with RawKiosk(bed.agent.sip2_at) as raw:
            await raw.login()
            await raw.ask(CHECKOUT.format("1001"))
        async with httpx2.AsyncClient(base_url=bed.http) as http:
            shown = (await http.get("/state")).text + (await http.get("/metrics")).text
        srid = bed.subjects(Kind.CHECKOUT)[0]
        assert srid is not None
        assert srid not in shown
        assert "AAR1" not in shown
