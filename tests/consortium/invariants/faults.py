"""What the tests of broken histories share: faults that more than one of them uses, and what the checker says of a fault."""

from __future__ import annotations

from collections.abc import Callable

from consortium.events import Kind
from consortium.invariants import Charge, Finding, History
from tests.consortium.invariants.world import World, broken, with_charges, world
from tests.make import DAY, HOME, HOST, HOUR, NOW, THIRD

Spoil = Callable[[World, History], str]
"""Spoils a history; gives the name or id of what offends."""

Write = Callable[[World], str]
"""Writes something wrong from the start; gives the name or id of what offends."""


def caught(invariant: str, spoil: Spoil) -> tuple[Finding, str]:
    """What the checker finds against the invariant in a history spoiled so, and the offender that it is to name."""
    made = world()
    history = with_charges(made, made.history())
    name = spoil(made, history)
    return broken(history)[invariant], made.names.get(name, name)


def charge(made: World, history: History, *rows: tuple[str, str, int, int]) -> None:
    """Put these in place of the charges: loan, event, fen, and how many rows after the event it was booked."""
    history.charges = [
        Charge(made.names.get(loan, loan), made.names[event], amount, 1 + made.events.index(made.event(event)) + later)
        for loan, event, amount, later in rows
    ]


def another_way(made: World) -> str:
    """An item that was to go home is shelved where it was handed in."""
    made.change("back", data={"route": {"action": "SHELVE", "dest": f"{THIRD}-01"}})
    return "back"


def renewed_too_often(made: World) -> str:
    """Two renewals more than the terms give; the fold makes a conflict of the last."""
    due = made.event("renewed").data["due"]
    for number in range(2):
        at = NOW + (10 + number) * DAY + HOUR
        name = made.add(Kind.RENEW, at, who="r1", item=(HOST, "1001"), data={"home": HOME, "due": due})
    return name
