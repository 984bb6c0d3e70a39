"""What happens when an agreement ends or a library leaves: nobody's loan is cut short, nothing is left behind (domain §11).

Loans keep the due date they were promised and are not renewed; what waits ready is still handed out; what is under way arrives; what
floats goes home. Returns are taken everywhere for as long as anything is out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from consortium.agreement import Agreement, AgreementStatus, Service
from consortium.bundle import Policy
from consortium.calendar import DAY_MS
from consortium.identity import org_of_branch
from consortium.states import Hold, HoldState, Loan, Transit


class Action(StrEnum):
    """What is done about one thing that is still open."""

    KEEP_UNTIL_DUE = "KEEP_UNTIL_DUE"
    HONOUR = "HONOUR"
    CANCEL = "CANCEL"
    CONTINUE = "CONTINUE"
    SEND_HOME = "SEND_HOME"


TEXTS: dict[Action, tuple[str, str]] = {
    Action.KEEP_UNTIL_DUE: ("可用至应还日期,不再续借", "Kept until it is due; no renewal"),
    Action.HONOUR: ("已到架预约仍可取书", "Ready for pick-up: still handed out"),
    Action.CANCEL: ("预约取消并通知读者", "Hold cancelled, the reader is told"),
    Action.CONTINUE: ("在途文献照常送达", "Under way: arrives as planned"),
    Action.SEND_HOME: ("送回所属馆", "Sent home to its owner"),
}
"""What staff read for each, zh and en."""


@dataclass(frozen=True, slots=True)
class Consequence:
    """One open thing: ``kind`` is loan, hold, transit or item; ``by`` is when it should be over, ms UTC."""

    kind: str
    subject: str
    action: Action
    by: int


@dataclass(frozen=True, slots=True)
class Placed:
    """An item that circulates at another library's branch (it floated there)."""

    owner: str
    item_no: str
    circ_branch: str


@dataclass(frozen=True, slots=True)
class StillOpen:
    """What may be open when it ends: each hold with its reader's home. What is over already may be among it, and is passed over."""

    loans: tuple[Loan, ...] = ()
    holds: tuple[tuple[Hold, str], ...] = ()
    transits: tuple[Transit, ...] = ()
    floating: tuple[Placed, ...] = ()


def when_agreement_ends(policy: Policy, agreement: Agreement, at: int, things: StillOpen) -> list[Consequence]:
    """Everything open under an agreement that ends at ``at`` (ms UTC), with what is done about it.

    Things that another agreement still covers are not touched.
    """

    def concerns(service: Service, home: str, *hosts: str) -> bool:
        return any(
            agreement.covers(home, host)
            and not any(_goes_on(other, agreement, service, at) for other in policy.covering(home, host))
            for host in hosts
        )

    out = [
        Consequence("loan", loan.id, Action.KEEP_UNTIL_DUE, loan.due)
        for loan in things.loans
        if loan.open and concerns(Service.RENEW, loan.home, loan.lender, loan.owner)
    ]
    notice = at + agreement.notice_days * DAY_MS
    for hold, home in things.holds:
        if hold.open and concerns(Service.HOLD, home, org_of_branch(hold.pickup), hold.owner):
            ready = hold.state is HoldState.READY
            out.append(
                Consequence(
                    "hold", hold.id, Action.HONOUR if ready else Action.CANCEL, hold.expiry or notice if ready else at
                )
            )
    orgs = {party.org for party in agreement.parties}
    out += [
        Consequence("transit", transit.id, Action.CONTINUE, notice)
        for transit in things.transits
        if transit.open and {org_of_branch(transit.start), org_of_branch(transit.to)} <= orgs
    ]
    out += [
        Consequence("item", f"{item.owner}/{item.item_no}", Action.SEND_HOME, notice)
        for item in things.floating
        if item.owner in orgs and org_of_branch(item.circ_branch) in orgs - {item.owner}
    ]
    return out


def _goes_on(other: Agreement, ended: Agreement, service: Service, at: int) -> bool:
    """Whether another agreement still gives that service when this one has ended."""
    return (
        other.id != ended.id
        and service in other.services
        and other.status is AgreementStatus.ACTIVE
        and other.valid_from_ms <= at < other.valid_to_ms
    )


def when_library_leaves(policy: Policy, org: str, at: int, things: StillOpen) -> list[Consequence]:
    """The same for a library that leaves: all of its agreements end at once. Its own readers with its own items are its business."""
    found: dict[tuple[str, str], Consequence] = {}
    for agreement in policy.bundle.agreements:
        if any(party.org == org for party in agreement.parties):
            for one in when_agreement_ends(Without(policy, org), agreement, at, things):
                found.setdefault((one.kind, one.subject), one)
    return list(found.values())


class Without(Policy):
    """A policy in which no agreement with one library serves anybody any more."""

    __slots__ = ("_gone",)

    def __init__(self, policy: Policy, org: str) -> None:
        super().__init__(policy.bundle)
        self._gone = org

    def covering(self, home: str, host: str) -> tuple[Agreement, ...]:
        """Agreements between two libraries, none where one of them is gone."""
        return () if self._gone in (home, host) else super().covering(home, host)
