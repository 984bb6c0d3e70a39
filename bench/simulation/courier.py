"""Items that were handed in: to the shelf, to the hold shelf, or into the courier's box and by van to another branch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.simulation.plan import DAY, HOUR, MINUTE
from bench.simulation.truth import TrueItem
from bench.simulation.world import HUB, Wish, World
from consortium.events import Kind

if TYPE_CHECKING:
    from bench.simulation.people import People


class Courier:
    """What happens between the bin and the next shelf."""

    def __init__(self, world: World, people: People) -> None:
        self.world = world
        self.people = people

    def _route(self, item: TrueItem, branch: str) -> tuple[dict[str, str], str]:
        """Where the edge sends it, and the code the reader is shown."""
        wish = self.world.wishes.get(item.n)
        if wish is not None:
            if wish.pickup == branch:
                return {"action": "HOLD", "dest": branch, "reason": "HOLD", "hold_id": wish.hold}, "RETURN_HOLD"
            route = {"action": "TRANSIT", "dest": wish.pickup, "reason": "HOLD", "hold_id": wish.hold}
            return route, "RETURN_TRANSIT"
        if item.branch == branch:
            return {"action": "SHELVE", "dest": branch, "reason": "HOME"}, "RETURN_HOME"
        if item.n % 25 == 0:  # a floating collection
            return {"action": "STAY", "dest": branch, "reason": "FLOAT"}, "RETURN_STAY"
        return {"action": "TRANSIT", "dest": item.branch, "reason": "HOME"}, "RETURN_TRANSIT"

    def hand_in(self, branch: str, item: TrueItem, device: str, kind: Kind = Kind.RETURN, **more: object) -> None:
        """Scanned at a branch: out of its reader's name, and on its way to where the route says."""
        world = self.world
        route, code = self._route(item, branch)
        act = world.say(branch, kind, item, device, route=route, code=code, type="BOOK", **more)
        world.truth.given_back(item, act, world.now)
        if route["action"] == "TRANSIT":
            self._to_box(branch, item, route["dest"])
            return
        step = item.moved(f"at:{branch}", scanned=True)
        if route["action"] == "HOLD":
            wish = world.wishes[item.n]
            if world.happens(world.plan.habits.collects):
                world.later(world.chance.randint(2, 48) * HOUR, branch, self.collect, item, step, wish)
            else:
                world.later(3 * DAY, HUB, self.expire, branch, item, step, wish)
        else:
            world.shelves.put(item, branch)

    def scan_where_it_lies(self, branch: str, item: TrueItem, step: int) -> None:
        """The same item in the same bin once more: nothing has moved."""
        if item.step == step and item.loan is None and item.scanned:
            route, code = self._route(item, branch)
            self.world.say(branch, Kind.RETURN, item, "bin1", route=route, code=code, type="BOOK")

    # --- holds ---

    def collect(self, branch: str, item: TrueItem, step: int, wish: Wish) -> None:
        """The reader fetches it from the hold shelf."""
        if item.step == step:
            del self.world.wishes[item.n]
            self.people.lend(branch, item, wish.reader, "kiosk1", hold=wish.hold)

    def expire(self, hub: str, branch: str, item: TrueItem, step: int, wish: Wish) -> None:
        """Nobody fetched it; the hold is over and the item goes where it belongs."""
        if item.step == step:
            del self.world.wishes[item.n]
            self.world.say(hub, Kind.HOLD_EXPIRED, item, "hub", hold=wish.hold)
            self.world.later(10 * MINUTE, branch, self.clear, item, step)

    def clear(self, branch: str, item: TrueItem, step: int) -> None:
        """Staff clears the hold shelf."""
        if item.step == step:
            self.hand_in(branch, item, "desk1")

    # --- on the road ---

    def _to_box(self, branch: str, item: TrueItem, dest: str) -> None:
        world = self.world
        step = item.moved(f"to:{dest}", scanned=True)
        if world.happens(world.plan.habits.snatched):
            world.later(world.chance.randint(1, 50) * MINUTE, branch, self.snatch, item, step)
        world.later(world.chance.randint(60, 1_200) * MINUTE, branch, self.take_along, item, step, dest)

    def snatch(self, branch: str, item: TrueItem, step: int) -> None:
        """Lent out of the box."""
        if item.step == step:
            self.people.lend(branch, item, self.world.chance.choice(self.world.readers), "desk1")

    def take_along(self, branch: str, item: TrueItem, step: int, dest: str) -> None:
        """The courier takes it; mostly somebody scans that."""
        world = self.world
        if item.step != step:
            return
        step = item.moved(f"to:{dest}", scanned=True)
        if world.happens(0.9):
            world.say(branch, Kind.TRANSIT_SENT, item, "desk1", to=dest)
        wrong = world.happens(world.plan.habits.misrouted)
        where = world.chance.choice(world.branches) if wrong else dest
        world.later(world.chance.randint(60, 1_440) * MINUTE, where, self.arrive, item, step, dest)

    def arrive(self, branch: str, item: TrueItem, step: int, dest: str) -> None:
        """Unloaded: received by scan, or put on the shelf at home without."""
        world = self.world
        if item.step != step:
            return
        if branch == item.branch and item.n not in world.wishes and world.happens(world.plan.habits.unscanned_arrival):
            item.moved(f"at:{branch}", scanned=False)
            world.shelves.put(item, branch)
        else:
            self.hand_in(branch, item, "desk1", Kind.RECEIVE)
