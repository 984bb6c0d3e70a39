"""Switching a tag's security so that nothing is claimed that was not read back: read, write, read, at most a few times."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from drivers.base import PadTag, Security, SecurityWrite, TagImage
from drivers.rfid.link import Refusal, TagLink, TagRefused

__all__ = ["Writing", "holds_image", "with_security", "write_security", "write_whole"]

_PARTS = (("afi", "AFI"), ("eas", "EAS"), ("epc", "EPC"))
_HOPELESS = frozenset({"LOCKED", "TOO_SMALL"})


@dataclass(slots=True)
class Writing:
    """What is known of a write under way, so that a line lost in its midst still tells the state before."""

    uid: str
    before: Security = field(default_factory=Security)
    wanted: Security | None = None

    def learn(self, now: Security, want: Callable[[Security], Security]) -> None:
        """Take a state as read from the tag: what is wanted of it grows by every part that shows itself only now.

        A part that was not wanted was not written either, so what it shows is the state before. Raises `TagRefused`.
        """
        wanted = want(now)
        if self.wanted is None:
            self.wanted, self.before = wanted, now
            return
        unwritten = [part for part, _ in _PARTS if getattr(self.wanted, part) is None]
        self.wanted = _filled(self.wanted, wanted, unwritten)
        self.before = _filled(self.before, now, [part for part in unwritten if getattr(self.before, part) is None])

    def offline(self) -> SecurityWrite:
        """Say that the line was lost."""
        return self.told(Security(), "OFFLINE")

    def told(self, after: Security, reason: str) -> SecurityWrite:
        """Say what stands on the tag; nothing missing of what was wanted is success, whatever happened on the way.

        Nothing wanted is no success: a tag that showed no part of its security was not switched.
        """
        wanted = self.wanted if self.wanted is not None else Security()
        failed = missing(wanted, after)
        ok = wanted != Security() and not failed
        return SecurityWrite(self.uid, self.before, after, ok, "" if ok else reason or "NOT_VERIFIED", failed)


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
    hopeless: set[str] = set()
    alone = False
    for _ in range(tries):
        try:
            now = await link.security(uid)
            writing.learn(now, want)
            todo = [name for name in _missing(writing, now) if name not in hopeless]
            if not todo and hopeless:
                break  # every part that is still missing can never be written
            refusal = await _write_parts(link, writing, todo, hopeless, alone=alone)
            if refusal is not None:
                reason, alone = refusal, alone or refusal in _HOPELESS
                if hopeless.issuperset(todo):
                    break
                continue
            if todo:
                now = await link.security(uid)
                writing.learn(now, want)
        except TagRefused as refused:
            reason = refused.reason
            if reason in _HOPELESS:
                break
            continue
        if not _missing(writing, now):
            return writing.told(now, "")
        reason = "LOCKED" if hopeless else "NOT_VERIFIED"
    after = Security()
    with contextlib.suppress(TagRefused):
        after = await link.security(uid)
        writing.learn(after, want)
    return writing.told(after, reason)


async def _write_parts(
    link: TagLink, writing: Writing, names: Sequence[str], hopeless: set[str], *, alone: bool
) -> Refusal | None:
    """Write these parts, together or each ``alone`` so that a refusal says which; gives the first refusal.

    A part that was refused alone and can never be written is added to ``hopeless``; parts after it are tried all the same.
    """
    assert writing.wanted is not None
    first: Refusal | None = None
    for some in [[name] for name in names] if alone else [list(names)] if names else []:
        try:
            await link.write_security(writing.uid, _only(writing.wanted, some))
        except TagRefused as refused:
            first = first or refused.reason
            if refused.reason in _HOPELESS and len(some) == 1:
                hopeless.update(some)
    return first


def _missing(writing: Writing, now: Security) -> tuple[str, ...]:
    return missing(writing.wanted, now) if writing.wanted is not None else ()


def _filled(first: Security, then: Security, parts: Sequence[str]) -> Security:
    """``first`` with these parts taken from ``then``."""
    return replace(first, **{part: getattr(then, part) for part in parts})


def _only(wanted: Security, names: Sequence[str]) -> Security:
    return Security(**{part: getattr(wanted, part) for part, name in _PARTS if name in names})


async def write_whole(link: TagLink, uid: str, image: TagImage, tries: int) -> tuple[PadTag | None, str]:
    """Write a whole tag and read it back; gives the tag as it stands there, or None and the reason. Raises `DeviceOffline`."""
    reason = "NO_TAG"
    for _ in range(tries):
        try:
            await link.write_image(uid, image)
            tag = await link.read_whole(uid)
        except TagRefused as refused:
            reason = refused.reason
            if reason in _HOPELESS:
                break
            continue
        if holds_image(tag, image):
            return tag, ""
        reason = "NOT_VERIFIED"
    return None, reason


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
