"""The facts of a decision as recorded with it, and back: what makes a decision re-derivable (I8).

Defaults are left out, so that a record stays small; device and as-of times stand in the event and the decision already.
"""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import Any

import msgspec

from consortium.decision import Decision
from consortium.facts import BorrowFacts, EnterFacts, Known, RenewFacts, ReturnFacts

Facts = EnterFacts | BorrowFacts | RenewFacts | ReturnFacts
"""What a decision can be made from."""

_TYPES: dict[str, type[Facts]] = {
    "enter": EnterFacts,
    "borrow": BorrowFacts,
    "renew": RenewFacts,
    "return": ReturnFacts,
}
_ELSEWHERE = frozenset({"known"})


_SPECS: dict[type[Any], tuple[tuple[str, Any], ...] | None] = {}
"""What was found of each class of facts: there are some fifteen."""


def _specs(kind: type[Any]) -> tuple[tuple[str, Any], ...] | None:
    """The fields of a dataclass with their defaults (no default: a value that equals nothing); None for any other class."""
    if not dataclasses.is_dataclass(kind):
        return None
    return tuple((spec.name, spec.default) for spec in dataclasses.fields(kind) if spec.name not in _ELSEWHERE)


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    kind = type(value)
    if kind not in _SPECS:
        _SPECS[kind] = _specs(kind)
    specs = _SPECS[kind]
    if specs is None:
        return value
    pairs = ((name, getattr(value, name), default) for name, default in specs)
    return {name: _plain(item) for name, item, default in pairs if item != default}


def record(decision: Decision, facts: Facts, now: int) -> dict[str, Any]:
    """The decision with its facts and its instant, as it goes into an event: integers, strings, lists and objects only.

    ``k`` holds the ages of policy, cards, blocks, loans and items at that instant, ms.
    """
    out = decision.record()
    out["t"] = now
    known = decision.known
    out["k"] = [now - asof for asof in (known.policy, known.cards, known.blocks, known.loans, known.items)]
    out["facts"] = _plain(facts)
    return out


def facts_of(recorded: dict[str, Any]) -> Facts:
    """The facts a recorded decision was made from; raises msgspec.ValidationError where the record is not one."""
    known = Known(*(recorded["t"] - age for age in recorded["k"]))
    raw = dict(recorded["facts"], known=msgspec.to_builtins(known))
    return msgspec.convert(raw, type=_TYPES[recorded["f"]], strict=False)
