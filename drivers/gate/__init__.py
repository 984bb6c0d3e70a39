"""Drivers of gates and doors: what lets people in."""
