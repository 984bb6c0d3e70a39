"""What a cardreader or scanner beside the edge's own kiosk was shown: kept for a moment under a name that says nothing.

The page hears only that name. A card becomes a token here and its number is forgotten; a scanned code stays in memory until it is
used or old. Nothing of either is logged.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from consortium.facts import Assurance
from drivers.base import CardRead, CodeScanned, DeviceEvent
from edge.cards import MEDIUM_ASSURANCE, CardError, CardProfile, CardToken

__all__ = ["KEEP_S", "Shown", "ShownHere"]

log = logging.getLogger(__name__)

KEEP_S = 20.0
"""How long a card that was shown stands for the person in front: who comes later shows their own."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One card or code; ``token`` of a card, ``text`` of a code. ``most`` is what the cardreader's view of the chip is worth."""

    id: str
    at_s: float
    device: str
    token: str | None = field(default=None, repr=False)
    text: str = field(default="", repr=False)
    most: Assurance | None = None


class ShownHere:
    """The last thing shown to the devices of one kiosk. ``mono`` is a clock in seconds that never goes back."""

    def __init__(
        self,
        profiles: dict[str, CardProfile],
        token_of: Callable[[CardProfile, CardRead], CardToken],
        *,
        mono: Callable[[], float] = time.monotonic,
    ) -> None:
        self._profiles = profiles
        self._token_of = token_of
        self._mono = mono
        self._last: Shown | None = None
        self.changed: Callable[[], None] = lambda: None

    @property
    def id(self) -> str | None:
        """Name of what was shown last, None where it is too long ago or was used."""
        if self._last is not None and self._mono() - self._last.at_s > KEEP_S:
            self._last = None
        return self._last.id if self._last is not None else None

    def notice(self, event: DeviceEvent) -> None:
        """Take an event of the devices; those of other devices are passed by."""
        if event.device not in self._profiles:
            return
        name, now = secrets.token_urlsafe(9), self._mono()
        if isinstance(event, CodeScanned):
            self._last = Shown(name, now, event.device, text=event.text.strip())
        elif isinstance(event, CardRead):
            try:
                card = self._token_of(self._profiles[event.device], event)
            except CardError as error:
                log.info("cardreader %s: a read that can be no card: %s", event.device, error.code)
                return
            self._last = Shown(name, now, event.device, token=card.token, most=MEDIUM_ASSURANCE.get(event.medium))
        else:
            return
        self.changed()

    def get(self, name: str) -> Shown | None:
        """What has that name, while it counts; it stays until `forget`, because a PIN may be mistyped."""
        return self._last if name and self.id == name else None

    def forget(self) -> None:
        """The reader is signed in, or left."""
        self._last = None
