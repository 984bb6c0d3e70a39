"""The policy source: TOML that a librarian reads and writes, and the bundle it means (docs/policy.md)."""

from __future__ import annotations

from consortium.source.reading import read_source, source_tree, write_source
from consortium.source.record import SourceError

__all__ = ["SourceError", "read_source", "source_tree", "write_source"]
