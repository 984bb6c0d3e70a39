"""Admission: may this row enter the log? Everything that folds and projections will read is checked here, once.

What an event of its type must carry is the domain's to say (``consortium.events``); here stands what only the hub can judge: whose
event it is, when it claims to have happened, and that its bytes are the only ones for what they say. An event that passes can be
folded at any time, in any order, for ever; one that does not is kept byte for byte in quarantine with a stable code.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from consortium import identity
from consortium.events import Event, EventError, Kind, encode, event_of, parse
from consortium.identity import EventId, IdentityError, org_of_branch

MAX_TIME_MS = 1 << 53
FUTURE_MS = 24 * 3_600_000
"""How far ahead of the hub's clock, beyond its own uncertainty, an event may be: a clock that was set to tomorrow is a fault that
happens, one that is further off would hold up the folds of its items until that day comes."""

MAX_UNCERTAIN_MS = 366 * 86_400_000
"""The most that an event's own uncertainty excuses."""

HUB_ONLY = frozenset(
    {
        Kind.HOLD_EXPIRED,
        Kind.VISIT_CLOSED,
        Kind.BLOCK_SET,
        Kind.BLOCK_LIFTED,
        Kind.CHARGE_PAID,
        Kind.CHARGE_WAIVED,
        Kind.CLOCK_CORRECTED,
        Kind.CONFLICT_SETTLED,
        Kind.POLICY_PUBLISHED,
    }
)
"""What a branch cannot know or may not decide (domain §6): only the hub's own nodes say it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it arrived. ``event`` is None where ``code`` says why it may not enter; ``rid`` is set for hub-born events."""

    seq: int
    body: str
    hash: str
    salt: str | None
    srid: str | None
    event: Event | None
    code: str | None = None
    rid: str | None = None


def admit(
    node: str,
    org: str | None,
    epoch: str,
    seq: int,
    body: str,
    hash_: str,
    salt: str | None,
    srid: str | None,
    now: int,
) -> Row:
    """Judge one row of a node's batch. ``org`` is the node's library; None for the hub's own node, which speaks of all."""
    try:
        raw = parse(body)
        event = event_of(raw)
        _check(event, raw, body, node, org, epoch, seq, now)
        _check_subject(event, salt, srid)
    except EventError as error:
        return Row(seq, body, hash_, salt, srid, None, error.code)
    return Row(seq, body, hash_, salt, srid, event)


def _check(
    event: Event, raw: dict[str, Any], body: str, node: str, org: str | None, epoch: str, seq: int, now: int
) -> None:
    if (event.node, event.epoch, event.seq) != (node, epoch, seq):
        raise EventError("EVENT_NODE", "the body names another event than the row that carries it")
    if org is not None and org_of_branch(event.branch) != org:
        raise EventError("EVENT_BRANCH", "the branch is not the node's")
    if not _canonical(event, raw, body) or "\\u0000" in body:
        raise EventError("EVENT_NOT_CANONICAL", "the body is not canonical JSON")
    if not 0 < len(event.device) <= 64 or len(event.boot) > 64 or not 0 < len(epoch) <= 64:
        raise EventError("EVENT_FIELD", "device, boot and epoch have at most 64 characters")
    if org is not None and event.kind in HUB_ONLY:
        raise EventError("EVENT_NOT_YOURS", f"only the hub says {event.kind.value}")
    _check_times(event, now)
    if event.reissue_of is not None:
        _check_reissue(event, node)
    if event.decision is not None:
        _check_decision(event.decision)


def _check_times(event: Event, now: int) -> None:
    if event.t_eff <= 0 or not 0 <= event.t_dev < MAX_TIME_MS or event.t_unc >= MAX_TIME_MS:
        raise EventError("EVENT_TIME", "the event's time cannot be")
    if event.t_eff > now + min(event.t_unc, MAX_UNCERTAIN_MS) + FUTURE_MS:
        raise EventError("EVENT_FUTURE", "the event is from the future; set the branch's clock right")


def _check_reissue(event: Event, node: str) -> None:
    """A node says again, under a new epoch, what it said itself; it speaks for no other."""
    try:
        known = EventId.parse(event.reissue_of) if isinstance(event.reissue_of, str) else None
    except IdentityError:
        known = None
    if known is None or known.node != node or known.epoch == event.epoch or str(known) != event.reissue_of:
        raise EventError("EVENT_REISSUE", "reissue_of names an event of this node and another epoch")


def _canonical(event: Event, raw: dict[str, Any], body: str) -> bool:
    # msgspec writes the same text ten times faster than json; where the two differ (an exotic escape), json has the last word
    try:
        return msgspec.json.encode(raw, order="sorted").decode() == body or encode(event) == body
    except OverflowError:  # a number that no field has room for
        return False


class _Record(msgspec.Struct):
    """As much of a decision's record as the ledger reads: function, outcome, codes, policy version, source, mode, instant."""

    f: Annotated[str, Meta(min_length=1, max_length=12)]
    o: Annotated[str, Meta(min_length=1, max_length=8)]
    s: Annotated[str, Meta(min_length=1, max_length=8)]
    m: Annotated[str, Meta(min_length=1, max_length=8)]
    c: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(min_length=1, max_length=64)]
    pv: Annotated[int, Meta(ge=0, lt=1 << 31)]
    t: Annotated[int, Meta(ge=0, lt=MAX_TIME_MS)] = 0


def _check_decision(record: Any) -> None:
    try:
        codes = msgspec.convert(record, _Record).c
    except msgspec.ValidationError as error:
        raise EventError("EVENT_DECISION", "the decision record is not one") from error
    if len(codes[0]) > 32:
        raise EventError("EVENT_DECISION", "a decision's code has at most 32 characters")


def _check_subject(event: Event, salt: str | None, srid: str | None) -> None:
    if event.subject is not None and (not isinstance(event.subject, str) or len(event.subject) != 64):
        raise EventError("EVENT_SUBJECT", "a subject is 64 hex digits")
    if salt is None and srid is None:
        return  # nobody, or erased
    if salt is None or srid is None or event.subject is None or max(len(salt), len(srid)) > 64:
        raise EventError("EVENT_SUBJECT", "identity beside the body needs salt, srid and a subject")
    if not hmac.compare_digest(identity.subject(salt, srid), event.subject):
        raise EventError("EVENT_SUBJECT", "the identity beside the body is not the one inside")
