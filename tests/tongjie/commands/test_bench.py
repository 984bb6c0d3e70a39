"""tongjie bench: names that exist, figures beside their rivals, one JSON object for machines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import bench
from tongjie.cli import app
from tongjie.commands.bench import names

RUNNER = CliRunner()

QUICK = """
def run():
    return {"runs": 3, "figures": {"per_s": 12}, "beside": {"rival_per_s": 5}, "notes": ["scaled to 12 rows"]}
"""


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more bench, of which the figures are known."""
    (tmp_path / "quick_for_test.py").write_text(QUICK)
    monkeypatch.setattr(bench, "__path__", [*bench.__path__, str(tmp_path)])


@pytest.mark.parametrize("name", ["nonsense", "_bus", "os", "../secret", ""])
def test_a_bench_that_does_not_exist_is_wrong_usage(name: str) -> None:
    done = RUNNER.invoke(app, ["bench", name])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"there is no bench {name!r}; there are: ")
    assert done.stderr.count("\n") == 1


def test_no_bench_at_all_is_wrong_usage() -> None:
    assert RUNNER.invoke(app, ["bench"]).exit_code == 2


@pytest.mark.usefixtures("quick")
def test_figures_come_as_one_json_object() -> None:
    done = RUNNER.invoke(app, ["bench", "quick_for_test", "--json"])
    assert done.exit_code == 0
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["name"] == "quick_for_test"
    assert (found["runs"], found["figures"], found["beside"]) == (3, {"per_s": 12}, {"rival_per_s": 5})


@pytest.mark.usefixtures("quick")
def test_figures_are_printed_for_people_and_progress_is_said_aside() -> None:
    done = RUNNER.invoke(app, ["bench", "quick_for_test"])
    assert "measuring quick_for_test" in done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["per_s", "12"] in lines and ["rival_per_s", "5"] in lines
    assert "note: scaled to 12 rows" in done.stdout


def test_the_benches_of_the_design_that_exist_are_listed() -> None:
    assert {"tap", "decide", "codec", "outbox", "devices"} <= set(names())
    assert not any(name.startswith("_") for name in names())
