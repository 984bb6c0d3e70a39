"""What a family of RFID readers gives to the one pad driver of all families: questions about the tags in the field.

`drivers.rfid.polling.PollingPad` owns the port, the polling, what is believed of the field, and retries; a `TagLink` is one open
line to one RFID reader and knows only its language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from drivers.base import Fact, PadTag, Security
from protocols.iso28560.image import TagImage

__all__ = ["FOREIGN_TAG", "PartOfField", "Refusal", "Seen", "TagLink", "TagRefused"]

Refusal = Literal["NO_TAG", "WRITE_ERROR", "LOCKED", "TOO_SMALL"]


FOREIGN_TAG = "FOREIGN_TAG"
"""Reason code: a tag of another kind lies there, and what the RFID reader told behind it cannot be read."""


class TagRefused(Exception):
    """The RFID reader answered and the tag did not do it; ``reason`` as in `drivers.base.SecurityWrite`."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason)
        self.reason: Refusal = reason


@dataclass(frozen=True, slots=True)
class Seen:
    """One tag of an inventory: its UID, DSFID where told, and the whole tag where the inventory told everything (UHF).

    ``sure`` says that the RFID reader itself saw it more than once (a buffer's entry: inventory, then its blocks), so that it
    need not be seen in a second inventory. A ``tag`` of which neither AFI, EAS nor ``secured`` is known is told as it is, and
    told again when its security has been asked for.
    """

    uid: str
    dsfid: int | None = None
    tag: PadTag | None = None
    sure: bool = False


class PartOfField(dict[str, Seen]):
    """An inventory that may lack tags: what is in it lies there, what is not in it may lie there too, so nothing has left by it.

    ``reason`` is "" (the air was noisy), or `FOREIGN_TAG`.
    """

    def __init__(self, found: Mapping[str, Seen], reason: str = "") -> None:
        super().__init__(found)
        self.reason = reason


class TagLink(Protocol):
    """One open line. Every method raises `DeviceOffline` where the RFID reader does not answer, `PortError` where the port is lost.

    Not re-entrant: `PollingPad` holds a lock. Retries over a noisy line are the link's business and are counted.
    """

    @property
    def errors(self) -> int:
        """Time-outs and bad frames so far."""

    def counters(self) -> Mapping[str, int]:
        """Commands, time-outs, bad frames since the port was opened."""

    async def begin(self) -> Mapping[str, Fact]:
        """First contact: give facts about the device (firmware, type, temperature where given)."""

    async def inventory(self) -> Mapping[str, Seen]:
        """Every tag in the field by UID; `PartOfField` where tags may be missing.

        A field too noisy to say anything is `TagRefused`: nothing is believed to have left by it, and the next look will tell.
        """

    async def read(self, wanted: Sequence[Seen], known: Mapping[str, PadTag]) -> Mapping[str, PadTag]:
        """Content and security of these tags; those that left are missing. ``known`` holds content read lately, which may be
        believed; security state (AFI, EAS) is always read from the tag."""

    async def read_whole(self, uid: str) -> PadTag:
        """All of a tag's memory; raises `TagRefused`."""

    async def security(self, uid: str) -> Security:
        """The security state as it stands on the tag; raises `TagRefused`."""

    async def write_security(self, uid: str, wanted: Security) -> None:
        """Write those parts of ``wanted`` that are not None; raises `TagRefused`. The caller reads back."""

    async def write_image(self, uid: str, image: TagImage) -> None:
        """Write a whole tag, security last; raises `TagRefused`. The caller reads back."""

    def security_of(self, secured: bool, now: Security) -> Security:
        """What ``now`` must become so that the tag is secured, or not, by the site's pair; None parts stay as they are.

        Raises `TagRefused` WRITE_ERROR for a tag that has no such state (UHF: one that is no library's)."""
