"""The outbox: durable, ordered, chained events of one edge, kept until the hub has them and for an archive after.

What a caller was told is recorded survives kill -9 and a power cut (where the disk honours flush): ``append`` answers after COMMIT.
"""

from edge.outbox.errors import DraftInvalid, OutboxClosed, OutboxError, OutboxFault, OutboxFull
from edge.outbox.outbox import Observer, Outbox, OutboxStats
from edge.outbox.rows import Draft, Kept, Memo, OutboxLimits, Recorded, Watermark

__all__ = [
    "Draft",
    "DraftInvalid",
    "Kept",
    "Memo",
    "Observer",
    "Outbox",
    "OutboxClosed",
    "OutboxError",
    "OutboxFault",
    "OutboxFull",
    "OutboxLimits",
    "OutboxStats",
    "Recorded",
    "Watermark",
]
