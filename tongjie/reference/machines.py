"""docs/state-machines.md: the tables of ``consortium.machines`` as pictures (mermaid) and in full.

A picture merges what would be drawn twice: several events between the same two states are one arrow, and what may happen in every
state at hand is one arrow from the frame around them. The tables below each picture leave nothing out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from consortium.events import Event, Kind
from consortium.facts import ItemStatus
from consortium.fold import Logged, fold_item
from consortium.machines import HOLD, ITEM, LOAN, TRANSIT, VISIT, Edge, Guard, Row
from consortium.states import TERMINAL, TransitState
from tongjie.reference.layout import head, table, text
from tongjie.reference.names import EVENTS, HOLD_STATES, ITEM_STATES, LOAN_STATES, TRANSIT_STATES, VISIT_STATES

Names = Mapping[str, tuple[str, str]]
Arrow = tuple[str, str, str]
"""From, label, to; "[*]" is the beginning."""

ACTIONS = ("SHELVE", "STAY", "HOLD", "HOLD_HERE", "TRANSIT", "DESK")
"""Every action of a route, in the order of the page."""


@dataclass(frozen=True, slots=True)
class Frame:
    """States that a picture draws a frame around, and what may happen in each of which is drawn from the frame."""

    name: str
    title: str
    members: tuple[str, ...]


_HAND = Frame("AT_HAND", "at hand · 在馆", ("SHELVED", "HOLD_SHELF", "RETURNED_AT", "EXCEPTION"))
_EVERYDAY = (*_HAND.members, "ON_LOAN", "IN_TRANSIT")
_GONE = ("MISSING", "LOST", "CLAIMED_RETURNED", "WITHDRAWN")
_AWAY = Frame("GONE", "gone · 不在", _GONE)
_AROUND = ("ON_LOAN", "IN_TRANSIT", "EXCEPTION", "AT_HAND")
_MOVING = Frame("UNDER_WAY", "under way · 在途", tuple(state.value for state in TransitState if state not in TERMINAL))
_NO_FRAME = Frame("", "", ())
_ROUTED = frozenset({Kind.RETURN, Kind.RECEIVE})
_NOT_SAID = (
    Guard.ALWAYS, Guard.HAS_LOAN, Guard.SAME_READER, Guard.RENEWABLE, Guard.DOUBLE_SCAN, Guard.AT_DESTINATION, Guard.ELSEWHERE,
    Guard.MOVED_AFTER_RETURN,
)  # fmt: skip
"""Guards that a picture leaves to the table; the others tell more than the event's name does."""


def page() -> str:
    """The whole page."""
    lines = head(
        "State machines · 状态机",
        "Everything Tongjie says about an item, a loan, a transit, a visit or a hold follows from events, in the order in which they "
        "really happened. These are the machines that the events move. The item's table is what the program runs, row by row: for a "
        "state and an event the rows are tried from top to bottom, and the first whose condition holds is taken. An event that no row "
        "takes changes nothing and stays in the log. (`consortium/machines.py`)",
        "以下状态机由程序中的表生成;图与程序因此不会不一致。同一状态、同一事件的各行自上而下比对,取第一个条件成立的一行。",
    )
    lines += _item()
    for title, names, edges, frame in (
        ("Loan · 借阅", LOAN_STATES, LOAN, _NO_FRAME),
        ("Transit · 调拨", TRANSIT_STATES, TRANSIT, _MOVING),
        ("Visit · 到馆", VISIT_STATES, VISIT, _NO_FRAME),
        ("Hold · 预约", HOLD_STATES, HOLD, _NO_FRAME),
    ):
        lines += ["", f"## {title}", "", *_picture(names, _merged(_arrows(edges, frame.members)), frame)]
        if frame is _MOVING:
            lines += ["", "A transit under way may go from any of the framed states to any other: bags take their own ways. `OVERDUE` "
                      "is no state but a flag: the transit is later than promised."]  # fmt: skip
        lines += table(("from", "what happens", "to"), _edge_rows(names, edges))
    return text(lines)


# --- the item ----------------------------------------------------------------------------------------------------------


def routes() -> dict[str, str]:
    """The state that each action of a route leads to: asked of the fold itself."""
    return {action: _after(action) for action in ACTIONS}


def _after(action: str) -> str:
    data = {"item": ["A", "1"], "route": {"action": action, "dest": "A-2", "reason": "HOME"}, "code": "RETURN_HOME"}
    event = Event("edge", "1", 1, Kind.RETURN, "A-1", "bin", 0, 0, 0, 0, "b", data)
    return fold_item("A", "1", "A-1", [Logged(event)]).status.value


def _item() -> list[str]:
    everyday = _item_arrows(_HAND, _EVERYDAY)
    everyday += [("route", action, state) for action, state in routes().items()]
    gone = [
        arrow for arrow in _item_arrows(_AWAY, (*_GONE, *_AROUND)) if {arrow[0], arrow[2]} & {*_GONE, _AWAY.name}
    ]  # what happens among the others stands in the first picture
    hand = {name: ITEM_STATES[name] for name in _EVERYDAY}
    away = {name: {**ITEM_STATES, "AT_HAND": ("在馆", "at hand")}[name] for name in (*_GONE, *_AROUND)}
    return [
        "",
        "## Item · 文献",
        "",
        "### Day by day · 日常",
        "",
        "A returned item is *routed*: `next_destination` has said where it goes, and the event carries the answer. What changes no "
        "state (a double scan, a reading-room use, a renewal) and what a member's own library system tells us stand in the table only.",
        "",
        *_picture(hand, _merged([("[*]", "catalogued", "SHELVED"), *everyday]), _HAND),
        "",
        "### When an item is gone · 查找、丢失、注销",
        "",
        "*At hand* is the frame of the first picture, and *routed* leads to the same states as there.",
        "",
        *_picture(away, _merged(gone), _AWAY),
        "",
        "### Where a route leads · 去向",
        *table(("route", "leads to", "至"), [(f"`{a}`", f"{ITEM_STATES[s][1]} `{s}`", ITEM_STATES[s][0]) for a, s in routes().items()]),
        "",
        "### The whole table · 全表",
        "",
        f"*At hand* (在馆) is any of {', '.join(f'`{state}`' for state in _HAND.members)}.",
        *table(("from · 自", "event · 事件", "if · 条件", "what it does · 效果", "to · 至"), _item_rows()),
    ]  # fmt: skip


def _item_arrows(frame: Frame, states: Sequence[str]) -> list[Arrow]:
    """The rows that change a state, as arrows between these states."""
    arrows: list[Arrow] = []
    for row in ITEM:
        routed = row.target is None
        if row.event is Kind.ILS_OBSERVED or (routed and row.event not in _ROUTED):
            continue
        label = row.event.value if row.guard in _NOT_SAID else row.guard.value
        target = "route" if row.target is None else row.target.value
        arrows += [(source, label, target) for source in _sources(row, frame, states) if source != target]
    return [arrow for arrow in arrows if arrow[2] in (*states, "route")]


def _sources(row: Row, frame: Frame, states: Sequence[str]) -> list[str]:
    """The row's states in a picture. A frame has no arrow to what stands inside it, so then its states have one each."""
    names: list[str] = [state.value for state in row.sources]
    framed = {*frame.members} <= {*names} and (row.target is None or row.target.value not in frame.members)
    if framed:
        names = [frame.name, *(name for name in names if name not in frame.members)]
    if "AT_HAND" in states and {*_HAND.members} <= {*names}:
        names = ["AT_HAND", *(name for name in names if name not in _HAND.members)]
    return [name for name in names if name in (*states, frame.name)]


def _item_rows() -> list[tuple[str, ...]]:
    """Rows of the table in their order; what two events have in common stands once."""
    events: dict[tuple[str, ...], list[str]] = {}
    for row in ITEM:
        key = (_states(row.sources), row.guard.value, row.effect.value, _target(row))
        events.setdefault(key, []).append(f"`{row.event}` {EVENTS[row.event]}")
    return [(states, ", ".join(found), guard, effect, to) for (states, guard, effect, to), found in events.items()]


def _states(states: Sequence[ItemStatus]) -> str:
    names: list[str] = [state.value for state in states]
    if len(names) == len(ItemStatus):
        return "any · 任何状态"
    hand = {*_HAND.members} <= {*names}
    rest = [f"{ITEM_STATES[name][0]} `{name}`" for name in names if not hand or name not in _HAND.members]
    return ", ".join(["at hand · 在馆", *rest] if hand else rest)


def _target(row: Row) -> str:
    if row.target is not None:
        return f"{ITEM_STATES[row.target][0]} `{row.target}`"
    return "as routed · 按去向" if row.event in _ROUTED else "stays · 不变"


# --- the others --------------------------------------------------------------------------------------------------------


def _arrows(edges: Iterable[Edge], group: Sequence[str]) -> list[Arrow]:
    """The edges as arrows. What leads from every state of the group leads from "any", a point inside its frame."""
    sources: dict[tuple[str, str], list[str]] = {}
    for edge in edges:
        sources.setdefault((edge.label, edge.target), []).append(edge.source or "[*]")
    arrows: list[Arrow] = []
    for (label, target), found in sources.items():
        one = ["any"] if group and {*group} <= {*found} else found
        arrows += [(source, label, target) for source in one]
    return arrows


def _edge_rows(names: Names, edges: Iterable[Edge]) -> list[tuple[str, str, str]]:
    """Rows of the table; the sources of one label and target stand together."""
    sources: dict[tuple[str, str], list[str]] = {}
    for edge in edges:
        sources.setdefault((edge.label, edge.target), []).append(edge.source)
    return [
        (", ".join(_named(names, source) for source in found), label, _named(names, target))
        for (label, target), found in sources.items()
    ]


def _named(names: Names, state: str) -> str:
    if not state:
        return "(beginning · 开始)"
    return f"{names[state][0]} · {names[state][1]} `{state}`"


# --- pictures ----------------------------------------------------------------------------------------------------------


def _merged(arrows: Iterable[Arrow]) -> list[Arrow]:
    """One arrow for each pair of states, its labels in their order."""
    labels: dict[tuple[str, str], dict[str, None]] = {}
    for source, label, target in arrows:
        labels.setdefault((source, target), {})[label] = None
    return [(source, ", ".join(found), target) for (source, target), found in labels.items()]


def _picture(names: Names, arrows: Sequence[Arrow], frame: Frame) -> list[str]:
    """A mermaid stateDiagram-v2: the states, the frame with what happens inside it, and the arrows between."""
    inside = {*frame.members, "any"}
    ends = {end for source, _, target in arrows for end in (source, target)}
    lines = ["```mermaid", "stateDiagram-v2"]
    if "any" in ends:
        lines.append("    direction LR")  # many states beside each other read better from left to right
    lines += [f'    state "{_title(names, state)}" as {state}' for state in names if state not in frame.members]
    if frame.members:
        lines.append(f'    state "{frame.title}" as {frame.name} {{')
        lines += [f'        state "{_title(names, state)}" as {state}' for state in frame.members]
        if "any" in ends:
            lines.append('        state "any of these 任一" as any')
        lines += [f"        {_arrow(arrow)}" for arrow in arrows if {arrow[0], arrow[2]} <= inside]
        lines.append("    }")
    if "route" in ends:
        lines.append('    state "routed 按去向" as route')
    lines += [f"    {_arrow(arrow)}" for arrow in arrows if not frame.members or not {arrow[0], arrow[2]} <= inside]
    return [*lines, "```"]


def _title(names: Names, state: str) -> str:
    return " ".join(names[state])


def _arrow(arrow: Arrow) -> str:
    source, label, target = arrow
    return f"{source} --> {target} : {label}"
