"""The bus between edges and hub, without I/O: topics, envelopes, messages, the upload window.

MQTT 5 carries CloudEvents 1.0; `docs/asyncapi.yaml` is the reference. Nothing here opens a socket or reads a clock.
"""

from protocols.bus import topics
from protocols.bus.acks import AckOrder
from protocols.bus.delivery import Acked, Batch, PrefixTracker, Uploader
from protocols.bus.envelope import MAX_MESSAGE, Envelope, Scalar, decode, encode, from_rfc3339, rfc3339
from protocols.bus.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from protocols.bus.messages import (
    BATCH_OVERHEAD,
    TYPES,
    Ack,
    EventBatch,
    EventRow,
    Rejected,
    State,
    message_type,
    row_size,
)
from protocols.bus.topics import Kind, Topic

__all__ = [
    "BATCH_OVERHEAD",
    "MAX_MESSAGE",
    "TYPES",
    "Ack",
    "AckOrder",
    "Acked",
    "Batch",
    "Envelope",
    "EventBatch",
    "EventRow",
    "Kind",
    "LocalProtocolError",
    "PrefixTracker",
    "ProtocolError",
    "Rejected",
    "RemoteProtocolError",
    "Scalar",
    "State",
    "Topic",
    "Uploader",
    "decode",
    "encode",
    "from_rfc3339",
    "message_type",
    "rfc3339",
    "row_size",
    "topics",
]
