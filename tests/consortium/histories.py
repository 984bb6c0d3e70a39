"""Histories for the tests of the folds: told one event after the other, or any at all."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from consortium.events import Kind
from consortium.fold import Logged, fold_item
from consortium.states import ItemHistory
from tests.make import DAY, HOME, HOST, HOUR, NOW, THIRD, Make

MINUTE = 60_000
HERE, NEXT, AWAY, FAR = f"{HOST}-01", f"{HOST}-02", f"{THIRD}-01", f"{HOME}-01"
"""The item's own branch, a second one of its owner, one of a third library, one of the reader's home."""

ITEM = (HOST, "1001", HERE)


def fold(events: Iterable[Logged]) -> ItemHistory:
    return fold_item(*ITEM, events)


def route(action: str = "SHELVE", dest: str = HERE, **more: Any) -> dict[str, Any]:
    return {"action": action, "dest": dest, "reason": "HOME", **more}


class Story:
    """A history told in order: each event a minute after the one before unless told otherwise."""

    def __init__(self) -> None:
        self.events: list[Logged] = []
        self.now = NOW

    def then(
        self, kind: Kind, who: str | None = None, *, after: int = MINUTE, branch: str = HERE, device: str = "kiosk1",
        unknown: bool = False, unc: int = 50, **data: Any,
    ) -> Story:  # fmt: skip
        self.now += after
        seq = len(self.events) + 1
        event = Make.event(
            kind, seq, at=self.now, node=f"edge-{branch}", branch=branch, device=device, t_unc=unc, data=data
        )
        self.events.append(Logged(event, who, unknown))
        return self

    def fold(self) -> ItemHistory:
        return fold(self.events)

    @property
    def last(self) -> str:
        """The id of the event told last."""
        return self.events[-1].event.name


def lent(who: str = "r1", **data: Any) -> Story:
    return Story().then(Kind.CHECKOUT, who, **data)


def travelling(to: str = HERE, branch: str = AWAY, **more: Any) -> Story:
    """Lent here, handed in away, on its way."""
    return lent().then(Kind.RETURN, branch=branch, route=route("TRANSIT", to, **more))


_KINDS = (
    [Kind.CHECKOUT] * 5 + [Kind.RETURN] * 5 + [Kind.RECEIVE] * 3 + [Kind.RENEW, Kind.TRANSIT_SENT, Kind.ITEM_MARKED] * 2
    + [Kind.IN_USE, Kind.TRANSIT_BAGGED, Kind.TRANSIT_SEEN, Kind.TRANSIT_CANCELLED]
    + [Kind.LOAN_ENDED, Kind.LOAN_EXTENDED] + [Kind.ILS_OBSERVED] * 2
)  # fmt: skip
_HOLDS = [Kind.HOLD_PLACED] * 4 + [Kind.HOLD_CANCELLED, Kind.HOLD_EXPIRED]
_BRANCHES = (HERE, NEXT, AWAY, FAR)
_SCALES = (1, 30_000, HOUR, DAY)


_TRANSITS = [
    Kind.RETURN, Kind.TRANSIT_BAGGED, Kind.TRANSIT_SENT, Kind.TRANSIT_SEEN, Kind.TRANSIT_SEEN, Kind.TRANSIT_CANCELLED,
    Kind.TRANSIT_SEEN, Kind.CHECKOUT, Kind.ITEM_MARKED,
]  # fmt: skip
_MARKS = [
    Kind.CHECKOUT,
    Kind.CHECKOUT,
    Kind.RENEW,
    Kind.RETURN,
    *[Kind.ITEM_MARKED] * 3,
    Kind.LOAN_ENDED,
    *[Kind.ILS_OBSERVED] * 2,
    Kind.IN_USE,
]


def any_history(rng: random.Random, longest: int = 14, *, holds: bool = False) -> list[Logged]:
    """Any item events of four branches: clocks may tie, readers may be erased or unknown; some re-issued, some ids claimed twice."""
    scale = rng.choice(_SCALES)
    kinds = _KINDS + _HOLDS * 2 if holds else rng.choice((_KINDS, _TRANSITS, _TRANSITS, _MARKS))
    events = [_any_event(rng, rng.choice(kinds), seq, scale) for seq in range(1, rng.randint(1, longest) + 1)]
    for logged in rng.sample(events, len(events) // 4):
        chance = rng.random()
        event = logged.event
        if chance < 0.3:  # the tail re-issued under a new epoch, perhaps without the first having come
            again = replace(event, epoch="e2", seq=event.seq + 100, reissue_of=event.name)
            events.append(replace(logged, event=again))
            if rng.random() < 0.5:
                events.remove(logged)
            if rng.random() < 0.3:
                events.append(replace(logged, event=replace(again, t_eff=again.t_eff + scale)))
        elif chance < 0.5:
            events.append(replace(logged, event=replace(event, t_eff=event.t_eff + rng.choice((-1, 1)) * scale)))
    return events


def _any_event(rng: random.Random, kind: Kind, seq: int, scale: int) -> Logged:
    branch = rng.choice(_BRANCHES)
    at = NOW + rng.randrange(0, 30) * scale
    who = rng.choice(("r1", "r1", "r2", None))
    return Make.logged(
        kind, seq, who, at=at, node=f"edge-{branch}", branch=branch, device=rng.choice(("kiosk1", "kiosk2")),
        subject=rng.choice("ab") * 64, data=_any_data(rng, kind, at),
    )  # fmt: skip


def _any_data(rng: random.Random, kind: Kind, at: int) -> dict[str, Any]:
    dest = rng.choice(_BRANCHES)
    if kind is Kind.CHECKOUT:
        terms = {"renewals": rng.randint(0, 2), "renew_window_days": rng.choice((0, 3)), "grace_days": 1}
        return {"due": at + rng.choice((1, 30)) * DAY, "terms": rng.choice(({}, terms))}
    if kind in (Kind.RETURN, Kind.RECEIVE):
        actions = ("SHELVE", "TRANSIT", "TRANSIT", "HOLD", "STAY", "DESK", "HOLD_HERE")
        return {
            "route": route(rng.choice(actions), dest, hold_id=rng.choice(("h1", "h2", None)), via=rng.choice(_BRANCHES))
        }
    if kind in (Kind.TRANSIT_SENT, Kind.TRANSIT_BAGGED):
        return {"to": dest, "bag": rng.choice(("b1", "b2"))}
    if kind is Kind.ITEM_MARKED:
        return {"mark": rng.choice(("MISSING", "LOST", "CLAIMED_RETURNED", "WITHDRAWN", "FOUND", "DAMAGED"))}
    if kind is Kind.LOAN_ENDED:
        return {"end": rng.choice(("LOST_PAID", "STAFF"))}
    if kind is Kind.LOAN_EXTENDED:
        return {"due": at + rng.choice((0, 90)) * DAY}
    if kind is Kind.ILS_OBSERVED:
        what = rng.choice(("LOAN", "LOAN", "RENEWAL", "RETURN", "ITEM", "ITEM", "FEE", "BOOKED", "REFUSED", "DIFFERS"))
        return {"what": what, "due": at + DAY, "status": rng.choice(("MISSING", "LOST", "WITHDRAWN", "FINE"))}
    if kind in (Kind.HOLD_PLACED, Kind.HOLD_CANCELLED, Kind.HOLD_EXPIRED):
        return {"hold": rng.choice(("h1", "h2"))}
    return {}


def any_visits(rng: random.Random, longest: int = 10) -> list[Logged]:
    """Any ENTRY, EXIT and VISIT_CLOSED of one reader at one branch."""
    events: list[Logged] = []
    for seq in range(1, rng.randint(1, longest) + 1):
        kind = rng.choice((Kind.ENTRY, Kind.ENTRY, Kind.EXIT, Kind.VISIT_CLOSED))
        data = {"visit": f"edge-990001-01/e1/{rng.randint(1, seq)}"} if kind is Kind.VISIT_CLOSED else {}
        events.append(Make.logged(kind, seq, at=NOW + rng.randrange(0, 20) * MINUTE, data=data))
    return events


def shuffled(events: list[Logged], rng: random.Random) -> list[Logged]:
    """The same events in another order, half of them twice."""
    out = [*events, *rng.sample(events, len(events) // 2)]
    rng.shuffle(out)
    return out


seeds = st.integers(0, 2**32).map(random.Random)
"""A source of histories: quicker to draw than their events one by one; a failing seed is printed and can be told again."""
