"""ZKTeco C3 and inBio access controllers over TCP 4370: frames, requests, replies and real-time records, both ends, no I/O.

The protocol is not published; this follows what independent descriptions of it agree on and frames recorded from C3-200, C3-400 and
inBio 460 controllers; tests hold them.
"""

from __future__ import annotations

from protocols.zkteco.frame import MAX_BODY, Frame, Framing, ZkFramer, crc_arc, encode_frame
from protocols.zkteco.messages import (
    ANY_SESSION,
    FIRST_NUMBER,
    REPLY_ERROR,
    REPLY_OK,
    WRONG_PASSWORD,
    Address,
    Command,
    control_output,
    parameters,
    read_control,
    session_header,
    split_session,
)
from protocols.zkteco.records import (
    DoorStatus,
    EventRecord,
    EventType,
    Record,
    decode_records,
    decode_text,
    encode_record,
    encode_text,
)

__all__ = [
    "ANY_SESSION",
    "FIRST_NUMBER",
    "MAX_BODY",
    "REPLY_ERROR",
    "REPLY_OK",
    "WRONG_PASSWORD",
    "Address",
    "Command",
    "DoorStatus",
    "EventRecord",
    "EventType",
    "Frame",
    "Framing",
    "Record",
    "ZkFramer",
    "control_output",
    "crc_arc",
    "decode_records",
    "decode_text",
    "encode_frame",
    "encode_record",
    "encode_text",
    "parameters",
    "read_control",
    "session_header",
    "split_session",
]
