"""``tongjie check``: the invariants over a hub's event log (domain §7)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from consortium.invariants import NAMES, Finding
from consortium.invariants import check as check_invariants
from tongjie.history import HistoryError, with_file, with_log

_MOST_SHOWN = 20
_DEMO = Path(".tongjie/demo")


def database_of(data: Path) -> str:
    """The database URL of a demo or hub data folder."""
    for candidate in (data / "hub" / "hub.sqlite", data / "hub.sqlite"):
        if candidate.exists():
            return f"sqlite:///{candidate}"
    raise HistoryError(
        "CHECK_NO_DATA", f"there is no hub database in {data}; give the folder of a demo or hub, or --db URL"
    )


def run_check(url: str) -> list[Finding]:
    """All findings over the database at ``url``. Raises HistoryError."""
    return with_log(url, check_invariants)


def check(
    data: Annotated[Path | None, typer.Option("--data", help="Data folder of a demo or hub.")] = None,
    db: Annotated[str | None, typer.Option("--db", help="Database URL of a hub.")] = None,
    log: Annotated[Path | None, typer.Option("--log", help="Log export, see: tongjie log export.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check the invariants I1 to I18 over a hub's log. Exit 1 and the offending events where one fails.

    Example: tongjie check --data .tongjie/demo
    """
    if sum(one is not None for one in (data, db, log)) > 1:
        raise typer.BadParameter("give one of --data, --db and --log")
    try:
        findings = with_file(log, check_invariants) if log else run_check(db or database_of(data or _DEMO))
    except HistoryError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    broken = any(finding.status == "broken" for finding in findings)
    if as_json:
        rows = [_row(finding) for finding in findings]
        typer.echo(json.dumps({"ok": not broken, "invariants": rows}, ensure_ascii=False))
    else:
        for finding in findings:
            _show(finding)
    if broken:
        raise typer.Exit(1)


def _row(finding: Finding) -> dict[str, object]:
    return {
        "invariant": finding.invariant,
        "claim": NAMES[finding.invariant],
        "status": finding.status,
        "checked": finding.checked,
        "offending": list(finding.offending),
        "why": list(finding.why),
        "total": finding.total,
        "note": finding.note,
    }


def _show(finding: Finding) -> None:
    if finding.status == "broken":
        detail = f"{finding.total} of {finding.checked} looked at"
    else:
        detail = finding.note or f"{finding.checked} looked at"
    typer.echo(f"{finding.invariant:>4}  {finding.status:<11}  {NAMES[finding.invariant]} ({detail})")
    for what, why in list(zip(finding.offending, finding.why, strict=True))[:_MOST_SHOWN]:
        typer.echo(f"        {what}: {why}")
    if finding.total > _MOST_SHOWN:
        typer.echo(f"        and {finding.total - _MOST_SHOWN} more")
