"""The status byte of FEIG devices (H20800, "status bytes") as names and as an error."""

from protocols.frames import FrameError

__all__ = [
    "ADDRESS_ERROR",
    "BUFFER_OVERFLOW",
    "DATA_FALSE",
    "ISO15693_ERROR",
    "LENGTH_ERROR",
    "MORE_DATA",
    "NOT_AVAILABLE",
    "NO_TAG",
    "NO_VALID_DATA",
    "OK",
    "RF_COMMUNICATION",
    "RF_WARNING",
    "STATUS_NAMES",
    "UNKNOWN_COMMAND",
    "WRITE_ERROR",
    "BadRequest",
    "StatusError",
]

OK = 0x00
NO_TAG = 0x01
DATA_FALSE = 0x02
WRITE_ERROR = 0x03
ADDRESS_ERROR = 0x04
UNKNOWN_COMMAND = 0x80
RF_COMMUNICATION = 0x83
RF_WARNING = 0x84
LENGTH_ERROR = 0x81
NOT_AVAILABLE = 0x82
NO_VALID_DATA = 0x92
BUFFER_OVERFLOW = 0x93
MORE_DATA = 0x94
ISO15693_ERROR = 0x95

STATUS_NAMES = {
    OK: "ok",
    NO_TAG: "no-tag",
    DATA_FALSE: "data-false",
    WRITE_ERROR: "write-error",
    ADDRESS_ERROR: "address-error",
    0x05: "wrong-tag-type",
    0x10: "eeprom-failure",
    0x11: "parameter-range",
    UNKNOWN_COMMAND: "unknown-command",
    LENGTH_ERROR: "length-error",
    NOT_AVAILABLE: "command-not-available",
    RF_COMMUNICATION: "rf-communication",
    RF_WARNING: "rf-warning",
    NO_VALID_DATA: "no-valid-data",
    BUFFER_OVERFLOW: "buffer-overflow",
    MORE_DATA: "more-data",
    ISO15693_ERROR: "iso15693-error",
}
"""Stable names of the statuses; 92 is that of LR devices, the others stand in H20800, annex C, or were measured."""

_AGAIN = frozenset({NO_TAG, WRITE_ERROR, ADDRESS_ERROR, RF_COMMUNICATION, RF_WARNING})


class StatusError(Exception):
    """The device answered, and its answer is that it did not do it.

    `status` is the device's own byte, `code` its stable name (`status-XX` for one we do not know), `detail` what followed it:
    for ISO15693_ERROR the tag's error code (ISO 15693-3), for a failed write the address of the block.
    """

    def __init__(self, status: int, detail: bytes = b"") -> None:
        self.status = status
        self.detail = detail
        self.code = STATUS_NAMES.get(status, f"status-{status:02X}")
        super().__init__(f"the device answered {status:02X} ({self.code})")

    @property
    def retry(self) -> bool:
        """Whether asking again may help, because the tag moved or the air was noisy."""
        return self.status in _AGAIN

    @property
    def iso_error(self) -> int | None:
        """The tag's own error code (ISO 15693-3), if this is one."""
        return self.detail[0] if self.status == ISO15693_ERROR and self.detail else None


class BadRequest(FrameError):
    """The device's side cannot read a request; `status` is the answer a device gives to it."""

    code = "bad-request"

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
