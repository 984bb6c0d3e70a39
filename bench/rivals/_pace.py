"""How a rival's script measures: the same stretches of CPU time as ours (``bench.codec``), for programs that cannot import it."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

__all__ = ["STRETCHES", "given", "per_second", "tell"]

STRETCHES = 5


def per_second(work: Callable[[], object], messages: int, seconds: float) -> float:
    """Messages in a second of CPU time: the median of five stretches that share ``seconds``."""
    work()
    rates = []
    for _ in range(STRETCHES):
        rounds, began = 0, time.process_time()
        while (spent := time.process_time() - began) < seconds / STRETCHES:
            work()
            rounds += 1
        rates.append(rounds * messages / spent)
    return statistics.median(rates)


def given() -> dict[str, Any]:
    """The one JSON object on standard input."""
    found: dict[str, Any] = json.load(sys.stdin)
    return found


def tell(result: dict[str, Any]) -> None:
    """Print the result."""
    json.dump(result, sys.stdout)
