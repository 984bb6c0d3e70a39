"""Answers to edges: the consortium's own functions over the hub's fresh facts."""
