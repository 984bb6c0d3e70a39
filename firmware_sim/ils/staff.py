"""Staff of the simulated ILS, working behind our back: single operations over the control channel, and a life of their own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any

from firmware_sim.ils.books import Books, Refused
from firmware_sim.stage import StageError

WHO = "desk"
"""The operator in the books' changes for what staff did."""

_KINDS = ("lend",) * 5 + ("return",) * 3 + ("renew", "pay", "block", "register", "mark")


class Staff:
    """What staff do directly in the books. Operations take and give plain JSON values.

    ``lend {number, item_no, t?, due?}`` · ``return {item_no}`` · ``renew {number, item_no}`` ·
    ``pay {number, amount}`` ·
    ``charge {number, amount}`` · ``register {number, name, pin, expiry?}`` · ``block {number, blocked?}`` ·
    ``mark {item_no, status}`` ·
    ``hold {number, item_no, pickup?}`` · ``loan {item_no}`` · ``reader {number}`` · ``loans {after?, limit?}`` ·
    ``changes {after?, limit?}`` · ``drop`` (write the CSV files now) · ``slow {s}`` (SIP2 answers late) · ``state``.
    """

    def __init__(self, books: Books, *, drop: Callable[[], int] | None = None, slow: Callable[[float], None] | None = None,
                 state: Callable[[], Mapping[str, Any]] = dict) -> None:  # fmt: skip
        self._books, self._drop, self._slow, self._state = books, drop, slow, state

    async def do(self, operation: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out one operation. Raises `StageError` BAD_OPERATION, or REFUSED with the ILS's own words."""
        name = operation.get("op")
        act = getattr(self, f"_do_{name}", None) if isinstance(name, str) and name.isidentifier() else None
        if act is None:
            raise StageError("BAD_OPERATION", f"the simulated ILS knows no {name!r}")
        try:
            found: dict[str, Any] = act(operation)
        except Refused as refused:
            raise StageError("REFUSED", refused.text) from refused
        except KeyError as missing:
            raise StageError("BAD_OPERATION", f"{name} needs {missing.args[0]}") from missing
        except (TypeError, ValueError) as error:
            raise StageError("BAD_OPERATION", f"{name}: {error}") from error
        return found

    def _do_lend(self, o: Mapping[str, Any]) -> dict[str, Any]:
        due, renewed = self._books.lend(str(o["number"]), str(o["item_no"]), who=WHO, t=o.get("t"), due=o.get("due"))
        return {"due": due, "renewed": renewed}

    def _do_return(self, o: Mapping[str, Any]) -> dict[str, Any]:
        had, hold = self._books.give_back(str(o["item_no"]), who=WHO, t=o.get("t"))
        return {"number": had, "hold": hold["number"] if hold else None}

    def _do_renew(self, o: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "due": self._books.renew(
                str(o["number"]), str(o["item_no"]), who=WHO, due=o.get("due"), happened="due" in o
            )
        }

    def _do_pay(self, o: Mapping[str, Any]) -> dict[str, Any]:
        return {"fees": self._books.pay(str(o["number"]), int(o["amount"]), who=WHO)}

    def _do_charge(self, o: Mapping[str, Any]) -> dict[str, Any]:
        return {"fees": self._books.charge(str(o["number"]), int(o["amount"]), who=WHO)}

    def _do_register(self, o: Mapping[str, Any]) -> dict[str, Any]:
        self._books.register(str(o["number"]), str(o.get("name", "")), str(o.get("pin", "")), o.get("expiry"), who=WHO)
        return {}

    def _do_block(self, o: Mapping[str, Any]) -> dict[str, Any]:
        self._books.block(str(o["number"]), bool(o.get("blocked", True)), who=WHO)
        return {}

    def _do_mark(self, o: Mapping[str, Any]) -> dict[str, Any]:
        self._books.mark(str(o["item_no"]), str(o["status"]), who=WHO)
        return {}

    def _do_hold(self, o: Mapping[str, Any]) -> dict[str, Any]:
        return {"place": self._books.hold(str(o["number"]), str(o["item_no"]), str(o.get("pickup", "")))}

    def _do_loan(self, o: Mapping[str, Any]) -> dict[str, Any]:
        loan = self._books.loan(str(o["item_no"]))
        return {"loan": dict(loan) if loan else None}

    def _do_reader(self, o: Mapping[str, Any]) -> dict[str, Any]:
        patron = self._books.patron(str(o["number"]))
        return {"reader": {key: patron[key] for key in patron.keys() if key != "pin"} if patron else None}  # noqa: SIM118 - a Row

    def _do_loans(self, o: Mapping[str, Any]) -> dict[str, Any]:
        return {"loans": self._books.open_loans(str(o.get("after", "")), int(o.get("limit", 1_000)))}

    def _do_changes(self, o: Mapping[str, Any]) -> dict[str, Any]:
        return {"changes": self._books.changes(int(o.get("after", 0)), int(o.get("limit", 1_000)))}

    def _do_drop(self, _o: Mapping[str, Any]) -> dict[str, Any]:
        if self._drop is None:
            raise StageError("NO_DEVICE", "this ILS drops no files; start it with --csv DIR")
        return {"rows": self._drop()}

    def _do_slow(self, o: Mapping[str, Any]) -> dict[str, Any]:
        if self._slow is not None:
            self._slow(float(o["s"]))
        return {}

    def _do_state(self, _o: Mapping[str, Any]) -> dict[str, Any]:
        return dict(self._state())

    # --- a life of their own ---

    async def live(self, per_minute: float, rng: random.Random) -> None:
        """Lend, take back, renew and so on at this pace for ever; what the books refuse is let be, as at a desk."""
        registered = 0
        while True:
            await asyncio.sleep(rng.expovariate(per_minute / 60))
            kind = rng.choice(_KINDS)
            try:
                if kind == "register":
                    registered += 1
                    self._books.register(f"NEW{registered:06d}", "", "1234", None, who=WHO)
                else:
                    self._some(kind, rng)
            except Refused:
                continue

    def _some(self, kind: str, rng: random.Random) -> None:
        """One act on something chosen; never on the loans of a proxy account, which are another library's readers'."""
        pick = self._books.db.execute
        if kind == "lend":
            patron = pick(
                "SELECT number FROM patrons WHERE NOT blocked AND NOT proxy ORDER BY random() LIMIT 1"
            ).fetchone()
            item = pick("SELECT item_no FROM items WHERE status = 'AVAILABLE' AND item_no NOT IN (SELECT item_no FROM loans)"
                        " ORDER BY random() LIMIT 1").fetchone()  # fmt: skip
            if patron and item:
                self._books.lend(patron[0], item[0], who=WHO)
            return
        loan = pick(
            "SELECT l.* FROM loans l JOIN patrons p USING (number) WHERE NOT p.proxy ORDER BY random() LIMIT 1"
        ).fetchone()
        if kind == "return" and loan:
            self._books.give_back(loan["item_no"], who=WHO)
        elif kind == "renew" and loan:
            self._books.renew(loan["number"], loan["item_no"], who=WHO)
        elif kind == "pay":
            owing = pick("SELECT number, fees FROM patrons WHERE fees > 0 ORDER BY random() LIMIT 1").fetchone()
            if owing:
                self._books.pay(owing["number"], owing["fees"], who=WHO)
        elif kind == "block":
            patron = pick("SELECT number, blocked FROM patrons WHERE blocked AND number LIKE 'NEW%' LIMIT 1").fetchone()
            newest = (
                patron
                or pick(
                    "SELECT number, blocked FROM patrons WHERE number LIKE 'NEW%' ORDER BY random() LIMIT 1"
                ).fetchone()
            )
            if newest:
                self._books.block(newest["number"], not newest["blocked"], who=WHO)
        elif kind == "mark":
            item = pick("SELECT item_no FROM items WHERE status = 'AVAILABLE' AND item_no NOT IN (SELECT item_no FROM loans)"
                        " ORDER BY random() LIMIT 1").fetchone()  # fmt: skip
            if item and rng.random() < 0.2:
                self._books.mark(item[0], "MISSING", who=WHO)
