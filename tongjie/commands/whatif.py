"""``tongjie whatif``: the decisions of a period, decided again under a draft of policy (docs/whatif.md)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from consortium.bundle import Bundle, BundleError, Policy
from consortium.calendar import CalendarError
from consortium.whatif import Step, replay
from consortium.whatif.comparison import Counts, WhatIf
from consortium.whatif.draft import MAX_DRAFT, Draft, DraftError, read_draft
from tongjie.commands.check import database_of
from tongjie.history import HistoryError
from tongjie.steps import Steps, with_database, with_export

_SAY_AFTER_S = 2.0
_DAY_MS = 86_400_000
_LAST_YEAR = 2200


class WhatIfError(Exception):
    """A question that cannot be answered; ``code`` is stable: WHATIF_SOURCE, WHATIF_DATE, WHATIF_PERIOD,
    WHATIF_POLICY, WHATIF_DRAFT."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def whatif(
    agreement: Annotated[Path, typer.Option("--agreement", help="The draft, TOML: agreements, rules, limits.")],
    begin: Annotated[str, typer.Option("--from", help="First day (2026-09-01) or instant (RFC 3339).")],
    end: Annotated[str, typer.Option("--to", help="Last day, or the instant that ends the period.")],
    data: Annotated[Path | None, typer.Option("--data", help="Data folder of a demo or hub.")] = None,
    db: Annotated[str | None, typer.Option("--db", help="Database URL of a hub.")] = None,
    log: Annotated[Path | None, typer.Option("--log", help="A log written by tongjie log export.")] = None,
    examples: Annotated[int, typer.Option("--examples", min=0, max=1_000, help="Events named of each outcome.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Replay the recorded decisions of a period under a draft agreement, and compare.

    Example: tongjie whatif --agreement draft.toml --from 2026-09-01 --to 2026-09-30
    """

    def use(source: Steps) -> dict[str, Any]:
        return _answer(source, agreement, begin, end, examples)

    try:
        answer = _of_log(use, data, db, log)
    except (WhatIfError, HistoryError, DraftError, BundleError, CalendarError) as error:
        typer.echo(f"{error} [{error.code}]", err=True)
        raise typer.Exit(2) from error
    typer.echo(json.dumps(answer, ensure_ascii=False) if as_json else "\n".join(_lines(answer)))


def _of_log(
    use: Callable[[Steps], dict[str, Any]], data: Path | None, db: str | None, log: Path | None
) -> dict[str, Any]:
    if sum(one is not None for one in (data, db, log)) > 1:
        raise WhatIfError("WHATIF_SOURCE", "give one of --data, --db and --log")
    if log is not None:
        return with_export(log, use)
    return with_database(db or database_of(data or Path(".tongjie/demo")), use)


# --- asking ------------------------------------------------------------------------------------------------------------


def _answer(source: Steps, path: Path, begin: str, end: str, examples: int) -> dict[str, Any]:
    bundles = source.bundles()
    if not bundles:
        raise WhatIfError("WHATIF_POLICY", "no policy was ever published here, so nothing was decided")
    zone = ZoneInfo(bundles[-1].libraries[0].tz) if bundles[-1].libraries else ZoneInfo("UTC")
    from_ms, to_ms = _instant(begin, zone, "--from", 0), _instant(end, zone, "--to", 1)
    if to_ms <= from_ms:
        raise WhatIfError("WHATIF_PERIOD", "the period ends before it begins: --to must not be before --from")
    draft, changed = _draft(path, bundles[-1]).in_force(from_ms, to_ms)
    policies = {bundle.version: Policy(bundle) for bundle in bundles}
    try:
        found = replay(policies, draft, _with_progress(source.between(from_ms, to_ms)), examples=examples)
    except BundleError as error:
        raise WhatIfError("WHATIF_DRAFT", f"the draft does not fit the policy of that time: {error}") from error
    return _plain(found, draft, changed, (from_ms, to_ms), zone)


def _draft(path: Path, bundle: Bundle) -> Draft:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_DRAFT + 1)
        return read_draft(raw.decode(), bundle)
    except OSError as error:
        raise WhatIfError("WHATIF_DRAFT", f"the draft {path} cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise WhatIfError("WHATIF_DRAFT", f"the draft {path} is not UTF-8 text") from error


def _instant(text: str, zone: ZoneInfo, option: str, days: int) -> int:
    """Ms UTC of a date's midnight in the consortium's zone, ``days`` later, or of an instant with its offset; from 1970 on."""
    try:
        if len(text) == len("2026-09-01"):
            day = date.fromisoformat(text) + timedelta(days=days)
            at = datetime(day.year, day.month, day.day, tzinfo=zone)
        else:
            at = datetime.fromisoformat(text)
        if at.tzinfo is not None and 1970 <= at.year < _LAST_YEAR:
            return round(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        pass
    raise WhatIfError(
        "WHATIF_DATE", f"{option} is a day (2026-09-01) or an instant with its offset (2026-09-01T08:00:00+08:00)"
    )


def _with_progress(steps: Iterator[Step]) -> Iterator[Step]:
    """The steps as they are; where it takes longer than two seconds, what was done is said every two seconds."""
    said, number = time.monotonic(), 0
    for number, step in enumerate(steps, 1):
        if number % 1_000 == 0 and time.monotonic() - said > _SAY_AFTER_S:
            said = time.monotonic()
            day = datetime.fromtimestamp(step.t / 1000, ZoneInfo("UTC")).date()
            typer.echo(f"{number} events replayed, {day} reached", err=True)
        yield step


# --- telling -----------------------------------------------------------------------------------------------------------


def _plain(
    found: WhatIf, draft: Draft, changed: tuple[str, ...], period: tuple[int, int], zone: ZoneInfo
) -> dict[str, Any]:
    due = found.due
    return {
        "from": datetime.fromtimestamp(period[0] / 1000, zone).isoformat(),
        "to": datetime.fromtimestamp(period[1] / 1000, zone).isoformat(),
        "draft": {
            "agreements": [one.key for one in draft.agreements],
            "rules": [one.id for one in draft.rules],
            "limits": [one.id for one in draft.limits],
            "put_in_force": list(changed),
        },
        "decisions": found.decisions,
        "unexplained": found.unexplained,
        "moot": found.moot,
        "total": _counts(found.total) | {"same": found.same},
        "by_function": {name: _counts(counts) for name, counts in sorted(found.by_function.items())},
        "by_code": [
            {"before": before, "after": after, "n": n}
            for (before, after), n in sorted(found.by_code.items(), key=lambda row: (-row[1], row[0]))
        ],
        "by_home_host": [
            {"home": home, "host": host, **_counts(counts)} for (home, host), counts in sorted(found.by_home_host.items())
        ],
        "by_category": [
            {"home": home, "category": category, **_counts(counts)}
            for (home, category), counts in sorted(found.by_category.items())
        ],
        "due": {
            "compared": due.compared, "earlier": due.earlier, "later": due.later, "mean_days": round(due.mean_ms / _DAY_MS, 2),
        },
        "examples": found.examples,
    }  # fmt: skip


def _counts(counts: Counts) -> dict[str, int]:
    return {
        "n": counts.n,
        "allowed_before": counts.allowed_before,
        "allowed_after": counts.allowed_after,
        "newly_allowed": counts.newly_allowed,
        "newly_refused": counts.newly_refused,
        "otherwise": counts.otherwise,
    }


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    """The answer for people."""
    draft = answer["draft"]
    named = [f"{part} {', '.join(draft[part])}" for part in ("agreements", "rules", "limits") if draft[part]]
    yield f"{answer['from']} to {answer['to']}, with {'; '.join(named)}"
    if draft["put_in_force"]:
        yield f"taken as in force from the first day, though dated later or a draft: {', '.join(draft['put_in_force'])}"
    if not answer["decisions"]:
        yield "no decision was recorded in this period"
        return
    total = answer["total"]
    yield (
        f"{answer['decisions']} decisions: {total['same']} stay, {total['newly_allowed']} newly allowed, "
        f"{total['newly_refused']} newly refused, {total['otherwise']} otherwise"
    )
    if answer["moot"]:
        yield f"{answer['moot']} would not have been asked for (nothing to renew or return, or already lent or let in)"
    if answer["unexplained"]:
        yield f"{answer['unexplained']} are not compared: their records do not give their answers (tongjie check says more)"
    due = answer["due"]
    if due["earlier"] or due["later"]:
        yield f"due dates: {due['earlier']} earlier, {due['later']} later, {due['mean_days']:+} days on average"
    moved = [
        (f"{row['before']} → {row['after']}", row["n"]) for row in answer["by_code"] if row["before"] != row["after"]
    ]
    if moved:
        yield "codes"
        yield from (f"  {codes:<44} {n:>9}" for codes, n in moved)
    heading = f"{'':<24} {'decisions':>9} {'allowed':>9} {'then':>9} {'newly yes':>9} {'newly no':>9}"
    for title, rows in (
        ("home × host", [(f"{row['home']} × {row['host']}", row) for row in answer["by_home_host"]]),
        ("reader category", [(f"{row['home']}/{row['category']}", row) for row in answer["by_category"]]),
        ("function", list(answer["by_function"].items())),
    ):
        yield f"{title:<24}{heading[24:]}"
        for name, row in rows:
            columns = (
                row["n"],
                row["allowed_before"],
                row["allowed_after"],
                row["newly_allowed"],
                row["newly_refused"],
            )
            yield f"  {name:<22} " + " ".join(f"{one:>9}" for one in columns)
    for outcome, events in answer["examples"].items():
        yield f"examples, {outcome.replace('_', ' ')}: {', '.join(events)}"
