"""One builder makes all domain data of the tests: ``Make.reader(home="990001")``."""

from __future__ import annotations

from typing import Any

from consortium.agreement import (
    Agreement,
    Branch,
    CategoryMap,
    Library,
    LimitScope,
    LimitSet,
    Party,
    PolicyRule,
    Service,
)
from consortium.bundle import Bundle, Policy
from consortium.calendar import ALL_DAY, Calendar, round_the_clock
from consortium.events import Event, Kind
from consortium.facts import (
    Assurance,
    BorrowFacts,
    CardFacts,
    CardStatus,
    Device,
    EnterFacts,
    ItemFacts,
    Known,
    LoanFacts,
    ReaderFacts,
    RenewFacts,
    ReturnFacts,
)
from consortium.fold import Logged
from consortium.states import Loan
from consortium.terms import Terms

NOW = 1_795_300_000_000
HOUR = 3_600_000
DAY = 24 * HOUR
HOME, HOST, THIRD = "251020", "990001", "990002"

_DATA: dict[Kind, dict[str, Any]] = {
    Kind.ITEM_MARKED: {"mark": "MISSING"},
    Kind.LOAN_ENDED: {"end": "STAFF"},
    Kind.LOAN_EXTENDED: {"due": NOW + 60 * DAY},
    Kind.ILS_OBSERVED: {"what": "LOAN", "as_of": NOW},
    Kind.HOLD_PLACED: {"hold": "h1", "pickup": f"{HOST}-01"},
    Kind.HOLD_CANCELLED: {"hold": "h1"},
    Kind.HOLD_EXPIRED: {"hold": "h1"},
}
"""What these types of event carry unless told otherwise."""


class Make:
    """Values that are right unless told otherwise."""

    @staticmethod
    def agreement(name: str = "both", **more: Any) -> Agreement:
        fields: dict[str, Any] = {
            "parties": (Party(HOME), Party(HOST)),
            "services": frozenset(Service),
            "valid_from_ms": NOW - 100 * DAY,
            "valid_to_ms": NOW + 1000 * DAY,
            "category_map": (CategoryMap(HOME, "UG", "U"), CategoryMap(HOST, "UG", "U")),
        }
        return Agreement(name, 1, **{**fields, **more})

    @staticmethod
    def bundle(**more: Any) -> Bundle:
        orgs = (HOME, HOST, THIRD)
        fields: dict[str, Any] = {
            "version": 1,
            "issued_ms": NOW,
            "valid_from_ms": NOW - DAY,
            "valid_to_ms": NOW + 1000 * DAY,
            "libraries": tuple(Library(org, f"CN-{org}", f"馆{org}", f"Library {org}") for org in orgs),
            "branches": tuple(Branch(f"{org}-01", org, "馆", "Branch", "always") for org in orgs),
            "calendars": (round_the_clock("always"),),
            "agreements": (Make.agreement(),),
            "rules": (PolicyRule("general", lend=True, period_days=30),),
            "limits": (LimitSet("lender", LimitScope.LENDER, 5),),
        }
        return Bundle(**{**fields, **more})

    @staticmethod
    def shut(name: str = "always") -> Calendar:
        """A calendar whose only hours are years away."""
        return Calendar(name, "Asia/Shanghai", ((),) * 7, exceptions={"2032-01-01": ALL_DAY})

    @staticmethod
    def policy(**more: Any) -> Policy:
        return Policy(Make.bundle(**more))

    @staticmethod
    def device(branch: str = f"{HOST}-01", **more: Any) -> Device:
        return Device("kiosk1", branch, **more)

    @staticmethod
    def known(age_ms: int = 0, **more: int) -> Known:
        fields = dict.fromkeys(("policy", "cards", "blocks", "loans", "items"), NOW - age_ms)
        return Known(**{**fields, **more})

    @staticmethod
    def card(**more: Any) -> CardFacts:
        return CardFacts(**{"status": CardStatus.ACTIVE, "assurance": Assurance.HIGH, **more})

    @staticmethod
    def reader(home: str = HOME, **more: Any) -> ReaderFacts:
        return ReaderFacts(home, **{"category": "UG", "shared": True, "age": 20, **more})

    @staticmethod
    def item(owner: str = HOST, **more: Any) -> ItemFacts:
        return ItemFacts(
            owner, **{"item_no": "1001", "item_type": "BOOK", "owner_branch": f"{owner}-01", "value": 1, **more}
        )

    @staticmethod
    def enter(**more: Any) -> EnterFacts:
        return EnterFacts(
            **{"device": Make.device(), "known": Make.known(), "card": Make.card(), "reader": Make.reader(), **more}
        )

    @staticmethod
    def borrow(**more: Any) -> BorrowFacts:
        fields = {
            "device": Make.device(),
            "known": Make.known(),
            "card": Make.card(),
            "reader": Make.reader(),
            "item": Make.item(),
        }
        return BorrowFacts(**{**fields, **more})

    @staticmethod
    def give_back(**more: Any) -> ReturnFacts:
        return ReturnFacts(**{"device": Make.device(), "known": Make.known(), "item": Make.item(), **more})

    @staticmethod
    def loan_facts(**more: Any) -> LoanFacts:
        """A loan of ten days ago, due in a day, that may be renewed twice for 30 days."""
        fields: dict[str, Any] = {
            "mine": True,
            "t_out": NOW - 10 * DAY,
            "due": NOW + DAY,
            "place": f"{HOST}-01",
            "terms": Terms(period_days=30, renewals=2),
        }
        return LoanFacts(**{**fields, **more})

    @staticmethod
    def renew(**more: Any) -> RenewFacts:
        fields = {
            "device": Make.device(),
            "known": Make.known(),
            "reader": Make.reader(),
            "item": Make.item(),
            "loan": Make.loan_facts(),
        }
        return RenewFacts(**{**fields, **more})

    @staticmethod
    def loan(name: str = "l1", **more: Any) -> Loan:
        """A loan as the fold leaves it: lent by HOST to a reader of HOME, due in 30 days."""
        fields: dict[str, Any] = {
            "owner": HOST,
            "item_no": "1001",
            "item_type": "BOOK",
            "who": "r1",
            "home": HOME,
            "place": f"{HOST}-01",
            "device": "kiosk1",
            "t_out": NOW,
            "due": NOW + 30 * DAY,
        }
        return Loan(name, **{**fields, **more})

    @staticmethod
    def event(kind: Kind, seq: int, *, at: int = NOW, node: str = "edge-990001-01", **more: Any) -> Event:
        item = more.pop("item", (HOST, "1001"))
        branch = more.pop("branch", f"{HOST}-01")
        data: dict[str, Any] = {"item": list(item)}
        if kind in (Kind.CHECKOUT, Kind.RENEW):
            data |= {"type": "BOOK", "home": HOME, "due": at + 30 * DAY, "basis": [], "flags": []}
        if kind in (Kind.RETURN, Kind.RECEIVE):
            data |= {"route": {"action": "SHELVE", "dest": branch, "reason": "HOME"}, "code": "RETURN_HOME"}
        if kind is Kind.TRANSIT_SENT:
            data |= {"to": f"{HOST}-01"}
        data |= _DATA.get(kind, {})
        if kind in (Kind.ENTRY, Kind.EXIT, Kind.VISIT_CLOSED, Kind.CLOCK_CORRECTED):
            data = {"home": HOME, "class": "partner"} if kind is not Kind.CLOCK_CORRECTED else {}
        data |= more.pop("data", {})
        fields = {
            "node": node,
            "epoch": "e1",
            "seq": seq,
            "kind": kind,
            "branch": branch,
            "device": "kiosk1",
            "t_dev": at,
            "t_eff": at,
            "t_unc": 50,
            "mono": seq,
            "boot": "b1",
            "data": data,
            "subject": "s" * 64,
        }
        return Event(**{**fields, **more})

    @staticmethod
    def logged(kind: Kind, seq: int, who: str | None = "r1", **more: Any) -> Logged:
        return Logged(Make.event(kind, seq, **more), who)
