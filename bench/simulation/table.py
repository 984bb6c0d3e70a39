"""The rules side by side, as text."""

from __future__ import annotations

from bench.simulation.measure import Figures

TITLES = {
    "refold": "event-time refold (ours)",
    "force": "arrival order, forced return",
    "force_deduped": "  … without doubles",
    "reject": "reject if open",
    "reject_deduped": "  … without doubles",
    "skip": "skip if newer",
    "skip_deduped": "  … without doubles",
    "skip_force": "skip if newer, forced return",
    "skip_force_deduped": "  … without doubles",
    "refold_clock_error": "refold, clocks ±25 % of a gap",
    "refold_clock_corrected": "  … after CLOCK_CORRECTED",
}
_COLUMNS = (
    ("missing", "missing_pct"),
    ("ghosts", "ghost_pct"),
    ("no trace", "no_trace_pct"),
    ("phantom", "phantom_pct"),
    ("holder", "wrong_holder_pct"),
    ("place", "wrong_place_pct"),
)


def table(figures: dict[str, Figures]) -> str:
    """One line a rule, per cent; loans first, then items as they stand at the end."""
    lines = [f"{'per cent':<32}" + "".join(f"{title:>10}" for title, _ in _COLUMNS)]
    for name, one in figures.items():
        share = one.share()
        lines.append(f"{TITLES.get(name, name):<32}" + "".join(f"{share[key]:>10.2f}" for _, key in _COLUMNS))
    first = next(iter(figures.values()))
    lines.append(f"{first.runs} worlds, {first.loans} true loans")
    return "\n".join(lines)
