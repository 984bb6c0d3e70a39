"""What an UHFReader18/288 answers instead of a result: status bytes, and the error byte of a Gen2 tag behind status FC.

UHFReader18 manual V2.0 and UHFReader288 manual v1.14 (also printed as UR-008): sections 5 and 6; both give the same codes.
"""

__all__ = [
    "ANTENNA",
    "COMMAND_LENGTH",
    "DONE",
    "EXECUTE_ERROR",
    "FULL",
    "ILLEGAL_COMMAND",
    "INVENTORY_STATES",
    "LOCKED",
    "MORE",
    "NO_TAG",
    "OK",
    "OVERRUN",
    "PARAMETER",
    "PASSWORD",
    "POOR_COMMUNICATION",
    "POWER",
    "TAG_ERROR",
    "TIMEOUT",
    "BadRequest",
    "StatusError",
]

OK = 0x00
DONE, TIMEOUT, MORE, FULL = 0x01, 0x02, 0x03, 0x04
"""Inventory: complete; scan time over; another frame follows; more tags than the device can hold."""
INVENTORY_STATES = frozenset((OK, DONE, TIMEOUT, MORE, FULL))
PASSWORD = 0x05
ANTENNA = 0xF8
"""288: its check of the antenna's connection failed. (gk)"""
EXECUTE_ERROR = 0xF9
POOR_COMMUNICATION = 0xFA
"""There is a tag, and talking to it failed."""
NO_TAG = 0xFB
TAG_ERROR = 0xFC
"""The tag itself refused; one more byte says why."""
COMMAND_LENGTH, ILLEGAL_COMMAND, PARAMETER = 0xFD, 0xFE, 0xFF
"""Our frame was wrong: its length; its command or its CRC (then the repeated command byte is 00); a value."""

OVERRUN, LOCKED, POWER = 0x03, 0x04, 0x0B
"""Error bytes of a Gen2 tag (EPC Gen2 Annex I): no such memory, locked memory, too little power to write."""

_CODES = {
    PASSWORD: "password",
    ANTENNA: "antenna",
    EXECUTE_ERROR: "execute-error",
    POOR_COMMUNICATION: "poor-communication",
    NO_TAG: "no-tag",
    COMMAND_LENGTH: "command-length",
    ILLEGAL_COMMAND: "illegal-command",
    PARAMETER: "parameter",
}
_TAG_CODES = {OVERRUN: "tag-overrun", LOCKED: "tag-locked", POWER: "tag-power"}


class StatusError(Exception):
    """The device answered that it did not do it; ``code`` is stable, ``tag_error`` the tag's own byte behind status FC or None."""

    def __init__(self, status: int, tag_error: int | None = None) -> None:
        self.status = status
        self.tag_error = tag_error
        self.code = _CODES.get(status, f"status-{status:02x}")
        if status == TAG_ERROR:
            self.code = _TAG_CODES.get(-1 if tag_error is None else tag_error, "tag-error")
        super().__init__(f"the RFID reader answered {self.code}")

    @property
    def retry(self) -> bool:
        """Whether asking again can help: the air, or our frame, was disturbed."""
        return self.status in (EXECUTE_ERROR, POOR_COMMUNICATION, ILLEGAL_COMMAND)


class BadRequest(Exception):
    """A host's frame that a device cannot act on; ``status`` is what it answers (FD, FE or FF)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
