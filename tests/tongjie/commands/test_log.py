"""tongjie log export, and tongjie check --log: what leaves the house, and that it can be checked elsewhere."""

from __future__ import annotations

import gzip
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from consortium.invariants import Finding, check
from tests.consortium.invariants import test_spoiled_items, test_spoiled_logs
from tests.consortium.invariants.faults import Spoil
from tests.consortium.invariants.world import sound, with_charges, world
from tests.tongjie.commands.stored import store
from tongjie.cli import app
from tongjie.history import read_history, with_file, with_log
from tongjie.logfile import MAX_LINE

RUNNER = CliRunner()
SPOILED = [*test_spoiled_items.SPOILED, *test_spoiled_logs.SPOILED]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A hub's database in which everything is right; nobody writes in it."""
    return store(sound(), tmp_path_factory.mktemp("hub") / "hub.sqlite")


def exported(url: str, path: Path, *words: str) -> Path:
    done = RUNNER.invoke(app, ["log", "export", "--db", url, "-o", str(path), *words])
    assert done.exit_code == 0, done.stderr
    return path


def told(findings: list[Finding]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.invariant, one.status, tuple(sorted(one.offending))) for one in findings]


def refused(path: Path) -> str:
    done = RUNNER.invoke(app, ["check", "--log", str(path)])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


def rewritten(path: Path, line: bytes) -> None:
    """Put a line after the header, and the right number of lines at the end."""
    lines = path.read_bytes().splitlines(keepends=True)
    end = json.dumps({"end": {"lines": len(lines) + 1}}).encode() + b"\n"
    path.write_bytes(b"".join([lines[0], line, *lines[1:-1], end]))


# --- refusals ----------------------------------------------------------------------------------------------------------


def test_a_file_that_is_there_is_not_written_over(url: str, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("mine")
    done = RUNNER.invoke(app, ["log", "export", "--db", url, "-o", str(tmp_path / "log.jsonl")])
    assert done.exit_code == 2
    assert "is there already" in done.stderr
    assert (tmp_path / "log.jsonl").read_text() == "mine"


def test_a_folder_that_is_not_there_is_named(url: str, tmp_path: Path) -> None:
    done = RUNNER.invoke(app, ["log", "export", "--db", url, "-o", str(tmp_path / "no" / "log.jsonl")])
    assert done.exit_code == 2
    assert "cannot be written (No such file or directory)" in done.stderr


def test_a_folder_without_a_hub_exports_nothing(tmp_path: Path) -> None:
    done = RUNNER.invoke(app, ["log", "export", "--data", str(tmp_path), "-o", str(tmp_path / "log.jsonl")])
    assert done.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["log", "export", "-o", "x"], ["check"]])
def test_two_sources_are_wrong_usage(command: list[str]) -> None:
    assert RUNNER.invoke(app, [*command, "--data", "a", "--db", "sqlite:///b"]).exit_code == 2


def test_an_export_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "No such file or directory" in refused(tmp_path / "log.jsonl")


@pytest.mark.parametrize(
    "content", [b"", b"no export\n", b'{"event": {}}\n', b"[1]\n", b"\x1f\x8bno gzip", b"\xff\xfe\n"]
)
def test_a_file_that_is_no_export_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "log.jsonl").write_bytes(content)
    said = refused(tmp_path / "log.jsonl")
    assert "no log export" in said or "breaks off" in said


def test_an_export_of_another_version_is_told(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"tongjie_log":2}\n')
    assert "version 1" in refused(tmp_path / "log.jsonl")


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz"])
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9, 0.999])
def test_an_export_cut_short_anywhere_is_told(url: str, tmp_path: Path, name: str, keep: float) -> None:
    whole = exported(url, tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * keep)])
    assert "export it again" in refused(tmp_path / name)


def test_an_export_cut_between_two_lines_is_told(url: str, tmp_path: Path) -> None:
    lines = exported(url, tmp_path / "log.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "log.jsonl").write_bytes(b"".join(lines[:-1]))
    assert "not whole" in refused(tmp_path / "log.jsonl")
    (tmp_path / "log.jsonl").write_bytes(b"".join([*lines[:5], *lines[6:]]))
    assert "lines and says" in refused(tmp_path / "log.jsonl")


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"event":1,"loan":2}',
        b'{"event":{}}',
        b'{"event":null}',
        b'{"thing":{}}',
        b'{"cursor":{"node":1,"epoch":"e","upto":1,"chain":"","t":0,"top":0}}',
        b'{"cursor":{"node":"n","epoch":"e","upto":99999999999999999999,"chain":"","t":0,"top":0}}',
        b'{"event":' + b"[" * 100_000,
        b"\x00\xff",
    ],
)
def test_a_line_that_is_no_row_is_told_with_its_number(url: str, tmp_path: Path, line: bytes) -> None:
    rewritten(exported(url, tmp_path / "log.jsonl"), line + b"\n")
    said = refused(tmp_path / "log.jsonl")
    assert "line 2" in said or "no hub could hold" in said


def test_the_same_row_twice_is_told(url: str, tmp_path: Path) -> None:
    path = exported(url, tmp_path / "log.jsonl")
    rewritten(path, path.read_bytes().splitlines(keepends=True)[1])
    assert "no hub could hold" in refused(tmp_path / "log.jsonl")


def test_a_line_without_end_is_not_read_to_the_end(tmp_path: Path) -> None:
    with (tmp_path / "log.jsonl").open("wb") as file:
        file.write(b'{"tongjie_log":1}\n')
        file.truncate(MAX_LINE * 20)
    assert f"longer than {MAX_LINE} bytes" in refused(tmp_path / "log.jsonl")


# --- answers -----------------------------------------------------------------------------------------------------------


def test_a_database_and_its_export_say_what_the_history_says(url: str, tmp_path: Path) -> None:
    history = sound()
    history.totals = None
    expected = told(check(history))
    assert told(with_log(url, check)) == expected
    assert told(check(read_history(url))) == expected
    for path in (tmp_path / "log.jsonl", tmp_path / "log.jsonl.gz"):
        found = told(with_file(exported(url, path), check))
        assert [row for row in found if row[0] != "I15"] == [row for row in expected if row[0] != "I15"]
        assert {row[0]: row[1] for row in found}["I15"] == "not-checked"


@pytest.mark.parametrize(
    ("invariant", "spoil"),
    [row for row in {name: (name, spoil) for name, spoil in reversed(SPOILED)}.values() if row[0] != "I17"],
    ids=lambda one: one if isinstance(one, str) else one.__name__,
)
def test_what_is_broken_in_lists_is_broken_in_a_database(invariant: str, spoil: Spoil, tmp_path: Path) -> None:
    made = world()
    history = with_charges(made, made.history())
    history.totals = None
    spoil(made, history)
    expected = told(check(history))
    assert {row[0]: row[1] for row in expected}[invariant] == "broken"
    # The first offence of each invariant in the list there; its own tests show that lists and rows are looked at alike.
    assert told(with_log(store(history, tmp_path / "hub.sqlite"), check)) == expected


def test_a_broken_export_is_told_with_exit_1(tmp_path: Path) -> None:
    history = sound()
    history.loans.pop()
    path = exported(store(history, tmp_path / "hub.sqlite"), tmp_path / "log.jsonl.gz")
    done = RUNNER.invoke(app, ["check", "--log", str(path), "--json"])
    assert done.exit_code == 1
    rows = {row["invariant"]: row for row in json.loads(done.stdout)["invariants"]}
    assert rows["I2"]["status"] == "broken"
    assert len(rows["I2"]["offending"]) == len(rows["I2"]["why"]) == rows["I2"]["total"] == 1


def _lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        return [json.loads(line) for line in file]


def test_an_export_begins_and_ends_as_the_format_says(url: str, tmp_path: Path) -> None:
    lines = _lines(exported(url, tmp_path / "log.jsonl"))
    assert lines[0] == {"tongjie_log": 1, "identity": False}
    assert lines[-1] == {"end": {"lines": len(lines)}}
    assert {next(iter(line)) for line in lines[1:-1]} == {
        "cursor", "bundle", "key", "event", "item", "state", "loan", "transit", "conflict", "visit", "charge",
    }  # fmt: skip
    positions = [line["event"]["pos"] for line in lines if "event" in line]
    assert positions == sorted(positions)


def test_no_reader_stands_in_an_export(url: str, tmp_path: Path) -> None:
    first, second = exported(url, tmp_path / "a.jsonl"), exported(url, tmp_path / "b.jsonl")
    for line in _lines(first)[1:]:
        (row,) = line.values()
        if isinstance(row, dict):
            assert not {"salt", "srid"} & set(row)
            assert row.get("rid") not in {"r1", "r2", "r3", "r4", "r5"}
    assert '"who":"r' not in first.read_text().replace("\\", "")

    def rids(path: Path) -> list[str]:
        return [line["loan"]["rid"] for line in _lines(path) if "loan" in line]

    assert len(set(rids(first))) == len({loan.who for loan in sound().loans})
    assert set(rids(first)).isdisjoint(rids(second))  # the key of the pseudonyms was thrown away


def test_an_export_with_identity_is_for_its_maker_alone(url: str, tmp_path: Path) -> None:
    path = exported(url, tmp_path / "log.jsonl", "--with-identity")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = _lines(path)
    assert lines[0]["identity"] is True
    assert {line["loan"]["rid"] for line in lines if "loan" in line} == {loan.who for loan in sound().loans}
    assert sum("identity" in line for line in lines[1:]) == sum(row.salt is not None for row in sound().log)
    assert "broken" not in [status for _, status, _ in told(with_file(path, check))]


def test_an_export_is_of_one_hub_and_leaves_nothing_beside_it(url: str, tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    exported(url, tmp_path / "log.jsonl")
    assert {path.name for path in tmp_path.iterdir()} - before == {"log.jsonl"}
