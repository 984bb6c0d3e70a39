"""The committed corpus: one file a target, an input a line in hex.

What is kept is minimised: shortest inputs first, each takes a step from line to line of the protocols' code as none before it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType

import protocols

__all__ = ["FOLDER", "inputs", "keep", "minimised"]

FOLDER = Path(__file__).parent / "corpus"
_CODE = str(Path(protocols.__path__[0]))


def inputs(target: str) -> list[bytes]:
    """The corpus of a target; empty where none was kept yet."""
    if not (FOLDER / f"{target}.hex").exists():
        return []
    return [bytes.fromhex(line) for line in (FOLDER / f"{target}.hex").read_text("ascii").split()]


def keep(target: str, found: list[bytes]) -> None:
    """Write the corpus of a target, shortest first."""
    FOLDER.mkdir(exist_ok=True)
    lines = [one.hex() for one in sorted(set(found), key=lambda one: (len(one), one)) if one]
    (FOLDER / f"{target}.hex").write_text("".join(f"{line}\n" for line in lines), "ascii")


def minimised(run: Callable[[bytes], None], found: Iterable[bytes]) -> list[bytes]:
    """Those inputs that take new ways through the code, shortest first."""
    kept: list[bytes] = []
    ways: set[tuple[str, int, int]] = set()
    for one in sorted(set(found), key=lambda one: (len(one), one)):
        new = _ways(run, one) - ways
        if new:
            ways |= new
            kept.append(one)
    return kept


def _ways(run: Callable[[bytes], None], one: bytes) -> set[tuple[str, int, int]]:
    """The steps (file, line before, line) in the protocols that an input takes, and where it makes them often."""
    steps: Counter[tuple[str, int, int]] = Counter()

    def follow(frame: FrameType, event: str, argument: object) -> Callable[..., object] | None:
        name = frame.f_code.co_filename
        if not name.startswith(_CODE):
            return None
        before = frame.f_lineno

        def step(frame: FrameType, event: str, argument: object) -> Callable[..., object]:
            nonlocal before
            steps[name, before, frame.f_lineno] += 1
            before = frame.f_lineno
            return step

        return step

    sys.settrace(follow)
    try:
        run(one)
    finally:
        sys.settrace(None)
    # Once, twice, a few and many times are different ways, as libFuzzer counts them.
    return {(f"{name} {min(times.bit_length(), 4)}", first, then) for (name, first, then), times in steps.items()}
