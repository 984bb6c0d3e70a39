"""``tongjie log``: a hub's event log as a file, to be checked or studied elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from tongjie.commands.check import database_of
from tongjie.history import HistoryError, with_connection
from tongjie.logfile import LogFileError
from tongjie.logfile import export as export_log

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
_QUIET_S = 2.0


@app.callback()
def _log() -> None:
    """A hub's event log as a file."""


@app.command("export")
def export(
    output: Annotated[Path, typer.Option("-o", "--output", help="New file; gzipped where it ends in .gz.")],
    data: Annotated[Path | None, typer.Option("--data", help="Data folder of a demo or hub.")] = None,
    db: Annotated[str | None, typer.Option("--db", help="Database URL of a hub.")] = None,
    with_identity: Annotated[
        bool, typer.Option("--with-identity", help="Keep reader ids and identities; the file is yours alone to read.")
    ] = False,
) -> None:
    """Write a hub's log and projections as JSON lines. Readers stand in it under pseudonyms that nobody can undo.

    Example: tongjie log export --data .tongjie/demo -o log.jsonl.gz
    """
    if data is not None and db is not None:
        raise typer.BadParameter("give one of --data and --db")
    try:
        url = db or database_of(data or Path(".tongjie/demo"))
        lines = with_connection(
            url,
            lambda connection: export_log(connection, output, with_identity=with_identity, told=progress("written")),
        )
    except (HistoryError, LogFileError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{output}: {lines} lines")


def progress(done: str) -> Callable[[int], None]:
    """Says on a terminal, every two seconds, how many lines are done; silent where nobody watches."""
    last = time.monotonic()

    def told(lines: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _QUIET_S and sys.stderr.isatty():
            last = time.monotonic()
            typer.echo(f"{lines} lines {done}", err=True)

    return told
