"""A 3M frame in words: the JSON of `tongjie frame decode 3m`."""

from protocols.frames import FrameError, Source
from protocols.mmm.commands import Message, Value, decode_message
from protocols.mmm.frame import START, Frame

__all__ = ["describe"]

_NUMBERS = frozenset({"eas", "count", "first"})


def describe(raw: bytes, source: Source | None) -> dict[str, object]:
    """Return what `raw` says; `source` None = decide by what fits. Raises `FrameError`."""
    frame = Frame.from_bytes(raw)
    found: dict[str, object] = {"bcc": "ok", "start": f"{frame.start:02X}", "payload": frame.payload.hex().upper()}
    if frame.start != START:
        return found
    found["command"] = f"{frame.command:02X}"
    message = _message(frame, source)
    device = source == "device" or (message is not None and message.error is not None)
    if device and frame.body:
        found["error"] = f"{frame.body[0]:02X}"
    if message is not None:
        found |= {name: _shown(name, value) for name, value in message.fields.items() if name not in ("data", "zero")}
    found["data"] = frame.body[1 if device else 0 :].hex().upper()
    return found


def _message(frame: Frame, source: Source | None) -> Message | None:
    """Return the reading that fits; where both do, the one whose UID begins like every ISO 15693 chip's, with E0."""
    readings: list[Message] = []
    sources: tuple[Source, ...] = (source,) if source else ("host", "device")
    for side in sources:
        try:
            readings.append(decode_message(frame, side))
        except FrameError:
            continue
    likely = [reading for reading in readings if str(reading.fields.get("uid", "")).startswith("E0")]
    return next(iter(likely or readings), None)


def _shown(name: str, value: Value) -> object:
    if isinstance(value, int):
        return value if name in _NUMBERS else f"{value:02X}"
    if not isinstance(value, tuple):
        return value.hex().upper() if isinstance(value, bytes) else value
    if name == "blocks":
        return [[item[0], item[1], item[2].hex().upper()] for item in value if len(item) == 3]
    return [
        {"uid": item[0]} | ({} if item[1] is None else {"dsfid": f"{item[1]:02X}"}) for item in value if len(item) == 2
    ]
