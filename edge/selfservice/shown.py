"""What a cardreader or scanner beside the edge's own kiosk was shown: kept for a moment under a name that says nothing.

The page hears only that name. A card becomes a token here and its number is forgotten; a scanned code stays in memory until it is
used or old. Nothing of either is logged.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from consortium.facts import Assurance
from drivers.base import CardRead, CodeScanned, DeviceEvent
from edge.cards import MEDIUM_ASSURANCE, CardError, CardProfile, CardToken, card_token, profile_of
from edge.devices import Devices

__all__ = ["KEEP_S", "PIN_S", "ROLE", "Shown", "ShownHere", "shown_here"]

log = logging.getLogger(__name__)

KEEP_S = 20.0
"""How long a card that was shown stands for the person in front: who comes later shows their own."""

PIN_S = 90.0
"""How long it stands while its reader types the PIN that it needs; the page gives up no later."""

ROLE = "kiosk"
"""Option ``role`` of a cardreader or scanner that belongs to the edge's own kiosk."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One card or code. ``id`` begins with "card-" or "code-", the rest is random.

    ``card`` of a card, ``text`` of a code; ``most`` is what the cardreader's view of the chip is worth, None where it saw nothing.
    ``until_s`` on the monotonic clock.
    """

    id: str
    until_s: float
    card: CardToken | None = field(default=None, repr=False)
    text: str = field(default="", repr=False)
    most: Assurance | None = None
    waits: bool = False

    def same(self, other: Shown) -> bool:
        """Whether the same thing was shown, seen in the same way."""
        return (self.card, self.text, self.most) == (other.card, other.text, other.most)


class ShownHere:
    """The last thing shown to the devices of one kiosk. ``mono`` is a clock in seconds that never goes back.

    ``profiles`` by device. ``changed`` is called when something was shown.
    """

    def __init__(
        self,
        profiles: Mapping[str, CardProfile],
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
    def hears(self) -> bool:
        """Whether any device belongs to the kiosk."""
        return bool(self._profiles)

    @property
    def id(self) -> str | None:
        """Name of what was shown last, None where it is too long ago or was used."""
        if self._last is not None and self._mono() > self._last.until_s:
            self._last = None
        return self._last.id if self._last is not None else None

    def notice(self, event: DeviceEvent) -> None:
        """Take an event of the devices; those of other devices are passed by."""
        if event.device not in self._profiles:
            return
        shown = self._shown(event)
        if shown is None:
            return
        if self.id is not None and self._last is not None and self._last.waits and self._last.same(shown):
            # A card that still lies there while its reader types is read again and again: it is the one they type for.
            return
        self._last = shown
        self.changed()

    def _shown(self, event: DeviceEvent) -> Shown | None:
        name, until_s = secrets.token_urlsafe(9), self._mono() + KEEP_S
        if isinstance(event, CodeScanned):
            text = event.text.strip()
            return Shown(f"code-{name}", until_s, text=text) if text else None
        if not isinstance(event, CardRead):
            return None
        try:
            card = self._token_of(self._profiles[event.device], event)
        except CardError as error:
            log.info("cardreader %s: a read that can be no card: %s", event.device, error.code)
            return None
        return Shown(f"card-{name}", until_s, card=card, most=MEDIUM_ASSURANCE.get(event.medium))

    def get(self, name: str) -> Shown | None:
        """What has that name, while it counts; it stays until `forget`, because a PIN may be mistyped."""
        known = self.id
        if known is None or not secrets.compare_digest(known.encode(), name.encode(errors="replace")):
            return None
        return self._last

    def wait(self, name: str) -> None:
        """Its reader is asked for a PIN: give them `PIN_S` from now."""
        shown = self.get(name)
        if shown is not None:
            self._last = replace(shown, until_s=self._mono() + PIN_S, waits=True)

    def forget(self) -> None:
        """The reader is signed in, or left."""
        self._last = None


def shown_here(devices: Devices, site_key: bytes) -> ShownHere:
    """What is shown to the branch's devices whose ``role`` is "kiosk"; one that cannot be meant is left out and says why."""
    profiles: dict[str, CardProfile] = {}
    for device, driver in tuple(devices.drivers.items()):
        if devices.option(device, "role", None) != ROLE or not {"CardRead", "CodeScanned"} & driver.capabilities.events:
            continue
        options = devices.configs[device].options
        if "gate" in options:
            log.error(
                "device %s cannot be used as it is configured: role is kiosk, or gate names a gate, not both", device
            )
            devices.refuse(device, "BAD_OPTION")
            continue
        try:
            profiles[device] = profile_of(options)
        except CardError as error:
            log.error("device %s cannot be used as it is configured: %s", device, error)
            devices.refuse(device, error.code)
    here = ShownHere(profiles, partial(card_token, site_key))
    devices.listen(here.notice)
    return here
