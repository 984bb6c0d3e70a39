"""A kiosk with a cardreader and a scanner of its own: simulated devices on ptys in this process, and an edge over them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from consortium.cards import CardProfile
from consortium.identity import TokenKind, token
from drivers.base import CardRead
from edge.cards import card_token
from edge.config import DeviceConfig
from firmware_sim.simulators import Simulator, load
from tests.edge.bed import KEY, Bed, Rows, make_config, srid_of, standard_rows, until, write_replica
from tests.edge.kiosk.test_kiosk import Page
from tests.edge.pads import Pads

HIGH, LOW, MED, PARTNER, BIG = "04A1B2C3", "04A1B2D0", "04A1B2D1", "04D1D2D3", "04A1B2C3D4E580"
CUT_OWN, CUT_PARTNER = "E580A1", "E580A2"
NUMBERS = (HIGH, LOW, MED, PARTNER, BIG, CUT_OWN, CUT_PARTNER, "SCANNED-77")


def cut(number: str) -> str:
    """The token of what a cardreader with room for three bytes sends."""
    raw = bytes.fromhex(number)
    return card_token(KEY, CardProfile(), CardRead("card1", 0, "", "raw", len(raw) * 8, raw, 0)).token


def rows() -> list[Any]:
    """The standard replica with cards of every assurance: L1, M1, B1 and a reader whose number is scanned."""
    value = {"status": "ACTIVE", "assurance": "HIGH", "to_ms": None}
    return [
        *standard_rows(),
        *Rows.reader("L1", card=LOW, token_more={"assurance": "LOW"}),
        *Rows.reader("M1", card=MED, token_more={"assurance": "MED"}),
        *Rows.reader("B1", card=BIG),
        *Rows.reader("SCANNED-77"),
        ["token", cut(CUT_OWN), {**value, "srid": srid_of("B1")}],
        ["token", cut(CUT_PARTNER), {**value, "srid": srid_of("P1")}],
    ]


def uid_token(uid: str) -> str:
    """The token of a whole chip number."""
    return token(KEY, TokenKind.UID, bytes.fromhex(uid))


class Kiosk:
    """The kiosk's devices, and its page."""

    def __init__(self, bed: Bed, page: Page, pads: Pads, card: Simulator, scanner: Simulator) -> None:
        self.bed = bed
        self.page = page
        self.pads = pads
        self.card = card
        self.scanner = scanner

    @property
    def name(self) -> str | None:
        """Name of what was shown last."""
        return self.bed.agent.tags.shown.id

    async def hold_out(self, card: str) -> None:
        """Show a card; a page that is open may have used it before anybody else could look."""
        await self.card.do({"op": "tap", "card": card})

    async def hold_under(self, text: str) -> None:
        """Scan a code; the same goes for it."""
        await self.scanner.do({"op": "scan", "text": text})

    async def tap(self, card: str) -> str:
        """Show a card; gives its name once the kiosk has heard it."""
        before = self.name
        await self.hold_out(card)
        return await self._named(before)

    async def scan(self, text: str) -> str:
        """Scan a code; gives its name."""
        before = self.name
        await self.hold_under(text)
        return await self._named(before)

    async def _named(self, before: str | None) -> str:
        await until(lambda: self.name not in (None, before))
        shown = (await self.page.pad())["shown"]
        assert isinstance(shown, str)
        return shown

    async def identify(self, **body: Any) -> tuple[int, str, dict[str, Any]]:
        """Status, code and whole answer of a sign-in."""
        status, answer = await self.page.press("identify", body)
        return status, answer.get("code", ""), answer


@asynccontextmanager
async def kiosk_bed(folder: Path, *more: DeviceConfig, **config: Any) -> AsyncIterator[Kiosk]:
    """An edge with a pad, a cardreader and a scanner at its kiosk; its hub is away unless ``config`` names a broker."""
    write_replica(folder, rows())
    pads = Pads(folder)
    card = load("cardserial")(f"pty:{folder}/card", {})
    scanner = load("barcode")(f"pty:{folder}/scan", {})
    try:
        await card.start()
        await scanner.start()
        devices = (
            *pads.devices(),
            DeviceConfig("card1", "cardserial", card.url, {"role": "kiosk"}),
            DeviceConfig("scan1", "barcode", scanner.url, {"role": "kiosk"}),
            *more,
        )
        async with Bed(make_config(folder, devices=devices, **config)) as bed:
            await bed.serve()
            records = bed.agent.devices.records
            await until(lambda: all(records[name].state == "online" for name in ("pad1", "card1", "scan1")), 10)
            page = Page(bed.http)
            try:
                yield Kiosk(bed, page, pads, card, scanner)
            finally:
                await page.http.aclose()
    finally:
        await card.stop()
        await scanner.stop()
        pads.close()
