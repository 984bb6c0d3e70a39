"""Switching a tag's security so that nothing is claimed that was not read back: read, write, read, at most a few times."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from drivers.base import PadTag, Security, SecurityWrite, TagImage
from drivers.rfid.link import TagLink, TagRefused

__all__ = ["Writing", "holds_image", "with_security", "write_security"]

_PARTS = (("afi", "AFI"), ("eas", "EAS"), ("epc", "EPC"))
_HOPELESS = frozenset({"LOCKED", "TOO_SMALL"})


@dataclass(slots=True)
class Writing:
    """What is known of a write under way, so that a line lost in its midst still tells the state before."""

    uid: str
    before: Security = field(default_factory=Security)
    wanted: Security | None = None

    def offline(self) -> SecurityWrite:
        """Say that the line was lost."""
        return self.told(Security(), "OFFLINE")

    def told(self, after: Security, reason: str) -> SecurityWrite:
        """Say what stands on the tag; nothing missing of what was wanted is success, whatever happened on the way."""
        failed = missing(self.wanted, after) if self.wanted is not None else ()
        ok = self.wanted is not None and not failed
        return SecurityWrite(self.uid, self.before, after, ok, "" if ok else reason, failed)


def missing(wanted: Security, now: Security) -> tuple[str, ...]:
    """Give the parts of ``wanted`` (None = not wanted) that ``now`` has otherwise."""
    return tuple(
        name
        for part, name in _PARTS
        if getattr(wanted, part) is not None and getattr(wanted, part) != getattr(now, part)
    )


async def write_security(
    link: TagLink, writing: Writing, want: Callable[[Security], Security], tries: int
) -> SecurityWrite:
    """Bring a tag to what ``want`` makes of its state; the first state read is kept as ``before``.

    Raises `DeviceOffline`; everything the tag did not do is in the answer.
    """
    uid, reason = writing.uid, "NO_TAG"
    for _ in range(tries):
        try:
            now = await link.security(uid)
            if writing.wanted is None:
                writing.before = now
                writing.wanted = want(now)
            if todo := missing(writing.wanted, now):
                await link.write_security(uid, _only(writing.wanted, todo))
                now = await link.security(uid)
        except TagRefused as refused:
            reason = refused.reason
            if reason in _HOPELESS:
                break
            continue
        if not missing(writing.wanted, now):
            return writing.told(now, "")
        reason = "NOT_VERIFIED"
    after = Security()
    with contextlib.suppress(TagRefused):
        after = await link.security(uid)
    return writing.told(after, reason)


def _only(wanted: Security, names: tuple[str, ...]) -> Security:
    return Security(**{part: getattr(wanted, part) for part, name in _PARTS if name in names})


def with_security(link: TagLink, tag: PadTag, now: Security) -> PadTag:
    """Give ``tag`` with the state read; ``secured`` is what the site's pair makes of it, None where it says neither."""
    if now == Security():
        return tag
    secured = next((wanted for wanted in (True, False) if _stands(link, wanted, now)), None)
    if tag.tech == "HF":
        return replace(tag, afi=now.afi, eas=now.eas, secured=secured)
    if now.epc is None:
        return tag
    pc = int(now.epc[:4], 16)
    return replace(
        tag, pc=pc, epc=bytes.fromhex(now.epc[4:]), afi=pc & 0xFF if pc & _AFI_IN_PC else None, secured=secured
    )


def _stands(link: TagLink, wanted: bool, now: Security) -> bool:
    try:
        return not missing(link.security_of(wanted, now), now)
    except TagRefused:  # a tag that is no library's says neither
        return False


_AFI_IN_PC = 0x0100
"""Toggle bit of the PC word (Gen2): the low byte is an AFI."""


def holds_image(tag: PadTag, image: TagImage) -> bool:
    """Whether what was read back is what was written; a chip without EAS need not have it."""
    if tag.data[: len(image.data)] != image.data:
        return False
    if image.tech == "UHF":
        return (tag.pc, tag.epc) == (image.pc, image.epc)
    eas_right = image.eas is None or tag.eas in (None, image.eas)
    return tag.dsfid == image.dsfid and image.afi in (None, tag.afi) and eas_right
