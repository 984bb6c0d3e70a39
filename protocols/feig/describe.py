"""A FEIG frame in words: the JSON of `tongjie frame decode feig`."""

from protocols.feig import gate
from protocols.feig.frame import Frame
from protocols.feig.status import STATUS_NAMES
from protocols.feig.tag_requests import HOST
from protocols.frames import FrameError, Malformed, Source

__all__ = ["describe"]

_SUBCOMMANDS = frozenset({0x01, 0x02, 0x03, *range(0x21, 0x30), 0xA0, 0xA1, 0xA2, 0xA3, 0xB0, 0xB1, 0xC0, 0xC1, 0xC2})
_HOST_LENGTHS = {0x22: {2}, 0x2B: {3}, 0x32: {0}, 0x63: {0}, 0x65: {0}, 0x66: {1}, 0x69: {0}, 0x71: {8}, 0x74: {0}}
"""How many bytes a host sends after these commands; a device sends its status and something else than that many."""
_WRITES = frozenset({0x72, 0x81, 0x8B})
"""Commands to which a device answers with a status alone, and a host always sends more."""


def describe(raw: bytes, source: Source | None) -> dict[str, object]:
    """Return what `raw` says; `source` None = decide by what fits. Raises `FrameError`."""
    frame = Frame.from_bytes(raw)
    found: dict[str, object] = {
        "frame": frame.form,
        "crc": "ok",
        "address": f"{frame.address:02X}",
        "command": f"{frame.command:02X}",
    }
    device = source == "device" if source else _from_device(frame)
    data = frame.body
    if device:
        found["status"] = f"{frame.status:02X}"
        data = frame.data
    found |= _details(frame, device=device)
    found["data"] = data.hex().upper()
    return found


def _from_device(frame: Frame) -> bool:
    body, command = frame.body, frame.command
    if command == HOST:
        if len(body) < 2:
            return True
        return body[0] not in _SUBCOMMANDS
    if command == gate.KEEPALIVE:
        return True
    if command == gate.PIGGYBACK:
        try:
            return gate.decode_counter(body).from_device
        except FrameError:
            return False
    if command in _WRITES:
        return len(body) == 1
    if command in _HOST_LENGTHS:
        return len(body) not in _HOST_LENGTHS[command]
    return len(body) == 1 and body[0] in STATUS_NAMES


def _details(frame: Frame, *, device: bool) -> dict[str, object]:
    if frame.command == HOST and not device:
        return _host_command(frame.body)
    if frame.command == gate.TAG_RECORDS and device and len(frame.data) > 3:
        return _records(frame.data)
    if frame.command == gate.PIGGYBACK:
        return _counter(frame.body, device=device)
    if frame.command == gate.WRITE_CONFIGURATION and not device and frame.body[:7] == gate.ALARM_OFF[:7]:
        return {"alarm": frame.body != gate.ALARM_OFF}
    return {}


def _host_command(body: bytes) -> dict[str, object]:
    if not body:
        return {}
    found: dict[str, object] = {"sub": f"{body[0]:02X}"}
    if body[0] > 0x20 and body[1:2] == b"\x01" and len(body) >= 10:
        found["uid"] = body[2:10].hex().upper()
        if body[0] in (0x27, 0x29) and len(body) == 11:
            found["afi" if body[0] == 0x27 else "dsfid"] = f"{body[10]:02X}"
        if body[0] == 0x23 and len(body) == 12:
            found |= {"first": body[10], "count": body[11]}
    return found


def _records(data: bytes) -> dict[str, object]:
    kinds, records = gate.decode_records(data)
    described = [
        {
            "record_length": record.length,
            "tag_type": f"{record.tag_type:02X}",
            "uid": record.uid,
            "blocks": record.block_count,
            "block_size": record.block_size,
            "antenna": record.antenna,
            "block_data": record.data.hex().upper(),
        }
        for record in records
    ]
    found: dict[str, object] = {"tr_data1": f"{kinds:02X}", "data_sets": len(records), "records": described}
    return found | (dict(described[0]) if len(described) == 1 else {})


def _counter(body: bytes, *, device: bool) -> dict[str, object]:
    counter = gate.decode_counter(body)
    if counter.from_device != device:
        raise Malformed("the frame inside stands where the other side would put it")
    inner: dict[str, object] = {"address": f"{counter.inner.address:02X}", "command": f"{counter.inner.command:02X}"}
    if device:
        inner["status"] = f"{counter.inner.status:02X}"
    elif counter.counts is None:
        inner["data"] = counter.inner.body.hex().upper()
    inner["crc"] = "ok"
    found: dict[str, object] = {"inner": inner}
    if counter.counts is not None:
        found |= {"in": counter.counts[0], "out": counter.counts[1]}
    return found
