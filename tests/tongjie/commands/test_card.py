"""`tongjie card learn` and the events of `tongjie probe`, as a person runs and reads them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from drivers.base import (
    CardRead,
    CodeScanned,
    DeviceEvent,
    DeviceState,
    DoorAlarm,
    InputChanged,
    PadTag,
    Passage,
    PeopleCounted,
    TagPassed,
    TagsOnPad,
    Tamper,
)
from edge.cards import profile_of
from tests.drivers.card.pcsc_bed import daemon
from tongjie.commands import card
from tongjie.commands.shown import described, sentence

ROOT = Path(__file__).parents[3]
CARDS = ("A1B2C3D4", "5E10F79C", "04A1B2C3D4E580")
REVERSED = tuple(bytes.fromhex(uid)[::-1].hex() for uid in CARDS)
KNOWN = tuple(word for uid in CARDS for word in ("--known", uid))
KEY = "000102030405060708090A0B0C0D0E0F"


async def run(*words: str) -> tuple[int, str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TONGJIE_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tongjie", *words, stdout=-1, stderr=-1, cwd=ROOT, env=environment
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


def learn(*words: str) -> tuple[int, str, str]:
    """`tongjie card learn` in this process: nothing of it needs one of its own."""
    done = CliRunner().invoke(card.app, ["learn", *words])
    return done.exit_code, done.stdout, done.stderr


# --- learning --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("zz", "--known", "A1B2C3D4"), "text:DIGITS"),
        (("A1B2C3D4:40", "--known", "A1B2C3D4"), "fewer bytes than bits"),
        (("A1B2C3D4", *KNOWN), "one --known for each card"),
        (("pcsc", *KNOWN), "kind and the URL"),
        (("pcsc", "serial:/dev/ttyS0", *KNOWN), "pcsc:"),
        (("feig", "pty:/tmp/x", "--key", KEY, *KNOWN), "osdp"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_2(words: tuple[str, ...], says: str) -> None:
    code, out, err = learn(*words)
    assert (code, out) == (2, "")
    assert says in err and err.count("\n") == 1


def test_a_card_that_contradicts_the_others_is_named_and_the_exit_is_1() -> None:
    code, out, _ = learn(*REVERSED[:2], "00112233", *KNOWN)
    assert code == 1
    assert "without card 3 the others agree" in out


def test_printed_numbers_alone_leave_two_profiles_and_say_what_decides() -> None:
    printed = ("2712847316", "1577117596", "3554806593")
    words = [f"text:{number}" for number in printed] + [word for number in printed for word in ("--known", number)]
    code, out, _ = learn(*words, "--json")
    told = json.loads(out)
    assert code == 1
    assert told["profile"] is None and len(told["fits"]) == 2 and told["wanted"] == "CHIP_NUMBER"


def test_what_is_printed_for_edge_toml_is_what_the_edge_reads() -> None:
    code, out, _ = learn(*REVERSED, *KNOWN)
    assert code == 0
    options = tomllib.loads(out)["options"]
    profile = profile_of(options)
    for uid, sent in zip(CARDS, REVERSED, strict=True):
        assert profile.canonical(bytes.fromhex(sent), len(sent) * 4, "raw").value.hex().upper() == uid
    code, out, _ = learn(*CARDS, *KNOWN)
    assert (code, profile_of(tomllib.loads(out)["options"]).reverse_bytes) == (0, False)


async def test_cards_presented_at_a_real_pcscd_are_asked_for_in_turn_and_learned() -> None:
    async with daemon() as pcscd:
        environment = {**os.environ}
        sim = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tongjie", "sim", "pcsc", pcscd.url, "--scene", str(scene(pcscd.folder)),
            stdout=-1, stderr=-1, cwd=ROOT, env=environment,
        )  # fmt: skip
        try:
            words = ("pcsc", "pcsc:00 00", "--set", f"socket={pcscd.socket}", *KNOWN, "--for", "40")
            code, out, err = await run("card", "learn", *words)
        finally:
            sim.send_signal(signal.SIGTERM)
            await asyncio.wait_for(sim.communicate(), 20)
        assert (code, out.splitlines()[0]) == (0, 'options = { card = "uid" }')
        assert [line for line in err.splitlines() if line.startswith("present")] == [
            f"present card {at} of 3: {uid}" for at, uid in enumerate(CARDS, 1)
        ]


def scene(folder: Path) -> Path:
    """The three cards one after another, again and again: the probe may come late but hears them in their turn."""
    path = folder / "scene.json"
    path.write_text(json.dumps([[6.0 + at, "tap", {"card": uid, "seconds": 5}] for at, uid in enumerate(CARDS)]))
    return path


async def test_a_cardreader_that_is_not_there_teaches_nothing_and_exits_1(tmp_path: Path) -> None:
    words = ("pcsc", "pcsc:", "--set", f"socket={tmp_path}/none", *KNOWN, "--for", "3")
    code, out, err = await run("card", "learn", *words)
    assert (code, out) == (1, "")
    assert "NO_SERVICE" in err and "0 of 3 cards" in err


# --- what probe says -------------------------------------------------------------------------------------------------

EVENTS: list[tuple[DeviceEvent, list[str], dict[str, Any]]] = [
    (
        CardRead("d", 1, "IN", "raw", 32, bytes.fromhex("01020304"), 5, "DESFIRE"),
        ["cardreader 1, going in", "01020304", "DESFIRE", "HEX_REVERSED", "04030201", "0016909060"],
        {"event": "card_read", "raw": "01020304", "medium": "DESFIRE", "t_mono_ns": 5},
    ),
    (CodeScanned("d", "0123456", 5), ["0123456"], {"event": "code_scanned", "text": "0123456"}),
    (
        DeviceState("d", "offline", "PORT_MISSING", {"model": "X"}),
        ["offline: PORT_MISSING", "model X"],
        {"event": "device_state", "facts": {"model": "X"}},
    ),
    (TagsOnPad("d", ()), ["no tags on the pad"], {"event": "tags_on_pad", "tags": []}),
    (
        TagPassed("d", PadTag("E004010000000001", 0, 7, bytes(28), 4, secured=True), 2, True, 5),
        ["antenna 2", "sounded", "HF E004010000000001", "secured", "blank"],
        {"event": "tag_passed", "antenna": 2, "alarmed": True},
    ),
    (
        PeopleCounted("d", 2, 1, 12, 11, True, 5),
        ["2 in, 1 out", "12 and 11", "started anew"],
        {"event": "people_counted", "came": 2, "reset": True},
    ),
    (Passage("d", "OUT", 5), ["went through, going out"], {"event": "passage", "direction": "OUT"}),
    (InputChanged("d", 3, True, 5), ["input 3 on"], {"event": "input_changed", "input_no": 3}),
    (DoorAlarm("d", "FORCED_OPEN", "door 1", 5), ["FORCED_OPEN (door 1)"], {"event": "door_alarm"}),
    (Tamper("d", True), ["case is open"], {"event": "tamper", "active": True}),
]


@pytest.mark.parametrize(("event", "words", "keys"), EVENTS, ids=[type(event).__name__ for event, _, _ in EVENTS])
def test_every_event_is_a_flat_object_and_a_sentence(
    event: DeviceEvent, words: list[str], keys: dict[str, Any]
) -> None:
    told = json.loads(json.dumps(described(event)))
    assert list(told)[:2] == ["event", "device"]
    assert told["device"] == "d"
    assert {name: told[name] for name in keys} == keys
    said = sentence(told)
    for word in words:
        assert word in said


async def test_probe_lists_the_kinds_that_are_installed() -> None:
    code, out, _ = await run("probe", "--help")
    assert code == 0
    kinds = out.rpartition("Kinds:")[2]
    assert "pcsc" in kinds and "osdp" in kinds


async def test_probe_shows_a_card_on_a_real_pcscd_with_its_readings() -> None:
    async with daemon() as pcscd:
        sim = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tongjie", "sim", "pcsc", pcscd.url, stdout=-1, stderr=-1, cwd=ROOT
        )
        try:
            words = ("pcsc", "pcsc:", "--set", f"socket={pcscd.socket}", "--for", "9", "--json")
            code, out, _ = await run("probe", *words)
        finally:
            sim.send_signal(signal.SIGTERM)
            told, _ = await asyncio.wait_for(sim.communicate(), 20)
        assert code == 0
        cards = [line for line in map(json.loads, out.splitlines()) if line["event"] == "card_read"]
        assert cards and cards[0]["readings"]["HEX_REVERSED"] == "80E5D4C3B2A104"
        assert cards[0]["medium"] == "MF_CLASSIC"
        assert json.loads(told.splitlines()[0]) == {"kind": "pcsc", "url": pcscd.url}
