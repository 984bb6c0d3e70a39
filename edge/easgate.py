"""What a security gate sees go by, told to staff: which book, whose, and whether it may leave.

The gate sounds by what stands on the tag; whether that is right stands in the facts. On loan: silence, and a tag that still says
"secured" is noted for repair. Not on loan: alarm, with title, owner, gate and time. Nothing here delays anybody.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from consortium.events import Kind
from consortium.facts import ItemFacts, ItemStatus
from consortium.identity import ItemKey
from drivers.base import DeviceEvent, DoorAlarm, PadTag, TagPassed
from edge.answers import ItemRef
from edge.lookup import Lookup
from edge.metrics import Metrics
from edge.outbox import Draft, Outbox
from edge.tagmap import TagItem
from protocols.iso28560 import DEFAULT_AFI, AfiPair

log = logging.getLogger(__name__)

ASK_TIMEOUT_S = 0.3
KEPT = 200
"""Last alarms and notes that the page shows."""

MOST_ASKED = 16
"""Items being asked of the hub at once; beyond that they are shown as unknown."""

MOST_PER_MINUTE = 60
"""Events recorded a minute for one gate: a trolley of another library's books must not fill the outbox. All are counted."""

_MINUTE_MS = 60_000

Level = Literal["alarm", "note", "quiet"]
LEVELS: Mapping[str, Level] = {
    "NOT_LENT": "alarm", "UNKNOWN": "alarm", "NOT_READABLE": "alarm", "NOT_SECURED": "note", "SECURED_LOAN": "note",
    "FOREIGN": "quiet", "FORCED_OPEN": "alarm", "HELD_OPEN": "note", "FIRE": "alarm", "PASSED_TWICE": "note", "DEVICE": "note",
}  # fmt: skip
"""Code → how it is shown: an alarm calls staff, a note waits for them, a quiet one is only listed."""


Recognise = Callable[[PadTag, AfiPair], TagItem]
"""What a tag is, and whether it says "in stock" by a gate's pair of AFIs (`edge.tagmap.TagMap.read`)."""

_NO_MATTER = frozenset({"READER_CARD", "SHELF_LABEL", "EQUIPMENT"})
"""Codes of tags that may leave as they came: they are counted and shown to nobody."""


@dataclass(frozen=True, slots=True)
class Note:
    """One line for staff. ``at`` ms UTC; ``antenna`` from 1, 0 = not told; ``sounded`` whether the gate gave alarm, None = not told."""

    number: int
    at: int
    device: str
    code: str
    level: Level
    owner: str = ""
    item_no: str = ""
    title: str = ""
    antenna: int = 0
    sounded: bool | None = None


@dataclass(slots=True)
class _Gate:
    """One device: whether items that left without alarm are an alarm too, its AFIs, and how much was recorded this minute."""

    database_alarm: bool = False
    pair: AfiPair = DEFAULT_AFI
    alarms: int = 0
    minute: int = 0
    recorded: int = 0


class GateAlarms:
    """Alarms of one branch's gates. ``on_fact`` is told small facts about a device; ``now`` ms UTC."""

    def __init__(
        self,
        lookup: Lookup,
        recognise: Recognise,
        outbox: Outbox,
        metrics: Metrics,
        *,
        now: Callable[[], int],
        on_fact: Callable[[str, str, str | int], None],
    ) -> None:
        self._lookup = lookup
        self._recognise = recognise
        self._outbox = outbox
        self._metrics = metrics
        self._now = now
        self._on_fact = on_fact
        self._gates: dict[str, _Gate] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._number = 0
        self.notes: deque[Note] = deque(maxlen=KEPT)
        self.changed: set[asyncio.Event] = set()

    def add(self, device: str, *, database_alarm: bool = False, pair: AfiPair = DEFAULT_AFI) -> None:
        """Watch a security gate. ``database_alarm``: an item that nobody has on loan is an alarm though its tag is unsecured.

        ``pair``: the AFIs of the tags that pass it.
        """
        self._gates[device] = _Gate(database_alarm, pair)

    def notice(self, event: DeviceEvent) -> None:
        """Take an event of the devices: tags carried through a security gate, and alarms of doors."""
        if isinstance(event, TagPassed):
            self._passed(event)
        elif isinstance(event, DoorAlarm):
            self._metrics.door_alarms.labels(self._metrics.library, event.device, event.code[:24]).inc()
            self._tell(event.device, event.code if event.code in LEVELS else "DEVICE")

    # --- tags ---

    def _passed(self, event: TagPassed) -> None:
        gate = self._gates.get(event.device)
        if gate is None:
            return
        item = self._recognise(event.tag, gate.pair)
        # The chip's own bit where neither the driver nor the AFI says anything: a gate of that kind sounds by it.
        secured = item.secured if item.secured is not None else event.tag.eas
        if item.key is None:
            self._no_item(event, item.code, secured)
            return
        known = self._lookup.known_item(item.key)
        if known is not None:
            self._judge(event, item.key, secured, known.facts, known.title)
        elif secured is False and not gate.database_alarm:
            self._count(event.device, "OK")  # on loan as far as the tag says, and nobody here knows better
        elif len(self._asking) < MOST_ASKED:
            task = asyncio.get_running_loop().create_task(self._ask(event, item.key, secured), name="gate item")
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        else:
            self._show(event, "UNKNOWN", item.key, "")

    def _no_item(self, event: TagPassed, code: str, secured: bool | None) -> None:
        if code in _NO_MATTER:
            self._count(event.device, code)
        elif code in ("BLANK", "DAMAGED"):
            # A gate has little time: what it could not read but would sound for is worth a look, an empty chip is not.
            if secured:
                self._show(event, "NOT_READABLE", None, "")
            else:
                self._count(event.device, code)
        else:
            self._show(event, "FOREIGN", None, "")

    async def _ask(self, event: TagPassed, key: ItemKey, secured: bool | None) -> None:
        """A partner's item that is not known here: the hub may know that it is on loan."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                told = await self._lookup.ask_item(ItemRef(key.owner, key.item_no))
        except TimeoutError:
            told = None
        if told is None:
            self._show(event, "UNKNOWN", key, "")
        else:
            self._judge(event, key, secured, told.facts, told.title)

    def _judge(self, event: TagPassed, key: ItemKey, secured: bool | None, facts: ItemFacts, title: str) -> None:
        if facts.status is ItemStatus.ON_LOAN:
            if secured:
                self._show(event, "SECURED_LOAN", key, title)
            else:
                self._count(event.device, "OK")
        elif secured is False:
            self._show(event, "NOT_SECURED", key, title)
        else:
            self._show(event, "NOT_LENT", key, title)

    # --- telling ---

    def _show(self, event: TagPassed, code: str, key: ItemKey | None, title: str) -> None:
        self._count(event.device, code)
        self._tell(event.device, code, key, title, antenna=event.antenna, sounded=event.alarmed)

    def _count(self, device: str, code: str) -> None:
        self._metrics.tags_passed.labels(self._metrics.library, device, code).inc()

    def _tell(
        self, device: str, code: str, key: ItemKey | None = None, title: str = "", *, antenna: int = 0,
        sounded: bool | None = None,
    ) -> None:  # fmt: skip
        gate = self._gates.setdefault(device, _Gate())
        level = LEVELS[code]
        if code == "NOT_SECURED" and gate.database_alarm:
            level = "alarm"
        self._number += 1
        now = self._now()
        owner, item_no = (key.owner, key.item_no) if key is not None else ("", "")
        self.notes.append(Note(self._number, now, device, code, level, owner, item_no, title, antenna, sounded))
        if level == "alarm":
            gate.alarms += 1
            self._on_fact(device, "alarms", gate.alarms)
            # The code alone: facts are published and stand in /state, which asks nobody for a token.
            self._on_fact(device, "last_alarm", code)
        self._record(gate, device, code, key, antenna, sounded, now)
        for stream in self.changed:
            stream.set()

    def _record(
        self, gate: _Gate, device: str, code: str, key: ItemKey | None, antenna: int, sounded: bool | None, now: int
    ) -> None:
        if now // _MINUTE_MS != gate.minute:
            gate.minute, gate.recorded = now // _MINUTE_MS, 0
        gate.recorded += 1
        if gate.recorded > MOST_PER_MINUTE:
            return
        data: dict[str, Any] = {"code": code, "antenna": min(max(antenna, 0), 255)}
        if key is not None:
            data["item"] = [key.owner, key.item_no]
        if sounded is not None:
            data["sounded"] = int(sounded)
        self._outbox.append_nowait(Draft(Kind.GATE_ALARM, self._lookup.branch, device, data))

    async def close(self) -> None:
        """Let questions under way end."""
        if self._asking:
            await asyncio.wait(self._asking, timeout=ASK_TIMEOUT_S * 2)
        for stream in self.changed:
            stream.set()
