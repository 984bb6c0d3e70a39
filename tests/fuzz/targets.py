"""Everything that is fuzzed, by name. A new family is one line here: a `Target` of its own, or `decoder(decode, errors, encode)`."""

from __future__ import annotations

from tests.fuzz import cards, frames, gates, sip2, tags
from tests.fuzz.target import Target

__all__ = ["TARGETS"]

TARGETS: dict[str, Target] = {
    **sip2.TARGETS,
    **tags.TARGETS,
    **frames.TARGETS,
    **cards.TARGETS,
    **gates.TARGETS,
}
"""By name."""
