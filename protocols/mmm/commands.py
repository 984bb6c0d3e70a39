"""The commands of a 3M pad as a table: name -> (code, fields of the request, fields of the reply), used in both directions.

A reply is its error code and, mostly even then, its fields. UIDs travel high byte first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from protocols.frames import Cursor, LocalFrameError, Malformed, Source
from protocols.mmm.frame import Frame

__all__ = ["COMMANDS", "ERRORS", "Command", "Message", "Value", "decode_message", "encode_message"]

Value = int | str | bytes | tuple[tuple[int, int, bytes], ...] | tuple[tuple[str, int | None], ...]
"""A byte; a UID as 16 hex digits; raw bytes; blocks as (number, lock, 4 bytes); tags as (uid, dsfid or None)."""

ERRORS = {
    0x00: "ok",
    0x02: "not-implemented",
    0x06: "no-tag",
    0x11: "no-such-memory",
    0x12: "locked",
    0x15: "not-read",
    0x16: "not-written",
    0x30: "not-supported",
    0x31: "not-supported",
}
"""Stable names of the error codes. Check EAS on a tag whose EAS is off answers 06: treat it as off."""

_UID_OPTION, _DSFID_OPTION = 0x01, 0x02


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its code and the names of the fields on either way. `blocks`, `tags` and `data` are as long as they are."""

    code: int
    request: tuple[str, ...]
    reply: tuple[str, ...]


_UID = ("uid",)
COMMANDS: Mapping[str, Command] = {
    "inventory": Command(0xFE, ("afi", "options"), ("afi", "options", "tags")),
    "version": Command(0x11, ("data",), ("data",)),
    "quiet": Command(0x01, _UID, _UID),
    "read_blocks": Command(0x02, ("uid", "first", "count"), ("uid", "blocks")),
    "write_blocks": Command(0x04, ("uid", "first", "count", "zero", "data"), ("uid", "data")),
    "write_block": Command(0x05, ("uid", "first", "data"), ("uid", "data")),
    "write_and_lock": Command(0x07, ("uid", "first", "data"), ("uid", "data")),
    "lock": Command(0x08, ("uid", "first"), ("uid", "data")),
    "get_afi": Command(0x0A, _UID, ("uid", "afi")),
    "write_afi": Command(0x09, ("uid", "afi"), _UID),
    "lock_afi": Command(0x06, _UID, _UID),
    "check_eas": Command(0x03, _UID, ("uid", "eas")),
    "write_eas": Command(0x0C, ("uid", "eas"), _UID),
    "get_dsfid": Command(0x0F, _UID, ("uid", "dsfid")),
    "write_dsfid": Command(0x0B, ("uid", "dsfid"), _UID),
    "lock_dsfid": Command(0x0E, _UID, _UID),
    "tag_info": Command(0x0D, _UID, ("uid", "data")),
    "pass_through": Command(0x14, ("data",), ("data",)),
}
"""By name. Order and length of version, tag information and the write replies are not held by a vector: they stay bytes."""

_NAME = {command.code: name for name, command in COMMANDS.items()}


@dataclass(frozen=True, slots=True)
class Message:
    """A request (`error` None) or a reply with its error code, and the fields that the table names."""

    name: str
    fields: Mapping[str, Value] = field(default_factory=dict)
    error: int | None = None


def encode_message(message: Message) -> Frame:
    """Return the frame of `message`; raises `LocalFrameError` for an unknown name or a missing or wrong field."""
    command = COMMANDS.get(message.name)
    if command is None:
        raise LocalFrameError(f"no command {message.name}")
    names = command.request if message.error is None else command.reply
    if set(names) != set(message.fields):
        raise LocalFrameError(f"{message.name} has the fields {', '.join(names)}")
    head = bytes((command.code,)) if message.error is None else bytes((command.code, message.error))
    return Frame(head + b"".join(_out(name, message.fields[name], message.fields) for name in names))


def _out(name: str, value: Value, fields: Mapping[str, Value]) -> bytes:
    if isinstance(value, int) and 0 <= value <= 0xFF:
        return bytes((value,))
    if isinstance(value, bytes):
        return value
    if isinstance(value, str) and name == "uid" and len(value) == 16:
        return bytes.fromhex(value)
    if isinstance(value, tuple):
        return bytes((len(value),)) + b"".join(_item_out(item) for item in value)
    raise LocalFrameError(f"{name} is a byte, bytes or a UID of 16 hex digits")


def _item_out(item: tuple[int, int, bytes] | tuple[str, int | None]) -> bytes:
    if len(item) == 3:
        number, lock, data = item
        if len(data) != 4:
            raise LocalFrameError("a block has four bytes")
        return bytes((number, lock)) + data
    uid, dsfid = item
    return (b"" if dsfid is None else bytes((dsfid,))) + bytes.fromhex(uid)


def decode_message(frame: Frame, source: Source) -> Message:
    """Return the message of a frame that `source` sent; raises `Malformed` or `Truncated`."""
    name = _NAME.get(frame.command)
    if name is None:
        raise Malformed(f"command {frame.command:02X} is not known")
    body = Cursor(frame.body)
    error = body.u8() if source == "device" else None
    command = COMMANDS[name]
    fields: dict[str, Value] = {}
    for part in command.request if source == "host" else command.reply:
        fields[part] = _in(part, body, fields)
    body.end()
    return Message(name, fields, error)


def _in(name: str, body: Cursor, fields: Mapping[str, Value]) -> Value:
    if name == "uid":
        return body.take(8).hex().upper()
    if name == "data":
        return body.rest()
    if name == "blocks":
        return tuple((body.u8(), body.u8(), body.take(4)) for _ in range(body.u8()))
    if name == "tags":
        options = fields["options"]
        with_dsfid = isinstance(options, int) and bool(options & _DSFID_OPTION)
        tags = []
        for _ in range(body.u8()):
            dsfid = body.u8() if with_dsfid else None
            tags.append((body.take(8).hex().upper(), dsfid))
        return tuple(tags)
    return body.u8()
