"""The nightly reconciliation: every loan open in the ILS against what this edge knows of the library's own items (domain §10).

Where the ILS is in charge of a loan, its word heals ours (an ILS_OBSERVED found late); every other difference is recorded once, with
the library whose staff look into it, and again only when it changes. The loans of the ILS lie in a file of their own while this runs,
without any reader's number, so that half a million of them need no memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from consortium.agreement import Master
from consortium.bundle import Policy
from consortium.identity import ItemKey, org_of_branch
from consortium.mastership import Difference, Differs, Theirs, differences, in_charge_of_loan
from consortium.states import Loan
from edge.facts import Facts
from edge.ils.feed_journal import SKEW_MS
from edge.ils.feeds import FeedError, LoanThere
from edge.ils.observe import Observer, Out
from edge.outbox import Draft, OutboxError
from edge.replica import Replica

_log = logging.getLogger(__name__)

_PAGE = 100
_TURN = 5
"""Items looked at between two turns of the loop: a tap waits for no more."""

_AGAIN_S = 900.0  # after a run that failed


class Source(Protocol):
    """Where the open loans of the ILS come from: a feed, or asking for item after item."""

    def open_loans(self) -> AsyncGenerator[list[LoanThere], None]:
        """Every open loan, in pages. Raises FeedError."""
        ...


class Reconciler:
    """Compares once a day at ``at`` ("HH:MM" of the branch's wall clock), or every ``every_s`` seconds.

    ``before`` runs first (a feed is caught up with, so that only what it missed is left). ``wall`` is the branch's own time,
    ``work`` a directory for the file that a run needs.
    """

    def __init__(
        self,
        source: Source,
        observer: Observer,
        facts: Facts,
        replica: Replica,
        *,
        org: str,
        policy: Callable[[], Policy | None],
        now: Callable[[], int],
        wall: Callable[[], datetime],
        work: Path,
        before: Callable[[], Awaitable[None]] | None = None,
        at: str = "03:00",
        every_s: float | None = None,
    ) -> None:
        self._source, self._observer, self._facts, self._replica = source, observer, facts, replica
        self._org, self._policy = org, policy
        self._now, self._wall, self._work, self._before = now, wall, work, before
        hour, _, minute = at.partition(":")
        self._at, self._every_s = (int(hour), int(minute or 0)), every_s
        self._task: asyncio.Task[None] | None = None
        self._report: dict[str, Any] = {"state": "NEVER"}

    async def start(self) -> None:
        """Begin to wait for the hour."""
        self._task = asyncio.create_task(self._run(), name="ils-reconcile")

    async def stop(self) -> None:
        """Stop; a run under way leaves nothing half done that the next would not meet again."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def public(self) -> dict[str, Any]:
        """The last run: state, when (ms UTC), how long, counts, and the open differences by kind and library."""
        return dict(self._report)

    async def _run(self) -> None:
        failed = False
        while True:
            wait = self._every_s if self._every_s is not None else _seconds_until(self._wall(), *self._at)
            await asyncio.sleep(min(wait, _AGAIN_S) if failed else wait)
            try:
                await self.run()
                failed = False
            except (FeedError, OutboxError) as error:
                failed = self._failed(error.code)
            except Exception:  # outer edge of the task: a night without reconciliation must not end the edge
                _log.exception("ils reconciliation: failed")
                failed = self._failed("RECONCILE_FAULT")

    def _failed(self, code: str) -> bool:
        _log.warning("ils reconciliation: %s", code)
        self._report = {**self._report, "state": "FAILED", "code": code, "failed": self._now()}
        return True

    # --- a run ---

    async def run(self) -> dict[str, Any]:
        """Compare everything now and give the report.

        Raises FeedError where the ILS cannot be read, OutboxError where nothing can be recorded.
        """
        policy = self._policy()
        if policy is None or not self._replica.ready:
            raise FeedError("RECONCILE_NO_REPLICA", "without a replica and a policy there is nothing to compare with")
        if self._before is not None:
            await self._before()
        began = self._now()
        run = _Run(self, policy, began)
        try:
            await run.gather(self._source)
            await run.compare()
        finally:
            run.close()
        store = self._observer.store
        store.forget_others(began)
        open_now = store.open_differences()
        self._report = {
            "state": "OK", "code": "", "began": began, "took_ms": self._now() - began,
            "theirs": run.counts["theirs"], "ours": run.counts["ours"],
            "items": run.counts["items"], "healed": {what: n for what, n in run.counts.items() if what.isupper()},
            "waiting": run.counts["waiting"], "reported": run.counts["reported"],
            "unknown_items": run.counts["unknown"],
            "differs": [{"how": how, "owner": owner, "n": n} for how, owner, n in open_now],
        }  # fmt: skip
        _log.info("ils reconciliation: %d loans there, %d here, %d differences open", run.counts["theirs"], run.counts["ours"],
                  sum(n for _, _, n in open_now))  # fmt: skip
        return self.public()


class _Run:
    """One comparison. The loans of the ILS are put into a file by item; both sides are then walked through in that order."""

    def __init__(self, whole: Reconciler, policy: Policy, began: int) -> None:
        self._observer, self._facts, self._replica = whole._observer, whole._facts, whole._replica
        self._org, self._policy, self._now, self._began = whole._org, policy, whole._now, began
        self.counts: Counter[str] = Counter()
        self._path = whole._work / "ils-reconcile.db"
        self._path.unlink(missing_ok=True)
        self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._db.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -2048;"
            "CREATE TABLE theirs (item_no TEXT PRIMARY KEY, who TEXT, due INTEGER, t INTEGER) WITHOUT ROWID;"
        )

    def close(self) -> None:
        """Remove the file."""
        self._db.close()
        self._path.unlink(missing_ok=True)

    async def gather(self, source: Source) -> None:
        """Put every loan of the ILS into the file, its reader as this edge knows him."""
        pages = source.open_loans()
        try:
            async for page in pages:
                rows = []
                for loan in page:
                    rows.append((loan.item_no, self._who(loan.reader_no), loan.due_ms, loan.t_ms))
                    if len(rows) % _TURN == 0:
                        await asyncio.sleep(0)
                await asyncio.to_thread(self._put, rows)
                self.counts["theirs"] += len(page)
        finally:
            await pages.aclose()

    def _who(self, number: str) -> str | None:
        """An own reader as ``=srid``, one unknown here as ``?token``, a partner's account as ``proxy``, None where it was not told."""
        if not number:
            return None
        if self._observer.is_proxy(number):
            return "proxy"
        person = self._observer.who(number)
        return f"={person.srid}" if person is not None else f"?{self._observer.token(number)}"

    def _put(self, rows: list[tuple[str, str | None, int | None, int | None]]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR REPLACE INTO theirs VALUES (?, ?, ?, ?)", rows)
        self._db.execute("COMMIT")

    async def compare(self) -> None:
        """Walk through both sides in the order of the items, a page of each at a time."""
        after = ""
        while True:
            ours = self._replica.items_after(self._org, after, _PAGE)
            found = self._db.execute("SELECT * FROM theirs WHERE item_no > ? ORDER BY item_no LIMIT ?", (after, _PAGE))
            theirs = {row[0]: row[1:] for row in found.fetchall()}
            full = [side[-1] for side in (ours, list(theirs)) if len(side) == _PAGE]
            upto = min(full, default=None)  # behind it, one side was not read yet
            for n, item_no in enumerate(sorted({*ours, *theirs}), 1):
                if upto is not None and item_no > upto:
                    break
                await self._item(item_no, theirs.get(item_no))
                if n % _TURN == 0:
                    await asyncio.sleep(0)
            if upto is None:
                return
            after = upto
            await asyncio.sleep(0)

    async def _item(self, item_no: str, theirs: tuple[str | None, int | None, int | None] | None) -> None:
        key = ItemKey(self._org, item_no)
        out = self._observer.out(key)
        self.counts["items"] += 1
        self.counts["ours"] += out is not None
        if out is None and theirs is None:
            return
        if out is None and self._facts.item(key) is None:
            self.counts["unknown"] += 1
            return
        who, due, t = theirs or (None, None, None)
        known = (
            {key: Theirs(due if due is not None else out.due if out else self._now(), self._named(who, out))}
            if theirs
            else {}
        )
        for difference in differences(self._org, [self._loan(key, out)] if out is not None else [], known):
            if self._settling(item_no, out, t):
                self.counts["waiting"] += 1
            else:
                await self._settle(difference, out, who, due, t)

    def _named(self, who: str | None, out: Out | None) -> str | None:
        """Their reader as `differences` compares him: None where neither side can tell."""
        if who is None or who == "proxy" or (out is not None and out.srid is None and who.startswith("?")):
            return None
        return who[1:] if who.startswith("=") else who

    def _loan(self, key: ItemKey, out: Out) -> Loan:
        return Loan(
            id="", owner=key.owner, item_no=key.item_no, item_type="", who=out.srid or "", home="", place=out.place,
            device="", t_out=out.t_out, due=out.due,
        )  # fmt: skip

    def _settling(self, item_no: str, out: Out | None, t: int | None) -> bool:
        """Whether the difference may be nothing but the time between the two looks, or a booking on its way."""
        recent = self._began - SKEW_MS
        if self._observer.unsettled(item_no):
            return True
        return max(out.t_out if out is not None else 0, t or 0, self._observer.journal.last(item_no)) > recent

    async def _settle(
        self, found: Difference, out: Out | None, who: str | None, due: int | None, t: int | None
    ) -> None:
        draft = self._healing(found, out, who, due, t)
        if draft is not None:
            what = str(draft.data["what"])
            sign = hashlib.sha256(
                f"{who}|{due}|{out.srid if out else ''}|{out.due if out else ''}".encode()
            ).hexdigest()[:16]
            if self._observer.store.healed(found.item.item_no, what, sign, self._began):
                await self._observer.record(draft)
                self.counts[what] += 1
                return
        if self._observer.store.differs(
            found.item.item_no, found.how, found.ours, found.theirs, found.owner, self._began
        ):
            await self._observer.record(self._observer.differs(found, out))
            self.counts["reported"] += 1

    def _healing(
        self, found: Difference, out: Out | None, who: str | None, due: int | None, t: int | None
    ) -> Draft | None:
        """The event that makes our books agree, None where the ILS is not in charge of the loan or its word cannot be taken."""
        observer, now, key = self._observer, self._now(), found.item
        if not self._in_charge(out, who):
            return None
        if found.how is Differs.ONLY_OURS:
            return observer.returned(key, now)
        if due is None:
            return None
        if found.how is Differs.DUE:
            assert out is not None
            return (
                observer.renewed(key, out.srid, due, now) if due > out.due else None
            )  # a due date is never taken back
        srid = who[1:] if who is not None and who.startswith("=") else None
        token = who[1:] if who is not None and who.startswith("?") else ""
        known = max(out.t_out if out is not None else 0, observer.journal.last(key.item_no))
        when = min(t, now) if t is not None and t > known else now
        return observer.lent_to(key, srid, token, due, when)

    def _in_charge(self, out: Out | None, who: str | None) -> bool:
        """Whether the ILS keeps the loan: an own reader's, made in this library, by what both sides say."""
        if who == "proxy":
            return False
        home, lender = self._org, self._org
        if out is not None:
            lender = org_of_branch(out.place) if out.place else self._org
            reader = self._facts.reader(out.srid) if out.srid is not None else None
            home = reader.home if reader is not None else self._org
        return in_charge_of_loan(self._policy, home, self._org, lender) is Master.ILS


def _seconds_until(wall: datetime, hour: int, minute: int) -> float:
    next_run = wall.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if next_run <= wall:
        next_run += timedelta(days=1)
    return (next_run - wall).total_seconds()
