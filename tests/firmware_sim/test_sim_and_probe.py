"""`tongjie sim` and `tongjie probe` as a person runs them: two processes and a link between."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
APP = """
import typer
from tongjie.commands import probe, sim
app = typer.Typer(pretty_exceptions_enable=False)
sim.register(app)
probe.register(app)
app()
"""
KEY = "000102030405060708090A0B0C0D0E0F"


async def start(*words: str) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TONGJIE_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", APP, *words, stdout=-1, stderr=-1, cwd=ROOT, env=environment
    )


async def finish(process: asyncio.subprocess.Process) -> tuple[int, list[dict[str, Any]], str]:
    out, err = await asyncio.wait_for(process.communicate(), 20)
    lines = [json.loads(line) for line in out.splitlines() if line.startswith(b"{")]
    return process.returncode or 0, lines, err.decode()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sim", "toaster", "pty:/tmp/x"], "built now: "),
        (["sim", "feig", "usb:1"], "pty:LINK"),
        (["sim", "feig", "pty:/etc/hostname"], "no link"),
        (["sim", "feig", "tcp:127.0.0.1:0", "--set", "gravity=1"], "gravity"),
        (["sim", "feig", "tcp:127.0.0.1:0", "--scene", "/none.json"], "cannot read"),
        (["sim", "osdp", "tcp:127.0.0.1:0", "--key", "00"], "32 hex"),
        (["sim", "kiosk", "udp:127.0.0.1:1"], "tcp:HOST:PORT"),
        (["sim", "kiosk", "tcp:127.0.0.1:1"], "no SIP2 server"),
        (["probe", "toaster", "pty:/tmp/x"], "built now: "),
        (["probe", "feig", "usb:1"], "serial:PATH"),
        (["probe", "feig", "pty:/tmp/x", "--key", KEY], "osdp"),
        (["probe", "osdp", "pty:/tmp/x", "--commission"], "--key"),
        (["probe", "osdp", "pty:/tmp/x", "--key", "00"], "16 bytes"),
    ],
)
async def test_wrong_usage_is_one_sentence_and_exit_2(words: list[str], says: str) -> None:
    code, lines, err = await finish(await start(*words))
    assert (code, lines) == (2, [])
    assert says in err
    assert err.count("\n") == 1


async def test_a_probe_that_reaches_nothing_exits_1(tmp_path: Path) -> None:
    code, lines, _ = await finish(await start("probe", "feig", f"pty:{tmp_path}/none", "--for", "0.3", "--json"))
    assert code == 1
    assert lines == [
        {"event": "device_state", "device": "probe", "state": "offline", "reason_code": "PORT_MISSING", "facts": {}}
    ]


async def test_a_demo_pad_shows_its_tag_to_a_probe(tmp_path: Path) -> None:
    sim = await start("sim", "feig", f"pty:{tmp_path}/pad", "--for", "8")
    assert sim.stdout
    assert json.loads(await sim.stdout.readline()) == {"kind": "feig", "url": f"pty:{tmp_path}/pad"}
    code, lines, _ = await finish(await start("probe", "feig", f"pty:{tmp_path}/pad", "--for", "3", "--json"))
    assert code == 0
    tags = next(line["tags"] for line in lines if line["event"] == "tags_on_pad")
    assert [(tag["uid"], tag["afi"], tag["pii"], tag["format"]) for tag in tags] == [
        ("E004010012345678", "07", "01234567890", "28560-3")
    ]
    sim.send_signal(signal.SIGINT)
    assert (await finish(sim))[0] == 0
    assert not os.path.lexists(tmp_path / "pad")


async def test_a_scene_of_taps_is_heard_over_the_secure_channel_once_the_key_is_set(tmp_path: Path) -> None:
    scene = tmp_path / "scene.json"
    scene.write_text(json.dumps([[at / 2, "tap", {"card": "04A1B2C3", "timeout_s": 0.1}] for at in range(80)]))
    sim = await start("sim", "osdp", f"pty:{tmp_path}/gate", "--for", "40", "--scene", str(scene))
    assert sim.stdout
    await sim.stdout.readline()
    probe = ("probe", "osdp", f"pty:{tmp_path}/gate", "--for", "2.5", "--json", "--key")
    code, lines, _ = await finish(await start(*probe, KEY))
    assert code == 1
    assert {line["reason_code"] for line in lines} == {"KEY_REFUSED"}
    code, lines, _ = await finish(await start(*probe, KEY, "--commission"))
    assert code == 0
    online = next(line for line in lines if line["event"] == "device_state")
    assert (online["state"], online["facts"]["sc_active"]) == ("online", 1)
    code, lines, _ = await finish(await start(*probe, KEY))
    assert code == 0
    cards = [line for line in lines if line["event"] == "card_read"]
    assert cards and cards[0]["raw"] == "04A1B2C3" and cards[0]["bits"] == 32
    sim.send_signal(signal.SIGTERM)
    code, told, _ = await finish(sim)
    assert code == 0
    assert any(line["op"] == "tap" and line["heard"] for line in told)
    assert not os.path.lexists(tmp_path / "gate")
