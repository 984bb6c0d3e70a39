"""Measured claims. Each module has ``run() -> {"runs": n, "figures": {…}, "beside": {…}, "notes": […]}`` (design §5)."""

HELPERS = frozenset({"rivals", "servers"})
"""Folders here that are no bench: what benches measure against."""
