"""tongjie doctor: says what is there, what is missing and what to do about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tongjie.cli import app
from tongjie.commands.doctor import CHECKS

RUNNER = CliRunner()


def test_a_folder_that_cannot_be_written_is_missing_durable_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/proc/self").exists():
        pytest.skip("/proc is Linux's")
    monkeypatch.chdir("/proc")
    done = RUNNER.invoke(app, ["doctor", "--json"])
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    (durable,) = [check for check in found["checks"] if check["name"] == "durable writes"]
    assert (found["ok"], durable["state"]) == (False, "missing")
    assert durable["advice"]


def test_a_folder_that_is_gone_is_told_and_nothing_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    done = RUNNER.invoke(app, ["doctor"])
    monkeypatch.chdir(tmp_path)
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    assert "change to a folder that exists" in done.stdout


def test_wrong_words_are_wrong_usage() -> None:
    assert RUNNER.invoke(app, ["doctor", "--bogus"]).exit_code == 2
    assert RUNNER.invoke(app, ["doctor", "liver"]).exit_code == 2


def test_this_machine_can_run_the_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = RUNNER.invoke(app, ["doctor", "--json"])
    found = json.loads(done.stdout)
    assert (done.exit_code, found["ok"]) == (0, True)
    assert len(found["checks"]) == len(CHECKS)
    for check in found["checks"]:
        assert set(check) == {"name", "state", "found", "advice"}
        assert check["state"] in ("ok", "optional")
        # What is not there comes with what to do.
        assert bool(check["advice"]) == (check["state"] != "ok")
    assert list(tmp_path.iterdir()) == []


def test_the_same_is_said_to_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = RUNNER.invoke(app, ["doctor"]).stdout.splitlines()
    assert len(lines) == len(CHECKS)
    assert lines[0].split()[:2] == ["ok", "python"]
