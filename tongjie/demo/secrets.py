"""Files that hold secrets."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["secret_file"]


def secret_file(path: Path, text: str) -> None:
    """Write a file that its owner alone may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(descriptor, 0o600)  # a file that was there before keeps its mode
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
