"""A small consortium's whole memory in which everything is right, built event by event, so that a test can spoil one thing of it.

Projections come from the product's own fold: that checker and fold agree about them is what I6 is for.
"""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from consortium.agreement import Agreement, Party, PolicyRule
from consortium.bundle import Bundle, Policy, to_json
from consortium.clocks import Clocks
from consortium.decisions import accept_return, may_borrow, may_enter, may_renew
from consortium.events import ITEM_KINDS, VISIT_KINDS, Event, Kind, encode
from consortium.facts import CardStatus, LoanFacts, Relation, RenewFacts
from consortium.fold import Logged, fold_item, fold_visits
from consortium.identity import CHAIN_START, chain, subject
from consortium.invariants import Charge, Finding, History, LoggedRow, check
from consortium.record import record
from consortium.seal import public_key, seal, to_text
from consortium.terms import Terms
from tests.make import DAY, HOME, HOST, HOUR, NOW, THIRD, Make

KEY = bytes(range(32))
HERE, THERE, HUB = "edge-990001-01", "edge-990002-01", "hub-1"
BRANCH = {HERE: f"{HOST}-01", THERE: f"{THIRD}-01", HUB: f"{HOST}-01"}
MINUTE = 60_000
SIGNED = {"actor": "s17", "reason": "卡在服务台核验过"}
RULE = PolicyRule(
    "general", lend=True, period_days=30, renewals=2, renew_window_days=0, grace_days=1, fine_per_day=10, max_fine=100
)


def agreement(**more: Any) -> Agreement:
    """All three libraries share everything."""
    return Make.agreement(parties=tuple(Party(org) for org in (HOME, HOST, THIRD)), **more)


def bundle(**more: Any) -> Bundle:
    """The policy that everything was decided under."""
    return Make.bundle(**{"agreements": (agreement(),), "rules": (RULE,), **more})


POLICY = Policy(bundle())


@dataclass
class World:
    """Events as they were written, in the order in which they arrived."""

    events: list[Event] = field(default_factory=list)
    who: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    totals: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, kind: Kind, at: int, name: str = "", *, node: str = HERE, who: str | None = None, **more: Any) -> str:
        """One event more; gives its id. ``name`` is what tests call it by."""
        epoch = more.pop("epoch", "e1")
        seq = 1 + sum((one.node, one.epoch) == (node, epoch) for one in self.events)
        name_of = f"{node}/{epoch}/{seq}"
        item = more.pop("item", None)
        data = ({"item": list(item)} if item else {}) | more.pop("data", {})
        fields: dict[str, Any] = {
            "node": node, "epoch": epoch, "seq": seq, "kind": kind, "branch": BRANCH[node], "device": "kiosk1", "t_dev": at,
            "t_eff": at, "t_unc": 50, "mono": seq, "boot": "b1", "data": data,
            "subject": subject(f"salt{name_of}", f"srid-{who}") if who else None,
        }  # fmt: skip
        self.events.append(Event(**{**fields, **more}))
        if who:
            self.who[name_of] = who
        if name:
            self.names[name] = name_of
        return name_of

    def event(self, name: str) -> Event:
        """The event of that name."""
        return next(one for one in self.events if str(one.id) == self.names.get(name, name))

    def change(self, name: str, **more: Any) -> None:
        """Write an event otherwise than it was, before anything is chained or folded. ``data`` is added to the event's own."""
        event = self.event(name)
        data = event.data | more.pop("data", {})
        fields = {key: value for key, value in data.items() if value is not None}
        self.events[self.events.index(event)] = dataclasses.replace(event, data=fields, **more)

    def history(self) -> History:
        """What a hub that took these events holds."""
        history = History(log=[], policy_keys={public_key(KEY).id: public_key(KEY).public.hex()})
        body = to_json(bundle())
        history.bundles, history.sealed = {1: body}, {1: to_text(seal(body, KEY))}
        previous: dict[tuple[str, str], str] = {}
        for event in self.events:
            stream, name, text = (event.node, event.epoch), str(event.id), encode(event)
            previous[stream] = chain(previous.get(stream, CHAIN_START), text)
            who = None if name in self.erased else self.who.get(name)
            beside = (f"salt{name}", f"srid-{who}") if who else (None, None)
            history.log.append(LoggedRow(*stream, event.seq, text, previous[stream], who, *beside))
            history.cursors[stream] = event.seq
        clocks = Clocks(self.events)
        logged = [
            Logged(clocks.corrected(one), None if str(one.id) in self.erased else self.who.get(str(one.id)))
            for one in self.events
        ]
        keys = sorted({one.event.item for one in logged if one.event.kind in ITEM_KINDS and one.event.item})
        for key in keys:
            mine = [one for one in logged if one.event.item == key and one.event.kind in ITEM_KINDS]
            state = fold_item(*key, f"{key[0]}-01", mine)
            history.states.append(state)
            history.loans += [copy.deepcopy(loan) for loan in state.loans]
            history.transits += [copy.deepcopy(transit) for transit in state.transits]
            history.conflicts += [copy.deepcopy(conflict) for conflict in state.conflicts]
            history.items[key] = f"{key[0]}-01"
        for place in sorted({(one.who or "", one.event.branch) for one in logged}):
            stays = [
                one for one in logged if ((one.who or ""), one.event.branch) == place and one.event.kind in VISIT_KINDS
            ]
            history.visits += fold_visits(stays)
        history.secrets = frozenset({"04A1B2C3D4E5F6", "20240001", "读者-2024/7"})
        history.totals = dict(self.totals)
        history.charges = []
        return history


def lend(world: World, at: int, item_no: str, who: str, name: str = "", *, node: str = HERE, **more: Any) -> str:
    """A CHECKOUT with the decision it stands on."""
    facts = Make.borrow(device=Make.device(BRANCH[node]), item=Make.item(item_no=item_no), known=_known(at))
    decision = may_borrow(POLICY, facts, at)
    assert decision.allowed
    assert decision.terms is not None
    data = {
        "type": "BOOK", "home": HOME, "due": decision.due_ms, "basis": list(decision.basis), "flags": [],
        "terms": decision.terms.to_plain(),
    }  # fmt: skip
    data |= more.pop("data", {})
    more = {"decision": record(decision, facts, at), **more}
    return world.add(Kind.CHECKOUT, at, name, node=node, who=who, item=(HOST, item_no), data=data, **more)


def renew(world: World, at: int, item_no: str, who: str, loan: str, name: str = "", **more: Any) -> str:
    """A RENEW with the decision it stands on."""
    out = world.event(loan)
    facts = RenewFacts(
        Make.device(), _known(at), Make.reader(), Make.item(item_no=item_no, loan=Relation.SELF),
        LoanFacts(True, out.t_eff, out.data["due"], out.branch, Terms.from_plain(out.data["terms"])),
    )  # fmt: skip
    decision = may_renew(POLICY, facts, at)
    assert decision.allowed, decision
    data = {"home": HOME, "due": decision.due_ms, "basis": list(decision.basis)} | more.pop("data", {})
    return world.add(
        Kind.RENEW, at, name, who=who, item=(HOST, item_no), data=data, decision=record(decision, facts, at), **more
    )


def give_back(world: World, at: int, item_no: str, name: str = "", *, node: str = HERE, **more: Any) -> str:
    """A RETURN with the decision it stands on."""
    facts = Make.give_back(
        device=Make.device(BRANCH[node]), item=Make.item(item_no=item_no, loan=Relation.OTHER), known=_known(at)
    )
    decision = accept_return(POLICY, facts, at)
    assert decision.route is not None
    route = {"action": decision.route.action, "dest": decision.route.dest, "reason": decision.route.reason}
    data = {"route": route, "code": decision.primary, "type": "BOOK"} | more.pop("data", {})
    more = {"decision": record(decision, facts, at), **more}
    return world.add(Kind.RETURN, at, name, node=node, item=(HOST, item_no), data=data, **more)


def enter(world: World, at: int, who: str, name: str = "", **more: Any) -> str:
    """An ENTRY with the decision it stands on."""
    facts = Make.enter(known=_known(at))
    decision = record(may_enter(POLICY, facts, at), facts, at)
    return world.add(
        Kind.ENTRY,
        at,
        name,
        who=who,
        device="gate1",
        data={"home": HOME, "class": "partner"},
        decision=decision,
        **more,
    )


def _known(at: int) -> Any:
    return Make.known(**dict.fromkeys(("policy", "cards", "blocks", "loans", "items"), at))


def world() -> World:
    """Everything that can happen to an item, a loan, a transit and a visit, and all of it right."""
    made, t = World(), NOW
    # 1001: lent, renewed, handed in elsewhere, sent home through a courier's hands
    lend(made, t, "1001", "r1", "lent")
    renew(made, t + 10 * DAY, "1001", "r1", "lent", "renewed")
    give_back(made, t + 12 * DAY, "1001", "back", node=THERE)
    made.add(Kind.TRANSIT_BAGGED, t + 12 * DAY + HOUR, "bagged", node=THERE, item=(HOST, "1001"), data={"bag": "B1"})
    sent = {"to": f"{HOST}-01", "bag": "B1"}
    made.add(Kind.TRANSIT_SENT, t + 12 * DAY + 2 * HOUR, "sent", node=THERE, item=(HOST, "1001"), data=sent)
    home = {"route": {"action": "SHELVE", "dest": f"{HOST}-01", "reason": "HOME"}, "code": "RETURN_HOME"}
    made.add(Kind.RECEIVE, t + 13 * DAY, "received", item=(HOST, "1001"), data=home)
    # 1002: scanned twice, then borrowed by another without a return, brought back late
    lend(made, t + MINUTE, "1002", "r1", "first")
    lend(made, t + 2 * MINUTE, "1002", "r1", "scanned twice")
    lend(made, t + 5 * DAY, "1002", "r2", "second")
    give_back(made, t + 40 * DAY, "1002", "late")
    # 1003: lives in its owner's own ILS
    made.add(Kind.ILS_OBSERVED, t, "ils loan", item=(HOST, "1003"), who="r3",
             data={"what": "LOAN", "as_of": t, "home": HOST, "due": t + 20 * DAY})  # fmt: skip
    made.add(Kind.ILS_OBSERVED, t + DAY, item=(HOST, "1003"), data={"what": "RENEWAL", "as_of": t, "due": t + 30 * DAY})
    made.add(Kind.ILS_OBSERVED, t + 2 * DAY, item=(HOST, "1003"), data={"what": "RETURN", "as_of": t})
    # 1004: a reader says it came back, staff agree
    lend(made, t + HOUR, "1004", "r1", "claimed loan")
    made.add(
        Kind.ITEM_MARKED,
        t + 3 * DAY,
        "claim",
        item=(HOST, "1004"),
        data={"mark": "CLAIMED_RETURNED", "override": SIGNED},
    )
    made.add(
        Kind.LOAN_ENDED, t + 4 * DAY, "ended by staff", item=(HOST, "1004"), data={"end": "STAFF", "override": SIGNED}
    )
    # 1005: lost by rule, its loan stays open for charges; 1006: paid for
    lend(made, t + 2 * HOUR, "1005", "r2", "lost loan")
    made.add(
        Kind.ITEM_MARKED,
        t + 90 * DAY,
        "lost",
        node=HUB,
        item=(HOST, "1005"),
        data={"mark": "LOST", "reason": "overdue"},
    )
    lend(made, t + 3 * HOUR, "1006", "r2", "paid loan")
    made.add(Kind.LOAN_ENDED, t + 50 * DAY, "paid", node=HUB, item=(HOST, "1006"), data={"end": "LOST_PAID"})
    # 1007: handed in, kept for a hold, fetched; then extended for all after a closure
    kept = {"route": {"action": "HOLD", "dest": f"{HOST}-01", "hold_id": "h1"}, "code": "RETURN_HOLD"}
    made.add(
        Kind.HOLD_PLACED,
        t,
        "hold",
        node=HUB,
        who="r4",
        item=(HOST, "1007"),
        data={"hold": "h1", "pickup": f"{HOST}-01"},
    )
    made.add(Kind.RETURN, t + HOUR, "kept", item=(HOST, "1007"), data=kept)
    lend(made, t + DAY, "1007", "r4", "fetched", data={"hold": "h1"})
    made.add(
        Kind.LOAN_EXTENDED, t + 2 * DAY, node=HUB, item=(HOST, "1007"), data={"due": t + 60 * DAY, "reason": "寒假"}
    )
    # 1008: lent against a decision, by staff who say why
    facts = Make.borrow(
        card=Make.card(status=CardStatus.LOST), item=Make.item(item_no="1008"), known=_known(t + 5 * HOUR)
    )
    denied = record(may_borrow(POLICY, facts, t + 5 * HOUR), facts, t + 5 * HOUR)
    lend(made, t + 5 * HOUR, "1008", "r1", "overridden", decision=denied, device="desk1", data={"override": SIGNED})
    # 1009: a box with a wrong clock lent it an hour in the future; read on a table before
    made.add(Kind.IN_USE, t + 6 * HOUR, "read here", item=(HOST, "1009"), data={"how": "scan"})
    lend(made, t + 7 * HOUR, "1009", "r5", "wrong clock", node=THERE, t_dev=t + 8 * HOUR, t_eff=t + 8 * HOUR)
    give_back(made, t + 7 * HOUR + 30 * MINUTE, "1009", "after all")
    wrong = made.event("wrong clock").id
    made.add(Kind.CLOCK_CORRECTED, t + DAY, "corrected", node=HUB,
             data={"node": THERE, "epoch": "e1", "first": wrong.seq, "last": wrong.seq, "offset": -HOUR, "unc": 20})  # fmt: skip
    # 1010: its CHECKOUT was sent again under a new epoch
    lend(made, t + 9 * HOUR, "1010", "r1", "original")
    again = made.event("original")
    made.add(Kind.CHECKOUT, again.t_eff, "reissue", epoch="e2", who="r1", data=again.data, decision=again.decision,
             reissue_of=str(again.id))  # fmt: skip
    # 1011: handed in elsewhere and still under way
    lend(made, t + 10 * HOUR, "1011", "r2", "lent too")
    give_back(made, t + 12 * DAY, "1011", "under way", node=THERE)
    # visits: one seen out, one followed by the next, one closed at night, one refused, one of somebody erased since
    enter(made, t + HOUR, "r1", "came")
    made.add(Kind.EXIT, t + 2 * HOUR, "left", who="r1", device="gate1")
    enter(made, t + 3 * HOUR, "r1", "came again")
    enter(made, t + 4 * HOUR, "r1", "came once more")
    stayed = enter(made, t + 5 * HOUR, "r2", "stayed")
    made.add(Kind.VISIT_CLOSED, t + 16 * HOUR, "closed", who="r2", data={"visit": stayed})
    made.erased.add(enter(made, t + 6 * HOUR, "r9", "erased"))
    gate = Make.enter(card=None, known=_known(t + 6 * HOUR))
    made.add(Kind.REFUSED, t + 6 * HOUR, "refused", device="gate1", data={"function": "enter", "codes": ["CARD_UNKNOWN"]},
             decision=record(may_enter(POLICY, gate, t + 6 * HOUR), gate, t + 6 * HOUR))  # fmt: skip
    made.add(Kind.TAG_WRITTEN, t + 6 * HOUR, item=(HOST, "1001"), data={"secured": 0, "ok": 1})
    made.add(Kind.CONFLICT_SETTLED, t + 6 * DAY, "settled", node=HUB,
             data={"conflict": f"CF_IMPLIED_RETURN:{made.names['second']}", "resolution": "ACCEPTED", "override": SIGNED})  # fmt: skip
    made.totals.update(_COUNTED)
    return made


_COUNTED: dict[tuple[str, str, str], int] = {
    ("2026-11-22", HOST, "loans"): 8,
    ("2026-11-22", HOST, "returns"): 2,
    ("2026-11-22", HOST, "visits"): 5,
    ("2026-11-22", HOST, "refusals"): 1,
    ("2026-11-22", THIRD, "loans"): 1,
    ("2026-11-23", HOST, "loans"): 1,
    ("2026-11-27", HOST, "loans"): 1,
    ("2026-12-04", THIRD, "returns"): 2,
    ("2027-01-01", HOST, "returns"): 1,
}
"""What an analytics store has of it, counted by hand. The first event happened at 06:26 of 22 November in Chongqing."""


def sound() -> History:
    """The history of ``world`` with charges that are right: r2 was four days late beyond a day of grace, at 10 fen each."""
    made = world()
    history = made.history()
    return with_charges(made, history)


def with_charges(made: World, history: History) -> History:
    """The charge of the loan that came back late."""
    pos = 1 + made.events.index(made.event("late"))
    history.charges = [Charge(made.names["second"], made.names["late"], 40, pos)]
    return history


def findings(history: History) -> dict[str, Finding]:
    """All findings by invariant."""
    return {finding.invariant: finding for finding in check(history)}


def broken(history: History) -> dict[str, Finding]:
    """Those that are broken."""
    return {name: finding for name, finding in findings(history).items() if finding.status == "broken"}
