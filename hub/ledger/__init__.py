"""The ledger: the event log, and everything folded from it."""
