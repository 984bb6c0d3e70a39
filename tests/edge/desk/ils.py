"""A branch's own ILS for tests of the desk: books of its own behind the port the desk asks."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.ils.port import ItemSaid, ReaderSaid, Said
from tests.edge.bed import HOUR_MS, now_ms
from tests.make import HOME

DAY_MS = 24 * HOUR_MS
AWAY = Said("AWAY")


@dataclass
class Books:
    """An ILS that lends to the readers it knows. ``down``: it answers nothing; ``holds``: item → pickup branch."""

    pins: dict[str, str] = field(default_factory=lambda: {"R1": "2468"})
    refused: dict[str, str] = field(default_factory=dict)
    holds: dict[str, str] = field(default_factory=dict)
    alerts: dict[str, str] = field(default_factory=dict)
    loans: dict[str, str] = field(default_factory=dict)
    down: bool = False
    due_known: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)
    remembered: dict[str, str] = field(default_factory=dict)

    @property
    def up(self) -> bool:
        return not self.down

    def in_charge(self, home: str, owner: str) -> bool:
        return home == owner == HOME

    def due(self) -> int | None:
        return (now_ms() // DAY_MS + 14) * DAY_MS if self.due_known else None

    async def checkout(self, number: str, item_no: str, pin: str) -> Said:
        self.asked.append(("checkout", item_no))
        if self.down:
            return AWAY
        if number in self.refused:
            return Said("REFUSED", text=self.refused[number])
        renewed = self.loans.get(item_no) == number
        self.loans[item_no] = number
        return Said("OK", self.due(), "祝您阅读愉快", renewed=renewed)

    async def renew(self, number: str, item_no: str, pin: str) -> Said:
        self.asked.append(("renew", item_no))
        if self.down:
            return AWAY
        if self.loans.get(item_no) != number:
            return Said("REFUSED", text="不是您的书")
        return Said("OK", self.due())

    async def checkin(self, item_no: str) -> Said:
        self.asked.append(("checkin", item_no))
        if self.down:
            return AWAY
        if item_no in self.refused:
            return Said("REFUSED", text=self.refused[item_no])
        self.loans.pop(item_no, None)
        pickup = self.holds.get(item_no, "")
        return Said("OK", alert=self.alerts.get(item_no, ""), pickup=pickup, text="有预约" if pickup else "")

    async def reader(self, number: str, pin: str) -> ReaderSaid | None:
        self.asked.append(("reader", number))
        if self.down:
            return None
        right = self.pins.get(number) == pin if pin else None
        return ReaderSaid(number not in self.refused, right, number in self.refused, fees=1250, currency="CNY")

    async def item(self, item_no: str) -> ItemSaid | None:
        self.asked.append(("item", item_no))
        if self.down:
            return None
        due = self.due() if item_no in self.loans else None
        return ItemSaid("04" if due else "03", due_ms=due, holds=2 if item_no in self.holds else 0)

    async def remember(self, srid: str, number: str) -> None:
        self.remembered[srid] = number
