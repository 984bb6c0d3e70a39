"""The demo: a whole consortium on one machine, as separate supervised processes."""
