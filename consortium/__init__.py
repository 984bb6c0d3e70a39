"""The domain of a library consortium: who, what, agreements, rules, decisions, events, refold, invariants.

Pure Python: no I/O, no clock, no randomness. Times are integers, milliseconds since 1970-01-01 UTC, named ``…_ms`` or ``t_…``;
``now`` is always an argument. Gate, kiosk, return bin, staff desk and hub evaluate these same functions.
"""
