"""The demo's people: readers at gates and kiosks, couriers between branches, drawn from a seed.

They touch devices only: a card before a cardreader, a book on a pad, a button on a kiosk. What they learn is what the machines
show them, and they count it.
"""
