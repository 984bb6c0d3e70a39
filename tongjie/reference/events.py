"""docs/reference/events.md: every type of event with its data, drawn from ``consortium.schemas``."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

from consortium.events import CLASS_OF, MAX_BODY, NEEDS_SUBJECT, SCHEMA_VERSION, SCHEMAS, EventClass, Kind
from consortium.schemas import Override, Route
from tongjie.reference.layout import head, table, text
from tongjie.reference.names import EVENTS

CLASSES: dict[EventClass, tuple[str, str]] = {
    EventClass.CIRCULATION: ("流通事件,永不舍弃", "circulation: never shed, the outbox stops lending first"),
    EventClass.VISIT: ("到馆事件", "visits: may be shed when an outbox is almost full"),
    EventClass.PRESENCE: ("状态事件", "presence: the first to be shed"),
}
"""How an outbox treats a class, zh and en."""

WRITERS: dict[Kind, str] = {
    Kind.CHECKOUT: "edge (kiosk, pad, desk)",
    Kind.RENEW: "edge (kiosk, desk)",
    Kind.RETURN: "edge (kiosk, bin, sorter, desk)",
    Kind.RECEIVE: "edge (desk, sorter)",
    Kind.IN_USE: "edge (reading-room pad, staff scan)",
    Kind.TRANSIT_BAGGED: "edge (desk)",
    Kind.TRANSIT_SENT: "edge (desk)",
    Kind.TRANSIT_SEEN: "edge (desk, sorter)",
    Kind.TRANSIT_CANCELLED: "edge (desk) or hub (staff)",
    Kind.ITEM_MARKED: "edge (desk) or hub (staff, or a rule over long overdue loans)",
    Kind.LOAN_ENDED: "edge (desk) or hub (staff)",
    Kind.LOAN_EXTENDED: "hub (staff)",
    Kind.ILS_OBSERVED: "edge of the branch whose ILS it is",
    Kind.HOLD_PLACED: "hub",
    Kind.HOLD_CANCELLED: "hub",
    Kind.HOLD_EXPIRED: "hub",
    Kind.ENTRY: "edge (gate)",
    Kind.EXIT: "edge (gate)",
    Kind.VISIT_CLOSED: "edge, at night",
    Kind.REFUSED: "edge (gate, kiosk)",
    Kind.TAG_WRITTEN: "edge (pad)",
    Kind.DEVICE: "edge",
    Kind.GATE_ALARM: "edge (security gate, door)",
    Kind.PEOPLE_COUNTED: "edge (people counter, gate)",
    Kind.BLOCK_SET: "hub (staff)",
    Kind.BLOCK_LIFTED: "hub (staff)",
    Kind.CARD_STATUS: "hub (home library, or a reader)",
    Kind.PIN_LOCKED: "edge (kiosk)",
    Kind.CHARGE_PAID: "edge (desk) or hub",
    Kind.CHARGE_WAIVED: "hub (staff)",
    Kind.CLOCK_CORRECTED: "hub",
    Kind.CONFLICT_SETTLED: "hub (staff, or a rule)",
    Kind.POLICY_PUBLISHED: "hub",
}
"""Which program writes a type: the edge of a branch or the hub, and at what."""

MEANINGS: dict[Kind, str] = {
    Kind.RECEIVE: "An item was received from a transit and routed on; like a return, without a reader.",
    Kind.TRANSIT_BAGGED: "An item was put into a courier bag.",
    Kind.TRANSIT_SEEN: "An item was scanned under way: at the sort hub, at its destination, or where it should not be.",
    Kind.HOLD_CANCELLED: "The reader or staff cancelled a hold.",
    Kind.HOLD_EXPIRED: "Nobody came for it, or the wish lapsed.",
    Kind.CHARGE_PAID: "A charge of a loan was paid, in fen.",
    Kind.CHARGE_WAIVED: "A charge of a loan was waived, in fen.",
}
"""What a type means where several share one schema; else the schema says it."""

_HEADER = (
    ("v", "integer", f"{SCHEMA_VERSION}: the version of this form; another one goes into quarantine (`EVENT_VERSION`)"),
    ("node, epoch, seq", "text, text, integer from 1", "the event's id: who wrote it, since when, and the how manyth"),
    ("kind", "text", "the type, one of those below"),
    ("branch, device", "text", "where and at which machine it happened"),
    ("t_dev, t_eff, t_unc", "integer, ms UTC", "the device's clock, the corrected time, and how far that may be off"),
    ("mono, boot", "integer ms, text", "a clock that cannot be set, since that start of the machine"),
    ("data", "object", "what the type carries"),
    (
        "subject",
        "text, optional",
        "a hash that stands for the reader; who it is stands beside the event and can be erased",
    ),
    ("decision", "object, optional", "the decision with the facts it was made from"),
    ("reissue_of", "text, optional", "the id under which the same event was written before"),
)


def page() -> str:
    """The whole page."""
    lines = head(
        "Events · 事件",
        "An event is a fact that happened. It is written once, hashed into the chain of its node, and never changed; what was wrong is "
        "put right by another event. These are all the types there are: an unknown type, a wrong field or a body of more than "
        f"{MAX_BODY} bytes is kept in quarantine and read by nobody. Numbers are integers, money is in fen, times are milliseconds "
        "since 1970-01-01 UTC. A field that a type does not name is kept and read by nobody.",
        "事件是已经发生的事实:只写一次,进入该节点的哈希链,从不修改;有误则另写事件更正。以下为全部类型。"
        "时间为 UTC 毫秒,金额以分为单位。",
        "## What every event carries",
    )
    lines += table(("field", "form", "meaning"), [(f"`{name}`", form, what) for name, form, what in _HEADER])
    lines += ["", "## Classes", ""]
    lines += [f"* `{name}` · {zh}: {en}" for name, (zh, en) in CLASSES.items()]
    lines += ["", "## Types"]
    for kind in Kind:
        lines += _type(kind)
    lines += ["", "## Parts"]
    for part in (Route, Override):
        lines += ["", f"### {part.__name__}", "", _meaning(part), *_fields(part)]
    return text(lines)


def _type(kind: Kind) -> list[str]:
    schema = SCHEMAS[kind]
    about = " Names its reader." if kind in NEEDS_SUBJECT else ""
    return [
        "",
        f"### {kind} · {EVENTS[kind]}",
        "",
        MEANINGS.get(kind) or _meaning(schema),
        "",
        f"Class `{CLASS_OF[kind]}`. Written by: {WRITERS[kind]}.{about}",
        *_fields(schema),
    ]


def _meaning(schema: type[Any]) -> str:
    words = " ".join((schema.__doc__ or "").split()).replace("``", "`")
    return words.replace(" (`consortium.terms`)", "").replace(" (`consortium.decision.Route`)", "")


def _fields(schema: type[msgspec.Struct]) -> list[str]:
    found = inspect.type_info(schema)
    assert isinstance(found, inspect.StructType)
    if not found.fields:
        return ["", "No data."]
    return table(
        ("field", "form", "bounds", ""),
        [(f"`{one.encode_name}`", *form(one.type), "" if one.required else "optional") for one in found.fields],
    )


def form(info: inspect.Type) -> tuple[str, str]:
    """A field's form in words, and its bounds."""
    if isinstance(info, inspect.Metadata):
        return form(info.type)
    if isinstance(info, inspect.IntType):
        return "integer", _range(info)
    if isinstance(info, inspect.StrType):
        return "text", _lengths(info.min_length, info.max_length, "characters")
    if isinstance(info, inspect.LiteralType):
        return "word", ", ".join(f"`{value}`" for value in info.values)
    if isinstance(info, inspect.ListType):
        inner, bounds = form(info.item_type)
        most = _lengths(info.min_length, info.max_length, "entries")
        return f"list of {inner}", "; each ".join(part for part in (most, bounds) if part)
    if isinstance(info, inspect.TupleType):
        return "[" + ", ".join(form(one)[0] for one in info.item_types) + "]", "; ".join(
            form(one)[1] for one in info.item_types
        )
    if isinstance(info, inspect.DictType):
        return f"{form(info.key_type)[0]} → {form(info.value_type)[0]}", form(info.value_type)[1]
    if isinstance(info, inspect.StructType):
        return f"[{info.cls.__name__}](#{info.cls.__name__.lower()})", ""
    if isinstance(info, inspect.UnionType):
        return form(next(one for one in info.types if not isinstance(one, inspect.NoneType)))
    raise TypeError(f"no words for {info}")


def _range(info: inspect.IntType) -> str:
    low = info.ge if info.ge is not None else None if info.gt is None else info.gt + 1
    high = info.le if info.le is not None else None if info.lt is None else info.lt - 1
    if low is None and high is None:
        return ""
    return f"{_number(low)} to {_number(high)}"


def _number(value: int | None) -> str:
    if value is None:
        return "…"
    power = abs(value).bit_length()
    if power > 16 and abs(value) == (1 << power) - 1:
        return f"{'-' if value < 0 else ''}(2^{power} - 1)" if value < 0 else f"2^{power} - 1"
    return str(value)


def _lengths(least: int | None, most: int | None, what: str) -> str:
    if most is None:
        return ""
    return f"{least} to {most} {what}" if least else f"up to {most} {what}"
