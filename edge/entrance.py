"""What a gate does with a card: decide, open, and only then write. Nobody waits for a disk or a wide-area network to get in.

Card bytes become canonical by the cardreader's profile, then a token, then facts, then ``may_enter``. A card nobody here
knows, or facts past their bound, is asked of the hub (300 ms). Out is always open.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from consortium.decision import Decision, Mode, Outcome
from consortium.decisions import may_enter
from consortium.events import Kind
from consortium.facts import EnterFacts
from consortium.identity import CardProfile
from consortium.record import record
from drivers.base import CardRead, DriverError, Gate
from edge.asking import Asking
from edge.facts import Facts, Person
from edge.metrics import Metrics
from edge.outbox import Draft, Outbox
from edge.replica import Replica

log = logging.getLogger(__name__)

ASK_TIMEOUT_S = 0.3
OPEN_TENTHS = 50
"""How long a gate stays open, in tenths of a second, unless the device says otherwise."""

MAX_UNDER_WAY = 64
"""Cards being decided at one gate; beyond that a gate is being flooded and reads are dropped and counted."""

_LOCAL_ONLY = frozenset({"CARD_UNKNOWN", "NOT_DECIDABLE_OFFLINE", "STALE_POLICY"})
"""Codes that only say what this edge does not know: the hub may know better."""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """One gate: how its cardreader writes card bytes, for how long it opens, and which way it leads where the read does not say."""

    device: str
    profile: CardProfile = field(default_factory=CardProfile)
    open_tenths: int = OPEN_TENTHS
    direction: str = "IN"


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
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._facts = facts
        self._replica = replica
        self._outbox = outbox
        self._hub = hub
        self._metrics = metrics
        self._now = now
        self._mono_ns = mono_ns
        self._gates: dict[str, tuple[Gate, GateSettings]] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    def add(self, gate: Gate, settings: GateSettings) -> None:
        """Serve a gate."""
        self._gates[settings.device] = (gate, settings)

    def present(self, read: CardRead) -> None:
        """Take a card read; returns at once. Reads of devices that are no gate are passed by."""
        served = self._gates.get(read.device)
        if served is None:
            return
        if len(self._under_way) >= MAX_UNDER_WAY:
            self._metrics.card_reads.labels(self._metrics.library, read.device, "DROPPED").inc()
            return
        task = asyncio.get_running_loop().create_task(self._serve(*served, read))
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # The task's outer edge: one card that could not be served closes no gate.
            log.error("a card could not be served: %s", type(task.exception()).__name__, exc_info=task.exception())

    async def close(self) -> None:
        """Let cards being decided go through."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=1.0)

    async def _serve(self, gate: Gate, settings: GateSettings, read: CardRead) -> None:
        token = self._facts.token_of_uid(settings.profile.canonical(read.raw))
        direction = read.direction or settings.direction
        if direction == "OUT":
            await self._let_out(gate, settings, read, token)
            return
        verdict = await self._decide(token, settings.device)
        result = verdict.codes[0] if verdict.codes else "OK"
        if verdict.allowed:
            if await self._open(gate, settings, read):
                self._note_entry(verdict, settings)
            else:
                result = "OUT_OF_SERVICE"
                self._note_refusal(replace(verdict, codes=(result,), record=None), settings)
        else:
            showing = asyncio.ensure_future(self._deny(gate, read))
            await asyncio.sleep(0)  # red first, then the paperwork
            self._took(settings, read)
            self._note_refusal(verdict, settings)
            await showing
        self._metrics.passages.labels(self._metrics.library, settings.device, "IN", result).inc()
        self._metrics.card_reads.labels(
            self._metrics.library, settings.device, "UNKNOWN" if verdict.srid is None else "KNOWN"
        ).inc()

    async def _open(self, gate: Gate, settings: GateSettings, read: CardRead) -> bool:
        """Issue the open command; False only where the device cannot take it at all. Its confirmation is not waited for."""
        opening = asyncio.ensure_future(gate.open(settings.open_tenths))
        await asyncio.sleep(0)  # the command is handed to the driver in this turn of the loop
        if opening.done() and opening.exception() is not None:
            log.error("gate %s did not open: %s", settings.device, _code(opening.exception()))
            return False
        self._metrics.latency["tap_to_open"].add(self._took(settings, read) * 1000)
        opening.add_done_callback(lambda done: self._confirmed(settings.device, done))
        return True

    def _took(self, settings: GateSettings, read: CardRead) -> float:
        seconds = (self._mono_ns() - read.t_mono_ns) / 1e9
        self._metrics.decision_seconds.labels(self._metrics.library, settings.device).observe(seconds)
        return seconds

    def _confirmed(self, device: str, opening: asyncio.Future[None]) -> None:
        if not opening.cancelled() and opening.exception() is not None:
            log.error("gate %s did not confirm that it opened: %s", device, _code(opening.exception()))

    async def _deny(self, gate: Gate, read: CardRead) -> None:
        try:
            await gate.deny(read.reader_no)
        except DriverError as error:
            log.warning("gate %s showed no refusal: %s", read.device, error.code)

    # --- deciding ---

    async def _decide(self, token: str, device: str) -> _Verdict:
        now = self._now()
        policy = self._replica.policy
        facts, person = self._facts.enter(token, self._facts.device(device), now)
        here = may_enter(policy, facts, now) if policy is not None else None
        if here is not None and here.mode is Mode.ONLINE and here.primary not in _LOCAL_ONLY:
            return _verdict(here, facts, person, now)
        question = {"token": token, "branch": self._facts.branch, "device": device, "direction": "IN", "t": now}
        told = await self._hub.ask("enter", question, timeout_s=ASK_TIMEOUT_S)
        verdict = _told(told) if told is not None else None
        if verdict is not None:
            return verdict
        if here is None or (person is None and not here.allowed):
            # Nobody who could know this card was heard: that is not the same as an unknown card.
            return _Verdict(False, ("NOT_DECIDABLE_OFFLINE",), None, None, None)
        return _verdict(replace(here, mode=Mode.OFFLINE), facts, person, now)

    # --- out ---

    async def _let_out(self, gate: Gate, settings: GateSettings, read: CardRead, token: str) -> None:
        """Out is always open, for whoever it is and whatever is known."""
        opened = await self._open(gate, settings, read)
        person = self._facts.person(token)
        srid = person.srid if person is not None else None
        self._outbox.append_nowait(Draft(Kind.EXIT, self._facts.branch, settings.device, {}, srid=srid))
        result = "OK" if opened else "OUT_OF_SERVICE"
        self._metrics.passages.labels(self._metrics.library, settings.device, "OUT", result).inc()

    # --- paperwork ---

    def _note_entry(self, verdict: _Verdict, settings: GateSettings) -> None:
        assert verdict.home is not None
        data = {"home": verdict.home, "class": "own" if verdict.home == self._facts.org else "partner"}
        self._outbox.append_nowait(
            Draft(Kind.ENTRY, self._facts.branch, settings.device, data, srid=verdict.srid, decision=verdict.record)
        )

    def _note_refusal(self, verdict: _Verdict, settings: GateSettings) -> None:
        data: dict[str, Any] = {"function": "enter", "codes": list(verdict.codes)}
        if verdict.home is not None:
            data["home"] = verdict.home
        self._outbox.append_nowait(
            Draft(Kind.REFUSED, self._facts.branch, settings.device, data, srid=verdict.srid, decision=verdict.record)
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


def _code(error: BaseException | None) -> str:
    return error.code if isinstance(error, DriverError) else type(error).__name__
