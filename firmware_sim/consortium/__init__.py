"""The demo consortium as data: one real library and two invented partners, their agreements, readers and items.

Plain lists and dicts only, as ``hub.load`` reads them. Everything is drawn from a seed, so that one seed is one consortium.
"""

from firmware_sim.consortium.build import BRANCHES, LIBRARIES, build

__all__ = ["BRANCHES", "LIBRARIES", "build"]
