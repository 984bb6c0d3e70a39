"""Replies of a 3M pad, both directions: command, error code, and what the command gives.

A pad that did not do it answers its error code, mostly followed by the UID it was asked about: `MmmError`. What a reply is about
is checked against the request: another command, another tag or other blocks are `Malformed`, never an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import overload

from protocols.frames import Cursor, Malformed
from protocols.mmm.errors import OK, MmmError
from protocols.mmm.frame import EARLY_START, START, Frame
from protocols.mmm.requests import (
    BLOCK_SIZE,
    INFO_AFI,
    INFO_DSFID,
    INFO_IC,
    INFO_SIZE,
    NEW_STYLE,
    NO_LOCK,
    OPTION_DSFID,
    OPTION_UID,
    CheckEasRequest,
    EarlyVersionRequest,
    GetAfiRequest,
    GetDsfidRequest,
    InventoryRequest,
    PassThroughRequest,
    ReadBlocksRequest,
    Request,
    StartRequest,
    TagInfoRequest,
    VersionRequest,
    WriteBlocksRequest,
    take_uid,
)

__all__ = [
    "Block", "BlocksReply", "DoneReply", "InventoryReply", "InventoryTag", "PassThroughReply", "RawReply", "Reply", "TagInfoReply",
    "ValueReply", "VersionReply", "WriteBlocksReply", "decode_reply", "encode_error", "encode_reply",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class InventoryTag:
    """One tag of an inventory; the parts that were not asked for are None."""

    uid: str | None
    dsfid: int | None = None


@dataclass(frozen=True, slots=True)
class InventoryReply:
    """FE: the tags in the field. The same tag may be in it twice: the pad does not take duplicates out."""

    tags: tuple[InventoryTag, ...]
    afi: int = 0
    options: int = OPTION_UID


@dataclass(frozen=True, slots=True)
class VersionReply:
    """11: four bytes, family (0A = 3M), major, minor, build."""

    version: tuple[int, int, int, int]

    def __str__(self) -> str:
        return ".".join(str(part) for part in self.version)


@dataclass(frozen=True, slots=True)
class RawReply:
    """13: bytes whose meaning is not known."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PassThroughReply:
    """14: result `flags` (bit 0 start seen, 1 end seen, 2 code violations) and what the tag answered."""

    flags: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """One block of four bytes; `lock` 1 by the user, 2 by the maker, 3 both, above 3 an error code, None where not told."""

    data: bytes
    lock: int | None = None


@dataclass(frozen=True, slots=True)
class BlocksReply:
    """02: blocks from `first` on."""

    uid: str
    first: int
    blocks: tuple[Block, ...]

    @property
    def data(self) -> bytes:
        """The bytes of all blocks in order."""
        return b"".join(block.data for block in self.blocks)


@dataclass(frozen=True, slots=True)
class WriteBlocksReply:
    """04: `next_block` is the last one written + 1, None where the firmware does not tell."""

    uid: str
    next_block: int | None = None


@dataclass(frozen=True, slots=True)
class ValueReply:
    """0A, 0F, 03: the AFI, the DSFID, or the EAS bit (0 or 1)."""

    uid: str
    value: int


@dataclass(frozen=True, slots=True)
class DoneReply:
    """01, 05 to 09, 0B, 0C, 0E: done."""

    uid: str


@dataclass(frozen=True, slots=True)
class TagInfoReply:
    """0D: what the tag has of what was asked; the rest is None. `ic` is two bytes."""

    uid: str
    dsfid: int | None = None
    afi: int | None = None
    block_size: int | None = None
    block_count: int | None = None
    ic: int | None = None


Reply = (
    InventoryReply
    | VersionReply
    | RawReply
    | PassThroughReply
    | BlocksReply
    | WriteBlocksReply
    | ValueReply
    | DoneReply
    | TagInfoReply
)


# --- a pad's side -------------------------------------------------------------------------------------------------------


def encode_reply(request: Request, reply: Reply) -> bytes:
    """Return the frame that answers `request`; raises `LocalFrameError`."""
    body = _body(reply, request)
    if isinstance(request, EarlyVersionRequest):
        return Frame(bytes((request.CODE,)) + request.BODY + body, EARLY_START).to_bytes()
    return Frame(bytes((request.CODE, OK)) + body).to_bytes()


def encode_error(command: int, error: int, uid: str = "", tail: bytes = b"") -> bytes:
    """Return the frame that says a command was not done; `tail` follows the UID (check EAS: 00; writing: the block)."""
    return Frame(bytes((command, error)) + bytes.fromhex(uid) + tail, START).to_bytes()


@singledispatch
def _body(reply: Reply, request: Request) -> bytes:
    raise TypeError(f"{type(reply).__name__} is no reply")


@_body.register
def _(reply: InventoryReply, request: Request) -> bytes:
    tags = b"".join(
        (b"" if tag.dsfid is None else bytes((tag.dsfid,))) + bytes.fromhex(tag.uid or "") for tag in reply.tags
    )
    return bytes((reply.afi, reply.options, len(reply.tags))) + tags


@_body.register
def _(reply: VersionReply, request: Request) -> bytes:
    return bytes(reply.version)


@_body.register
def _(reply: RawReply, request: Request) -> bytes:
    return reply.data


@_body.register
def _(reply: PassThroughReply, request: Request) -> bytes:
    return bytes((reply.flags,)) + len(reply.data).to_bytes(2, "big") + reply.data


@_body.register
def _(reply: BlocksReply, request: Request) -> bytes:
    options = (request.options or 0) if isinstance(request, ReadBlocksRequest) else 0
    head = bytes((reply.first,)) if options & NEW_STYLE else b""
    body = bytes.fromhex(reply.uid) + head + bytes((len(reply.blocks),))
    for number, block in enumerate(reply.blocks, reply.first):
        body += b"" if options & NEW_STYLE else bytes((number,))
        body += (b"" if options & NO_LOCK else bytes((block.lock or 0,))) + block.data
    return body


@_body.register
def _(reply: WriteBlocksReply, request: Request) -> bytes:
    return bytes.fromhex(reply.uid) + (b"" if reply.next_block is None else bytes((reply.next_block,)))


@_body.register
def _(reply: ValueReply, request: Request) -> bytes:
    return bytes.fromhex(reply.uid) + bytes((reply.value,))


@_body.register
def _(reply: DoneReply, request: Request) -> bytes:
    return bytes.fromhex(reply.uid)


@_body.register
def _(reply: TagInfoReply, request: Request) -> bytes:
    available, values = 0, b""
    if reply.dsfid is not None:
        available, values = available | INFO_DSFID, values + bytes((reply.dsfid,))
    if reply.afi is not None:
        available, values = available | INFO_AFI, values + bytes((reply.afi,))
    if reply.block_size is not None and reply.block_count is not None:
        available, values = available | INFO_SIZE, values + bytes((reply.block_size - 1, reply.block_count - 1))
    if reply.ic is not None:
        available, values = available | INFO_IC, values + reply.ic.to_bytes(2, "big")
    return bytes.fromhex(reply.uid) + bytes((available,)) + values


# --- the host's side ----------------------------------------------------------------------------------------------------


@overload
def decode_reply(request: InventoryRequest, frame: Frame) -> InventoryReply: ...
@overload
def decode_reply(request: VersionRequest | EarlyVersionRequest, frame: Frame) -> VersionReply: ...
@overload
def decode_reply(request: PassThroughRequest, frame: Frame) -> PassThroughReply: ...
@overload
def decode_reply(request: ReadBlocksRequest, frame: Frame) -> BlocksReply: ...
@overload
def decode_reply(request: WriteBlocksRequest, frame: Frame) -> WriteBlocksReply: ...
@overload
def decode_reply(request: GetAfiRequest | GetDsfidRequest | CheckEasRequest, frame: Frame) -> ValueReply: ...
@overload
def decode_reply(request: TagInfoRequest, frame: Frame) -> TagInfoReply: ...
@overload
def decode_reply(request: Request, frame: Frame) -> Reply: ...
def decode_reply(request: Request, frame: Frame) -> Reply:
    """Return what a frame of the pad answers to `request`; raises `MmmError`, `Malformed` or `Truncated`."""
    body = Cursor(frame.body)
    early = isinstance(request, EarlyVersionRequest)
    if frame.command != request.CODE or (frame.start == EARLY_START) != early:
        raise Malformed("an answer to another command")
    if early:
        if body.take(2) != EarlyVersionRequest.BODY:
            raise Malformed("an answer to another early command")
    elif error := body.u8():
        _same_tag(request, body)
        raise MmmError(error)
    reply = _parse(request, body)
    body.end()
    return reply


def _same_tag(request: Request, body: Cursor) -> None:
    """Some firmware leaves the UID out of an error; where it is there it must be the one asked about."""
    asked = getattr(request, "uid", None)
    if asked is not None and body.left >= 8 and take_uid(body) != asked:
        raise Malformed("an answer about another tag")


def _parse(request: Request, body: Cursor) -> Reply:
    if isinstance(request, InventoryRequest):
        return _inventory(request, body)
    if isinstance(request, VersionRequest | EarlyVersionRequest):
        return VersionReply((body.u8(), body.u8(), body.u8(), body.u8()))
    if isinstance(request, StartRequest):
        return RawReply(body.rest())
    if isinstance(request, PassThroughRequest):
        return PassThroughReply(body.u8(), body.take(body.u16()))
    uid = take_uid(body)
    if uid != getattr(request, "uid", uid):
        raise Malformed("an answer about another tag")
    if isinstance(request, ReadBlocksRequest):
        return _blocks(request, uid, body)
    if isinstance(request, WriteBlocksRequest):
        return WriteBlocksReply(uid, body.u8() if body.left else None)
    if isinstance(request, GetAfiRequest | GetDsfidRequest | CheckEasRequest):
        return ValueReply(uid, body.u8())
    if isinstance(request, TagInfoRequest):
        return _info(uid, body)
    return DoneReply(uid)


def _inventory(request: InventoryRequest, body: Cursor) -> InventoryReply:
    afi, options = body.u8(), body.u8()
    if (afi, options) != (request.afi, request.options):
        raise Malformed("an answer to another inventory")
    tags = []
    for _ in range(body.u8()):
        dsfid = body.u8() if options & OPTION_DSFID else None
        tags.append(InventoryTag(take_uid(body) if options & OPTION_UID else None, dsfid))
    return InventoryReply(tuple(tags), afi, options)


def _blocks(request: ReadBlocksRequest, uid: str, body: Cursor) -> BlocksReply:
    """Read the blocks in the style that fits: old firmware passes the options over and answers old style."""
    rest = body.rest()
    options = request.options or 0
    if options & NEW_STYLE and rest[:2] == bytes((request.first, request.count)):
        size = BLOCK_SIZE + (not options & NO_LOCK)
        if len(rest) == 2 + request.count * size:
            lock = size > BLOCK_SIZE
            pieces = [rest[at : at + size] for at in range(2, len(rest), size)]
            return BlocksReply(uid, request.first, tuple(Block(p[lock:], p[0] if lock else None) for p in pieces))
    size = BLOCK_SIZE + 2
    if len(rest) != 1 + request.count * size or rest[0] != request.count:
        raise Malformed("other blocks than those asked for")
    pieces = [rest[at : at + size] for at in range(1, len(rest), size)]
    if [piece[0] for piece in pieces] != list(range(request.first, request.first + request.count)):
        raise Malformed("other blocks than those asked for")
    return BlocksReply(uid, request.first, tuple(Block(piece[2:], piece[1]) for piece in pieces))


def _info(uid: str, body: Cursor) -> TagInfoReply:
    available = body.u8()
    dsfid = body.u8() if available & INFO_DSFID else None
    afi = body.u8() if available & INFO_AFI else None
    size = count = None
    if available & INFO_SIZE:
        size, count = body.u8() + 1, body.u8() + 1
    return TagInfoReply(uid, dsfid, afi, size, count, body.u16() if available & INFO_IC else None)
