"""tongjie test: every step runs even after one that failed, and the status says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tongjie.cli import app
from tongjie.commands.test import ROOT, run_steps

RUNNER = CliRunner()


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder of programs that note their words; ``bad`` fails."""
    for name, status in (("good", 0), ("bad", 3)):
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\necho "{name} $* in $PWD" >> {tmp_path}/journal\nexit {status}\n')
        path.chmod(0o755)
    return tmp_path


def test_tests_that_are_not_there_are_wrong_usage() -> None:
    done = RUNNER.invoke(app, ["test", "--only", "tests/nowhere"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "there are no tests in tests/nowhere; give --only a path such as tests/consortium\n"


def test_wrong_words_are_wrong_usage() -> None:
    assert RUNNER.invoke(app, ["test", "--bogus"]).exit_code == 2


def test_a_step_that_fails_is_named_and_the_others_run(tools: Path, capfd: pytest.CaptureFixture[str]) -> None:
    steps = [("first", ["bad"]), ("second", ["good", "a b"]), ("third", ["bad", "x"])]
    assert run_steps(tools, steps) == ["first", "third"]
    assert (tools / "journal").read_text().splitlines() == [
        f"bad  in {ROOT}",
        f"good a b in {ROOT}",
        f"bad x in {ROOT}",
    ]
    assert "── second: ok in 0 s" in capfd.readouterr().out


def test_a_program_that_is_missing_is_a_failed_step_with_advice(tools: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_steps(tools, [("types", ["mypy"]), ("lint", ["good"])]) == ["types"]
    assert "mypy cannot be run (No such file or directory); use ./run test" in capfd.readouterr().err
