"""What the API sends: one model per resource. Times are RFC 3339 UTC, an item is ``{owner, item_no}``, a reader a ``rid``."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2025-03-01T08:00:00.000Z"])]


class Out(BaseModel):
    """Base of everything sent."""

    model_config = ConfigDict(extra="forbid")


class Page(Out, Generic[T]):
    """One page of a list; ``next_cursor`` is null on the last."""

    items: list[T]
    next_cursor: str | None


class ItemRef(Out):
    """One physical item; a bare barcode never names one."""

    owner: str
    item_no: str


class Names(Out):
    """A name in both languages."""

    zh: str
    en: str


class LibraryOut(Out):
    """A member of the consortium."""

    org: str
    isil: str
    name: Names
    tz: str
    status: str


class BranchOut(Out):
    """A place of a library. ``capacity`` in persons, null = not limited; ``open_now`` by its calendar."""

    id: str
    library: str
    name: Names
    kind: str
    capacity: int | None
    open_now: bool


class PartyOut(Out):
    """A library in an agreement."""

    library: str
    role: str


class CategoryOut(Out):
    """A reader category of one library and the shared one it counts as."""

    home: str
    category: str
    shared_category: str


class SpanOut(Out):
    """A span of time, end exclusive."""

    start: Time
    end: Time


class AgreementOut(Out):
    """One version of an agreement; quotas of 0 mean not limited."""

    id: str
    version: int
    status: str
    parties: list[PartyOut]
    services: list[str]
    valid_from: Time
    valid_to: Time
    category_map: list[CategoryOut]
    excluded_item_types: list[str]
    blackouts: list[SpanOut]
    visitors_now: int
    visits_per_day: int
    policy_version: int


class RuleOut(Out):
    """A rule: what it matches on (``*`` = anything) and the results it sets (null = a less specific rule decides)."""

    id: str
    agreement: str
    home: str
    category: str
    item_type: str
    owner: str
    place: str
    age_from: int | None
    age_to: int | None
    valid_from: Time | None
    valid_to: Time | None
    lend: bool | None
    period_days: int | None
    hard_due: Time | None
    renewals: int | None
    renew_window_days: int | None
    grace_days: int | None
    returnable_at: str | None
    float_group: str | None
    return_to: str | None
    offline_lend: bool | None
    offline_cap: int | None
    policy_version: int


class ReaderOut(Out):
    """A reader. ``reader_no`` is shown to staff of the reader's own library only."""

    rid: str
    home: str
    reader_no: str | None
    category: str
    status: str
    valid_to: Time | None
    shared: bool


class ItemOut(Out):
    """An item and where it stands now."""

    item: ItemRef
    title: str
    item_type: str
    owner_branch: str
    shareable: bool
    reference: bool
    shelf: str | None
    status: str
    branch: str


class LoanOut(Out):
    """A loan; ``rid`` is null once the reader was erased."""

    id: str
    item: ItemRef
    title: str | None
    item_type: str
    rid: str | None
    home: str
    lender: str
    place: str
    device: str
    t_out: Time
    due: Time
    basis: list[str]
    flags: list[str]
    renewals: int
    open: bool
    t_end: Time | None
    end_kind: str | None
    end_place: str | None


class TransitOut(Out):
    """An item's journey from branch ``start`` to branch ``to``."""

    id: str
    item: ItemRef
    title: str | None
    start: str
    to: str
    via: str | None
    reason: str
    state: str
    open: bool
    t_open: Time
    t_sent: Time | None
    t_end: Time | None
    legs: list[str]


class VisitOut(Out):
    """A reader's stay at a branch; ``passage`` and ``out_passage``: whether somebody was seen to go through, or it is assumed."""

    id: str
    branch: str
    gate: str
    rid: str | None
    home: str
    visitor_class: str
    open: bool
    t_in: Time
    t_out: Time | None
    out_kind: str | None
    passage: str
    out_passage: str | None


class BlockOut(Out):
    """A block; ``reason`` is shown to its issuer only."""

    id: str
    rid: str
    issuer: str
    scope: str
    kind: str
    actions: list[str]
    from_time: Time | None
    to_time: Time | None
    in_force: bool
    reason: str | None


class DecisionOut(Out):
    """A decision as it was taken; ``text`` is what a reader saw."""

    id: str
    function: str
    outcome: str
    primary_code: str
    codes: list[str]
    text: Names
    branch: str
    device: str
    home: str | None
    t: Time
    source: str
    mode: str
    policy_version: int


class DecisionDetailOut(DecisionOut):
    """A decision with what was known when it was taken."""

    record: dict[str, Any]


class ConflictOut(Out):
    """Facts that disagree about an item.

    ``library`` settles it (``*`` = the hub's staff) until ``deadline``; then ``default_resolution`` is taken. A rule that settled it at
    once leaves no deadline. ``resolution`` ``facts``: later facts took it back; ``settled_by`` is the event that settled it.
    ``codes``: what speaks against a loan.
    """

    id: str
    kind: str
    text: Names
    item: ItemRef
    events: list[str]
    t: Time
    state: str
    library: str
    deadline: Time | None
    default_resolution: str
    resolution: str | None
    settled_by: str | None
    codes: list[str]


class CorrectionOut(Out):
    """What a late fact changed of what had been told; ``before`` and ``after`` hold the values that differ.

    ``cause`` is the event that made it necessary, ``pos`` its position in the log, ``t`` when the hub found it.
    """

    id: int
    pos: int
    t: Time
    cause: str
    change: str
    subject: str
    item: ItemRef
    before: dict[str, Any]
    after: dict[str, Any]


class ChargeOut(Out):
    """A posting about an overdue loan: ``amount`` in fen, negative = given back; ``cause`` is the event that made it necessary."""

    id: int
    loan: str
    item: ItemRef
    home: str
    lender: str
    amount: int
    cause: str
    t: Time
    pos: int


class IlsWorkOut(Out):
    """A job for a member's own ILS: what it must book of an event (``of``) at another library's branch.

    ``state`` is WAITING, TAKEN (durable at the branch beside the ILS), BOOKED or REFUSED; ``home`` "" for a return.
    """

    org: str
    of: str
    task: str
    item: ItemRef
    t: Time
    due: Time | None
    home: str
    state: str
    node: str | None
    made: Time
    taken: Time | None
    done: Time | None


class DeviceOut(Out):
    """A device. ``state`` is ``unknown`` while its branch is silent, whatever it last said (``reported_state``)."""

    id: str
    node: str
    branch: str
    kind: str
    state: str
    reported_state: str
    since: Time
    last_seen: Time
    facts: dict[str, Any]


class EventOut(Out):
    """An event of the log; ``pos`` orders the log, ``t_eff`` is when it happened, ``t_arr`` when the hub learned of it."""

    id: str
    pos: int
    kind: str
    branch: str
    device: str
    t_eff: Time
    t_arr: Time
    item: ItemRef | None
    rid: str | None
    data: dict[str, Any]
    hash: str


class ApiTokenOut(Out):
    """An API token without its secret."""

    id: str
    name: str
    scopes: list[str]
    library: str
    created: Time
    expires: Time | None


class NewApiTokenOut(ApiTokenOut):
    """A token just made; ``token`` is shown this once and null when the same request is repeated."""

    token: str | None


class AuditOut(Out):
    """Who changed what."""

    id: int
    t: Time
    actor: str
    action: str
    object: str
    note: str
