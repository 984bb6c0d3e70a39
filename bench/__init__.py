"""Measured claims. Each module has ``run() -> {"runs": n, "figures": {…}, "beside": {…}, "notes": […]}`` (design §5)."""
