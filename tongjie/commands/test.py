"""``tongjie test``: format, lint, types, import rules, tests: what CI runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
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
    tools = Path(sys.executable).parent
    failed: list[str] = []
    steps = list(_STEPS)
    markers = "proof" if proof else "not proof"
    steps.append(("tests", ["pytest", "-m", markers, "-n", "2", "--dist", "loadfile", only]))
    for name, words in steps:
        started = time.monotonic()
        typer.echo(f"── {name}: {' '.join(words)}")
        done = subprocess.run([str(tools / words[0]), *words[1:]], cwd=ROOT, env=os.environ, check=False)
        typer.echo(f"── {name}: {'ok' if done.returncode == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s")
        if done.returncode:
            failed.append(name)
    if failed:
        typer.echo(f"failed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)
