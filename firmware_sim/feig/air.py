"""How long the air takes: ISO 15693 at 26.48 kbit/s both ways, one subcarrier, as pads are set up.

Times are those of the standard (general knowledge): 302 µs a byte, about 1.3 ms of start, end and turnaround an exchange. An
inventory is told by 16 slots; 6 ms a tag holds the slots that collide.
"""

from __future__ import annotations

from protocols.feig import (
    EasAlarmRequest,
    InventoryRequest,
    LockAfiRequest,
    LockBlocksRequest,
    ReadBlocksRequest,
    Request,
    ResetEasRequest,
    SetEasRequest,
    SystemInformationRequest,
    WriteAfiRequest,
    WriteBlocksRequest,
    WriteDsfidRequest,
)

BYTE_S = 8 / 26_480
FRAME_S = 0.0013
INVENTORY_S, INVENTORY_PER_TAG_S = 0.010, 0.006
PROGRAM_S = 0.006
"""Time a chip takes to store a block or a byte."""
_ADDRESSED = 12
"""Flags, command, UID and CRC of a request to one tag."""
_ANSWER = 3
"""Flags and CRC of an answer."""


def read_s(blocks: int, block_size: int = 4) -> float:
    """Seconds to read blocks of one tag."""
    return FRAME_S + (_ADDRESSED + 2 + _ANSWER + blocks * block_size) * BYTE_S


def inventory_s(tags: int) -> float:
    """Seconds of an inventory that finds so many tags."""
    return INVENTORY_S + INVENTORY_PER_TAG_S * tags


def air_s(request: Request | None, tags: int) -> float:
    """Seconds the air takes for a request with ``tags`` in the field; 0 for what concerns the device alone."""
    match request:
        case InventoryRequest(more=more):
            return 0.0 if more else inventory_s(tags)
        case ReadBlocksRequest(count=count):
            return read_s(count)
        case WriteBlocksRequest(count=count, block_size=size):
            return count * (FRAME_S + (_ADDRESSED + 1 + size + _ANSWER) * BYTE_S + PROGRAM_S)
        case SystemInformationRequest():
            return FRAME_S + (_ADDRESSED + _ANSWER + 14) * BYTE_S
        case WriteAfiRequest() | WriteDsfidRequest() | LockAfiRequest() | SetEasRequest() | ResetEasRequest():
            return FRAME_S + (_ADDRESSED + 2 + _ANSWER) * BYTE_S + PROGRAM_S
        case LockBlocksRequest(count=count):
            return count * (FRAME_S + (_ADDRESSED + 1 + _ANSWER) * BYTE_S + PROGRAM_S)
        case EasAlarmRequest():
            return FRAME_S + (_ADDRESSED + 1 + 35) * BYTE_S  # the alarm answer is 32 bytes
        case _:
            return 0.0
