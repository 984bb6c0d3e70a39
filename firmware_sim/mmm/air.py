"""What ISO 15693 tags answer on the air, as far as a pass-through command can ask them."""

from __future__ import annotations

from collections.abc import Mapping

from firmware_sim.feig.tags import BLOCK_SIZE, SimTag

_ADDRESSED, _OPTION = 0x20, 0x40
_NOT_AVAILABLE, _LOCKED = b"\x01\x10", b"\x01\x12"


def answer_on_air(command: bytes, tags: Mapping[str, SimTag]) -> bytes:
    """Give the answer without its CRC, b"" where no tag answers (ISO/IEC 15693-3:2009, clause 10).

    Known: 20 and 23 read blocks, 21 write one, 27 AFI, 29 DSFID, 2B system information; addressed, or with one tag in the field.
    """
    if len(command) < 2:
        return b""
    flags, code, rest = command[0], command[1], command[2:]
    if flags & _ADDRESSED:
        uid, rest = rest[7::-1].hex().upper(), rest[8:]  # low byte first on the air
        tag = tags.get(uid)
    else:
        tag = next(iter(tags.values())) if len(tags) == 1 else None
    return b"" if tag is None else _act(tag, flags, code, rest)


def _act(tag: SimTag, flags: int, code: int, rest: bytes) -> bytes:
    if code == 0x2B:
        size = bytes((tag.block_count - 1, BLOCK_SIZE - 1))
        return b"\x00\x0f" + bytes.fromhex(tag.uid)[::-1] + bytes((tag.dsfid, tag.afi)) + size + bytes((tag.ic,))
    if not rest:
        return b""
    if code in (0x20, 0x23):
        first, count = rest[0], (rest[1] + 1 if code == 0x23 and len(rest) > 1 else 1)
        if first + count > tag.block_count:
            return _NOT_AVAILABLE
        locks = [bytes((number in tag.locked,)) if flags & _OPTION else b"" for number in range(first, first + count)]
        at = [number * BLOCK_SIZE for number in range(first, first + count)]
        return b"\x00" + b"".join(
            lock + bytes(tag.blocks[n : n + BLOCK_SIZE]) for lock, n in zip(locks, at, strict=True)
        )
    if code == 0x21 and len(rest) == 1 + BLOCK_SIZE:
        if rest[0] >= tag.block_count:
            return _NOT_AVAILABLE
        if rest[0] in tag.locked:
            return _LOCKED
        tag.blocks[rest[0] * BLOCK_SIZE : (rest[0] + 1) * BLOCK_SIZE] = rest[1:]
        return b"\x00"
    if code in (0x27, 0x29):
        if tag.afi_locked if code == 0x27 else tag.dsfid_locked:
            return _LOCKED
        if code == 0x27:
            tag.afi = rest[0]
        else:
            tag.dsfid = rest[0]
        return b"\x00"
    return b""
