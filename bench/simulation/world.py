"""The physical model: readers, items, staff and courier, event by event in true time.

It keeps the truth as it goes (``truth``) and lets the edges write down what their machines see (``edges``). Who borrows and when does
not depend on clocks or networks: those have chances of their own, so that one world can be told over any of them.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.simulation.edges import Edge, Row
from bench.simulation.plan import DAY, HOUR, MINUTE, SECOND, START, Plan
from bench.simulation.shelves import Shelves
from bench.simulation.truth import TrueItem, TrueVisit, Truth
from bench.simulation.wire import arrivals
from consortium.events import ITEM_KINDS, Event, Kind

HUB = "hub"
"""Where the hub's own acts take place; its nodes are ``hub-…``."""


@dataclass(slots=True)
class Told:
    """One world's end: the truth, the rows in order of arrival, and when it ended."""

    plan: Plan
    seed: int
    truth: Truth
    arrived: list[Row]
    end: int


@dataclass(slots=True)
class Reader:
    """A reader: id, own library and the branch it mostly goes to."""

    who: str
    home: str
    branch: str


@dataclass(slots=True)
class Wish:
    """A hold: who waits for an item, and where it is to be fetched."""

    hold: str
    reader: Reader
    pickup: str


@dataclass
class World:
    """Time, chance, places and the writing down; what people do stands in ``people`` and ``courier``."""

    plan: Plan
    seed: int
    truth: Truth = field(default_factory=Truth)
    now: int = START

    def __post_init__(self) -> None:
        plan = self.plan
        self.chance = random.Random(f"world {self.seed}")
        self.branches = [f"{990001 + 10 * plan.region + n // 2}-{1 + n % 2:02d}" for n in range(plan.branches)]
        self.edges = {
            branch: Edge(branch, f"edge-{branch}", random.Random(f"clock {self.seed} {branch}"), plan.unc_ms)
            for branch in self.branches
        }
        # The hub's own clock is the measure of all others.
        self.edges[HUB] = Edge(self.branches[0], f"hub-{1 + plan.region}", random.Random(f"clock {self.seed} hub"), 0)
        self.readers = []
        for _ in range(plan.readers):
            branch = self.chance.choice(self.branches)
            self.readers.append(Reader(f"{self.chance.getrandbits(128):032x}", branch.split("-")[0], branch))
        self.shelves = Shelves(self.branches, plan.items, self.chance)
        for n in range(plan.items):
            branch = self.chance.choice(self.branches)
            item = TrueItem(n, branch.split("-")[0], f"{100_000 + n}", branch, f"at:{branch}")
            self.truth.items.append(item)
            self.shelves.put(item, branch)
        self.wishes: dict[int, Wish] = {}
        self.inside: dict[tuple[str, str], TrueVisit] = {}
        self.said = 0
        self.acts = 0
        self._agenda: list[tuple[int, int, str, Callable[..., None], tuple[Any, ...]]] = []
        self._added = 0

    # --- time ---

    def later(self, wait_ms: float, branch: str, what: Callable[..., None], *about: Any) -> None:
        """Let something happen at a branch (or at the hub) after ``wait_ms``."""
        self._added += 1
        heapq.heappush(self._agenda, (self.now + max(1, round(wait_ms)), self._added, branch, what, about))

    def mean(self, ms: float) -> float:
        """A waiting time of that mean."""
        return self.chance.expovariate(1 / ms)

    def happens(self, share: float) -> bool:
        """Whether something that happens in this share of cases happens now."""
        return self.chance.random() < share

    def run(self) -> None:
        """Let it happen until enough is said. Where a branch's edge is down, people wait."""
        last = START + self.plan.days * DAY
        while self.said < self.plan.events and self.now < last and self._agenda:
            self.now, _, branch, what, about = heapq.heappop(self._agenda)
            down = self.edges[branch].down_until - self.now
            if down > 0:
                self.later(down + self.chance.randint(SECOND, MINUTE), branch, what, *about)
                continue
            what(branch, *about)

    # --- writing down ---

    def say(
        self,
        branch: str,
        kind: Kind,
        item: TrueItem | None,
        device: str = "kiosk1",
        who: Reader | None = None,
        /,
        **data: Any,
    ) -> int:
        """One act at a branch, written down by its edge; returns the act."""
        self.acts += 1
        if item is not None:
            data["item"] = [item.owner, item.item_no]
        event = self.edges[branch].say(kind, self.now, device, data, who.who if who else None)
        self.truth.act_of[str(event.id)] = self.acts
        self.said += kind in ITEM_KINDS
        return self.acts

    def same_act(self, event: Event, again: Event) -> None:
        """A re-issued event is the same act."""
        self.truth.act_of[str(again.id)] = self.truth.act_of[str(event.id)]

    # --- what befalls the machines ---

    def crash(self, branch: str) -> None:
        """The power goes; visits that were on no disk never were, as far as anybody will know."""
        for event in self.edges[branch].crash(self.now):
            act = self.truth.act_of.pop(str(event.id))
            self.truth.visits = [visit for visit in self.truth.visits if visit.entered != act]
            for visit in self.truth.visits:
                if visit.ended == act:
                    visit.ended = None
                    self.inside[visit.who, visit.branch] = visit
            self.inside = {key: visit for key, visit in self.inside.items() if visit.entered != act}

    def new_epoch(self, branch: str) -> None:
        """The outbox's tail is issued again under a new epoch."""
        self.edges[branch].begin_epoch(self.now, self.same_act)

    def now_and_then(self, branch: str, per_day: float, what: Callable[[str], None]) -> None:
        """Let it befall this branch so many times a day in the mean, at any time."""
        if per_day:
            self.later(self.mean(DAY / per_day), branch, self._befall, per_day, what)

    def _befall(self, branch: str, per_day: float, what: Callable[[str], None]) -> None:
        what(branch)
        self.now_and_then(branch, per_day, what)


def tell(plan: Plan, seed: int) -> Told:
    """Run one world to its end and send everything over its wires. The same seed gives the same history."""
    from bench.simulation.people import People

    world = World(plan, seed)
    People(world).begin()
    for branch in world.branches:
        world.now_and_then(branch, plan.wire.restarts_per_day, world.crash)
        world.now_and_then(branch, plan.wire.new_epochs_per_day, world.new_epoch)
    world.run()
    end = world.now + HOUR
    rows = arrivals(world.edges.values(), plan.wire, random.Random(f"wire {seed}"), end)
    return Told(plan, seed, world.truth, rows, end)
