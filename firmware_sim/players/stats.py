"""What the players saw, written to a file now and then: the outside view of a demo run."""

from __future__ import annotations

import json
import os
from collections import Counter, deque
from pathlib import Path
from typing import Any


def quantiles(samples: list[float]) -> dict[str, float | int]:
    """n, p50, p99 and max of samples in ms."""
    if not samples:
        return {"n": 0, "p50": 0.0, "p99": 0.0, "max": 0.0}
    ordered = sorted(samples)
    p50, p99 = (ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99))
    return {"n": len(ordered), "p50": round(p50, 3), "p99": round(p99, 3), "max": round(ordered[-1], 3)}


class Stats:
    """Counts and samples; ``surprises`` are answers other than the expected one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.counts: Counter[str] = Counter()
        self.denied: Counter[str] = Counter()
        self.surprises: deque[str] = deque(maxlen=50)
        self.tap_ms: deque[float] = deque(maxlen=20_000)
        self.checkout_ms: deque[float] = deque(maxlen=20_000)

    def as_dict(self) -> dict[str, Any]:
        """Everything seen so far."""
        return {
            "counts": dict(self.counts),
            "denied": dict(self.denied),
            "surprises": list(self.surprises),
            "tap_at_gate_ms": quantiles(list(self.tap_ms)),
            "kiosk_checkout_ms": quantiles(list(self.checkout_ms)),
        }

    def save(self) -> None:
        """Write the file whole: a reader of it never sees half."""
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(self.as_dict(), ensure_ascii=False), "utf-8")
        os.replace(draft, self._path)
