"""What readers and staff do with items at a branch. Every method is one occasion: it looks, acts, and says what comes next."""

from __future__ import annotations

from bench.simulation.courier import Courier
from bench.simulation.plan import DAY, HOUR, MINUTE, SECOND
from bench.simulation.truth import GONE, OUT, TrueItem, TrueLoan, TrueVisit
from bench.simulation.world import HUB, Reader, Wish, World
from consortium.events import Kind

_OVERRIDE = {"actor": "staff-1", "reason": "keyed by hand"}


class People:
    """Readers and staff of all branches."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.courier = Courier(world, self)

    def begin(self) -> None:
        """The first visit, and the first search in vain."""
        self._next_visit()
        self._next_search()

    # --- visits ---

    def _next_visit(self) -> None:
        world = self.world
        reader = world.chance.choice(world.readers)
        branch = world.chance.choice(world.branches) if world.happens(world.plan.habits.away) else reader.branch
        wait = world.mean(DAY / (world.plan.visits_per_reader_day * world.plan.readers))
        world.later(wait, branch, self.visit, reader)

    def visit(self, branch: str, reader: Reader) -> None:
        """Come in, take up to two items, wish for one that is out, go."""
        world = self.world
        self._next_visit()
        kind = "own" if branch.startswith(reader.home) else "partner"
        act = world.say(branch, Kind.ENTRY, None, "gate1", reader, home=reader.home, **{"class": kind})
        before = world.inside.pop((reader.who, branch), None)
        if before is not None:
            before.ended = act
        world.inside[reader.who, branch] = visit = TrueVisit(reader.who, branch, act)
        world.truth.visits.append(visit)
        for n in range(world.chance.choice((0, 1, 1, 2))):
            world.later(MINUTE + n * 20 * SECOND, branch, self.choose, reader)
        if world.happens(world.plan.habits.holds):
            world.later(2 * MINUTE, HUB, self.wish, reader)
        if world.happens(0.8):
            world.later(10 * MINUTE + world.mean(HOUR), branch, self.leave, reader, visit)

    def leave(self, branch: str, reader: Reader, visit: TrueVisit) -> None:
        """Go out by the gate."""
        if visit.ended is None and self.world.inside.get((reader.who, branch)) is visit:
            visit.ended = self.world.say(branch, Kind.EXIT, None, "gate1", reader)
            del self.world.inside[reader.who, branch]

    def wish(self, hub: str, reader: Reader) -> None:
        """Place a hold on something that is out."""
        world = self.world
        item = world.truth.items[world.shelves.wanted()]
        if item.place != OUT or item.n in world.wishes or (item.loan and item.loan.who == reader.who):
            return
        wish = Wish(f"hold-{world.acts}", reader, reader.branch)
        world.wishes[item.n] = wish
        world.say(hub, Kind.HOLD_PLACED, item, "hub", reader, hold=wish.hold, pickup=wish.pickup)

    # --- borrowing ---

    def choose(self, branch: str, reader: Reader) -> None:
        """Take something from the shelf: read it here, or to the kiosk with it."""
        world = self.world
        item = world.shelves.choose(branch, world.truth.items)
        if item is None:
            return
        if world.happens(0.05):
            act = world.say(branch, Kind.IN_USE, item, "pad1", how="pad")
            if item.claimed:  # so it was here, as its reader said
                world.truth.given_back(item, act, world.now)
                item.scanned = True
            return
        world.shelves.take(item)
        if world.happens(world.plan.habits.keyed_later):
            step = item.moved(OUT, scanned=False)
            world.later(world.chance.randint(5, 60) * MINUTE, branch, self.key_loan, item, step, reader)
        else:
            self.lend(branch, item, reader, world.chance.choice(("kiosk1", "kiosk2")))

    def key_loan(self, branch: str, item: TrueItem, step: int, reader: Reader) -> None:
        """The desk keys a loan that left without a scan."""
        if item.step == step:
            self.lend(branch, item, reader, "desk1", override=_OVERRIDE)

    def lend(self, branch: str, item: TrueItem, reader: Reader, device: str, **more: object) -> None:
        """The machine says OK and the reader has it."""
        world, habits = self.world, self.world.plan.habits
        act = self._checkout(branch, item, reader, device, **more)
        loan = world.truth.lent(item, reader.who, act, world.now)
        if world.happens(habits.double_scan):
            world.later(world.chance.randint(1, 90) * SECOND, branch, self.scan_again, item, loan, reader, device)
        kept = world.mean(habits.kept_ms) + 15 * MINUTE
        if world.happens(habits.renews):
            world.later(world.chance.uniform(0.2, 0.95) * kept, self._somewhere(reader), self.renew, item, loan, reader)
        if world.happens(habits.scans_to_renew):
            wait = max(5 * MINUTE, world.chance.uniform(0.2, 0.9) * kept)
            world.later(wait, self._somewhere(reader), self.scan_again, item, loan, reader, "kiosk1")
        back = branch if world.happens(0.4) else self._somewhere(reader)
        world.later(kept, back, self.bring_back, item, item.step, reader)

    def _checkout(self, branch: str, item: TrueItem, reader: Reader, device: str, **more: object) -> int:
        due = self.world.now + 30 * DAY
        return self.world.say(
            branch,
            Kind.CHECKOUT,
            item,
            device,
            reader,
            type="BOOK",
            home=reader.home,
            due=due,
            basis=["general"],
            **more,
        )

    def _somewhere(self, reader: Reader) -> str:
        world = self.world
        return world.chance.choice(world.branches) if world.happens(world.plan.habits.away) else reader.branch

    def scan_again(self, branch: str, item: TrueItem, loan: TrueLoan, reader: Reader, device: str) -> None:
        """The same reader scans the same item again: at once, or days later to renew it. No new loan."""
        if item.loan is loan and item.place == OUT:
            self._checkout(branch, item, reader, device)
            item.scanned = True

    def renew(self, branch: str, item: TrueItem, loan: TrueLoan, reader: Reader) -> None:
        """Renew without the item in hand."""
        if item.loan is loan and item.place == OUT:
            due = self.world.now + 30 * DAY
            self.world.say(branch, Kind.RENEW, item, "kiosk1", reader, home=reader.home, due=due, basis=["general"])

    # --- bringing back ---

    def bring_back(self, branch: str, item: TrueItem, step: int, reader: Reader) -> None:
        """The reader comes with the item, or without it."""
        world, habits = self.world, self.world.plan.habits
        if item.step != step:
            return
        dice = world.chance.random()
        for share, what in (
            (habits.forgets_scan, self.put_on_shelf),
            (habits.hands_over, self.hand_over),
            (habits.same_instant, self.take_and_lend),
            (habits.keyed_return, self.leave_on_trolley),
            (habits.loses, self.lose),
            (habits.claims, self.claim),
        ):
            dice -= share
            if dice < 0:
                what(branch, item, reader)
                return
        self.courier.hand_in(branch, item, world.chance.choice(("bin1", "kiosk1", "desk1")))
        if world.happens(habits.double_return):
            wait = world.chance.randint(1, 60) * SECOND
            world.later(wait, branch, self.courier.scan_where_it_lies, item, item.step)

    def put_on_shelf(self, branch: str, item: TrueItem, reader: Reader) -> None:
        """Carried to the shelf; nobody scanned it."""
        item.moved(f"at:{branch}", scanned=False)
        self.world.shelves.put(item, branch)

    def hand_over(self, branch: str, item: TrueItem, reader: Reader) -> None:
        """Given to the next reader, who goes to the kiosk with it."""
        self.lend(branch, item, self._another(reader), "kiosk2")

    def take_and_lend(self, branch: str, item: TrueItem, reader: Reader) -> None:
        """Staff takes it back and lends it on, within one millisecond."""
        world = self.world
        route = {"action": "SHELVE", "dest": branch, "reason": "HOME"}
        act = world.say(branch, Kind.RETURN, item, "desk1", route=route, code="RETURN_HOME", type="BOOK")
        world.truth.given_back(item, act, world.now)
        self.lend(branch, item, self._another(reader), "desk1")

    def _another(self, reader: Reader) -> Reader:
        other = self.world.chance.choice(self.world.readers)
        return other if other is not reader else self.world.readers[self.world.readers.index(reader) - 1]

    def leave_on_trolley(self, branch: str, item: TrueItem, reader: Reader) -> None:
        """Left on a trolley; staff takes it back by hand when they find it."""
        step = item.moved(f"at:{branch}", scanned=False)
        self.world.later(self.world.chance.randint(1, 8) * HOUR, branch, self.key_return, item, step)

    def key_return(self, branch: str, item: TrueItem, step: int) -> None:
        """A return keyed by staff."""
        if item.step == step:
            self.courier.hand_in(branch, item, "desk1", override=_OVERRIDE)

    def lose(self, branch: str, item: TrueItem, reader: Reader) -> None:
        """Lost: the desk notes it, the reader pays later, and sometimes it turns up all the same."""
        world = self.world
        step = item.moved(GONE, scanned=True)
        world.say(branch, Kind.ITEM_MARKED, item, "desk1", mark="LOST", override=_OVERRIDE)
        world.later(world.mean(2 * DAY) + HOUR, HUB, self.pay, item, step)
        if world.happens(0.3):
            world.later(world.mean(4 * DAY) + HOUR, branch, self.turn_up, item, step)

    def pay(self, hub: str, item: TrueItem, step: int) -> None:
        """The lost item is paid for: the loan is over."""
        if item.step == step and item.loan is not None:
            act = self.world.say(hub, Kind.LOAN_ENDED, item, "hub", end="LOST_PAID", override=_OVERRIDE)
            self.world.truth.given_back(item, act, self.world.now)

    def turn_up(self, branch: str, item: TrueItem, step: int) -> None:
        """A lost item is handed in."""
        if item.step == step:
            self.courier.hand_in(branch, item, "desk1")

    def claim(self, branch: str, item: TrueItem, reader: Reader) -> None:
        """The reader says it was returned, and it was: it stands on the shelf. Staff finds it, or the next reader does."""
        self.put_on_shelf(branch, item, reader)
        self.world.later(self.world.mean(DAY) + HOUR, branch, self.note_claim, item, item.step)

    def note_claim(self, branch: str, item: TrueItem, step: int) -> None:
        """The desk notes the claim."""
        world = self.world
        if item.step == step and item.loan is not None:
            world.say(branch, Kind.ITEM_MARKED, item, "desk1", mark="CLAIMED_RETURNED", override=_OVERRIDE)
            item.claimed = True
            world.later(world.mean(2 * DAY) + HOUR, branch, self.find, item, step)

    # --- searching ---

    def _next_search(self) -> None:
        world = self.world
        if world.plan.habits.missing_per_day:
            wait = world.mean(DAY / (world.plan.habits.missing_per_day * world.plan.items))
            world.later(wait, world.chance.choice(world.branches), self.search)

    def search(self, branch: str) -> None:
        """Staff looks for an item that is not where it should be, and says so; mostly it is found later."""
        world = self.world
        self._next_search()
        item = world.shelves.choose(branch, world.truth.items)
        if item is None:
            return
        world.shelves.take(item)
        # The ledger of an item that came here unseen still has its last reader: the mark does not move it.
        step = item.moved(GONE, scanned=item.scanned)
        gone = world.happens(world.plan.habits.withdrawn)
        world.say(branch, Kind.ITEM_MARKED, item, "desk1", mark="WITHDRAWN" if gone else "MISSING", override=_OVERRIDE)
        if not gone:
            world.later(world.mean(3 * DAY) + HOUR, branch, self.find, item, step)

    def find(self, branch: str, item: TrueItem, step: int) -> None:
        """Found: staff says so and scans it, or just scans it."""
        world = self.world
        if item.step != step:
            return
        world.shelves.take(item)
        if item.place != GONE or item.loan is None:
            act = world.say(branch, Kind.ITEM_MARKED, item, "desk1", mark="FOUND", override=_OVERRIDE)
            world.truth.given_back(item, act, world.now)
            step = item.moved(f"at:{branch}", scanned=True)
        else:
            step = item.moved(f"at:{branch}", scanned=False)
        world.later(10 * SECOND, branch, self.key_return, item, step)
