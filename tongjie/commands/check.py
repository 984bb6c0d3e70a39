"""``tongjie check``: the invariants over a hub's event log (domain §7)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from consortium.invariants import NAMES, Finding
from consortium.invariants import check as check_invariants
from tongjie.history import HistoryError, read_history


def database_of(data: Path) -> str:
    """The database URL of a demo or hub data folder."""
    for candidate in (data / "hub" / "hub.sqlite", data / "hub.sqlite"):
        if candidate.exists():
            return f"sqlite:///{candidate}"
    raise HistoryError(
        "CHECK_NO_DATA", f"there is no hub database in {data}; give the folder of a demo or hub, or --db URL"
    )


def run_check(url: str) -> list[Finding]:
    """All findings over the database at ``url``."""
    return check_invariants(read_history(url))


def check(
    data: Annotated[Path | None, typer.Option("--data", help="Data folder of a demo or hub.")] = None,
    db: Annotated[str | None, typer.Option("--db", help="Database URL of a hub.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check the invariants I1 to I18 over a hub's log. Exit 1 and the offending events where one fails.

    Example: tongjie check --data .tongjie/demo
    """
    try:
        url = db or database_of(data or Path(".tongjie/demo"))
        findings = run_check(url)
    except HistoryError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    broken = [finding for finding in findings if finding.status == "broken"]
    if as_json:
        rows = [
            {
                "invariant": f.invariant,
                "claim": NAMES[f.invariant],
                "status": f.status,
                "checked": f.checked,
                "offending": list(f.offending),
                "note": f.note,
            }
            for f in findings
        ]
        typer.echo(json.dumps({"ok": not broken, "invariants": rows}, ensure_ascii=False))
    else:
        for finding in findings:
            detail = finding.note or f"{finding.checked} looked at"
            typer.echo(f"{finding.invariant:>4}  {finding.status:<11}  {NAMES[finding.invariant]} ({detail})")
            for event in finding.offending[:20]:
                typer.echo(f"        {event}")
    if broken:
        raise typer.Exit(1)
