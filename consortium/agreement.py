"""Libraries, branches, agreements, rules and limits as dated values (domain §2).

An agreement says *whether* one library's readers are served at another; rules say *how*; limits say *how much*.
All are immutable: a change is a new version, published inside a bundle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from consortium.calendar import Period


class Service(StrEnum):
    """What a party may be served with."""

    ENTER = "ENTER"
    READ = "READ"
    BORROW = "BORROW"
    RETURN = "RETURN"
    RENEW = "RENEW"
    HOLD = "HOLD"


class AgreementStatus(StrEnum):
    """Where an agreement stands; only ACTIVE serves anybody."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    ENDED = "ENDED"


class Role(StrEnum):
    """What a party does: send its readers (HOME), serve others' (HOST), or both."""

    HOME = "HOME"
    HOST = "HOST"
    BOTH = "BOTH"


class Master(StrEnum):
    """Which side's word counts for one kind of record of a member (domain §10)."""

    TONGJIE = "TONGJIE"
    ILS = "ILS"


@dataclass(frozen=True, slots=True)
class Mastership:
    """Who is master of a member's own loans, readers, items and fees. Partner transactions are always ours."""

    loans: Master = Master.TONGJIE
    readers: Master = Master.TONGJIE
    items: Master = Master.TONGJIE
    fees: Master = Master.TONGJIE


class LibraryStatus(StrEnum):
    """A member's standing: LEAVING lends and borrows nothing new, LEFT is served with returns alone."""

    ACTIVE = "ACTIVE"
    LEAVING = "LEAVING"
    LEFT = "LEFT"


@dataclass(frozen=True, slots=True)
class Library:
    """A legal member of the consortium."""

    org: str
    isil: str
    name_zh: str
    name_en: str
    tz: str = "Asia/Shanghai"
    status: LibraryStatus = LibraryStatus.ACTIVE
    masters: Mastership = Mastership()


class BranchKind(StrEnum):
    """What a branch is: a staffed library, an unstaffed 24-hour library, a place that only takes returns."""

    LIBRARY = "library"
    ROUND_THE_CLOCK = "24h"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Branch:
    """A place of a library. ``capacity`` in persons, 0 = not limited; ``geo`` is (latitude, longitude) in millionths of a degree."""

    id: str
    org: str
    name_zh: str
    name_en: str
    calendar_id: str
    capacity: int = 0
    kind: BranchKind = BranchKind.LIBRARY
    sort_hub: str | None = None
    anti_pass_back: bool = False
    geo: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Party:
    """A library in an agreement."""

    org: str
    role: Role = Role.BOTH


@dataclass(frozen=True, slots=True)
class CategoryMap:
    """A home library's reader category and the shared category it counts as."""

    home_org: str
    home_cat: str
    shared_cat: str


@dataclass(frozen=True, slots=True)
class Staleness:
    """How old facts may be, in milliseconds, and what degraded facts still allow (domain §6).

    ``offline_cap``: loans of a reader that the replica does not know yet, unless a rule says otherwise;
    ``offline_max_value``: highest value of an item lent on degraded facts, 0 = not limited.
    """

    policy_fresh_ms: int = 24 * 3_600_000
    policy_refuse_ms: int = 72 * 3_600_000
    enter_cards_fresh_ms: int = 4 * 3_600_000
    enter_cards_refuse_ms: int = 24 * 3_600_000
    borrow_facts_fresh_ms: int = 15 * 60_000
    borrow_facts_refuse_ms: int = 8 * 3_600_000
    own_readers_fail_open: bool = True
    offline_cap: int = 2
    offline_max_value: int = 0


@dataclass(frozen=True, slots=True)
class Quotas:
    """What a host grants its partners' readers at most; 0 = not limited.

    ``visitors_now`` inside at once, ``visits_per_day`` entries a day, ``loans_per_reader`` open at this host by one reader,
    ``loans_per_lender`` open at this host by all readers under the agreement.
    """

    visitors_now: int = 0
    visits_per_day: int = 0
    loans_per_reader: int = 0
    loans_per_lender: int = 0


class FeeScheme(StrEnum):
    """Who keeps what a partner's reader is charged: the lender, the reader's home, or nobody (no charges at all)."""

    LENDER_KEEPS = "LENDER_KEEPS"
    HOME_KEEPS = "HOME_KEEPS"
    NONE = "NONE"


class DebtRule(StrEnum):
    """Who bears an item that a partner's reader lost: the reader's home, or whoever lent it."""

    HOME_GUARANTEES = "HOME_GUARANTEES"
    HOST_RISK = "HOST_RISK"


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What of a reader the other party's staff may see (domain M3); a block's reason is never among it."""

    name_at_desk: bool = False
    initials_on_screen: bool = False
    reader_no_at_desk: bool = False


@dataclass(frozen=True, slots=True)
class Retention:
    """How long identity stays with visits, and with loans after they are settled, in days (domain M10)."""

    visit_days: int = 30
    loan_days: int = 30


@dataclass(frozen=True, slots=True)
class Agreement:
    """A contract between libraries, one version of it."""

    id: str
    version: int
    parties: tuple[Party, ...]
    services: frozenset[Service]
    valid_from_ms: int
    valid_to_ms: int
    status: AgreementStatus = AgreementStatus.ACTIVE
    category_map: tuple[CategoryMap, ...] = ()
    excluded_item_types: frozenset[str] = frozenset()
    excluded_collections: frozenset[str] = frozenset()
    blackouts: tuple[Period, ...] = ()
    quotas: Quotas = Quotas()
    staleness: Staleness = Staleness()
    fee_scheme: FeeScheme = FeeScheme.LENDER_KEEPS
    debt_rule: DebtRule = DebtRule.HOME_GUARANTEES
    disclosure: Disclosure = Disclosure()
    retention: Retention = Retention()
    notice_days: int = 30

    @property
    def key(self) -> str:
        """ID@VERSION: how a basis names it."""
        return f"{self.id}@{self.version}"

    def covers(self, home: str, host: str) -> bool:
        """Whether readers of ``home`` are this agreement's concern at ``host``."""
        sends = any(p.org == home and p.role is not Role.HOST for p in self.parties)
        serves = any(p.org == host and p.role is not Role.HOME for p in self.parties)
        return sends and serves and home != host

    def shared_category(self, home: str, category: str) -> str | None:
        """What the reader's home category counts as, None where the agreement leaves it out."""
        for row in self.category_map:
            if row.home_org == home and row.home_cat in (category, "*"):
                return row.shared_cat
        return None


ANY = "*"


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """A librarian's rule: what it matches on, and results that fall through to a less specific rule where None.

    ``home``, ``owner`` and ``place`` name an org, a branch (place only), ``@group`` or ``*``; ages in whole years, both ends
    included. Results: ``period_days`` or ``period_hours`` (equipment; hours count as they run, the calendar is not asked),
    ``fine_per_day``, ``max_fine`` and ``deposit`` in fen, ``suspension_days`` per day overdue, ``condition_note`` asks for a note of
    the item's condition at lending and return, ``returnable_at`` is "any" or "owner", ``return_to`` "owner" or "lending".
    """

    id: str
    agreement: str = ANY
    home: str = ANY
    category: str = ANY
    item_type: str = ANY
    owner: str = ANY
    place: str = ANY
    age_from: int | None = None
    age_to: int | None = None
    valid_from_ms: int | None = None
    valid_to_ms: int | None = None
    lend: bool | None = None
    period_days: int | None = None
    period_hours: int | None = None
    hard_due_ms: int | None = None
    renewals: int | None = None
    renew_window_days: int | None = None
    grace_days: int | None = None
    fine_per_day: int | None = None
    max_fine: int | None = None
    suspension_days: int | None = None
    deposit: int | None = None
    condition_note: bool | None = None
    holdable: bool | None = None
    returnable_at: str | None = None
    float_group: str | None = None
    return_to: str | None = None
    offline_lend: bool | None = None
    offline_cap: int | None = None


class LimitScope(StrEnum):
    """Over which loans of a reader a limit counts."""

    LENDER = "reader@lender"
    GROUP = "reader@group"
    CONSORTIUM = "reader@consortium"


@dataclass(frozen=True, slots=True)
class LimitSet:
    """Most open loans (and value) of a reader in a scope. Empty ``item_types`` or ``categories`` mean all."""

    id: str
    scope: LimitScope
    max_open: int
    item_types: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    partners_only: bool = False
    lender: str = ANY
    group: str = ""
    max_value: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """A named set of libraries (or branches) that rules and limits may speak of as ``@name``."""

    name: str
    members: frozenset[str] = field(default_factory=frozenset)
