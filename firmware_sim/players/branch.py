"""What happens at one branch: people at the gate, at the self-check, at the pad kiosk, and the courier at the door."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from firmware_sim.branch_client import SimBranchClient
from firmware_sim.kiosk import SimKiosk, SimKioskSession, accent_of, place_of
from firmware_sim.players import drop
from firmware_sim.players.gates import GateWalks, through_security
from firmware_sim.players.kiosk_page import KioskPage
from firmware_sim.players.stats import Stats
from firmware_sim.players.trouble import Trouble
from firmware_sim.players.world import Book, Person, World
from protocols.sip2 import Message

_CODE = re.compile(r"\(([A-Z_]{2,24})\)\s*$")

MISTYPED_PIN = 0.04
STRAY_CARD = 0.03
CASES_AT_GATE = 0.35
BRINGS_BACK = 0.45
ODD_ITEM = 0.12
MOST_BOOKS = 6


def code_of(message: Message) -> str:
    """The reason code a kiosk shows at the end of its screen message, OK where there is none."""
    for line in message.all("AF"):
        found = _CODE.search(line)
        if found:
            return found.group(1)
    return "OK"


def kiosk_of(plan: dict[str, Any], location: str) -> SimKiosk:
    """A kiosk as a plan describes it: url, user, password, institution, accent, and ca for tls. Raises ValueError, OSError."""
    place = place_of(plan["url"], ca=Path(plan["ca"]) if "ca" in plan else None)
    return SimKiosk.at(
        place, plan["user"], plan["password"], plan["institution"], accent=accent_of(plan["accent"]), location=location
    )


class BranchLife:
    """The players of one branch. ``seconds`` scales a pause: demo seconds at speed 1."""

    def __init__(self, branch: dict[str, Any], world: World, stats: Stats, speed: float) -> None:
        self.id: str = branch["id"]
        self.library: str = branch["library"]
        self.world = world
        self.stats = stats
        self._speed = speed
        self._control: int = branch["control"]
        self._edge: str = branch["edge"]
        self._page = KioskPage(branch["edge"])
        self._machines = frozenset(branch["devices"])
        self._gates = GateWalks(branch["gates"], self._devices, self.library, world.rng)
        self.kiosks = {
            kiosk["user"]: kiosk_of(kiosk, f"self-check {at}") for at, kiosk in enumerate(branch["kiosks"], 1)
        }
        self._sorter = kiosk_of(branch["sorter"], "sorter")
        self._client: SimBranchClient | None = None
        self._connecting = asyncio.Lock()

    def _pause(self, seconds: float) -> float:
        return seconds * self.world.rng.uniform(0.5, 1.5) / self._speed

    async def _devices(self) -> SimBranchClient:
        async with self._connecting:  # gate and pad share one line
            if self._client is None:
                client = SimBranchClient(self._control)
                await client.connect()
                self._client = client
            return self._client

    async def close(self) -> None:
        """Hang up everywhere; a serial cable is pulled out."""
        await self.forget_devices()
        for kiosk in (*self.kiosks.values(), self._sorter):
            await kiosk.close()

    async def forget_devices(self) -> None:
        """Drop the line to the simulated devices; the next use makes it again."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    # --- gate ------------------------------------------------------------------------------------------------------

    async def gate(self) -> None:
        """One person at the gate."""
        await asyncio.sleep(self._pause(2.5))
        rng = self.world.rng
        person = self.world.somebody(CASES_AT_GATE)
        stray = rng.random() < STRAY_CARD
        direction = "OUT" if person.inside == self.id and rng.random() < 0.7 else "IN"
        card = f"04{rng.getrandbits(48):012X}" if stray else person.card
        gate = self._gates.choose(person)
        seen = await self._gates.walk(gate, card, direction)
        self.stats.counts["taps"] += 1
        self.stats.counts[f"taps_{gate['how']}"] += 1
        self.stats.counts[f"taps_at_{gate.get('cards', gate['device'])}"] += 1
        if not seen.opened:
            self.stats.counts["gate_stayed_closed"] += 1
            return
        self.stats.counts["gate_opened"] += 1
        if seen.ms is not None:
            self.stats.tap_ms.append(seen.ms)
        if seen.through and not stray:
            if "eas1" in self._machines:
                heard = await through_security(await self._devices(), "eas1", person, direction, self.world)
                self.stats.counts["security_alarms"] += bool(heard)
            person.inside = self.id if direction == "IN" else None

    # --- the book drop ---------------------------------------------------------------------------------------------

    def trouble(self) -> Trouble:
        """What goes wrong with this branch's machines."""
        return Trouble(sorted(self._machines), self._devices, self.world.rng, self.stats.counts, self._pause)

    @property
    def has_drop(self) -> bool:
        """Whether this branch has a book drop with an antenna."""
        return drop.DEVICE in self._machines

    async def book_drop(self) -> None:
        """Somebody puts a book with a UHF label into the drop."""
        await asyncio.sleep(self._pause(6.0))
        person = next((one for one in self.world.people if any(book.tag.uhf for book in one.bag)), None)
        if person is None:
            return
        book = next(book for book in person.bag if book.tag.uhf)
        person.bag.remove(book)
        try:
            row = await drop.put_in(await self._devices(), self._edge, book)
        except BaseException:
            person.bag.append(book)
            raise
        self.stats.counts["dropped"] += 1
        if row is None:
            self.stats.counts["drop_timeouts"] += 1
        self._after_return(book, row is not None, row["dest"] if row else None, person)

    # --- self-check over SIP2 --------------------------------------------------------------------------------------

    async def self_check(self, user: str) -> None:
        """One person at a SIP2 self-check: shows the card, borrows a few books, or gives some back."""
        # All self-checks of a branch together have the readers that one had alone.
        await asyncio.sleep(self._pause(5.0 * len(self.kiosks)))
        kiosk = self.kiosks[user]
        rng = self.world.rng
        person = self.world.borrower(BRINGS_BACK)
        pin = person.pin
        if pin is not None and rng.random() < MISTYPED_PIN:
            pin = f"{(int(pin) + 1) % 10_000:04d}"
        session = await kiosk.session(person.reader_no, pin, rng.choice(("019", "001")))
        status = await session.status()
        self.stats.counts["kiosk_sessions"] += 1
        self.stats.counts[f"kiosk_sessions_{user}"] += 1
        if status.get("CQ") == "N" and pin is not None:
            self.stats.denied[code_of(status)] += 1
            await session.end()
            return
        await session.information()
        if person.bag and rng.random() < 0.8:
            await self._give_back_at_kiosk(person, kiosk)
        elif len(person.bag) < MOST_BOOKS:
            await self._borrow_at_kiosk(person, session)
        await session.end()

    async def _borrow_at_kiosk(self, person: Person, session: SimKioskSession) -> None:
        rng = self.world.rng
        books = self.world.take(self.id, rng.randint(1, 3), ordinary=rng.random() >= ODD_ITEM)
        try:
            while books:
                number = books[-1].item_no
                await session.item(number)
                began = time.perf_counter()
                reply = await session.checkout(
                    number if books[-1].owner == self.library else f"{books[-1].owner}:{number}"
                )
                book = books.pop()
                self.stats.counts["checkouts_tried"] += 1
                if reply.fixed.get("ok") == "1":
                    self.stats.checkout_ms.append((time.perf_counter() - began) * 1000)
                    self.stats.counts["checkouts"] += 1
                    person.bag.append(book)
                else:
                    self.stats.denied[code_of(reply)] += 1
                    self.world.shelve(book, self.id)
        finally:
            for book in books:  # the machine broke: what it did not confirm goes back on the shelf
                self.world.shelve(book, self.id)

    async def _give_back_at_kiosk(self, person: Person, kiosk: SimKiosk) -> None:
        books = [person.bag.pop() for _ in range(min(2, len(person.bag)))]
        try:
            while books:
                reply = await kiosk.checkin(books[-1].item_no)
                self._after_return(books.pop(), reply.fixed.get("ok") == "1", reply.get("CT"), person)
        finally:
            person.bag.extend(books)

    def _after_return(self, book: Book, ok: bool, destination: str | None, person: Person) -> None:
        if not ok:
            self.stats.counts["returns_refused"] += 1
            self.stats.surprises.append(f"{self.id}: return of {book.owner}/{book.item_no} was not confirmed")
            person.bag.append(book)
            return
        self.stats.counts["returns"] += 1
        if destination and destination != self.id:
            self.stats.counts["returns_away"] += 1
            self.world.send(book, destination, time.monotonic() + self._pause(6.0))
        else:
            self.world.shelve(book, self.id)

    # --- the edge's own kiosk with its pad -------------------------------------------------------------------------

    async def pad_kiosk(self) -> None:
        """One person at the pad: lays a stack down and borrows it, or gives it back without a card."""
        await asyncio.sleep(self._pause(6.0))
        rng = self.world.rng
        person = self.world.borrower(BRINGS_BACK)
        readable = [book for book in person.bag if not book.tag.uhf][-3:]
        if readable and rng.random() < 0.8:
            books = readable
            for book in books:
                person.bag.remove(book)
            try:
                await self._on_pad(tuple(books), lambda: self._return_on_pad(books, person))
            finally:
                person.bag.extend(books)
        elif len(person.bag) < MOST_BOOKS:
            books = self.world.take(self.id, rng.randint(1, 3), for_pad=True)
            try:
                await self._on_pad(tuple(books), lambda: self._borrow_on_pad(books, person))
            finally:
                for book in books:
                    self.world.shelve(book, self.id)

    async def _on_pad(self, books: tuple[Book, ...], action: Callable[[], Awaitable[None]]) -> None:
        devices = await self._devices()
        for book in books:
            await devices.place(afi=book.afi, device="pad1", **book.tag.hf(book.item_no))
        try:
            await self._settled(len(books))
            await action()
        finally:
            for book in books:
                lifted = await devices.lift(book.tag.uid, device="pad1")
                if lifted is not None:
                    book.afi = lifted

    async def _settled(self, count: int) -> None:
        for _ in range(40):
            pad = await self._page.press("GET", "pad")
            if len(pad.get("items", ())) >= count:
                return
            await asyncio.sleep(0.15)
        self.stats.counts["pad_timeouts"] += 1

    async def _borrow_on_pad(self, books: list[Book], person: Person) -> None:
        shown = await self._page.press(
            "POST", "identify", {"number": person.reader_no, "pin": person.pin or "", "lang": "zh"}
        )
        answers: dict[tuple[str, str], dict[str, Any]] = {}
        if "session" in shown:
            done = await self._page.press("POST", "borrow", {"session": shown["session"]})
            answers = {(row["owner"], row["item_no"]): row for row in done.get("items", ())}
            await self._page.press("POST", "end", {"session": shown["session"]})
        else:
            self.stats.denied[str(shown.get("code", "UNKNOWN"))] += 1
            if "code" not in shown:
                self.stats.surprises.append(
                    f"{self.id}: identify answered {json.dumps(shown, ensure_ascii=False)[:200]}"
                )
        while books:
            book = books.pop()
            answer = answers.get((book.owner, book.item_no))
            if answer is None or answer["outcome"] != "ALLOW":
                if answer is not None:
                    self.stats.denied[str(answer["code"])] += 1
                self.world.shelve(book, self.id)
                continue
            self.stats.counts["pad_checkouts"] += 1
            self.stats.counts["unsecured"] += bool(answer.get("unsecured"))
            person.bag.append(book)

    async def _return_on_pad(self, books: list[Book], person: Person) -> None:
        done = await self._page.press("POST", "return", {})
        answers = {(row["owner"], row["item_no"]): row for row in done.get("items", ())}
        while books:
            book = books.pop()
            answer = answers.get((book.owner, book.item_no))
            ok = answer is not None and str(answer.get("code", "")).startswith("RETURN_")
            if not ok:
                self.stats.surprises.append(
                    f"{self.id}: the pad kiosk answered {json.dumps(done, ensure_ascii=False)[:300]}"
                )
            self.stats.counts["secured"] += bool(answer and answer.get("secured"))
            self._after_return(book, ok, answer.get("dest") if answer else None, person)

    # --- courier ---------------------------------------------------------------------------------------------------

    async def courier(self) -> None:
        """The courier empties a crate into the sorter."""
        await asyncio.sleep(self._pause(4.0))
        books = self.world.arrived(self.id, time.monotonic(), 5)
        try:
            while books:
                reply = await self._sorter.checkin(books[-1].item_no)
                self._after_sorting(books.pop(), reply)
        finally:
            for book in books:  # the sorter broke: they wait in the crate
                self.world.send(book, self.id, time.monotonic() + self._pause(5.0))

    def _after_sorting(self, book: Book, reply: Message) -> None:
        if reply.fixed.get("ok") != "1":
            self.world.send(book, self.id, time.monotonic() + self._pause(5.0))
            return
        self.stats.counts["transits_received"] += 1
        self.stats.counts[f"bin_{reply.get('CL') or '-'}"] += 1
        destination = reply.get("CT")
        if destination and destination != self.id:
            self.world.send(book, destination, time.monotonic() + self._pause(6.0))
        else:
            self.world.shelve(book, self.id)
