"""FEIG OBID pads and gates (CPR, MR, LR; LRB25000): frames, requests and replies, both directions, without I/O.

pad = Framer("advanced")
line.write(encode_request(0xFF, InventoryRequest()))
for frame in pad.receive(chunk):
    reply = decode_reply(InventoryRequest(), frame)
"""

from protocols.feig.device_requests import (
    CpuResetRequest,
    OutputChange,
    ReaderInfoRequest,
    RfResetRequest,
    SetOutputRequest,
    SetOutputsRequest,
    VersionRequest,
)
from protocols.feig.frame import ANY_ADDRESS, Form, Frame, Framer
from protocols.feig.replies import (
    Block,
    DoneReply,
    InventoryReply,
    InventoryTag,
    ReadBlocksReply,
    Reply,
    SystemInformationReply,
    VersionReply,
    decode_reply,
    encode_reply,
    encode_status,
)
from protocols.feig.requests import Request, addressed_to, decode_request, encode_request
from protocols.feig.status import (
    ADDRESS_ERROR,
    DATA_FALSE,
    ISO15693_ERROR,
    MORE_DATA,
    NO_TAG,
    OK,
    RF_COMMUNICATION,
    RF_WARNING,
    STATUS_NAMES,
    UNKNOWN_COMMAND,
    WRITE_ERROR,
    BadRequest,
    StatusError,
)
from protocols.feig.tag_requests import (
    InventoryRequest,
    LockAfiRequest,
    ReadBlocksRequest,
    SelectRequest,
    SystemInformationRequest,
    WriteAfiRequest,
    WriteBlocksRequest,
    WriteDsfidRequest,
)

__all__ = [
    "ADDRESS_ERROR",
    "ANY_ADDRESS",
    "DATA_FALSE",
    "ISO15693_ERROR",
    "MORE_DATA",
    "NO_TAG",
    "OK",
    "RF_COMMUNICATION",
    "RF_WARNING",
    "STATUS_NAMES",
    "UNKNOWN_COMMAND",
    "WRITE_ERROR",
    "BadRequest",
    "Block",
    "CpuResetRequest",
    "DoneReply",
    "Form",
    "Frame",
    "Framer",
    "InventoryReply",
    "InventoryRequest",
    "InventoryTag",
    "LockAfiRequest",
    "OutputChange",
    "ReadBlocksReply",
    "ReadBlocksRequest",
    "ReaderInfoRequest",
    "Reply",
    "Request",
    "RfResetRequest",
    "SelectRequest",
    "SetOutputRequest",
    "SetOutputsRequest",
    "StatusError",
    "SystemInformationReply",
    "SystemInformationRequest",
    "VersionReply",
    "VersionRequest",
    "WriteAfiRequest",
    "WriteBlocksRequest",
    "WriteDsfidRequest",
    "addressed_to",
    "decode_reply",
    "decode_request",
    "encode_reply",
    "encode_request",
    "encode_status",
]
