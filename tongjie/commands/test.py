"""``tongjie test``: format, lint, types, import rules, tests: what CI runs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).resolve().parents[2]

_STEPS = (
    ("format", ["ruff", "format", "--check", "."]),
    ("lint", ["ruff", "check", "."]),
    ("types", ["mypy"]),
    ("imports", ["lint-imports"]),
)


def test(
    proof: Annotated[bool, typer.Option("--proof", help="Run the long proofs instead of the ordinary tests.")] = False,
    only: Annotated[str, typer.Option("--only", help="Only the tests below this path.")] = "tests",
) -> None:
    """Run lint, types, import rules and tests. Example: tongjie test --only tests/consortium"""
    if not (ROOT / only.split("::", 1)[0]).exists():
        typer.echo(f"there are no tests in {only}; give --only a path such as tests/consortium", err=True)
        raise typer.Exit(2)
    markers = "proof" if proof else "not proof"
    tests = ("tests", ["pytest", "-m", markers, "-n", "2", "--dist", "loadfile", only])
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        os.environ["TONGJIE_PROOF_REPORT"] = str(
            report
        )  # what a proof measured: the test runner shows no output of what passes
        failed = run_steps(Path(sys.executable).parent, (*_STEPS, tests))
        if report.exists():
            typer.echo(report.read_text(encoding="utf-8"))
    if failed:
        typer.echo(f"failed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


def run_steps(tools: Path, steps: Sequence[tuple[str, list[str]]]) -> list[str]:
    """Run every (name, words) with programs from ``tools``, also after one that failed; returns the names that failed."""
    failed: list[str] = []
    for name, words in steps:
        started = time.monotonic()
        typer.echo(f"── {name}: {' '.join(words)}")
        sys.stdout.flush()  # what the program prints comes after the line above, also into a file
        try:
            status = subprocess.run([str(tools / words[0]), *words[1:]], cwd=ROOT, check=False).returncode
        except OSError as error:
            typer.echo(f"{words[0]} cannot be run ({error.strerror}); use ./run test, which installs it", err=True)
            status = 1
        typer.echo(f"── {name}: {'FAILED' if status else 'ok'} in {time.monotonic() - started:.0f} s")
        if status:
            failed.append(name)
    return failed
