"""What FEIG security gates (LRB25000) push and hold: tag records, keepalives, the alarm block and the people counter.

A gate connects to the host's TCP port and sends frames by itself: 22 with the tags that passed, 6E to show that it lives.
A people counter sits behind it: frame 9F carries a complete advanced frame for address 01 with a CRC of its own.
"""

from dataclasses import dataclass

from protocols.feig.frame import Frame
from protocols.feig.records import TagRecord, decode_records
from protocols.frames import LocalFrameError

__all__ = [
    "ALARM_BLOCK",
    "ALARM_OFF",
    "COUNTER_READ",
    "COUNTER_SET",
    "KEEPALIVE",
    "PIGGYBACK",
    "TAG_RECORDS",
    "WRITE_CONFIGURATION",
    "CounterFrame",
    "TagRecord",
    "counter_question",
    "counter_reply",
    "decode_counter",
    "decode_records",
]

TAG_RECORDS, KEEPALIVE, PIGGYBACK, WRITE_CONFIGURATION = 0x22, 0x6E, 0x9F, 0x8B
COUNTER_READ, COUNTER_SET = 0x77, 0x78

ALARM_OFF = bytes.fromhex("020101011E00090F") + bytes(29)
"""Body of [8B] that silences the alarm of an LRB25000: device 02, bank 01, one block of 1E bytes at address 0009."""

ALARM_BLOCK = 9
"""Configuration block of an LRB25000 that holds its alarm; silent = 0F and zeros, as in `ALARM_OFF`."""
COUNTER_ADDRESS = 0x01
_ENVELOPE = b"\x00\x0d\x02"
"""What stands before the inner frame in all traffic seen: the port behind the gate and, presumably, its time-out."""
_HOST_ENVELOPE = 3
_DEVICE_ENVELOPE = 1


@dataclass(frozen=True, slots=True)
class CounterFrame:
    """The people counter's frame inside [9F], its CRC already checked.

    `from_device` = it has a status. `counts` (in, out) in the reply to 77 and in the request 78, otherwise None.
    """

    inner: Frame
    from_device: bool
    counts: tuple[int, int] | None


def decode_counter(body: bytes) -> CounterFrame:
    """Return the frame inside the body of [9F]: three bytes before it come from a host, the status alone from a device.

    Raises `FrameError` where neither holds a sound frame; both CRCs count.
    """
    from_device = len(body) > _DEVICE_ENVELOPE + 2 and int.from_bytes(body[2:4], "big") == len(body) - _DEVICE_ENVELOPE
    inner = Frame.from_bytes(body[_DEVICE_ENVELOPE if from_device else _HOST_ENVELOPE :])
    read_reply = from_device and inner.command == COUNTER_READ
    set_request = not from_device and inner.command == COUNTER_SET
    counts = None
    if (read_reply or set_request) and len(inner.body) == 17:
        counts = (int.from_bytes(inner.body[9:13], "big"), int.from_bytes(inner.body[13:17], "big"))
    return CounterFrame(inner, from_device, counts)


def counter_question(counts: tuple[int, int] | None = None) -> bytes:
    """Return the body of [9F] that reads the people counter, or sets it to `counts` (in, out)."""
    if counts is None:
        inner = Frame(COUNTER_ADDRESS, COUNTER_READ, b"\x00")
    else:
        inner = Frame(COUNTER_ADDRESS, COUNTER_SET, bytes(9) + _words(counts))
    return _ENVELOPE + inner.to_bytes()


def counter_reply(command: int, counts: tuple[int, int] | None = None, status: int = 0) -> bytes:
    """Return the body of [9F] with which the gate passes on its counter's answer to `command` (77 or 78)."""
    body = bytes((status,)) if counts is None else bytes((status,)) + bytes(8) + _words(counts)
    return b"\x00" + Frame(COUNTER_ADDRESS, command, body).to_bytes()


def _words(counts: tuple[int, int]) -> bytes:
    if not all(0 <= count <= 0xFFFFFFFF for count in counts):
        raise LocalFrameError("a counter has four bytes")
    return b"".join(count.to_bytes(4, "big") for count in counts)
