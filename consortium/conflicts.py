"""The kinds of conflict: whose they are, what is done if nobody acts, and by when (domain §6).

A default never takes from a reader what a machine has promised: a loan stays a loan, a due date stays, no charge grows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from consortium.calendar import DAY_MS
from consortium.states import Conflict, Loan


class Responsible(StrEnum):
    """Whose staff settles a conflict: the reader's home, the item's owner, the lender, or whoever runs the hub."""

    HOME = "HOME"
    OWNER = "OWNER"
    LENDER = "LENDER"
    HUB = "HUB"


class Default(StrEnum):
    """What is done when the deadline passes."""

    KEEP_LOAN = "KEEP_LOAN"
    KEEP_DUE = "KEEP_DUE"
    END_WITHOUT_CHARGE = "END_WITHOUT_CHARGE"
    KEEP_LAST_PLACE = "KEEP_LAST_PLACE"
    ACCEPT = "ACCEPT"
    NOT_LIABLE = "NOT_LIABLE"
    WAIT_FOR_CARD = "WAIT_FOR_CARD"
    SET_ASIDE = "SET_ASIDE"
    KEEP_ORDER = "KEEP_ORDER"
    KEEP_FIRST = "KEEP_FIRST"


@dataclass(frozen=True, slots=True)
class ConflictKind:
    """One kind: who settles it, the default, days until the default is taken (0 = at once, by rule), and what it means, for staff."""

    code: str
    responsible: Responsible
    default: Default
    days: int
    zh: str
    en: str


_TABLE: tuple[ConflictKind, ...] = (
    ConflictKind(
        "CF_IMPLIED_RETURN", Responsible.LENDER, Default.END_WITHOUT_CHARGE, 7,
        "在借文献被另一读者借出;前一借阅按此时归还处理,不收逾期费",
        "Lent again while on loan to another reader; the first loan ends then, without a charge",
    ),
    ConflictKind(
        "CF_READER_BLOCKED_MEANWHILE", Responsible.HOME, Default.KEEP_LOAN, 3,
        "借出时读者已被停权,办理地点尚不知晓", "The reader was blocked at the time, which the lending branch did not know yet",
    ),
    ConflictKind(
        "CF_LIMIT_EXCEEDED", Responsible.LENDER, Default.KEEP_LOAN, 0,
        "合并各馆记录后超出借阅上限", "With all branches' loans together, a limit was exceeded",
    ),
    ConflictKind(
        "CF_HELD_FOR_OTHER", Responsible.OWNER, Default.KEEP_LOAN, 3,
        "文献已被他人预约", "The item was on hold for another reader",
    ),
    ConflictKind(
        "CF_ITEM_NOT_LENDABLE", Responsible.OWNER, Default.KEEP_LOAN, 3,
        "文献不外借,但已借出", "The item is not for lending and was lent",
    ),
    ConflictKind(
        "CF_DOUBLE_RETURN", Responsible.OWNER, Default.KEEP_LAST_PLACE, 3,
        "同一文献在两处还入", "Handed in at two branches without a loan between",
    ),
    ConflictKind(
        "CF_RETURN_NO_LOAN", Responsible.OWNER, Default.ACCEPT, 0,
        "还入时无在借记录,且位置与记录不符", "Handed in without an open loan, and elsewhere than it was known to be",
    ),
    ConflictKind(
        "CF_RENEW_NOT_ALLOWED", Responsible.LENDER, Default.KEEP_DUE, 3,
        "续借超出原借阅条件;已承诺的应还日期保留", "Renewed beyond the loan's terms; the date that was promised stays",
    ),
    ConflictKind(
        "CF_CARD_REVOKED_MEANWHILE", Responsible.HOME, Default.NOT_LIABLE, 3,
        "借出时该卡已挂失;读者不承担责任", "The card had been reported lost by then; the reader is not liable",
    ),
    ConflictKind(
        "CF_UNKNOWN_CARD", Responsible.HUB, Default.WAIT_FOR_CARD, 30,
        "借出所用卡尚未登记", "Lent on a card that no library has registered yet",
    ),
    ConflictKind(
        "CF_UNKNOWN_ITEM", Responsible.OWNER, Default.SET_ASIDE, 14,
        "还入的文献未编入任何馆藏", "An item was handed in that no catalogue has",
    ),
    ConflictKind(
        "CF_ORDER_AMBIGUOUS", Responsible.OWNER, Default.KEEP_ORDER, 7,
        "两处事件的先后因时钟误差不能确定", "Two branches' events are closer together than their clocks can tell",
    ),
    ConflictKind(
        "CF_EVENT_FORK", Responsible.HUB, Default.KEEP_FIRST, 7,
        "同一事件号出现两个不同内容", "Two different events claim one id",
    ),
    ConflictKind(
        "CF_AGREEMENT_ENDED", Responsible.OWNER, Default.KEEP_LOAN, 7,
        "借出时协议已终止或暂停", "Lent after the agreement had ended or been suspended",
    ),
    ConflictKind(
        "CF_ILS_REFUSED", Responsible.OWNER, Default.KEEP_LOAN, 7,
        "成员馆系统拒绝登记已发生的借还;请在该系统补记",
        "A member's own system refused to book what had happened; book it there by hand",
    ),
    ConflictKind(
        "CF_ILS_DIFFERS", Responsible.LENDER, Default.KEEP_LOAN, 7,
        "每日核对:成员馆系统与联盟账目不一致", "The nightly reconciliation found a member's own system saying otherwise",
    ),
)  # fmt: skip

KINDS: dict[str, ConflictKind] = {kind.code: kind for kind in _TABLE}
"""Every kind by code."""

CONSORTIUM = "*"
"""The library of what the hub's own staff settles."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A conflict given to somebody: the library, the default, and when it is taken (ms UTC)."""

    library: str
    default: Default
    deadline: int

    @property
    def by_rule(self) -> bool:
        """Whether the rule settles it at once and staff are only told."""
        return self.default is Default.ACCEPT or self.deadline == 0


def assign(conflict: Conflict, loans: Iterable[Loan] = ()) -> Assignment:
    """Who settles a conflict. ``loans``: those of its item, in any order.

    The first of them that the events name, else the one that one of them ended, says home and lender; without one the owner settles.
    """
    kind = KINDS[conflict.kind]
    loans = sorted(loans, key=lambda one: (one.t_out, one.id))
    named = {one.id: one for one in loans}
    loan = next((named[name] for name in conflict.events if name in named), None)
    loan = loan or next((one for one in loans if one.end_event in conflict.events), None)
    library = conflict.owner
    if kind.responsible is Responsible.HUB:
        library = CONSORTIUM
    elif loan is not None and kind.responsible is Responsible.HOME:
        library = loan.home
    elif loan is not None and kind.responsible is Responsible.LENDER:
        library = loan.lender
    return Assignment(library, kind.default, conflict.t + kind.days * DAY_MS if kind.days else 0)


def overdue(assignment: Assignment, now: int) -> bool:
    """Whether the default is to be taken now."""
    return now >= assignment.deadline
