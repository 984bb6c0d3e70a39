"""Mutants that no test can notice, because they say the same: each with the reason. (module, what it said, what it says)."""

from __future__ import annotations

EQUIVALENT: dict[tuple[str, str, str], str] = {}
