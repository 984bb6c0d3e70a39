"""What machines did and how they are: decisions, devices, events; and the administration of the hub itself."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, false, or_, true

from consortium.events import ITEM_KINDS
from consortium.identity import org_of_branch
from hub.api import schemas
from hub.api.forms import time_of, time_or_none
from hub.api.lists import Filter, Resource, equals
from hub.api.presence import contact, device_state, unknown_since
from hub.api.resources.base import at_branch_of, names, own, placed, ref, texts, times
from hub.auth.access import Access
from hub.store import schema as t

_ITEM_KINDS = tuple(kind.value for kind in ITEM_KINDS)


def _decision(row: Row[Any], access: Access, now: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "function": row.function,
        "outcome": row.outcome,
        "primary_code": row.primary_code,
        "codes": row.codes,
        "text": names(row.primary_code),
        "branch": row.branch,
        "device": row.device,
        "home": row.home,
        "t": time_of(row._mapping["t"]),
        "source": row.source,
        "mode": row.mode,
        "policy_version": row.policy_version,
    }


def decision_detail(row: Row[Any], access: Access, now: int) -> dict[str, Any]:
    """A decision with its recorded facts."""
    return {**_decision(row, access, now), "record": row.record}


DECISIONS = Resource(
    "decisions", "decision", t.decisions, (t.decisions,), (t.decisions.c.id,), (t.decisions.c.t, t.decisions.c.id),
    (int, str), placed(t.decisions.c.branch), _decision,
    {
        **texts(t.decisions, "function", "outcome", "primary_code", "branch", "device", "home", "source", "mode"),
        **times(t.decisions.c.t),
        "policy_version": Filter(lambda value: t.decisions.c.policy_version == value, "int"),
    },
    schemas.DecisionOut,
)  # fmt: skip


DECISION_DETAIL = dataclasses.replace(DECISIONS, shape=decision_detail, model=schemas.DecisionDetailOut)
"""The same decisions, each with its recorded facts."""


def _device(row: Row[Any], access: Access, now: int) -> dict[str, Any]:
    # A device whose node was never registered cannot be vouched for.
    link = contact(bool(row.node_online), row.node_last_seen or 0, now)
    state = device_state(row.state, link)
    lost = state == "unknown" and link != "online"
    return {
        "id": row.id,
        "node": row.node,
        "branch": row.branch,
        "kind": row.kind,
        "state": state,
        "reported_state": row.state,
        "since": time_of(unknown_since(link, row.node_since or 0, row.node_last_seen or 0) if lost else row.since),
        "last_seen": time_of(row.last_seen),
        "facts": row.facts,
    }


DEVICES = Resource(
    "devices", "device", t.devices.outerjoin(t.nodes, t.devices.c.node == t.nodes.c.node),
    (
        t.devices, t.nodes.c.online.label("node_online"), t.nodes.c.since.label("node_since"),
        t.nodes.c.last_seen.label("node_last_seen"),
    ),
    (t.devices.c.node, t.devices.c.id), (t.devices.c.branch, t.devices.c.node, t.devices.c.id), (str, str, str),
    placed(t.devices.c.branch), _device,
    {**texts(t.devices, "id", "node", "branch", "kind"), "reported_state": equals(t.devices.c.state)}, schemas.DeviceOut,
    newest_first=False,
)  # fmt: skip


def _ils_work(row: Row[Any], access: Access, now: int) -> dict[str, Any]:
    return {
        "org": row.org,
        "of": row.of,
        "task": row.task,
        "item": ref(row),
        "t": time_of(row._mapping["t"]),
        "due": time_or_none(row.due),
        "home": row.home,
        "state": row.state,
        "node": row.node,
        "made": time_of(row.made_ms),
        "taken": time_or_none(row.taken_ms),
        "done": time_or_none(row.done_ms),
    }


ILS_WORK = Resource(
    "ils-work", "ILS job", t.ils_work, (t.ils_work,), (), (t.ils_work.c.t, t.ils_work.c.org, t.ils_work.c.of),
    (int, str, str), own(t.ils_work.c.org), _ils_work,
    {**texts(t.ils_work, "org", "of", "task", "owner", "item_no", "state", "node"), **times(t.ils_work.c.t)},
    schemas.IlsWorkOut,
)  # fmt: skip


def _event(row: Row[Any], access: Access, now: int) -> dict[str, Any]:
    here = access.everywhere or org_of_branch(row.branch) == access.library
    return {
        "id": f"{row.node}/{row.epoch}/{row.seq}",
        "pos": row.pos,
        "kind": row.kind,
        "branch": row.branch,
        "device": row.device,
        "t_eff": time_of(row.t_eff),
        "t_arr": time_of(row.t_arr),
        "item": None if row.owner is None or row.item_no is None else ref(row),
        "rid": row.rid if here else None,
        "data": json.loads(row.body)["data"],
        "hash": row.hash,
    }


def _events_visible(access: Access) -> ColumnElement[bool]:
    if access.everywhere:
        return true()
    moved = and_(t.events.c.owner == access.library, t.events.c.kind.in_(_ITEM_KINDS))
    return or_(at_branch_of(t.events.c.branch, access.library), moved)


EVENTS = Resource(
    "events", "event", t.events, (t.events,), (t.events.c.node, t.events.c.epoch, t.events.c.seq), (t.events.c.pos,),
    (int,), _events_visible, _event,
    {
        **texts(t.events, "node", "epoch", "kind", "branch", "device", "owner", "item_no"),
        **times(t.events.c.t_eff),
        "after": Filter(lambda value: t.events.c.pos > value, "int", "log position, exclusive"),
    },
    schemas.EventOut,
)  # fmt: skip


def _api_token(row: Row[Any], access: Access, now: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "scopes": row.scopes,
        "library": row.library,
        "created": time_of(row.created_ms),
        "expires": time_or_none(row.expires_ms),
    }


API_TOKENS = Resource(
    "api-tokens", "API token", t.api_tokens, (t.api_tokens,), (t.api_tokens.c.id,),
    (t.api_tokens.c.created_ms, t.api_tokens.c.id), (int, str), own(t.api_tokens.c.library), _api_token,
    texts(t.api_tokens, "library", "name"), schemas.ApiTokenOut,
)  # fmt: skip


def _audit(row: Row[Any], access: Access, now: int) -> dict[str, Any]:
    return {
        "id": row.id, "t": time_of(row._mapping["t"]), "actor": row.actor, "action": row.action, "object": row.object, "note": row.note
    }  # fmt: skip


AUDIT = Resource(
    "audit", "audit entry", t.audit, (t.audit,), (t.audit.c.id,), (t.audit.c.id,), (int,),
    # The audit has no library column yet, so that only the consortium's own administrators read it.
    lambda access: true() if access.everywhere else false(), _audit,
    {**texts(t.audit, "actor", "action", "object"), **times(t.audit.c.t)}, schemas.AuditOut,
)  # fmt: skip
