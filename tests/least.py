"""The least data that each type of event must carry: what a schema refuses with less, and the log takes as it is."""

from __future__ import annotations

from typing import Any

from consortium.events import Kind
from tests.make import HOME, HOST, NOW

ITEM = [HOST, "1001"]
ROUTE = {"action": "SHELVE", "dest": f"{HOST}-01", "reason": "HOME"}
LEAST: dict[Kind, dict[str, Any]] = {
    Kind.CHECKOUT: {"item": ITEM, "type": "BOOK", "home": HOME, "due": NOW},
    Kind.RENEW: {"item": ITEM, "home": HOME, "due": NOW},
    Kind.RETURN: {"item": ITEM, "route": ROUTE, "code": "RETURN_HOME"},
    Kind.RECEIVE: {"item": ITEM, "route": ROUTE, "code": "RETURN_HOME"},
    Kind.IN_USE: {"item": ITEM},
    Kind.TRANSIT_BAGGED: {"item": ITEM},
    Kind.TRANSIT_SENT: {"item": ITEM, "to": f"{HOST}-01"},
    Kind.TRANSIT_SEEN: {"item": ITEM},
    Kind.TRANSIT_CANCELLED: {"item": ITEM},
    Kind.ITEM_MARKED: {"item": ITEM, "mark": "LOST"},
    Kind.LOAN_ENDED: {"item": ITEM, "end": "STAFF"},
    Kind.LOAN_EXTENDED: {"item": ITEM, "due": NOW},
    Kind.ILS_OBSERVED: {"what": "LOAN", "as_of": NOW},
    Kind.HOLD_PLACED: {"item": ITEM, "hold": "h1", "pickup": f"{HOST}-01"},
    Kind.HOLD_CANCELLED: {"item": ITEM, "hold": "h1"},
    Kind.HOLD_EXPIRED: {"item": ITEM, "hold": "h1"},
    Kind.ENTRY: {"home": HOME, "class": "partner"},
    Kind.EXIT: {},
    Kind.VISIT_CLOSED: {"visit": "v1"},
    Kind.REFUSED: {"function": "enter", "codes": ["CARD_LOST"]},
    Kind.TAG_WRITTEN: {"item": ITEM, "secured": 1, "ok": 0},
    Kind.DEVICE: {"state": "up", "kind": "gate"},
    Kind.GATE_ALARM: {"code": "NOT_LENT"},
    Kind.PEOPLE_COUNTED: {"came": 1, "left": 0, "since": NOW, "until": NOW},
    Kind.BLOCK_SET: {"block": "b1", "actions": ["ENTER"]},
    Kind.BLOCK_LIFTED: {"block": "b1"},
    Kind.CARD_STATUS: {"status": "LOST"},
    Kind.PIN_LOCKED: {"until": NOW},
    Kind.CHARGE_PAID: {"item": ITEM, "loan": "l1", "amount": 0},
    Kind.CHARGE_WAIVED: {"item": ITEM, "loan": "l1", "amount": 0},
    Kind.CLOCK_CORRECTED: {"node": "edge-1", "epoch": "e1", "first": 1, "last": 1, "offset": -5},
    Kind.CONFLICT_SETTLED: {"conflict": "c1", "resolution": "KEEP_LOAN"},
    Kind.POLICY_PUBLISHED: {"version": 1, "digest": "0" * 64},
}
