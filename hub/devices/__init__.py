"""Branches and their machines as the hub last heard of them."""
