"""Why an event could not be recorded. Nothing was promised when one of these is raised."""

from __future__ import annotations

from typing import ClassVar


class OutboxError(Exception):
    """The event is not recorded; ``code`` is stable, ``retry`` says whether the same append may succeed later."""

    code: ClassVar[str] = "OUTBOX_ERROR"
    retry: ClassVar[bool] = False


class OutboxFull(OutboxError):
    """No room: the disk, the file's bound, or the share of rows that this class of event may fill."""

    code = "OUTBOX_FULL"
    retry = True


class OutboxFault(OutboxError):
    """The file cannot be written or read: read-only, damaged, or a failing disk. A person must look at it."""

    code = "OUTBOX_FAULT"


class OutboxClosed(OutboxError):
    """The outbox is not running."""

    code = "OUTBOX_CLOSED"


class DraftInvalid(OutboxError):
    """Our own program drafted an event that the hub would not accept; ``event_code`` is the hub's code for it."""

    code = "OUTBOX_DRAFT_INVALID"

    def __init__(self, event_code: str, message: str) -> None:
        super().__init__(message)
        self.event_code = event_code
