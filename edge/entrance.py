"""What a gate does with a card: decide, open, and only then write. Nobody waits for a disk or a wide-area network to get in.

Card bytes become canonical by the cardreader's profile, then a token, then facts, then ``may_enter``. A card nobody here
knows, or facts past their bound, is asked of the hub (300 ms). Out is always open. The visit is written when `edge.passages` says so:
at once where the gate cannot tell who went through, else when somebody did.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from consortium.decision import Decision, Mode, Outcome
from consortium.decisions import may_enter
from consortium.events import Kind
from consortium.facts import Assurance, EnterFacts
from consortium.record import record
from drivers.base import BadCommand, CardRead, DeviceRefused, Direction, Driver, DriverError, Gate, Signal
from edge.asking import Asking
from edge.cards import MEDIUM_ASSURANCE, CardError, CardProfile, CardToken
from edge.facts import Facts, Person
from edge.metrics import Metrics
from edge.outbox import Draft, Outbox
from edge.passages import Opening, Passages
from edge.replica import Replica

log = logging.getLogger(__name__)

ASK_TIMEOUT_S = 0.3
OPEN_TENTHS = 50
"""How long a gate stays open, in tenths of a second, unless the device says otherwise."""

MAX_UNDER_WAY = 64
"""Cards being decided at one gate, one way; beyond that it is being flooded and reads are counted as dropped.

Out nobody is dropped: the gate is being opened that often already, and the exit is written without telling it once more.
"""

_WEAKEST_FIRST = (Assurance.LOW, Assurance.MED, Assurance.HIGH)

_NOBODYS_CARD = frozenset({"CARD_RANDOM", "CARD_FACILITY", "CARD_BITS"})
"""Reads of a real card that stands for nobody here: no way in, but whoever holds it must get out (`_held`)."""

_LEAST_BITS = 24
"""Bits of the shortest number that a card has; fewer are keys pressed at a cardreader, or noise."""

TokenOf = Callable[[CardProfile, CardRead], CardToken]
"""The token of a read; raises CardError for what cannot be a card (`edge.cards.card_token`)."""

_LOCAL_ONLY = frozenset({"CARD_UNKNOWN", "NOT_DECIDABLE_OFFLINE", "STALE_POLICY"})
"""Codes that only say what this edge does not know: the hub may know better."""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """One gate: how its own cardreader writes card bytes, for how long it opens, and which way it leads where the read does not say.

    ``faces``: the way of each face of its cardreader by `CardRead.reader_no`, stronger than what the read says.
    """

    device: str
    profile: CardProfile = field(default_factory=CardProfile)
    open_tenths: int = OPEN_TENTHS
    direction: str = "IN"
    faces: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CardSource:
    """A cardreader that stands beside a gate of another device; its reads are presented at ``gate``.

    ``direction`` is the side it stands on; "" leaves the way to the read, and then to the gate. ``driver`` shows green and red where
    it can, else the gate does.
    """

    device: str
    gate: str
    profile: CardProfile = field(default_factory=CardProfile)
    direction: str = ""
    faces: Mapping[int, str] = field(default_factory=dict)
    driver: Driver | None = None


@dataclass(frozen=True, slots=True)
class _Tap:
    """One read on its way: where it was read, the gate it is presented at, and the way it goes."""

    read: CardRead
    source: CardSource
    gate: Gate
    settings: GateSettings
    direction: Direction

    @property
    def device(self) -> str:
        """The gate."""
        return self.settings.device


@dataclass(frozen=True, slots=True)
class _Verdict:
    """An answer from here or from the hub, ready to be carried out."""

    allowed: bool
    codes: tuple[str, ...]
    srid: str | None
    home: str | None
    record: dict[str, Any] | None


class Entrance:
    """The gates of one branch. ``present`` takes a read; ``now`` is ms UTC by the edge's clock."""

    def __init__(
        self,
        facts: Facts,
        replica: Replica,
        outbox: Outbox,
        hub: Asking,
        metrics: Metrics,
        *,
        now: Callable[[], int],
        token_of: TokenOf,
        passages: Passages,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._facts = facts
        self._replica = replica
        self._outbox = outbox
        self._hub = hub
        self._metrics = metrics
        self._now = now
        self._token_of = token_of
        self._passages = passages
        self._mono_ns = mono_ns
        self._gates: dict[str, tuple[Gate, GateSettings]] = {}
        self._sources: dict[str, CardSource] = {}
        self._under_way: dict[asyncio.Task[None], tuple[str, str]] = {}  # by gate and way

    def add(self, gate: Gate, settings: GateSettings) -> None:
        """Serve a gate, and the cardreader it may have itself."""
        self._gates[settings.device] = (gate, settings)
        own = CardSource(settings.device, settings.device, settings.profile, faces=settings.faces)
        self._sources.setdefault(settings.device, own)

    def attach(self, source: CardSource) -> None:
        """Present what a cardreader reads at the gate it stands beside; that gate may be added later."""
        self._sources[source.device] = source

    def present(self, read: CardRead) -> None:
        """Take a card read; returns at once. Reads of devices that lead to no gate are passed by."""
        source = self._sources.get(read.device)
        served = self._gates.get(source.gate) if source is not None else None
        if source is None or served is None:
            return
        gate, settings = served
        way = source.faces.get(read.reader_no) or source.direction or read.direction or settings.direction
        tap = _Tap(read, source, gate, settings, "OUT" if way == "OUT" else "IN")
        place = (tap.device, tap.direction)
        if list(self._under_way.values()).count(place) >= MAX_UNDER_WAY:
            self._count_read(read, "DROPPED")
            if tap.direction == "OUT":
                self._went_out(tap)
            return
        task = asyncio.get_running_loop().create_task(self._serve(tap))
        self._under_way[task] = place
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            # The task's outer edge: one card that could not be served closes no gate.
            log.error("a card could not be served: %s", type(task.exception()).__name__, exc_info=task.exception())

    async def close(self) -> None:
        """Let cards being decided go through; whoever a gate is open for is written as gone through."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=1.0)
        self._passages.close()

    async def _serve(self, tap: _Tap) -> None:
        try:
            card = self._token_of(tap.source.profile, tap.read)
        except CardError as error:
            log.info("gate %s: a read that can be no card: %s", tap.device, error.code)
            self._count_read(tap.read, "NOT_A_CARD")
            if tap.direction == "OUT" and _held(error, tap.read):
                await self._let_out(tap, None)
            else:
                await self._deny(tap)
            return
        if tap.direction == "OUT":
            await self._let_out(tap, card)
            return
        verdict = await self._decide(tap, card)
        result = verdict.codes[0] if verdict.codes else "OK"
        if verdict.allowed:
            if not await self._open(tap, self._entry(tap, verdict), partner=verdict.home != self._facts.org):
                result = "OUT_OF_SERVICE"
                self._note_refusal(replace(verdict, codes=(result,), record=None), tap)
        else:
            showing = asyncio.ensure_future(self._deny(tap))
            await asyncio.sleep(0)  # red first, then the paperwork
            self._took(tap)
            self._note_refusal(verdict, tap)
            await showing
        self._metrics.passages.labels(self._metrics.library, tap.device, "IN", result).inc()
        self._count_read(tap.read, "UNKNOWN" if verdict.srid is None else "KNOWN")

    def _count_read(self, read: CardRead, result: str) -> None:
        self._metrics.card_reads.labels(self._metrics.library, read.device, result).inc()

    # --- the gate ---

    async def _open(self, tap: _Tap, visit: Draft, *, partner: bool = False) -> bool:
        """Issue the open command; False only where the device cannot take it at all. Its confirmation is not waited for."""
        opening = asyncio.ensure_future(tap.gate.open(tap.settings.open_tenths, tap.direction))
        await asyncio.sleep(0)  # the command is handed to the driver in this turn of the loop
        if opening.done() and opening.exception() is not None:
            log.error("gate %s did not open: %s", tap.device, _code(opening.exception()))
            return False
        self._metrics.latency["tap_to_open"].add(self._took(tap) * 1000)
        awaited = self._passages.opened(tap.device, tap.direction, tap.settings.open_tenths, visit, partner=partner)
        opening.add_done_callback(lambda done: self._confirmed(tap.device, awaited, done))
        await self._signal(tap, "green")
        return True

    def _took(self, tap: _Tap) -> float:
        seconds = (self._mono_ns() - tap.read.t_mono_ns) / 1e9
        self._metrics.decision_seconds.labels(self._metrics.library, tap.device).observe(seconds)
        return seconds

    def _confirmed(self, device: str, awaited: Opening | None, opening: asyncio.Future[None]) -> None:
        if not opening.cancelled() and opening.exception() is not None:
            log.error("gate %s did not confirm that it opened: %s", device, _code(opening.exception()))
            if awaited is not None and isinstance(opening.exception(), DeviceRefused):
                self._passages.failed(awaited)

    async def _deny(self, tap: _Tap) -> None:
        if await self._signal(tap, "red"):
            return
        try:
            await tap.gate.deny(tap.read.reader_no if tap.source.gate == tap.source.device else 0)
        except DriverError as error:
            log.warning("gate %s showed no refusal: %s", tap.device, error.code)

    async def _signal(self, tap: _Tap, colour: str) -> bool:
        """Show a colour where the card was read, if that cardreader is another device than the gate and can; gives whether it did."""
        driver = tap.source.driver
        if not isinstance(driver, Gate):
            return False
        try:
            if colour == "red":
                await driver.deny(tap.read.reader_no)
            elif "Signal" in driver.capabilities.commands:
                await driver.execute(Signal("green", 10, 1, tap.read.reader_no))
        except (DriverError, BadCommand) as error:
            log.warning("cardreader %s showed nothing: %s", tap.source.device, error.code)
            return False
        return True

    # --- deciding ---

    async def _decide(self, tap: _Tap, card: CardToken) -> _Verdict:
        now = self._now()
        policy = self._replica.policy
        facts, person = self._gather(tap, card, now)
        here = may_enter(policy, facts, now) if policy is not None else None
        if here is not None and here.mode is Mode.ONLINE and here.primary not in _LOCAL_ONLY:
            return _verdict(here, facts, person, now)
        question = {
            "token": card.token, "branch": self._facts.branch, "device": tap.device, "direction": "IN", "t": now,
        }  # fmt: skip
        told = await self._hub.ask("enter", question, timeout_s=ASK_TIMEOUT_S)
        verdict = _told(told) if told is not None else None
        if verdict is not None and not (card.truncated and verdict.home not in (None, self._facts.org)):
            return verdict
        if here is None or (person is None and not here.allowed):
            # Nobody who could know this card was heard: that is not the same as an unknown card.
            return _Verdict(False, ("NOT_DECIDABLE_OFFLINE",), None, None, None)
        return _verdict(replace(here, mode=Mode.OFFLINE), facts, person, now)

    def _gather(self, tap: _Tap, card: CardToken, now: int) -> tuple[EnterFacts, Person | None]:
        """Facts, with those counted whom a gate is open for now, and the card worth no more than how it was read."""
        facts, person = self._facts.enter(card.token, self._facts.device(tap.device), now)
        if person is not None and card.truncated and person.home != self._facts.org:
            # A cut number is many cards' number: it never stands for a partner's (domain §1).
            facts, person = replace(facts, card=None, reader=None, inside=False), None
        persons, partners = self._passages.expected_in
        if persons:
            facts = replace(
                facts,
                occupancy=facts.occupancy + persons,
                partner_visitors=facts.partner_visitors + partners,
                visits_today=facts.visits_today + partners,
            )
        seen = MEDIUM_ASSURANCE.get(tap.read.medium)
        if facts.card is not None and seen is not None:
            weaker = min(seen, facts.card.assurance, key=_WEAKEST_FIRST.index)
            if weaker is not facts.card.assurance:
                # A card registered as hard to copy that shows itself as an easy one: entry stays as decided, but it is counted.
                self._count_read(tap.read, "WEAKER_MEDIUM")
                facts = replace(facts, card=replace(facts.card, assurance=weaker))
        return facts, person

    # --- out ---

    async def _let_out(self, tap: _Tap, card: CardToken | None) -> None:
        """Out is always open, for whoever it is and whatever is known; ``card`` None where it can be nobody's."""
        left = self._exit(tap, card)
        opened = await self._open(tap, left)
        if not opened:
            # Nobody is kept inside by a gate that does not answer: somebody will open it, or the fire door.
            self._outbox.append_nowait(replace(left, data={"passage": "assumed"}))
        result = "OK" if opened else "OUT_OF_SERVICE"
        self._metrics.passages.labels(self._metrics.library, tap.device, "OUT", result).inc()

    def _went_out(self, tap: _Tap) -> None:
        """Write an exit that the gate is not asked for once more; a read that can be no card is none."""
        try:
            card: CardToken | None = self._token_of(tap.source.profile, tap.read)
        except CardError as error:
            if not _held(error, tap.read):
                return
            card = None
        self._outbox.append_nowait(replace(self._exit(tap, card), data={"passage": "assumed"}))

    # --- paperwork ---

    def _exit(self, tap: _Tap, card: CardToken | None) -> Draft:
        person = self._facts.person(card.token) if card is not None else None
        if person is not None and card is not None and card.truncated and person.home != self._facts.org:
            person = None
        return Draft(Kind.EXIT, self._facts.branch, tap.device, {}, srid=person.srid if person is not None else None)

    def _entry(self, tap: _Tap, verdict: _Verdict) -> Draft:
        assert verdict.home is not None
        data = {"home": verdict.home, "class": "own" if verdict.home == self._facts.org else "partner"}
        return Draft(Kind.ENTRY, self._facts.branch, tap.device, data, srid=verdict.srid, decision=verdict.record)

    def _note_refusal(self, verdict: _Verdict, tap: _Tap) -> None:
        data: dict[str, Any] = {"function": "enter", "codes": list(verdict.codes)}
        if verdict.home is not None:
            data["home"] = verdict.home
        self._outbox.append_nowait(
            Draft(Kind.REFUSED, self._facts.branch, tap.device, data, srid=verdict.srid, decision=verdict.record)
        )


def _verdict(decision: Decision, facts: EnterFacts, person: Person | None, now: int) -> _Verdict:
    return _Verdict(
        decision.allowed,
        decision.codes,
        person.srid if person is not None else None,
        person.home if person is not None else None,
        record(decision, facts, now),
    )


def _told(told: dict[str, Any]) -> _Verdict | None:
    """The hub's answer; None where it cannot be read, and then it counts as none."""
    kept, srid, home = told.get("record"), told.get("srid"), told.get("home")
    if not isinstance(kept, dict) or not isinstance(kept.get("c"), list):
        return None
    codes = tuple(str(code) for code in kept["c"])
    allowed = kept.get("o") == Outcome.ALLOW.value
    known = isinstance(srid, str) and isinstance(home, str)
    if not codes or (allowed and not known):
        return None
    return _Verdict(allowed, codes, srid if known else None, home if known else None, kept)


def _held(error: CardError, read: CardRead) -> bool:
    """Whether somebody held a real card there, though it stands for nobody: also one of another length than the profile reads."""
    enough = error.code != "CARD_BITS" or _LEAST_BITS <= read.bits <= len(read.raw) * 8
    return error.code in _NOBODYS_CARD and enough


def _code(error: BaseException | None) -> str:
    return error.code if isinstance(error, DriverError) else type(error).__name__
