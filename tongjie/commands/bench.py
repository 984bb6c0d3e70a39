"""``tongjie bench NAME``: measured claims, each with the limit or rival of the same run beside it (design §5)."""

from __future__ import annotations

import importlib
import json
import pkgutil
from typing import Annotated

import typer

import bench as _benches


def names() -> list[str]:
    """The benches that exist."""
    found = {m.name for m in pkgutil.iter_modules(_benches.__path__) if not m.name.startswith("_")}
    return sorted(found - _benches.HELPERS)


def bench(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(names())}.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Measure one claim and print it beside its limit. Example: tongjie bench tap --json"""
    if name not in names():
        typer.echo(f"there is no bench {name!r}; there are: {', '.join(names())}", err=True)
        raise typer.Exit(2)
    if not as_json:
        typer.echo(f"measuring {name}; this can take some minutes", err=True)
    result = importlib.import_module(f"bench.{name}").run()
    result = {"name": name, **result}
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
        return
    typer.echo(f"{name}: {result.get('runs', 1)} run(s)")
    for title in ("figures", "beside"):
        typer.echo(title)
        for key, value in result.get(title, {}).items():
            typer.echo(f"  {key:<32} {value}")
    for note in result.get("notes", []):
        typer.echo(f"note: {note}")
