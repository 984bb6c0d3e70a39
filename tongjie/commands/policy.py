"""``tongjie policy``: from the source that librarians write to the bundle that machines decide by, and back into words."""

from __future__ import annotations

import csv
import json
import re
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from consortium.agreement import Branch
from consortium.borrowing import may_borrow
from consortium.bundle import Bundle, BundleError, Policy, digest, from_json, to_json
from consortium.calendar import CalendarError, local_time
from consortium.explain import Explanation, case_of, explain_rule
from consortium.explain_agreement import describe
from consortium.facts import Assurance, BorrowFacts, CardFacts, CardStatus, Device, ItemFacts, Known, ReaderFacts
from consortium.lint import Lint, Severity, lint
from consortium.reasons import text as reason_text
from consortium.source import SourceError, read_source
from consortium.source.diff import Change, diff
from tongjie.commands import policy_keys

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, help="Policy: build it from its source, check it, read it, explain it, sign it."
)
app.add_typer(policy_keys.app)

MAX_FILE = 32_000_000
"""Bytes of a policy file or reader list at most."""

_Policy = Annotated[Path, typer.Argument(metavar="SOURCE|BUNDLE", help="A policy source (TOML) or bundle (JSON).")]
_Json = Annotated[bool, typer.Option("--json", help="JSON, for machines.")]
_Lang = Annotated[str, typer.Option("--lang", metavar="zh|en", help="Language of the text.")]


def _refuse(code: str, message: str, status: int) -> NoReturn:
    typer.echo(f"{message} [{code}]", err=True)
    raise typer.Exit(status)


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE:
            _refuse("FILE_TOO_LARGE", f"{path.name} is longer than {MAX_FILE} bytes; name a policy file", 2)
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        _refuse("FILE_UNREADABLE", f"{path.name} cannot be read ({reason}); name another file", 2)


def _load(path: Path) -> Bundle:
    """A source, a bundle, or the bundle inside a sealed one (whose seals ``verify`` looks at, not we)."""
    text = _read(path)
    try:
        if not text.lstrip().startswith("{"):
            return read_source(text)
        plain = json.loads(text)
        return from_json(plain["body"] if isinstance(plain.get("body"), str) else text)
    except (SourceError, BundleError) as error:
        _refuse(error.code, f"{path.name}: {error}", 1)
    except (ValueError, RecursionError) as error:
        _refuse("BUNDLE_INVALID", f"{path.name}: this is no JSON ({type(error).__name__})", 1)


def _policy(path: Path) -> Policy:
    bundle = _load(path)
    try:
        return Policy(bundle)
    except (BundleError, CalendarError) as error:
        _refuse(error.code, f"{path.name}: {error}", 1)


def _check_lang(lang: str) -> str:
    if lang not in ("zh", "en"):
        raise typer.BadParameter("there are zh and en", param_hint="--lang")
    return lang


def _line(found: Lint, lang: str) -> str:
    return f"{found.severity:<8} {found.code:<24} {found.where}: {found.en if lang == 'en' else found.zh}"


@app.command(epilog="Example: tongjie policy build docs/examples/consortium.toml -o bundle.json")
def build(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="The policy source, TOML.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE", help="Where the bundle goes; without: nowhere.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Build the bundle that a source means, in its one canonical text; exit 1 if it must not be published."""
    bundle = _load(source)
    errors = [one for one in lint(bundle) if one.severity is Severity.ERROR]
    if errors:
        if as_json:
            typer.echo(json.dumps({"ok": False, "findings": [asdict(one) for one in errors]}, ensure_ascii=False))
        for one in errors:
            typer.echo(_line(one, "en"), err=True)
        raise typer.Exit(1)
    text = to_json(bundle)
    if out is not None:
        try:
            out.write_text(text, "utf-8")
        except OSError as error:
            _refuse("FILE_UNWRITABLE", f"{out.name} cannot be written ({error.strerror}); name another file", 2)
    said = {"ok": True, "version": bundle.version, "digest": digest(text), "bytes": len(text.encode())}
    typer.echo(json.dumps(said) if as_json else f"version {said['version']}\ndigest  {said['digest']}")


@app.command("lint", epilog="Example: tongjie policy lint docs/examples/consortium.toml --readers readers.csv")
def lint_command(
    file: _Policy,
    readers: Annotated[
        Path | None, typer.Option("--readers", metavar="FILE.csv", help="Who there is: home,category,age,n.")
    ] = None,
    item_types: Annotated[
        str, typer.Option("--item-types", metavar="A,B,…", help="Types that items have; without: those of the rules.")
    ] = "",
    lang: _Lang = "en",
    as_json: _Json = False,
) -> None:
    """Say which rule can never match, which readers no rule covers, what contradicts itself; exit 1 if there are errors."""
    _check_lang(lang)
    bundle = _load(file)
    census = list(_census(readers)) if readers else []
    types = [one.strip() for one in item_types.split(",") if one.strip()]
    found = lint(bundle, census, item_types=types)
    wrong = any(one.severity is Severity.ERROR for one in found)
    if as_json:
        typer.echo(json.dumps({"ok": not wrong, "findings": [asdict(one) for one in found]}, ensure_ascii=False))
    else:
        for one in found:
            typer.echo(_line(one, lang))
        counts = (f"{sum(one.severity is kind for one in found)} {kind}s" for kind in Severity)
        typer.echo(", ".join(counts))
    if wrong:
        raise typer.Exit(1)


def _census(path: Path) -> Iterator[tuple[str, str, int | None, int]]:
    rows = csv.DictReader(_read(path).splitlines())
    if not {"home", "category"} <= set(rows.fieldnames or ()):
        _refuse("READERS_HEADER", f"{path.name} must begin with the line home,category,age,n", 2)
    for number, row in enumerate(rows, 2):
        age, n = (row.get("age") or "").strip(), (row.get("n") or "1").strip()
        if (
            not row["home"]
            or not row["category"]
            or not re.fullmatch(r"\d{0,3}", age)
            or not re.fullmatch(r"\d{1,9}", n)
        ):
            _refuse("READERS_ROW", f"{path.name}, line {number}: must be home,category,age or nothing,number", 2)
        yield row["home"].strip(), row["category"].strip(), int(age) if age else None, int(n)


@app.command(epilog="Example: tongjie policy show docs/examples/consortium.toml --lang en")
def show(file: _Policy, lang: _Lang = "zh", as_json: _Json = False) -> None:
    """Tell a policy's agreements in words: who, what, until when, at what price, what is seen and how long it is kept."""
    _check_lang(lang)
    bundle = _load(file)
    told = {one.key: describe(one, bundle, lang) for one in bundle.agreements}
    if as_json:
        said = {"version": bundle.version, "digest": digest(to_json(bundle)), "agreements": told}
        typer.echo(json.dumps(said, ensure_ascii=False))
        return
    counts = (
        len(bundle.libraries),
        len(bundle.branches),
        len(bundle.agreements),
        len(bundle.rules),
        len(bundle.limits),
    )
    english = "Policy version {}: {} libraries, {} branches, {} agreements, {} rules, {} limits"
    chinese = "策略第{}版:{}个成员馆、{}个分馆、{}份协议、{}条规则、{}项限额"
    typer.echo((english if lang == "en" else chinese).format(bundle.version, *counts))
    for lines in told.values():
        typer.echo("")
        typer.echo("\n".join(lines))


@app.command(
    epilog="Example: tongjie policy explain docs/examples/consortium.toml --home 251020 --category UG --item-type BOOK "
    "--owner 990001 --at 990001-01 --on 2026-11-23"
)
def explain(
    file: _Policy,
    home: Annotated[str, typer.Option("--home", metavar="ORG", help="The reader's library.")],
    category: Annotated[str, typer.Option("--category", help="The reader's category at home.")],
    item_type: Annotated[str, typer.Option("--item-type", help="Type of the item.")],
    owner: Annotated[str, typer.Option("--owner", metavar="ORG", help="The item's library.")],
    at: Annotated[str, typer.Option("--at", metavar="BRANCH", help="Where it is lent.")],
    age: Annotated[int | None, typer.Option("--age", min=0, max=150, help="The reader's age, if known.")] = None,
    on: Annotated[str | None, typer.Option("--on", metavar="DATE", help="Day, at noon there; or an instant.")] = None,
    lang: _Lang = "zh",
    as_json: _Json = False,
) -> None:
    """Say which rule gives each result of a loan, and when it would be due; exit 1 if it would be refused."""
    _check_lang(lang)
    policy = _policy(file)
    branch = _known(policy, home, owner, at)
    now = _instant(on, policy.calendar_of(at).tz)
    reader = ReaderFacts(home, category, shared=True, age=age)
    item = ItemFacts(owner, "-", item_type, f"{owner}-01")
    case, codes = case_of(policy, reader, item, at, now)
    told = explain_rule(policy, case) if case else None
    decision = may_borrow(policy, _facts(branch, reader, item, now), now, source="hub")
    due = decision.due_ms
    tz = policy.calendar_of(at).tz
    if as_json:
        said: dict[str, Any] = {
            "outcome": decision.outcome,
            "codes": decision.codes,
            "basis": decision.basis,
            "due_ms": due,
        }
        said |= _plain(told) if told else {"agreement": codes}
        typer.echo(json.dumps(said, ensure_ascii=False))
    else:
        for line in told.lines(lang) if told else ():
            typer.echo(line)
        answer = ", ".join(f"{code} {reason_text(code, lang)}" for code in decision.codes)
        typer.echo(f"{'Decision' if lang == 'en' else '判定'}: {decision.outcome} ({answer})")
        if due is not None:
            typer.echo(f"{'Due' if lang == 'en' else '应还'}: {local_time(due, tz):%Y-%m-%d %H:%M}")
    if due is None:
        raise typer.Exit(1)


def _known(policy: Policy, home: str, owner: str, at: str) -> Branch:
    for name, org in (("--home", home), ("--owner", owner)):
        if org not in policy.libraries:
            raise typer.BadParameter(f"there are {', '.join(policy.libraries)}", param_hint=name)
    if at not in policy.branches:
        raise typer.BadParameter(f"there are {', '.join(policy.branches)}", param_hint="--at")
    return policy.branches[at]


def _instant(on: str | None, tz: str) -> int:
    if on is None:
        return int(time.time() * 1000)
    zone = local_time(0, tz).tzinfo
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", on):
            moment = datetime.combine(date.fromisoformat(on), datetime.min.time().replace(hour=12), zone)
        else:
            moment = datetime.fromisoformat(on)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        return int(moment.timestamp()) * 1000
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter("give a day as 2026-11-23 or 2026-11-23T08:00:00+08:00", param_hint="--on") from error


def _facts(branch: Branch, reader: ReaderFacts, item: ItemFacts, now: int) -> BorrowFacts:
    """A reader in good standing with a good card before an item on its shelf, everything known this instant."""
    card = CardFacts(CardStatus.ACTIVE, Assurance.HIGH)
    return BorrowFacts(Device("explain", branch.id), Known(now, now, now, now, now), card, reader, item, pin=True)


def _plain(told: Explanation) -> dict[str, Any]:
    return {
        "order": told.order,
        "case": {**asdict(told.case), "agreements": sorted(told.case.agreements)},
        "rules": [asdict(step) for step in told.steps],
        "results": {one.name: {"value": one.value, "rule": one.rule_id} for one in told.values},
    }


@app.command("diff", epilog="Example: tongjie policy diff bundle-11.json docs/examples/consortium.toml")
def diff_command(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A policy source or bundle.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The one after it.")],
    as_json: _Json = False,
) -> None:
    """Say what one policy changes against another, for whom, field by field."""
    try:
        changes = diff(_load(old), _load(new))
    except SourceError as error:
        _refuse(error.code, str(error), 1)
    if as_json:
        typer.echo(json.dumps({"changes": [asdict(one) for one in changes]}, ensure_ascii=False))
        return
    for change in changes:
        for line in _told(change):
            typer.echo(line)
    typer.echo(f"{len(changes)} changes")


_SIGN = {"added": "+", "removed": "-", "changed": "~"}


def _told(change: Change) -> Iterator[str]:
    name = ".".join(filter(None, (change.section, change.name)))
    whom = f" ({change.whom})" if change.whom and change.whom != change.name else ""
    yield f"{_SIGN[change.kind]} {name}{whom}"
    for field in change.fields:
        sides = [
            json.dumps(side, ensure_ascii=False) if side is not None else "default" for side in (field.old, field.new)
        ]
        shown = sides[change.kind == "added"] if change.kind != "changed" else f"{sides[0]} → {sides[1]}"
        yield f"    {field.key or 'is'}: {shown}"
