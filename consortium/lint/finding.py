"""What the linter says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An error refuses publication; a warning is a mistake in all likelihood; a note is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Lint:
    """One finding: a stable code, the place in the source ("rules.general"), and a sentence in each language."""

    code: str
    severity: Severity
    where: str
    zh: str
    en: str

    def order(self) -> tuple[int, str, str, str]:
        """Errors first, then by code and place."""
        return list(Severity).index(self.severity), self.code, self.where, self.en


def error(code: str, where: str, zh: str, en: str) -> Lint:
    """A finding that refuses publication."""
    return Lint(code, Severity.ERROR, where, zh, en)


def warning(code: str, where: str, zh: str, en: str) -> Lint:
    """A likely mistake."""
    return Lint(code, Severity.WARNING, where, zh, en)


def note(code: str, where: str, zh: str, en: str) -> Lint:
    """Something worth knowing."""
    return Lint(code, Severity.NOTE, where, zh, en)


def some(names: Iterable[object], most: int = 4) -> str:
    """A few names of many: "a, b, c, d … (9)"."""
    listed = sorted(map(str, names))
    return ", ".join(listed) if len(listed) <= most else f"{', '.join(listed[:most])} … ({len(listed)})"
