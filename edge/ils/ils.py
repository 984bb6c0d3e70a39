"""The branch's own ILS: asked at once, told durably, watched (domain §10). The only file outside of which nobody knows of SIP2."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from consortium.agreement import Master
from consortium.bundle import Policy
from consortium.identity import ItemKey
from consortium.mastership import Task, in_charge_of_loan
from drivers.selfcheck.client import Exchanged, LoginRefused, PoolState, Unfit, Unreachable
from edge.ils.asking import Asking, ReaderAnswer, booked, item_answer, known, out, reader_answer
from edge.ils.booker import Booker, Outcome
from edge.ils.config import IlsConfig
from edge.ils.connecting import REASONS, UNREACHABLE, make_pool
from edge.ils.following import Follower
from edge.ils.port import ItemSaid, ReaderSaid, Said
from edge.ils.queue import Job, Queue, QueueFault
from edge.ils.seal import Sealer
from edge.ils.work import WorkInvalid, read_work
from edge.outbox import Outbox
from protocols.sip2 import LocalProtocolError, Outgoing, RemoteProtocolError

log = logging.getLogger(__name__)

StateHeard = Callable[[str, str, dict[str, str | int]], None]
"""Hears (state, reason, facts): "online", "offline" or "degraded", a stable code or "", and figures."""

_AWAY = Said("AWAY")
_TOUCHES = 16
_TOLD_S = 5.0
"""How often at most a mere figure is told; a state at once."""

_IN_THE_AIR_S = 3.0
"""How long after the ILS's answer the desk may take to make an event of it."""

_IN_THE_AIR_MOST = 256


class Touched(Protocol):
    """Who learns from what the ILS says of readers and items that were asked about anyway (``edge.ils.observe.Observer``)."""

    async def touch_item(self, item_no: str, said: ItemSaid) -> None:
        """The ILS said this of an own item."""

    async def touch_reader(self, srid: str, number: str, said: ReaderSaid) -> None:
        """The ILS said this of an own reader."""


class Ils:
    """One ILS for one branch; implements ``edge.ils.port.IlsPort``. ``start`` after the outbox, ``stop`` before it.

    ``policy`` gives the policy in force, ``clock_ms`` hub time, ``wall`` the branch's wall clock with its zone; ``key`` is the site's.
    ``observer`` and ``srid_of`` (whose number this is) may be set once there are such. Until the first connection is made a question
    waits for it, no longer than any other. Raises ConfigError where the configuration's ``ca`` or ``url`` cannot be used.
    """

    def __init__(
        self,
        config: IlsConfig,
        *,
        org: str,
        branch: str,
        policy: Callable[[], Policy | None],
        outbox: Outbox,
        clock_ms: Callable[[], int],
        wall: Callable[[], datetime],
        data: Path,
        key: bytes,
        on_state: StateHeard,
    ) -> None:
        self.observer: Touched | None = None
        self.srid_of: Callable[[str], str | None] = lambda number: None
        self._config = config
        self._org = org
        self._policy = policy
        self._clock_ms = clock_ms
        self._wall = wall
        self._on_state = on_state
        zone = wall().tzinfo
        if zone is None:
            raise ValueError("the branch's wall clock must name its zone")
        self._asking = Asking(config, branch=branch, zone=zone)
        self._pool = make_pool(config, self._moved)
        self._queue = Queue(data / "ils.db", Sealer(key), now=clock_ms, most=config.queue_max)
        self._booker = Booker(
            self._queue,
            outbox,
            branch=branch,
            book=self._book,
            up=lambda: self.up,
            follow=self._follow,
            clock_ms=clock_ms,
            width=1 if self._pool.address.single else max(1, config.connections - 1),
            told=self._tell,
        )
        self._follower = Follower(
            self._queue,
            outbox,
            org=org,
            policy=policy,
            book_foreign=config.book_foreign,
            stirred=self._booker.stir,
        )
        self._task: asyncio.Task[None] | None = None
        self._touches: set[asyncio.Task[None]] = set()
        self._in_the_air: dict[
            ItemKey, float
        ] = {}  # items asked about at the desk, and until when that may not be an event yet
        self._since = clock_ms()
        self._said: tuple[str, str, int] = ("", "", -1)
        self._told_at = 0.0

    # --- life

    async def start(self) -> None:
        """Open ``ils.db``, connect in the background, begin to book. Raises QueueFault where the file cannot be used."""
        await self._queue.open()
        await self._follower.begin()
        await self._booker.begin()
        self._pool.start()
        self._task = asyncio.create_task(self._booker.run(), name="ils-booker")
        self._task.add_done_callback(_ended)
        self._tell()

    async def stop(self) -> None:
        """Close connections and the file; what waits is kept. Safe to call twice."""
        tasks = [task for task in (self._task, *self._touches) if task is not None]
        self._task = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._pool.close()
        await self._queue.close()

    @property
    def up(self) -> bool:
        """Whether a question would be asked now."""
        return self._pool.up

    def public(self) -> dict[str, Any]:
        """What staff may see: no numbers, no password."""
        state, reason = self._state()
        return {
            "state": state,
            "reason": reason,
            "since": self._since,
            "sip2": self._pool.public(),
            "queue": {
                "waiting": self._queue.depth,
                "room": self._queue.room,
                "unanswered": self._booker.stuck,
                "behind": self._follower.behind,
            },
            "booked": self._booker.booked,
            "refused": self._booker.refused,
            "unreadable_dues": self._asking.unreadable_dues,
        }

    def _state(self) -> tuple[str, str]:
        if not self._pool.up:
            return "offline", REASONS.get(self._pool.state.reason, UNREACHABLE)
        if self._booker.trouble:
            return "degraded", self._booker.trouble
        return ("degraded", "ILS_UNANSWERED") if self._booker.stuck else ("online", "")

    def _moved(self, state: PoolState) -> None:
        if state.circuit != "half_open":
            if state.circuit == "closed":
                self._booker.retry_now()
            self._tell()

    def _tell(self) -> None:
        state, reason = self._state()
        now, at = (state, reason, self._queue.depth), time.monotonic()
        moved = now[:2] != self._said[:2]
        if now == self._said or (not moved and at - self._told_at < _TOLD_S):
            return
        if moved:
            self._since = self._clock_ms()
        self._said, self._told_at = now, at
        facts: dict[str, str | int] = {"waiting": now[2], "address": str(self._pool.address)}
        self._on_state(state, reason, facts)

    # --- the desk's questions

    def in_charge(self, home: str, owner: str) -> bool:
        """Whether this ILS decides on loans of such a reader and item at this branch."""
        policy = self._policy()
        return (
            policy is not None
            and in_charge_of_loan(policy, home, owner, self._org) is Master.ILS
            and owner == self._org
        )

    async def checkout(self, number: str, item_no: str, pin: str) -> Said:
        """Lend an own item to an own reader. AWAY too while the ILS was not told all about this item yet."""
        done = await self._transact(item_no, self._asking.checkout(number, item_no, pin, self._wall()))
        return _AWAY if done is None else self._asking.lent(done.message, again=done.again)

    async def renew(self, number: str, item_no: str, pin: str) -> Said:
        """Renew the loan of an own item to an own reader."""
        done = await self._transact(item_no, self._asking.renew(number, item_no, pin, self._wall()))
        return _AWAY if done is None else self._asking.lent(done.message, again=done.again)

    async def checkin(self, item_no: str) -> Said:
        """Take an own item back."""
        done = await self._transact(item_no, self._asking.checkin(item_no, self._wall()))
        return _AWAY if done is None else self._asking.taken(done.message)

    async def reader(self, number: str, pin: str) -> ReaderSaid | None:
        """An own reader, None where it cannot be asked."""
        answer = await self._reader(number, pin or None, self._config.timeout_s)
        return None if answer is None else answer.said

    async def item(self, item_no: str) -> ItemSaid | None:
        """An own item, None where it cannot be asked."""
        return await self._item(item_no, self._config.timeout_s)

    async def remember(self, srid: str, number: str) -> None:
        """Keep a number, sealed. A disk that fails costs the booking a member of staff's time, never the reader the loan."""
        try:
            await self._queue.remember(srid, number)
        except QueueFault as error:
            log.error("a number could not be kept for the ILS: %s", error.code)

    def waits_for(self, item: ItemKey) -> bool:
        """Whether something about this item is on its way between the ILS and our events: its books and ours differ for that reason."""
        return self._in_the_air.get(item, 0.0) > time.monotonic() or self._follower.waits_for(item)

    async def _transact(self, item_no: str, request: Outgoing) -> Exchanged | None:
        """The reply to a loan, renewal or return; None where it cannot be had, or the ILS must be told of earlier ones first."""
        key = ItemKey(self._org, item_no)
        if self._follower.waits_for(key) or not self.up:
            return None
        self._in_the_air[key] = time.monotonic() + self._config.timeout_s + _IN_THE_AIR_S
        try:
            return await self._ask(request)
        finally:
            now = time.monotonic()
            self._in_the_air[key] = now + _IN_THE_AIR_S
            if len(self._in_the_air) > _IN_THE_AIR_MOST:
                self._in_the_air = {key: until for key, until in self._in_the_air.items() if until > now}

    async def _reader(self, number: str, pin: str | None, within_s: float) -> ReaderAnswer | None:
        done = await self._ask(self._asking.reader(number, pin, self._wall()), within_s)
        if done is None:
            return None
        answer = self._asking.read_reader(done.message, asked_pin=pin is not None)
        srid = self.srid_of(number) if answer.found and self.observer is not None else None
        if srid is not None and self.observer is not None:
            self._touch(self.observer.touch_reader(srid, number, answer.said))
        return answer

    async def _item(self, item_no: str, within_s: float) -> ItemSaid | None:
        key = ItemKey(self._org, item_no)
        done = await self._ask(self._asking.item(item_no, self._wall()), within_s)
        if done is None:
            return None
        said = self._asking.read_item(done.message)
        # While it has still to be told something about the item its books are behind ours: nothing can be learned from them.
        if known(said) and self.observer is not None and not self.waits_for(key):
            self._touch(self.observer.touch_item(item_no, said))
        return said

    def _touch(self, learning: Coroutine[Any, Any, None]) -> None:
        if len(self._touches) >= _TOUCHES:
            learning.close()  # the next time it is touched
            return
        task = asyncio.create_task(learning, name="ils-touch")
        self._touches.add(task)
        task.add_done_callback(self._touches.discard)
        task.add_done_callback(_ended)

    async def _ask(self, request: Outgoing, within_s: float | None = None) -> Exchanged | None:
        """The reply, None for whatever kept it from us."""
        try:
            return await self._pool.exchange(request, deadline_s=within_s)
        except (Unreachable, LoginRefused, Unfit):
            return None  # the pool told its state
        except (RemoteProtocolError, LocalProtocolError) as error:
            log.warning("the ILS's answer to %s cannot be used: %s", request.code, error.code)
            return None

    # --- the hub's questions and work

    async def ask(self, name: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Answer ``ask/item`` or ``ask/reader`` within its ``deadline_at`` (hub time, ms); nulls where the ILS cannot be asked."""
        deadline = data.get("deadline_at")
        left = self._config.timeout_s
        if isinstance(deadline, int):
            left = min(left, (deadline - self._clock_ms()) / 1000)
        number = str(data.get("item_no" if name == "item" else "number") or "")[:64]
        may = left > 0 and bool(number)
        if name == "item":
            return dict(item_answer(await self._item(number, left) if may else None))
        pin = data.get("pin")
        pin = str(pin)[:64] if pin else None
        return dict(reader_answer(await self._reader(number, pin, left) if may else None))

    async def work(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Take a booking from the hub: ``taken`` once durable, ``full`` or ``failed`` to be sent again, ``rejected`` for nonsense."""
        said = {"of": str(data.get("of", ""))[:160], "org": str(data.get("org", ""))[:16]}
        try:
            job = read_work(data, self._org)
        except WorkInvalid as error:
            return {**said, "state": "rejected", "code": error.code}
        if self._queue.room == 0:
            return {**said, "state": "full"}
        try:
            await self._queue.add([job])
        except QueueFault as error:
            log.error("work from the hub cannot be kept: %s", error.code)
            return {**said, "state": "failed", "code": error.code}
        self._booker.stir()
        return {**said, "state": "taken"}

    # --- booking

    async def _follow(self) -> bool:
        return await self._follower.follow()

    async def _book(self, job: Job) -> Outcome:
        """Ask the ILS to book one job. Raises QueueFault."""
        if job.item.owner != self._org and not self._config.book_foreign:
            return Outcome("REFUSED", "FOREIGN")
        number = ""
        if job.task is not Task.CHECKIN:
            found = await self._number(job)
            if found is None:
                return Outcome("REFUSED", "NO_NUMBER" if job.home == self._org else "NO_PROXY")
            number = found
        try:
            return await self._exchange(job, number)
        except Unreachable as error:
            return Outcome(None, asked=error.code not in ("circuit_open", "off_line"))
        except (LoginRefused, Unfit):
            return Outcome(None, asked=False)
        except (RemoteProtocolError, LocalProtocolError) as error:
            log.warning("the ILS's answer to a booking cannot be used: %s %s", job.of, error.code)
            return Outcome(None)

    async def _exchange(self, job: Job, number: str) -> Outcome:
        within_s = self._config.replay_timeout_s
        reply = await self._pool.call(self._asking.booking(job, number), deadline_s=within_s)
        if booked(job, reply):
            return Outcome("BOOKED")
        if job.task is Task.CHECKIN:
            # Told twice, or never lent there: what counts is that its books do not have it with a reader.
            asked = self._asking.item(job.item.item_no, self._wall())
            item = self._asking.read_item(await self._pool.call(asked, deadline_s=within_s))
            if known(item) and not out(item):
                return Outcome("BOOKED")
        return Outcome("REFUSED")

    async def _number(self, job: Job) -> str | None:
        """Under what number the ILS knows who has the item: the own reader's, or the partner's proxy account. Never a stranger's."""
        if job.home == self._org and job.srid is not None:
            number = await self._queue.number(job.srid)
            if number is not None:
                return number
        return self._config.proxies.get(job.home) or None


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("%s ended", task.get_name(), exc_info=task.exception())
