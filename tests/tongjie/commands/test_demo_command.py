"""tongjie demo from the command line: what cannot be done is one sentence on standard error and the right status."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tongjie.cli import app

RUNNER = CliRunner()


def refused(status: int, *words: str) -> str:
    done = RUNNER.invoke(app, ["demo", *words])
    assert (done.exit_code, done.stdout) == (status, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_ports_that_are_none_are_wrong_usage(tmp_path: Path) -> None:
    assert "--ports is 'auto' or a number" in refused(2, "--ports", "http", "--data", str(tmp_path / "demo"))


def test_a_port_in_use_ends_the_command(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        if not 1024 <= port <= 65_000:
            pytest.skip("the system gave a port that --ports does not take")
        said = refused(1, "--ports", str(port), "--data", str(tmp_path / "demo"))
    assert said.startswith(f"port {port} (hub) is in use")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("report", ["nowhere/r.json", "."])
def test_a_report_that_cannot_be_written_is_said_before_anything_starts(tmp_path: Path, report: str) -> None:
    said = refused(2, "--report", str(tmp_path / report), "--data", str(tmp_path / "demo"))
    assert "give --report the name of a file in an existing folder" in said
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize("words", [["--speed", "0"], ["--for", "0"], ["--seed", "x"], ["--bogus"], ["now"]])
def test_wrong_words_are_wrong_usage(tmp_path: Path, words: list[str]) -> None:
    done = RUNNER.invoke(app, ["demo", "--data", str(tmp_path / "demo"), *words])
    assert done.exit_code == 2
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
