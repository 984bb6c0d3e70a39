"""tongjie whatif over a real hub database and over an export of it."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from consortium.bundle import Policy, from_plain
from consortium.decisions import may_borrow, may_enter
from consortium.events import Event, Kind, encode
from consortium.facts import OpenLoans
from consortium.identity import CHAIN_START
from consortium.record import record
from firmware_sim.consortium import build
from tests.make import DAY, HOME, HOST, NOW, Make
from tongjie.cli import app
from tongjie.demo.layout import secret_file
from tongjie.demo.load import load_file

RUNNER = CliRunner()
CONFIG = """
data = "hub"
broker_url = "mqtt://127.0.0.1:1"
[pin]
memory_kib = 1024
"""
HOUR = 3_600_000
START = NOW - NOW % DAY + 2 * DAY - 8 * HOUR  # a midnight at UTC+8
SHORTER = """
[agreements.universities]
parties = ["251020", "990001"]
services = ["ENTER", "BORROW", "RETURN"]
valid_from = "2020-01-01"
valid_to = "2040-12-31"
categories = { "251020/UG" = "U-UG" }
[rules.partners]
agreement = "universities"
item_type = "BOOK"
period = "10 days"
[limits.four]
scope = "reader@lender"
max_open = 4
"""


def day(number: int) -> str:
    """The date of a day of the history, from 0."""
    return datetime.fromtimestamp((START + number * DAY + 8 * HOUR) / 1000, UTC).date().isoformat()


def history(policy: Policy) -> list[tuple[Event, str | None]]:
    """Two days of decisions at the partner's branch."""
    out: list[tuple[Event, str | None]] = []
    for number in range(12):
        at = START + (0 if number < 8 else DAY) + number * HOUR
        known, who = Make.known(NOW - at), f"{number % 3:032x}"
        more: dict[str, Any] = {"seq": number + 1, "at": at, "subject": "s" * 64}
        if number % 4 == 0:
            enter = Make.enter(known=known, reader=Make.reader(category="UG" if number else "PG"))
            decision = may_enter(policy, enter, at)
            out.append((Make.event(Kind.ENTRY, decision=record(decision, enter, at), **more), who))
            continue
        loans = (OpenLoans(HOST, "BOOK", number // 2, 0),)
        borrow = Make.borrow(known=known, reader=Make.reader(open_loans=loans), item=Make.item(item_no=str(number)))
        made = may_borrow(policy, borrow, at)
        data = {"due": made.due_ms}
        out.append(
            (
                Make.event(
                    Kind.CHECKOUT, item=(HOST, str(number)), data=data, decision=record(made, borrow, at), **more
                ),
                who,
            )
        )
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub's folder with the demo's policy and a history in its log."""
    folder = tmp_path_factory.mktemp("whatif")
    secret_file(folder / "hub.toml", CONFIG)
    (folder / "hub").mkdir()
    secret_file(folder / "hub" / "master.key", "07" * 32)
    data = build(1, NOW)
    asyncio.run(
        load_file(folder / "hub.toml", {"bundle": data["bundle"], "readers": [], "items": [], "open_loans": []})
    )
    connection = sqlite3.connect(folder / "hub" / "hub.sqlite")
    with connection:
        for event, who in history(Policy(from_plain(data["bundle"]))):
            owner, item_no = event.item or (None, None)
            connection.execute(
                "INSERT INTO events (node, epoch, seq, kind, branch, device, t_eff, t_arr, owner, item_no, rid, body, hash)"
                " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (event.node, event.epoch, event.seq, event.kind.value, event.branch, event.device, event.t_eff, event.t_eff,
                 owner, item_no, who, encode(event), CHAIN_START),
            )  # fmt: skip
    connection.close()
    (folder / "draft.toml").write_text(SHORTER)
    return folder


def ask(folder: Path, *words: str) -> Any:
    done = RUNNER.invoke(app, ["whatif", "--agreement", str(folder / "draft.toml"), "--data", str(folder), *words])
    assert (done.exit_code, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout) if "--json" in words else done.stdout


def refused(*words: str) -> str:
    done = RUNNER.invoke(app, ["whatif", *words])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


# --- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "end", "code"),
    [
        ("yesterday", "2026-01-01", "WHATIF_DATE"), ("2026-02-30", "2026-03-01", "WHATIF_DATE"),
        ("2026-01-01T00:00:00", "2026-03-01", "WHATIF_DATE"), ("2026-01-01", "9999-12-31", "WHATIF_DATE"),
        ("0001-01-01", "2026-03-01", "WHATIF_DATE"), ("2026-03-02", "2026-03-01", "WHATIF_PERIOD"),
    ],
)  # fmt: skip
def test_a_period_that_is_none_is_refused(folder: Path, begin: str, end: str, code: str) -> None:
    words = ("--agreement", str(folder / "draft.toml"), "--data", str(folder), "--from", begin, "--to", end)
    assert f"[{code}]" in refused(*words)


PERIOD = ("--from", "2026-01-01", "--to", "2026-01-02")


@pytest.mark.parametrize(
    ("draft", "code"),
    [(b"x =", "DRAFT_TOML"), (b"", "DRAFT_EMPTY"), (b"\xff", "WHATIF_DRAFT"), (b"[rules.r]\nhome = '7'", "SOURCE_REFERENCE"),
     (b"#" * (1 << 21), "DRAFT_TOO_LONG")],
)  # fmt: skip
def test_a_bad_draft_is_one_sentence_with_its_code(folder: Path, tmp_path: Path, draft: bytes, code: str) -> None:
    path = tmp_path / "draft.toml"
    path.write_bytes(draft)
    assert f"[{code}]" in refused("--agreement", str(path), "--data", str(folder), *PERIOD)


def test_what_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    draft = str(folder / "draft.toml")
    assert "[WHATIF_DRAFT]" in refused("--agreement", str(tmp_path / "none"), "--data", str(folder), *PERIOD)
    assert "there is no hub database" in refused("--agreement", draft, "--data", str(tmp_path), *PERIOD)
    assert "[LOG_FILE]" in refused("--agreement", draft, "--log", str(tmp_path / "none.jsonl"), *PERIOD)
    assert "[LOG_FORMAT]" in refused("--agreement", draft, "--log", draft, *PERIOD)
    assert "[WHATIF_SOURCE]" in refused("--agreement", draft, "--log", draft, "--data", str(folder), *PERIOD)
    assert "[CHECK_DATABASE]" in refused("--agreement", draft, "--db", "nonsense", *PERIOD)
    assert RUNNER.invoke(app, ["whatif", "--agreement", draft]).exit_code == 2


def test_an_event_that_cannot_be_read_is_named(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    connection = sqlite3.connect(copy / "hub" / "hub.sqlite")
    with connection:
        connection.execute("UPDATE events SET body = '{}' WHERE seq = 3 AND node LIKE 'edge%'")
    connection.close()
    words = ("--agreement", str(folder / "draft.toml"), "--data", str(copy), "--from", day(0), "--to", day(1))
    assert "edge-990001-01/e1/3 cannot be read" in refused(*words)


# --- answers -----------------------------------------------------------------------------------------------------------


def test_a_period_without_decisions_says_so(folder: Path) -> None:
    assert "no decision was recorded in this period" in ask(folder, *PERIOD)
    found = ask(folder, *PERIOD, "--json")
    assert (found["decisions"], found["by_code"], found["examples"]) == (0, [], {})


def test_outcomes_are_compared_by_code_home_host_category_and_due_date(folder: Path) -> None:
    found = ask(folder, "--from", day(0), "--to", day(1), "--json")
    assert (found["decisions"], found["unexplained"], found["moot"]) == (12, 0, 0)
    assert found["total"]["n"] == 12
    assert found["draft"] == {
        "agreements": ["universities@1"], "rules": ["partners"], "limits": ["four"], "put_in_force": [],
    }  # fmt: skip
    codes = {(row["before"], row["after"]): row["n"] for row in found["by_code"]}
    assert codes["OK", "AGR_CATEGORY"] == 1  # the postgraduate, whom the draft leaves out
    assert codes["OK", "LIMIT_LENDER"] == found["total"]["newly_refused"] - 1 > 0
    (pair,) = found["by_home_host"]
    assert (pair["home"], pair["host"], pair["n"]) == (HOME, HOST, 12)
    assert {row["category"]: row["newly_refused"] for row in found["by_category"]} == {
        "PG": 1,
        "UG": codes["OK", "LIMIT_LENDER"],
    }
    assert found["due"]["earlier"] == found["due"]["compared"] > 0
    assert found["due"]["mean_days"] == -11.0
    assert found["examples"]["newly_refused"][0] == "edge-990001-01/e1/1"


def test_the_last_day_counts_and_days_are_those_of_the_consortium(folder: Path) -> None:
    assert ask(folder, "--from", day(0), "--to", day(0), "--json")["decisions"] == 8
    assert ask(folder, "--from", day(1), "--to", day(1), "--json")["decisions"] == 4
    until = f"{day(0)}T02:30:00+08:00"
    assert ask(folder, "--from", day(0), "--to", until, "--json")["decisions"] == 3


def test_people_read_the_same_figures(folder: Path) -> None:
    text = ask(folder, "--from", day(0), "--to", day(1))
    found = ask(folder, "--from", day(0), "--to", day(1), "--json")
    assert "agreements universities@1; rules partners; limits four" in text
    assert f"{found['total']['newly_refused']} newly refused" in text
    assert "OK → AGR_CATEGORY" in text
    assert "-11.0 days on average" in text
    assert "251020 × 990001" in text and "251020/UG" in text


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz"])
def test_an_export_gives_the_same_answer(folder: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert RUNNER.invoke(app, ["log", "export", "--data", str(folder), "-o", str(path)]).exit_code == 0
    words = ["--agreement", str(folder / "draft.toml"), "--from", day(0), "--to", day(1), "--json"]
    done = RUNNER.invoke(app, ["whatif", "--log", str(path), *words])
    assert done.exit_code == 0
    assert json.loads(done.stdout) == ask(folder, "--from", day(0), "--to", day(1), "--json")


def test_nothing_is_changed(folder: Path) -> None:
    before = (folder / "hub" / "hub.sqlite").read_bytes()
    ask(folder, "--from", day(0), "--to", day(1))
    assert (folder / "hub" / "hub.sqlite").read_bytes() == before
