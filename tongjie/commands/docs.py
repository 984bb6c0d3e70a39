"""``tongjie docs``: the pages of docs/ that the program writes, and the answers of the worked examples in the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from consortium.bundle import BundleError, Policy
from consortium.source import SourceError, read_source
from tongjie.reference import PAGES
from tongjie.reference.examples import answered
from tongjie.reference.words import AnswerError

ROOT = Path(__file__).resolve().parents[2]
POLICY = "rules.toml"
"""The policy of the worked examples, in the folder of the pages."""


class DocsError(Exception):
    """Pages that cannot be read or written; ``code`` is stable: DOCS_FOLDER, DOCS_POLICY, DOCS_EXAMPLE, DOCS_FILE."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def pages(folder: Path) -> dict[Path, str]:
    """Every page below ``folder`` that the program writes or answers, with the text it should have. Raises DocsError."""
    if not folder.is_dir():
        raise DocsError("DOCS_FOLDER", f"there is no folder {folder}; name the folder of the pages")
    found = {folder / name: page() for name, page in PAGES.items()}
    return found | dict(_worked(folder))


def stale(folder: Path) -> list[str]:
    """Pages below ``folder`` whose text is not what the program says now, by name. Raises DocsError."""
    return [
        path.relative_to(folder).as_posix()
        for path, text in pages(folder).items()
        if not path.is_file() or _read(path) != text
    ]


def write(folder: Path) -> list[str]:
    """Bring the pages below ``folder`` up to date; returns the names of those that changed. Raises DocsError."""
    texts = pages(folder)
    changed = stale(folder)
    for name in changed:
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[path], "utf-8")
        except OSError as error:
            raise DocsError("DOCS_FILE", f"{name} cannot be written ({error.strerror})") from error
    return changed


def _worked(folder: Path) -> Iterator[tuple[Path, str]]:
    """The pages with worked examples, answered; a page in Chinese is called NAME.zh.md."""
    policy: Policy | None = None
    for path in sorted(folder.glob("*.md")):
        text = _read(path)
        if "```toml example=" not in text:
            continue
        policy = policy or _policy(folder / POLICY)
        try:
            yield path, answered(text, policy, "zh" if path.name.endswith(".zh.md") else "en")
        except (AnswerError, ValueError) as error:
            raise DocsError("DOCS_EXAMPLE", f"{path.name}, {error}") from error


def _policy(path: Path) -> Policy:
    try:
        return Policy(read_source(_read(path)))
    except (SourceError, BundleError) as error:
        raise DocsError("DOCS_POLICY", f"{path.name}: {error}") from error


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise DocsError("DOCS_FILE", f"{path.name} cannot be read ({reason})") from error


def docs(
    check: Annotated[
        bool, typer.Option("--check", help="Say which pages are stale; exit 1 where there are any.")
    ] = False,
    write_to: Annotated[
        Path | None, typer.Option("--write", metavar="DIR", help="Bring the pages below DIR up to date.")
    ] = None,
    folder: Annotated[Path, typer.Option("--in", metavar="DIR", help="Where --check looks.")] = ROOT / "docs",
) -> None:
    """Write the generated pages and the answers of the worked examples, or check that they are true.

    Example: tongjie docs --check
    """
    if check == (write_to is not None):
        raise typer.BadParameter("give --check or --write DIR")
    try:
        names = stale(folder) if write_to is None else write(write_to)
    except DocsError as error:
        typer.echo(f"{error} [{error.code}]", err=True)
        raise typer.Exit(2) from error
    for name in names:
        typer.echo(f"{name} is stale; run: tongjie docs --write docs" if check else f"{name} written")
    if check and names:
        raise typer.Exit(1)
    if not names:
        typer.echo("every page says what the program does")
