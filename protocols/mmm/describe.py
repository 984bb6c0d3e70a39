"""A 3M frame in words: the JSON of `tongjie frame decode 3m`."""

from protocols.frames import FrameError, Source
from protocols.mmm.errors import ERROR_NAMES, MmmError
from protocols.mmm.frame import START, Frame
from protocols.mmm.replies import (
    BlocksReply,
    DoneReply,
    InventoryReply,
    Reply,
    TagInfoReply,
    ValueReply,
    VersionReply,
    WriteBlocksReply,
    decode_reply,
)
from protocols.mmm.requests import (
    CheckEasRequest,
    GetAfiRequest,
    GetDsfidRequest,
    InventoryRequest,
    LockAfiRequest,
    LockBlockRequest,
    LockDsfidRequest,
    PassThroughRequest,
    QuietRequest,
    ReadBlocksRequest,
    Request,
    TagInfoRequest,
    VersionRequest,
    WriteAfiRequest,
    WriteAndLockRequest,
    WriteBlockRequest,
    WriteBlocksRequest,
    WriteDsfidRequest,
    WriteEasRequest,
    decode_request,
)

__all__ = ["describe"]

_VALUE = {
    GetAfiRequest: "afi", WriteAfiRequest: "afi", GetDsfidRequest: "dsfid", WriteDsfidRequest: "dsfid", CheckEasRequest: "eas",
    WriteEasRequest: "eas", LockBlockRequest: "first", TagInfoRequest: "wanted",
}  # fmt: skip
"""What the one byte of these commands is."""


def describe(raw: bytes, source: Source | None) -> dict[str, object]:
    """Return what `raw` says; `source` None = decide by what fits. Raises `FrameError`."""
    frame = Frame.from_bytes(raw)
    found: dict[str, object] = {"bcc": "ok", "start": f"{frame.start:02X}", "payload": frame.payload.hex().upper()}
    if frame.start != START:
        return found
    found["command"] = f"{frame.command:02X}"
    request = _asked(frame) if source != "device" else None
    reply = _answered(frame) if source != "host" else None
    if request and reply:  # both fit: the one about a UID like every ISO 15693 chip's, which begins with E0
        request, reply = (None, reply) if str(reply.get("uid", "")).startswith("E0") else (request, None)
    device = source == "device" or (request is None and reply is not None)
    if device and frame.body:
        found |= {"error": f"{frame.body[0]:02X}", "error_name": ERROR_NAMES.get(frame.body[0], "unknown")}
    found |= request or reply or {}
    found["data"] = frame.body[1 if device else 0 :].hex().upper()
    return found


def _asked(frame: Frame) -> dict[str, object] | None:
    try:
        request = decode_request(frame)
    except FrameError:
        return None
    uid = getattr(request, "uid", None)
    found: dict[str, object] = {} if uid is None else {"uid": uid}
    if isinstance(request, InventoryRequest):
        found |= {"afi": f"{request.afi:02X}", "options": f"{request.options:02X}"}
    elif isinstance(request, ReadBlocksRequest):
        found |= {"first": request.first, "count": request.count}
    elif isinstance(request, WriteBlocksRequest):
        found |= {"first": request.first, "count": len(request.data) // 4}
    elif isinstance(request, WriteBlockRequest):
        found |= {"first": request.block}
    elif type(request) in _VALUE:
        found |= _named(_VALUE[type(request)], int(getattr(request, "value", 0)))
    return found


def _answered(frame: Frame) -> dict[str, object] | None:
    body = frame.body
    uid = body[1:9].hex().upper()
    if body[:1] not in (b"", b"\x00"):
        if len(body) not in (1, 9, 10) or body[0] not in ERROR_NAMES:
            return None
        found: dict[str, object] = {"uid": uid} if len(body) > 1 else {}
        return found | ({"eas": body[9]} if frame.command == CheckEasRequest.CODE and len(body) == 10 else {})
    for request in _questions(frame.command, body, uid):
        try:
            return _told(request, decode_reply(request, frame))
        except (FrameError, MmmError):
            continue
    return None


def _questions(command: int, body: bytes, uid: str) -> list[Request]:
    """Give the requests that could have had this answer."""
    ends = body[9:11] + b"\0\0"
    number = body[10:11] or b"\0"
    known: dict[int, list[Request]] = {
        InventoryRequest.CODE: [InventoryRequest(*(body[1:3] + b"\0\0")[:2])],
        VersionRequest.CODE: [VersionRequest()],
        PassThroughRequest.CODE: [PassThroughRequest(b"", 0)],
        WriteBlocksRequest.CODE: [WriteBlocksRequest(uid, 0, bytes(4))],
        ReadBlocksRequest.CODE: [
            ReadBlocksRequest(uid, number[0], ends[0]),
            ReadBlocksRequest(uid, ends[0], ends[1], 0x04),
            ReadBlocksRequest(uid, ends[0], ends[1], 0x0C),
        ],
        TagInfoRequest.CODE: [TagInfoRequest(uid, 0)],
        WriteAndLockRequest.CODE: [WriteAndLockRequest(uid, 0, bytes(4))],
        WriteBlockRequest.CODE: [WriteBlockRequest(uid, 0, bytes(4))],
    }
    for kind in (GetAfiRequest, GetDsfidRequest, CheckEasRequest, QuietRequest, LockAfiRequest, LockDsfidRequest):
        known[kind.CODE] = [kind(uid)]
    for kind_of_write in (WriteAfiRequest, WriteDsfidRequest, WriteEasRequest, LockBlockRequest):
        known[kind_of_write.CODE] = [kind_of_write(uid, 0)]
    return known.get(command, [])


def _told(request: Request, reply: Reply) -> dict[str, object]:
    if isinstance(reply, InventoryReply):
        tags = [
            ({} if tag.uid is None else {"uid": tag.uid}) | ({} if tag.dsfid is None else {"dsfid": f"{tag.dsfid:02X}"})
            for tag in reply.tags
        ]
        return {"afi": f"{reply.afi:02X}", "options": f"{reply.options:02X}", "tags": tags}
    if isinstance(reply, VersionReply):
        return {"version": str(reply)}
    if isinstance(reply, BlocksReply):
        rows = [
            [number, block.lock, block.data.hex().upper()] for number, block in enumerate(reply.blocks, reply.first)
        ]
        return {"uid": reply.uid, "blocks": rows}
    if isinstance(reply, ValueReply):
        return {"uid": reply.uid} | _named(_VALUE[type(request)], reply.value)
    if isinstance(reply, TagInfoReply):
        found: dict[str, object] = {"uid": reply.uid}
        for name in ("dsfid", "afi"):
            value = getattr(reply, name)
            found |= {} if value is None else {name: f"{value:02X}"}
        for name in ("block_size", "block_count", "ic"):
            value = getattr(reply, name)
            found |= {} if value is None else {name: value}
        return found
    return {"uid": reply.uid} if isinstance(reply, DoneReply | WriteBlocksReply) else {}


def _named(name: str, value: int) -> dict[str, object]:
    return {name: value if name in ("eas", "first") else f"{value:02X}"}
