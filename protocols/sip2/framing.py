"""A stream of bytes into frames: any of CR, LF and CRLF ends one; blank lines are passed over."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, Literal

from protocols.sip2.errors import RemoteProtocolError

__all__ = ["NEED_DATA", "Framer", "NeedData"]


class NeedData(Enum):
    """The type of `NEED_DATA`."""

    NEED_DATA = "need_data"


NEED_DATA: Final = NeedData.NEED_DATA
"""Nothing whole is there: receive more bytes."""

_END = re.compile(rb"[\r\n]")
_CR, _LF = 0x0D, 0x0A


class Framer:
    """Cuts a byte stream into frames, whatever its chunks, and learns the peer's terminator.

    A frame over `max_length` bytes is reported once and dropped up to its end; memory is bounded by that length plus
    what one `receive` brought. 16 KB hold a 64 reply with hundreds of items.
    """

    def __init__(self, max_length: int = 16_384) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._max_length = max_length
        self._dropping = False
        self._after_cr = False
        self._whole: bytes | None = None
        self.terminator: bytes | None = None

    def receive(self, data: bytes) -> None:
        """Take bytes as they come."""
        if self._whole is not None:
            self._buffer += self._whole + b"\r"
            self._whole = None
        elif (
            # One frame and its CR: what a kiosk that waits for its answers sends.
            data.find(b"\r") == len(data) - 1 <= self._max_length
            and not self._buffer
            and data[:1].isdigit()
            and b"\n" not in data
            and not self._dropping
        ):
            self._whole = data[:-1]
            return
        self._buffer += data

    @property
    def buffered(self) -> int:
        """Bytes that wait to be cut."""
        return len(self._buffer) if self._whole is None else len(self._whole) + 1

    def give_up(self, *, rest_comes: bool) -> None:
        """Forget a frame that has begun; with `rest_comes` what still comes of it is dropped up to its end."""
        self._dropping = rest_comes
        self._whole = None
        self._clear()

    def next_frame(self) -> bytes | Literal[NeedData.NEED_DATA]:
        """The next frame without terminator, or NEED_DATA.

        Raises RemoteProtocolError `frame_too_long` once for an endless frame; the next call goes on after its end.
        """
        if self._whole is not None:
            frame, self._whole = self._whole, None
            self._after_cr = True
            if self.terminator is None:
                self.terminator = b"\r"
            return frame
        if not self._buffer:
            return NEED_DATA
        while True:
            self._finish_crlf()
            found = _END.search(self._buffer, self._scanned)
            if found is None:
                return self._wait()
            end = found.start()
            frame = bytes(self._buffer[:end])
            was_cr = self._buffer[end] == _CR
            del self._buffer[: end + 1]
            self._scanned = 0
            if self.terminator is None and end:  # a blank line says nothing yet
                self.terminator = b"\r" if was_cr else b"\n"
            self._after_cr = was_cr
            self._finish_crlf()
            if self._dropping:
                self._dropping = False
                continue
            if end > self._max_length:
                raise self._too_long()
            frame = frame.lstrip(b" \t\0")
            if frame:
                return frame

    def _finish_crlf(self) -> None:
        """LF straight after the CR that ended a frame belongs to it, even when it comes in a later chunk."""
        if self._after_cr and self._buffer:
            self._after_cr = False
            if self._buffer[0] == _LF:
                self.terminator = b"\r\n"
                del self._buffer[0]

    def _wait(self) -> Literal[NeedData.NEED_DATA]:
        """No terminator in sight: keep what came, unless it is already too much."""
        self._scanned = len(self._buffer)
        if not self._dropping and self._scanned <= self._max_length:
            return NEED_DATA
        self._clear()
        if self._dropping:
            return NEED_DATA
        self._dropping = True
        raise self._too_long()

    def _clear(self) -> None:
        self._buffer.clear()
        self._scanned = 0

    def _too_long(self) -> RemoteProtocolError:
        return RemoteProtocolError("frame_too_long", f"A frame is longer than {self._max_length} bytes.")
