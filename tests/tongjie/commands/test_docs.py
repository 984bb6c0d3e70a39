"""tongjie docs: stale pages are named, written pages are true, and what cannot be read is said in one sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from tongjie.commands.docs import ROOT, docs
from tongjie.reference import PAGES

APP = typer.Typer()
APP.command()(docs)


def run(*words: str) -> Result:
    return CliRunner().invoke(APP, [*words])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the pages."""
    copy = tmp_path / "docs"
    copy.mkdir()
    for pattern in ("*.md", "*.toml"):
        for path in (ROOT / "docs").glob(pattern):
            shutil.copy(path, copy)
    shutil.copytree(ROOT / "docs" / "reference", copy / "reference")
    return copy


@pytest.mark.parametrize("words", [(), ("--check", "--write", "docs")])
def test_check_and_write_are_two_things(words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2


def test_a_folder_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    found = run("--check", "--in", str(tmp_path / "none"))
    assert found.exit_code == 2
    assert "[DOCS_FOLDER]" in found.output


def test_a_policy_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "rules.toml").write_text("[consortium", "utf-8")
    found = run("--check", "--in", str(folder))
    assert found.exit_code == 2
    assert "rules.toml" in found.output
    assert "[DOCS_POLICY]" in found.output


def test_a_page_that_is_no_text_is_named(folder: Path) -> None:
    (folder / "rules.md").write_bytes(b"\xff\xfe")
    found = run("--check", "--in", str(folder))
    assert found.exit_code == 2
    assert "rules.md" in found.output
    assert "[DOCS_FILE]" in found.output


def test_an_example_that_cannot_be_answered_is_named(folder: Path) -> None:
    page = folder / "rules.md"
    page.write_text(page.read_text("utf-8").replace('ask = "may_enter"', 'ask = "may_fly"', 1), "utf-8")
    found = run("--check", "--in", str(folder))
    assert found.exit_code == 2
    assert "example enter" in found.output
    assert "[DOCS_EXAMPLE]" in found.output


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_generated_page_that_was_changed_or_lost_is_stale(folder: Path, name: str) -> None:
    with (folder / name).open("a", encoding="utf-8") as page:
        page.write("One more line.\n")
    found = run("--check", "--in", str(folder))
    assert (found.exit_code, name in found.output) == (1, True)
    (folder / name).unlink()
    assert run("--check", "--in", str(folder)).exit_code == 1


def test_an_answer_that_is_not_the_program_s_is_stale_and_put_right(folder: Path) -> None:
    page = folder / "rules.zh.md"
    true = page.read_text("utf-8")
    page.write_text(true.replace("DENY LIMIT_LENDER", "ALLOW OK"), "utf-8")
    assert run("--check", "--in", str(folder)).output.startswith("rules.zh.md is stale")
    assert run("--write", str(folder)).output == "rules.zh.md written\n"
    assert page.read_text("utf-8") == true
    assert run("--check", "--in", str(folder)).exit_code == 0


def test_an_empty_folder_gets_every_generated_page(tmp_path: Path) -> None:
    assert run("--write", str(tmp_path)).exit_code == 0
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.md")} == {*PAGES}


def test_the_pages_of_this_repository_say_what_the_program_does() -> None:
    found = run("--check")
    assert found.exit_code == 0, found.output
