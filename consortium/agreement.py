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


@dataclass(frozen=True, slots=True)
class Library:
    """A legal member of the consortium."""

    org: str
    isil: str
    name_zh: str
    name_en: str
    tz: str = "Asia/Shanghai"
    status: str = "ACTIVE"


@dataclass(frozen=True, slots=True)
class Branch:
    """A place of a library. ``capacity`` in persons, 0 = not limited."""

    id: str
    org: str
    name_zh: str
    name_en: str
    calendar_id: str
    capacity: int = 0
    kind: str = "library"
    sort_hub: str | None = None
    anti_pass_back: bool = False


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
    """How old facts may be, in milliseconds (domain §6)."""

    policy_fresh_ms: int = 24 * 3_600_000
    policy_refuse_ms: int = 72 * 3_600_000
    enter_cards_fresh_ms: int = 4 * 3_600_000
    enter_cards_refuse_ms: int = 24 * 3_600_000
    borrow_facts_fresh_ms: int = 15 * 60_000
    borrow_facts_refuse_ms: int = 8 * 3_600_000
    own_readers_fail_open: bool = True


@dataclass(frozen=True, slots=True)
class Quotas:
    """Most partner readers inside at once and per day at one host; 0 = not limited."""

    visitors_now: int = 0
    visits_per_day: int = 0


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
    blackouts: tuple[Period, ...] = ()
    quotas: Quotas = Quotas()
    staleness: Staleness = Staleness()
    notice_days: int = 30

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

    ``home``, ``owner`` and ``place`` name an org, a branch (place only), ``@group`` or ``*``; periods in days.
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
    hard_due_ms: int | None = None
    renewals: int | None = None
    renew_window_days: int | None = None
    grace_days: int | None = None
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
