"""Topics of the bus: one table, written and read by functions.

Every topic is `tongjie/v1/{node}/{kind}[/{name}]`. The node comes first so that one ACL line covers all that a node may touch, and
nothing in a topic names a card, a reader or an item.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from protocols.bus.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "ASK_REP_FILTER",
    "CMD_REP_FILTER",
    "DECIDE_FILTER",
    "INGEST_FILTER",
    "NAMES",
    "ROOT",
    "STATE_FILTER",
    "TWIN_REPORTED_FILTER",
    "WORK_REP_FILTER",
    "Kind",
    "Topic",
    "ack",
    "ask",
    "ask_rep",
    "check_node",
    "cmd",
    "cmd_rep",
    "edge_filters",
    "evt",
    "node_of_branch",
    "parse",
    "rep",
    "replica",
    "req",
    "state",
    "twin_desired",
    "twin_reported",
    "work",
    "work_rep",
]

ROOT: Final = "tongjie/v1"

_NODE = re.compile(r"[a-z0-9-]{1,64}")


class Kind(StrEnum):
    """What a topic is for; the level after the node."""

    EVT = "evt"
    ACK = "ack"
    REQ = "req"
    REP = "rep"
    ASK = "ask"
    ASK_REP = "ask-rep"
    WORK = "work"
    WORK_REP = "work-rep"
    STATE = "state"
    TWIN = "twin"
    REPLICA = "replica"
    CMD = "cmd"
    CMD_REP = "cmd-rep"


NAMES: Final[dict[Kind, frozenset[str]]] = {
    Kind.REQ: frozenset({"hello", "enter", "borrow", "renew", "reader", "item", "hold", "fee", "block"}),
    Kind.ASK: frozenset({"reader", "item"}),
    Kind.TWIN: frozenset({"desired", "reported"}),
    Kind.REPLICA: frozenset({"manifest", "delta", "watermark"}),
    Kind.CMD: frozenset({"identify", "reboot", "open-once", "hold-open", "lock", "diagnostics"}),
}
"""The names a kind may carry; a kind that is not listed has no name level."""

INGEST_FILTER: Final = f"$share/ingest/{ROOT}/+/evt"
"""Hub workers share the batches of events; order per node is not kept, ingest takes the contiguous prefix."""
DECIDE_FILTER: Final = f"$share/decide/{ROOT}/+/req/+"
"""Hub workers share the requests of all nodes."""
STATE_FILTER: Final = f"{ROOT}/+/state"
"""Every hub worker hears every birth and will, unshared."""
TWIN_REPORTED_FILTER: Final = f"{ROOT}/+/twin/reported"
CMD_REP_FILTER: Final = f"{ROOT}/+/cmd-rep"
ASK_REP_FILTER: Final = f"{ROOT}/+/ask-rep"
WORK_REP_FILTER: Final = f"{ROOT}/+/work-rep"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic taken apart: the node it belongs to, its kind, and its name where that kind has one."""

    node: str
    kind: Kind
    name: str | None = None

    def __str__(self) -> str:
        base = f"{ROOT}/{self.node}/{self.kind.value}"
        return base if self.name is None else f"{base}/{self.name}"


def check_node(node: str) -> str:
    """The node id itself if it is one: 1 to 64 of `a-z 0-9 -`. Raises LocalProtocolError BUS_NODE."""
    if not _NODE.fullmatch(node):
        raise LocalProtocolError("BUS_NODE", node=node[:80])
    return node


def node_of_branch(branch: str) -> str:
    """The node id of a branch's edge: `251020-01` gives `edge-251020-01`. Raises LocalProtocolError BUS_NODE."""
    return check_node(f"edge-{branch.lower()}")


def _topic(node: str, kind: Kind, name: str | None = None) -> str:
    check_node(node)
    if (name not in NAMES[kind]) if kind in NAMES else (name is not None):
        raise LocalProtocolError("BUS_TOPIC_NAME", kind=kind.value, name=str(name)[:80])
    return str(Topic(node, kind, name))


def evt(node: str) -> str:
    """Edge to hub: batches of events from the outbox, QoS 1."""
    return _topic(node, Kind.EVT)


def ack(node: str) -> str:
    """Hub to edge: what the hub has committed of this node's events."""
    return _topic(node, Kind.ACK)


def req(node: str, name: str) -> str:
    """Edge to hub: a request with CorrelationData and a deadline; names in `NAMES[Kind.REQ]`."""
    return _topic(node, Kind.REQ, name)


def rep(node: str) -> str:
    """Hub to edge: the only place where a request of this node is answered, whatever its ResponseTopic says."""
    return _topic(node, Kind.REP)


def ask(node: str, name: str) -> str:
    """Hub to edge: a question about facts of the branch's own ILS, with a deadline."""
    return _topic(node, Kind.ASK, name)


def ask_rep(node: str) -> str:
    """Edge to hub: the answer to an `ask`."""
    return _topic(node, Kind.ASK_REP)


def work(node: str) -> str:
    """Hub to edge: a durable, idempotent job for the branch's ILS."""
    return _topic(node, Kind.WORK)


def work_rep(node: str) -> str:
    """Edge to hub: the outcome of a job."""
    return _topic(node, Kind.WORK_REP)


def state(node: str) -> str:
    """Edge to hub, retained: the birth after every CONNACK, and the last will."""
    return _topic(node, Kind.STATE)


def twin_desired(node: str) -> str:
    """Hub to edge, retained: the configuration the node should have, versioned."""
    return _topic(node, Kind.TWIN, "desired")


def twin_reported(node: str) -> str:
    """Edge to hub, retained: the configuration the node runs with."""
    return _topic(node, Kind.TWIN, "reported")


def replica(node: str, part: str) -> str:
    """Hub to edge: what the node's replica is made of; `manifest`, `delta` or `watermark`."""
    return _topic(node, Kind.REPLICA, part)


def cmd(node: str, name: str) -> str:
    """Hub to edge: a command to the node or one of its devices; names in `NAMES[Kind.CMD]`."""
    return _topic(node, Kind.CMD, name)


def cmd_rep(node: str) -> str:
    """Edge to hub: how a command went."""
    return _topic(node, Kind.CMD_REP)


def edge_filters(node: str) -> tuple[str, ...]:
    """All that an edge may subscribe to: its own topics and no wildcard over nodes."""
    base = f"{ROOT}/{check_node(node)}"
    return tuple(f"{base}/{tail}" for tail in ("ack", "rep", "ask/+", "work", "twin/desired", "replica/+", "cmd/+"))


def parse(topic: str) -> Topic:
    """A received topic taken apart; strict, so that `str(parse(t)) == t`.

    Raises RemoteProtocolError: BUS_TOPIC for another shape or version, BUS_NODE for a node id that is none, BUS_TOPIC_NAME for a name
    its kind does not know.
    """
    levels = topic.split("/", 6)
    if len(levels) not in (4, 5) or f"{levels[0]}/{levels[1]}" != ROOT:
        raise RemoteProtocolError("BUS_TOPIC", topic=topic[:120])
    node, name = levels[2], levels[4] if len(levels) == 5 else None
    if not _NODE.fullmatch(node):
        raise RemoteProtocolError("BUS_NODE", node=node[:80])
    try:
        kind = Kind(levels[3])
    except ValueError:
        raise RemoteProtocolError("BUS_TOPIC", topic=topic[:120]) from None
    if (name not in NAMES[kind]) if kind in NAMES else (name is not None):
        raise RemoteProtocolError("BUS_TOPIC_NAME", kind=kind.value, name=str(name)[:80])
    return Topic(node, kind, name)
