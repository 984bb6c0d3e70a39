"""tongjie check over real hub databases: what holds, what is broken, and what is no hub's database."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from typer.testing import CliRunner

from consortium.invariants import NAMES
from firmware_sim.consortium import build
from tongjie.cli import app
from tongjie.demo.layout import secret_file
from tongjie.demo.load import load_file
from tongjie.history import read_history

RUNNER = CliRunner()
CONFIG = """
data = "hub"
broker_url = "mqtt://127.0.0.1:1"
[pin]
memory_kib = 1024
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a hub that has a small consortium with open loans in its log."""
    folder = tmp_path_factory.mktemp("hub")
    secret_file(folder / "hub.toml", CONFIG)
    (folder / "hub").mkdir()
    secret_file(folder / "hub" / "master.key", "07" * 32)
    data = build(1, int(time.time() * 1000))
    borrowers = {(loan["home"], loan["reader_no"]) for loan in data["open_loans"]}
    lent = {(loan["owner"], loan["item_no"]) for loan in data["open_loans"]}
    data["readers"] = [row for row in data["readers"] if (row["home"], row["reader_no"]) in borrowers]
    data["items"] = [row for row in data["items"] if (row["owner"], row["item_no"]) in lent]
    asyncio.run(load_file(folder / "hub.toml", data))
    return folder


@pytest.fixture
def hub(loaded: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    shutil.copytree(loaded, tmp_path / "copy")
    return tmp_path / "copy"


def spoil(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(folder / "hub" / "hub.sqlite")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def refused(*words: str) -> str:
    done = RUNNER.invoke(app, ["check", *words])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "--data" in done.stderr or "--db" in done.stderr
    return done.stderr


# --- refusals ----------------------------------------------------------------------------------------------------------


def test_a_folder_without_a_hub_is_named(tmp_path: Path) -> None:
    assert f"there is no hub database in {tmp_path}" in refused("--data", str(tmp_path))


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    refused("--db", f"sqlite:///{tmp_path}/hub.sqlite")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"this is no database " * 100])
def test_a_file_that_is_no_hubs_database_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "hub.sqlite").write_bytes(content)
    assert "cannot be read" in refused("--data", str(tmp_path))
    assert (tmp_path / "hub.sqlite").read_bytes() == content


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/hub", "postgresql+asyncpg://u:secret@127.0.0.1:1/hub"])
def test_an_address_that_is_no_hubs_database_is_told_without_its_password(url: str) -> None:
    assert "secret" not in refused("--db", url)


def test_stored_state_that_nobody_can_read_is_told(hub: Path) -> None:
    spoil(hub, "UPDATE item_state SET history = '{}'")
    done = RUNNER.invoke(app, ["check", "--data", str(hub)])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("the hub's stored state cannot be read (Object missing required field")


def test_wrong_words_are_wrong_usage() -> None:
    assert RUNNER.invoke(app, ["check", "--bogus"]).exit_code == 2


# --- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statements", "invariant"),
    [
        (["UPDATE loans SET t_end = t_out - 1 WHERE id = (SELECT MIN(id) FROM loans)"], "I3"),
        (["DELETE FROM loans WHERE id = (SELECT MIN(id) FROM loans)"], "I2"),
        (["UPDATE events SET body = replace(body, '\"CHECKOUT\"', '\"RETURN\"') WHERE seq = 2"], "I5"),
        (["DELETE FROM events WHERE seq = 3"], "I5"),
    ],
)
def test_what_is_broken_is_named_with_the_offending_events(hub: Path, statements: list[str], invariant: str) -> None:
    spoil(hub, *statements)
    done = RUNNER.invoke(app, ["check", "--data", str(hub), "--json"])
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    (row,) = [row for row in found["invariants"] if row["invariant"] == invariant]
    assert (found["ok"], row["status"]) == (False, "broken")
    assert row["offending"]
    for_people = RUNNER.invoke(app, ["check", "--data", str(hub)])
    assert for_people.exit_code == 1
    lines = for_people.stdout.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.split()[:2] == [invariant, "broken"]]
    assert lines[at + 1].strip() == f"{row['offending'][0]}: {row['why'][0]}"


def test_a_sound_hub_holds_and_what_is_not_checked_is_said(hub: Path) -> None:
    done = RUNNER.invoke(app, ["check", "--data", str(hub), "--json"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["ok"] is True
    assert [row["invariant"] for row in found["invariants"]] == [f"I{number}" for number in range(1, 19)]
    assert {row["claim"] for row in found["invariants"]} == set(NAMES.values())
    for row in found["invariants"]:
        assert row["status"] in ("holds", "not-checked")
        assert row["note"] or row["status"] == "holds"
    assert next(row for row in found["invariants"] if row["invariant"] == "I2")["checked"] > 0


def test_the_folder_of_a_hub_and_its_address_are_the_same(hub: Path) -> None:
    by_folder = RUNNER.invoke(app, ["check", "--data", str(hub / "hub")])
    by_address = RUNNER.invoke(app, ["check", "--db", f"sqlite+aiosqlite:///{hub}/hub/hub.sqlite"])
    assert by_folder.exit_code == by_address.exit_code == 0
    assert by_folder.stdout == by_address.stdout
    assert len(by_folder.stdout.splitlines()) == 18


@pytest.fixture
def meanwhile(hub: Path) -> Iterator[None]:
    """Somebody else empties the hub as soon as the first row of it was read."""
    done: list[bool] = []

    def after(*_: Any) -> None:
        if not done:
            done.append(True)
            spoil(hub, "DELETE FROM events", "DELETE FROM loans", "DELETE FROM item_state")

    def began(_: Any, __: Any, statement: str, *more: Any) -> None:
        if statement.startswith("SELECT"):
            after()

    event.listen(Engine, "after_cursor_execute", began)
    yield
    event.remove(Engine, "after_cursor_execute", began)
    assert done


@pytest.mark.usefixtures("meanwhile")
def test_one_moment_of_a_hub_that_goes_on_is_read(hub: Path) -> None:
    history = read_history(f"sqlite:///{hub}/hub/hub.sqlite")
    lent = [row for row in history.log if '"kind":"CHECKOUT"' in row.body]
    assert len(lent) == len(history.loans) == len(history.states) > 0


def test_reading_changes_nothing(hub: Path) -> None:
    before = (hub / "hub" / "hub.sqlite").read_bytes()
    read_history(f"sqlite:///{hub}/hub/hub.sqlite")
    assert (hub / "hub" / "hub.sqlite").read_bytes() == before
