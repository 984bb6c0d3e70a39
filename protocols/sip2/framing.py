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
        self._ended_by_cr = False
        self.terminator: bytes | None = None

    def receive(self, data: bytes) -> None:
        """Take bytes as they come."""
        self._buffer += data

    @property
    def buffered(self) -> int:
        """Bytes that wait to be cut."""
        return len(self._buffer)

    def next_frame(self) -> bytes | Literal[NeedData.NEED_DATA]:
        """The next frame without terminator, or NEED_DATA.

        Raises RemoteProtocolError `frame_too_long` once for an endless frame; the next call goes on after its end.
        """
        while True:
            self._join_crlf()
            found = _END.search(self._buffer, self._scanned)
            if found is None:
                self._scanned = len(self._buffer)
                if self._dropping:
                    self._clear()
                elif self._scanned > self._max_length:
                    self._dropping = True
                    self._clear()
                    raise self._too_long()
                return NEED_DATA
            end = found.start()
            frame = bytes(self._buffer[:end])
            self._learn(self._buffer[end])
            del self._buffer[: end + 1]
            self._scanned = 0
            if self._dropping:
                self._dropping = False
                continue
            if end > self._max_length:
                raise self._too_long()
            frame = frame.lstrip(b" \t\0")
            if frame:
                return frame

    def _learn(self, byte: int) -> None:
        if byte == _CR:
            self._ended_by_cr = True
            if self.terminator is None:
                self.terminator = b"\r"
            self._join_crlf(after=1)
        elif self.terminator is None:
            self.terminator = b"\n"

    def _join_crlf(self, after: int = 0) -> None:
        """LF straight after the CR that ended a frame belongs to it, even when it comes in a later chunk."""
        if not self._ended_by_cr:
            return
        at = self._buffer.find(_CR) + 1 if after else 0
        if at < len(self._buffer):
            if self._buffer[at] == _LF:
                self.terminator = b"\r\n"
                if not after:
                    del self._buffer[:1]
                    self._scanned = 0
            self._ended_by_cr = after == 1

    def _clear(self) -> None:
        self._buffer.clear()
        self._scanned = 0

    def _too_long(self) -> RemoteProtocolError:
        return RemoteProtocolError("frame_too_long", f"A frame is longer than {self._max_length} bytes.")
