"""The error codes of 3M pads (3M RFID Reader Protocol Specification 1.0.0, Appendix A) as names and as errors."""

from protocols.frames import FrameError

__all__ = [
    "ERROR_NAMES",
    "LOCKED",
    "NOT_AVAILABLE",
    "NOT_IMPLEMENTED",
    "NOT_READ",
    "NOT_SUPPORTED",
    "NOT_WRITTEN",
    "NO_TAG",
    "OPTION_NOT_SUPPORTED",
    "PARAMETER",
    "UNSUPPORTED",
    "BadRequest",
    "MmmError",
]

OK = 0x00
NOT_IMPLEMENTED = 0x02
NO_TAG = 0x06
NOT_AVAILABLE = 0x11
LOCKED = 0x12
NOT_READ = 0x15
NOT_WRITTEN = 0x16
NOT_SUPPORTED = 0x30
OPTION_NOT_SUPPORTED = 0x31
PARAMETER = 0x32

ERROR_NAMES = {
    OK: "ok",
    NOT_IMPLEMENTED: "not-implemented",
    NO_TAG: "no-tag",
    NOT_AVAILABLE: "no-such-memory",
    LOCKED: "locked",
    NOT_READ: "not-read",
    NOT_WRITTEN: "not-written",
    0x21: "tag-command-not-supported",
    0x22: "tag-command-unknown",
    0x23: "tag-option-not-supported",
    NOT_SUPPORTED: "not-supported",
    OPTION_NOT_SUPPORTED: "option-not-supported",
    PARAMETER: "parameter",
    0xFD: "cancelled",
    0xFE: "not-enough-memory",
}
"""Stable names of the error codes. 06 is also what a tag without the asked feature gives, and a tag whose EAS is off."""

UNSUPPORTED = frozenset({NOT_IMPLEMENTED, NOT_AVAILABLE, 0x21, 0x22, 0x23, NOT_SUPPORTED, OPTION_NOT_SUPPORTED})
"""The pad or the tag says that it has no such thing: asking again never helps."""

_AGAIN = frozenset({NO_TAG, NOT_READ, NOT_WRITTEN})


class MmmError(Exception):
    """The pad answered, and its answer is that it did not do it.

    `error` is the pad's own byte, `code` its stable name (`error-XX` for one we do not know).
    """

    def __init__(self, error: int) -> None:
        self.error = error
        self.code = ERROR_NAMES.get(error, f"error-{error:02X}")
        super().__init__(f"the pad answered {error:02X} ({self.code})")

    @property
    def retry(self) -> bool:
        """Whether asking again may help, because the tag moved or had too little power."""
        return self.error in _AGAIN


class BadRequest(FrameError):
    """The pad's side cannot read a request; `error` is the code with which a pad answers it."""

    code = "bad-request"

    def __init__(self, error: int, message: str) -> None:
        super().__init__(message)
        self.error = error
