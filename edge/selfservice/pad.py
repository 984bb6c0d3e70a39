"""The edge's own kiosk as a state machine: who is signed in, what lies on the pad, what was lent and returned.

The page paints what stands here. Order of a loan: CHECKOUT durable, then the tag unsecured and read back; of a return: RETURN
durable, then the tag secured. A tag that did not take it waits in the branch's `RepairQueue`. A reader who leaves an item on the pad
whose tags could not all be unsecured has not taken it: the loan is undone and its tags say again what they said before.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from consortium.decision import Outcome
from consortium.identity import ItemKey
from consortium.reasons import text
from drivers.base import DeviceOffline
from edge.answers import Answer, Identified, ItemRef
from edge.desk import Desk
from edge.kiosk.texts import own_text
from edge.metrics import Metrics
from edge.outbox import OutboxError
from edge.selfservice.account import summary_of
from edge.selfservice.identify import Identifier
from edge.selfservice.left import LeftOnPad, note_missing, parts_of
from edge.selfservice.session import KioskRefusal, KioskSession, Lent, SessionState, Step
from edge.selfservice.sets import INCOMPLETE, ItemSet
from edge.selfservice.shown import ShownHere
from edge.selfservice.signin import SignIn
from edge.selfservice.tags import PadTags
from edge.staffnotes import StaffNotes

IDLE_S = 70
WARN_S = 20
MAX_SESSIONS = 16
"""Sessions at once: a reader who walked off and the next one; more are ended, oldest first."""

T = TypeVar("T")

__all__ = ["IDLE_S", "MAX_SESSIONS", "WARN_S", "KioskRefusal", "PadKiosk"]


@dataclass(slots=True)
class _Changes:
    """Wakes the streams of pages that are open."""

    streams: set[asyncio.Event] = field(default_factory=set)

    def tell(self) -> None:
        for stream in self.streams:
            stream.set()


class PadKiosk:
    """The kiosk over one pad. ``online`` says whether the hub answers; ``mono`` is a clock in seconds that never goes back."""

    def __init__(
        self,
        tags: PadTags,
        desk: Desk,
        identifier: Identifier,
        metrics: Metrics,
        *,
        notes: StaffNotes,
        shown: ShownHere,
        online: Callable[[], bool],
        due_text: Callable[[int], str],
        mono: Callable[[], float] = time.monotonic,
    ) -> None:
        self.device = tags.device
        self._tags = tags
        self._desk = desk
        self._shown = shown
        self._sign_in = SignIn(identifier, shown, tags.device)
        self._metrics = metrics
        self._notes = notes
        self._left = LeftOnPad(tags, desk, notes)
        self._online = online
        self._due_text = due_text
        self._mono = mono
        self._sessions: dict[str, KioskSession] = {}
        self._one_stack = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()
        self._titles: dict[ItemKey, str] = {}
        self._asked: set[ItemKey] = set()
        self.changes = _Changes()
        tags.listen(self._pad_changed)
        shown.changed = self.changes.tell

    # --- what the page shows ---

    def view(self) -> dict[str, Any]:
        """The kiosk's public state: pad, items on it, put-it-back queue, whether the hub answers. Names nobody."""
        return {
            "online": self._online(),
            "pad": "online" if self._tags.online else "offline",
            "items": self.pad_items(),
            "put_back": [self._plain(key) for key in self._tags.asked_back],
            "shown": self._shown.id,
        }

    @property
    def hears(self) -> bool:
        """Whether a cardreader or scanner belongs to the kiosk."""
        return self._shown.hears

    def pad_items(self) -> list[dict[str, Any]]:
        """What lies on the pad: items once each with their parts, then tags that are no items, as what they are."""
        nobody = {"owner": None, "owner_name": None, "item_no": None, "title": ""}
        items = [
            {
                **self._plain(key),
                "code": "OK" if stack.complete else INCOMPLETE,
                "secured": stack.secured,
                **parts_of(stack),
            }
            for key, stack in self._tags.sets().items()
        ]
        others = [tag for tag in self._tags.items if tag.key is None]
        items.extend({**nobody, "code": tag.code, "secured": tag.secured} for tag in others)
        return items

    def _pad_changed(self) -> None:
        """Tell the pages, and ask the hub what a partner's item is called, once while it lies here."""
        here = set(self._tags.on_pad())
        self._asked &= here
        self._titles = {key: title for key, title in self._titles.items() if key in here}
        for key in here - self._asked:
            if self._desk.known_item(key) is None and self._online():
                self._asked.add(key)
                task = asyncio.get_running_loop().create_task(self._learn_title(key), name="kiosk title")
                self._running.add(task)
                task.add_done_callback(self._running.discard)
        self.changes.tell()

    async def _learn_title(self, key: ItemKey) -> None:
        seen = await self._desk.ask_item(ItemRef(key.owner, key.item_no))
        if seen is not None and key in self._asked:
            self._titles[key] = seen.title
            self.changes.tell()

    def _plain(self, key: ItemKey) -> dict[str, Any]:
        seen = self._desk.known_item(key)
        return {
            "owner": key.owner,
            "owner_name": self._desk.org_names(key.owner),
            "item_no": key.item_no,
            "title": seen.title if seen is not None else self._titles.get(key, ""),
        }

    def _reader(self, reader: Identified, lang: str) -> dict[str, Any]:
        account = summary_of(self._desk, reader)
        code = account.standing[0] if account.standing else "OK"
        return {
            "home": reader.home,
            "home_name": self._desk.org_names(reader.home),
            "own": reader.home == self._desk.org,
            "pin": reader.pin,
            "loans": account.charged_count,
            "standing": {"code": code, "text": text(code, lang)},
        }

    # --- sign in and out ---

    async def identify(self, number: str, card: str, pin: str, lang: str, *, shown: str = "") -> dict[str, Any]:
        """Sign a reader in by number, card or what was ``shown`` to the kiosk's own devices, and PIN.

        Raises KioskRefusal with the reason's code; SHOW_AGAIN where what was shown is used or too long ago.
        """
        reader = await self._sign_in.reader(number, card, shown, pin, lang)
        self._sweep()
        self._make_room(lang)
        session = KioskSession(secrets.token_urlsafe(18), reader, lang, self._mono())
        self._sessions[session.id] = session
        self._shown.forget()
        return {"session": session.id, "reader": self._reader(reader, lang)}

    def _sweep(self) -> None:
        now = self._mono()
        for session in list(self._sessions.values()):
            if session.state is not SessionState.WORKING and now - session.seen > IDLE_S + WARN_S:
                self._end(session)

    def _make_room(self, lang: str) -> None:
        """End the oldest sessions beyond MAX_SESSIONS, never one at work."""
        while len(self._sessions) >= MAX_SESSIONS:
            oldest = next((each for each in self._sessions.values() if each.state is not SessionState.WORKING), None)
            if oldest is None:
                raise KioskRefusal("RATE_LIMITED", lang, 503)
            self._end(oldest)

    def _session(self, session_id: str, lang: str) -> KioskSession:
        self._sweep()
        session = self._sessions.get(session_id)
        if session is None:
            raise KioskRefusal("SESSION_ENDED", lang, 401)
        session.seen = self._mono()
        session.lang = lang
        return session

    def end(self, session_id: str) -> None:
        """Sign out; a session that is unknown or ended is no error. Work under way goes on, and the session ends with it.

        What was shown meanwhile was not for whoever comes next.
        """
        self._shown.forget()
        session = self._sessions.get(session_id)
        if session is not None:
            self._end(session)

    def _end(self, session: KioskSession) -> None:
        self._sessions.pop(session.id, None)
        session.ending = session.state is SessionState.WORKING
        if session.state is SessionState.SIGNED_IN:
            session.move(Step.END)
            self._leave(session)

    def sweep(self) -> None:
        """End the sessions of readers who walked off; called now and then."""
        self._sweep()

    def _leave(self, session: KioskSession) -> None:
        left = self._left.behind(session.lent)
        if left:
            task = asyncio.get_running_loop().create_task(self._undo(left), name="kiosk undo")
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _undo(self, left: dict[ItemKey, Lent]) -> None:
        async with self._one_stack:
            for answer in await self._left.undo(left):
                self._count("undo", answer)

    # --- lending ---

    def preview(self, session_id: str, lang: str) -> dict[str, Any]:
        """A verdict for each item on the pad as far as this edge can tell; ASK where the hub decides when it is borrowed."""
        session = self._session(session_id, lang)
        items = []
        for item in self.pad_items():
            if item["owner"] is None:
                items.append(item)
                continue
            if item["code"] == INCOMPLETE:
                items.append({**item, **self._incomplete(lang)})
                continue
            seen = self._desk.preview(session.reader, ItemKey(item["owner"], item["item_no"]), self.device)
            if seen is None:
                items.append({**item, "outcome": "ASK", "code": "OK", "text": "", "due": None})
            else:
                items.append({**item, **self._verdict(seen, lang)})
        return {"items": items}

    def _verdict(self, answer: Answer, lang: str) -> dict[str, Any]:
        return {
            "outcome": answer.outcome.value,
            "code": answer.code,
            "text": answer.text(lang),
            "due": self._due_text(answer.due_ms) if answer.ok and answer.due_ms is not None else None,
        }

    @staticmethod
    def _incomplete(lang: str) -> dict[str, Any]:
        """The verdict on an item of which a part is missing; nobody decides about it, so nothing is recorded."""
        said = own_text(INCOMPLETE, lang)
        return {"outcome": Outcome.DENY.value, "code": INCOMPLETE, "text": said, "due": None}

    async def borrow(self, session_id: str, lang: str) -> dict[str, Any]:
        """Lend everything on the pad to the session's reader. Raises KioskRefusal."""
        session = self._session(session_id, lang)
        session.move(Step.BEGIN)
        return await self._finish(self._work(session, lang))

    async def _work(self, session: KioskSession, lang: str) -> dict[str, Any]:
        """Lend; the session goes on, or ends, when that is done, also where the page that asked is gone."""
        try:
            return await self._lend(session, lang)
        finally:
            session.move(Step.FINISH)
            session.seen = self._mono()
            if session.ending:
                self._end(session)

    async def _finish(self, work: Awaitable[T]) -> T:
        """Work that has begun goes on to its end, also when the page that asked for it is gone."""
        task: asyncio.Task[T] = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _stack(self, lang: str) -> dict[ItemKey, ItemSet]:
        try:
            await self._tags.fresh()
        except DeviceOffline as error:
            raise KioskRefusal("PAD_OFFLINE", lang, 503) from error
        stacks = self._tags.sets()
        if not stacks:
            raise KioskRefusal("PAD_EMPTY", lang)
        return stacks

    async def _lend(self, session: KioskSession, lang: str) -> dict[str, Any]:
        async with self._one_stack:
            stacks = await self._stack(lang)
            started = time.perf_counter()
            whole = [key for key, stack in stacks.items() if stack.complete]
            refs = [ItemRef(key.owner, key.item_no) for key in whole]
            before = {key: self._desk.loan_of(key) for key in whole}
            answers = dict(zip(whole, await self._desk.borrow(session.reader, refs, self.device), strict=True))
            self._metrics.latency["kiosk_checkout"].add((time.perf_counter() - started) * 1000)
            items = []
            for key, stack in stacks.items():
                answer = answers.get(key)
                if answer is None:
                    items.append({**self._plain(key), **parts_of(stack), **self._incomplete(lang), "unsecured": False})
                    continue
                self._count("borrow", answer)
                loan = self._desk.loan_of(key)
                # One that goes on from before is not this session's to undo.
                if answer.ok and loan is not None and loan.srid == session.reader.srid and loan != before[key]:
                    session.lent[key] = Lent(stack, loan)
                unsecured = answer.ok and await self._tags.set_secured(key, False, stack.tags)
                items.append(
                    {**self._plain(key), **parts_of(stack), **self._verdict(answer, lang), "unsecured": unsecured}
                )
            return {"items": items, "reader": self._reader(session.reader, lang)}

    # --- returning ---

    async def give_back(self, lang: str) -> dict[str, Any]:
        """Take back everything on the pad; nobody signs in for that. Raises KioskRefusal."""
        return await self._finish(self._take_back(lang))

    async def _take_back(self, lang: str) -> dict[str, Any]:
        async with self._one_stack:
            items = []
            for key, stack in (await self._stack(lang)).items():
                try:
                    answer = await self._desk.give_back(ItemRef(key.owner, key.item_no), self.device)
                except OutboxError:
                    answer = Answer(key.owner, key.item_no, Outcome.REFER, ("OUT_OF_SERVICE",))
                self._count("return", answer)
                if answer.ok:
                    for session in self._sessions.values():
                        session.lent.pop(key, None)
                secured = answer.ok and await self._tags.set_secured(key, True, stack.tags)
                if answer.ok and not stack.complete:
                    await note_missing(self._notes, self.device, stack)
                dest = answer.route.dest if answer.route is not None else None
                items.append(
                    {
                        **self._plain(key),
                        **parts_of(stack),
                        **self._verdict(answer, lang),
                        "dest": dest,
                        "dest_name": self._desk.branch_names(dest) if dest else None,
                        "secured": secured,
                    }
                )
            return {"items": items}

    def _count(self, operation: str, answer: Answer) -> None:
        self._metrics.transactions.labels(self._metrics.library, self.device, operation, answer.code).inc()

    async def close(self) -> None:
        """Let loans and returns under way end, and the streams of open pages."""
        if self._running:
            await asyncio.wait(self._running, timeout=2.0)
        self.changes.tell()
