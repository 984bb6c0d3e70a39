"""Histories of the checker's own tests as a hub's database would hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Table, create_engine, insert
from sqlalchemy.pool import NullPool

from consortium.invariants import History
from consortium.states import ItemHistory
from hub.store import schema


def store(history: History, path: Path) -> str:
    """Write a history to a new SQLite file with the hub's tables; gives its URL."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA synchronous=OFF")
        schema.metadata.create_all(connection, [table for table, _ in _tables(history)])
        for table, rows in _tables(history):
            if rows:
                connection.execute(insert(table), [_whole(table, row) for row in rows])
    return f"sqlite:///{path}"


def _whole(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """The row with something in every column that may not be empty, and no more columns than there are."""
    filled = {
        str(c.name): row.get(str(c.name))
        for c in table.columns
        if not (c.primary_key and c.name in ("pos", "id") and c.name not in row)
    }
    for column in table.columns:
        name = str(column.name)
        if name in filled and filled[name] is None and not column.nullable:
            filled[name] = {} if name == "terms" else 0 if column.type.python_type in (int, bool) else ""
    return filled


def _tables(history: History) -> list[tuple[Table, list[dict[str, Any]]]]:
    events, subjects = [], []
    for pos, row in enumerate(history.log, start=1):
        try:
            body = msgspec.json.decode(row.body)
        except msgspec.DecodeError:
            body = {}
        item = (body.get("data") or {}).get("item") or (None, None)
        name = {"node": row.node, "epoch": row.epoch, "seq": row.seq}
        events.append(
            {**name, "pos": pos, "kind": body.get("kind", "?"), "branch": body.get("branch", "?"), "t_eff": body.get("t_eff", 0),
             "owner": item[0], "item_no": item[1], "rid": row.rid, "body": row.body, "hash": row.hash}
        )  # fmt: skip
        if row.salt is not None and row.srid is not None:
            subjects.append({**name, "salt": row.salt, "srid": row.srid})
    return [
        (schema.events, events),
        (schema.subjects, subjects),
        (schema.quarantine, [{"node": q.node, "epoch": q.epoch, "seq": q.seq, "code": "X", "body": q.body, "hash": q.hash or None}
                             for q in history.quarantined]),
        (schema.cursors, [{"node": n, "epoch": e, "upto": upto} for (n, e), upto in history.cursors.items()]),
        (schema.bundles, [{"version": v, "body": b, "sealed": history.sealed.get(v)} for v, b in history.bundles.items()]),
        (schema.policy_keys, [{"key_id": k, "public": p} for k, p in history.policy_keys.items()]),
        (schema.items, [{"owner": o, "item_no": n, "owner_branch": b} for (o, n), b in history.items.items()]),
        (schema.item_state, [_state(state) for state in history.states]),
        (schema.loans, [{**msgspec.to_builtins(one), "rid": one.who, "lender": one.lender} for one in history.loans]),
        (schema.transits, [msgspec.to_builtins(one) for one in history.transits]),
        (schema.visits, [{**msgspec.to_builtins(one), "rid": one.who} for one in history.visits]),
        (schema.conflicts, [{**msgspec.to_builtins(one), "state": "RESOLVED" if one.id in history.settled else "OPEN"}
                            for one in history.conflicts]),
        (schema.charges, [{"loan": c.loan, "cause": c.event, "amount": c.amount, "pos": c.pos} for c in history.charges or ()]),
        (schema.cards, [{"uid": "04a1b2c3d4e5f6"}]),
        (schema.readers, [{"rid": f"rid-{number}", "home": "251020", "reader_no": number} for number in ("20240001", "读者-2024/7")]),
    ]  # fmt: skip


def _state(state: ItemHistory) -> dict[str, Any]:
    loan, transit = state.loan, state.transit
    return {
        "owner": state.owner, "item_no": state.item_no, "status": state.status.value, "branch": state.branch,
        "circ_branch": state.circ_branch, "loan_id": loan.id if loan else None, "transit_id": transit.id if transit else None,
        "history": msgspec.json.encode(state).decode(),
    }  # fmt: skip
