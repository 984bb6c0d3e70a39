"""The replica: what the hub lets this branch know, readable in microseconds on the loop, written elsewhere."""

from edge.replica.replica import Applied, Gap, Replica
from edge.replica.rows import Block, ItemRow, OpenLoan, ReaderRow, ReplicaInvalid, TokenRow

__all__ = ["Applied", "Block", "Gap", "ItemRow", "OpenLoan", "ReaderRow", "Replica", "ReplicaInvalid", "TokenRow"]
