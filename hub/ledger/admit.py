"""Admission: may this row enter the log? Everything that folds and projections will read is checked here, once.

An event that passes can be folded at any time, in any order, for ever; one that does not is kept byte for byte in quarantine
with a stable code. After this door nothing about an event is in doubt.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any

import msgspec

from consortium import identity
from consortium.events import Event, EventError, Kind, decode, encode
from consortium.identity import org_of_branch

MAX_TIME_MS = 1 << 53
MAX_FUTURE_MS = 366 * 86_400_000
"""How far ahead of the hub's clock an event may claim to be; a larger claim would hold up its item's fold for years."""

_ROUTES = frozenset({"SHELVE", "STAY", "HOLD", "TRANSIT", "DESK", "HOLD_HERE"})
_BOUNDS = {
    "type": 24,
    "home": 16,
    "class": 16,
    "code": 32,
    "function": 12,
    "to": 32,
    "state": 12,
    "kind": 24,
    "reservation": 64,
}


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
        event = decode(body)
        _check(event, body, node, org, epoch, seq, now)
        _check_subject(event, salt, srid)
    except EventError as error:
        return Row(seq, body, hash_, salt, srid, None, error.code)
    return Row(seq, body, hash_, salt, srid, event)


def _check(event: Event, body: str, node: str, org: str | None, epoch: str, seq: int, now: int) -> None:
    if (event.node, event.epoch, event.seq) != (node, epoch, seq):
        raise EventError("EVENT_NODE", "the body names another event than the row that carries it")
    if org is not None and org_of_branch(event.branch) != org:
        raise EventError("EVENT_BRANCH", "the branch is not the node's")
    if not _canonical(event, body) or "\\u0000" in body:
        raise EventError("EVENT_NOT_CANONICAL", "the body is not canonical JSON")
    if not 0 < len(event.device) <= 64 or len(event.boot) > 64:
        raise EventError("EVENT_FIELD", "device and boot have at most 64 characters")
    if not 0 < event.t_eff <= now + MAX_FUTURE_MS or not 0 <= event.t_dev < MAX_TIME_MS:
        raise EventError("EVENT_TIME", "the event's time cannot be")
    data = event.data
    for name, most in _BOUNDS.items():
        if name in data and not (isinstance(data[name], str) and len(data[name]) <= most):
            raise EventError("EVENT_DATA", f"{name} is a text of at most {most} characters")
    if "item" in data and len(data["item"][0]) > 16:
        raise EventError("EVENT_DATA", "an item's owner has at most 16 characters")
    if "due" in data and not _is_time(data["due"]):
        raise EventError("EVENT_DATA", "due is a time in ms")
    for name in ("basis", "flags", "codes"):
        if name in data and not _texts(data[name]):
            raise EventError("EVENT_DATA", f"{name} is a list of texts")
    if event.kind in (Kind.RETURN, Kind.RECEIVE):
        _check_route(data["route"])
    if event.decision is not None:
        _check_decision(event.decision)


def _canonical(event: Event, body: str) -> bool:
    # msgspec writes the same text ten times faster than json; where the two differ (an exotic escape), json has the last word
    try:
        if msgspec.json.encode(msgspec.json.decode(body), order="sorted").decode() == body:
            return True
    except (msgspec.DecodeError, OverflowError, UnicodeEncodeError):
        return False
    return encode(event) == body


def _is_time(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_TIME_MS


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, str) and len(part) <= 64 for part in value)


def _check_route(route: dict[str, Any]) -> None:
    if route["action"] not in _ROUTES:
        raise EventError("EVENT_DATA", "the route's action is not known")
    for name, most in (("dest", 32), ("via", 32), ("reason", 20)):
        value = route.get(name)
        if value is not None and not (isinstance(value, str) and 0 < len(value) <= most):
            raise EventError("EVENT_DATA", f"the route's {name} is a text of at most {most} characters")
    if route["action"] == "TRANSIT" and not route.get("dest"):
        raise EventError("EVENT_DATA", "a transit needs a destination")
    if "reason" in route and route["reason"] is None:
        raise EventError("EVENT_DATA", "the route's reason is left out or a text")


def _check_decision(record: Any) -> None:
    sound = (
        isinstance(record, dict)
        and all(isinstance(record.get(name), str) and 0 < len(record[name]) <= most for name, most in _DECISION)
        and _texts(record.get("c"))
        and bool(record["c"])
        and len(record["c"][0]) <= 32
        and isinstance(record.get("pv"), int)
        and 0 <= record["pv"] < 1 << 31
        and ("t" not in record or _is_time(record["t"]))
    )
    if not sound:
        raise EventError("EVENT_DECISION", "the decision record is not one")


_DECISION = (("f", 12), ("o", 8), ("s", 8), ("m", 8))


def _check_subject(event: Event, salt: str | None, srid: str | None) -> None:
    if event.subject is not None and (not isinstance(event.subject, str) or len(event.subject) != 64):
        raise EventError("EVENT_SUBJECT", "a subject is 64 hex digits")
    if salt is None and srid is None:
        return  # nobody, or erased
    if salt is None or srid is None or event.subject is None or max(len(salt), len(srid)) > 64:
        raise EventError("EVENT_SUBJECT", "identity beside the body needs salt, srid and a subject")
    if not hmac.compare_digest(identity.subject(salt, srid), event.subject):
        raise EventError("EVENT_SUBJECT", "the identity beside the body is not the one inside")
