"""Replay one world: ``python -m bench.simulation SEED`` says its verdict and, where something is wrong, the item's events."""

from __future__ import annotations

import sys

from bench.simulation.proof import examine, offending, small_world
from bench.simulation.table import table
from bench.simulation.world import tell


def main(words: list[str]) -> int:
    """Exit 0 where the world is as it truly was, 1 where it is not, 2 for wrong usage."""
    if len(words) != 1 or not words[0].isdigit():
        print("usage: python -m bench.simulation SEED", file=sys.stderr)
        return 2
    seed = int(words[0])
    verdict = examine(seed)
    print(table(verdict.figures))
    for fault in verdict.faults:
        print(fault)
    if verdict.faults:
        print("\n".join(offending(tell(small_world(seed), seed))))
    return 1 if verdict.faults else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
