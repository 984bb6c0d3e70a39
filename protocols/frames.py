"""Frames on a byte stream: the errors, the cursor and the resynchronising framer that every device family shares.

A family gives a `Framing`: how long a frame that starts here would be, and its decoding. `Framer` does the rest: any split of
the bytes gives the same frames, garbage before or between frames is skipped byte by byte until a check value agrees, and the
buffer never holds more than one frame of the longest length. An incomplete frame is never searched for a smaller one inside
it, because some frames carry whole frames (FEIG 9F); `idle()` gives it up once the line has been quiet.
"""

from collections.abc import Mapping
from typing import Generic, Literal, Protocol, TypeVar

__all__ = [
    "MAX_FRAME",
    "BadCheck",
    "Cursor",
    "FrameError",
    "Framer",
    "Framing",
    "LocalFrameError",
    "Malformed",
    "Source",
    "Truncated",
    "decode_exactly",
]

MAX_FRAME = 4096
"""Longest frame in bytes that a framer waits for; no device here sends more than about 1,100."""

Source = Literal["host", "device"]
"""Who sent a frame: only devices put a status after the command."""

F_co = TypeVar("F_co", covariant=True)
F = TypeVar("F")


class FrameError(ValueError):
    """The peer's bytes are not a sound frame; `code` is stable, `fields` say what was found.

    `fields` may hold `right`, the check value that would have been right, in the family's own notation.
    """

    code = "bad-frame"

    def __init__(self, message: str, **fields: str) -> None:
        super().__init__(message)
        self.fields: Mapping[str, str] = fields


class Truncated(FrameError):
    """The bytes end before the frame or field does; more bytes might mend it."""

    code = "truncated"


class Malformed(FrameError):
    """Length, marker or content contradict the format; no further byte will mend it."""

    code = "malformed"


class BadCheck(FrameError):
    """The check value is wrong: the line flipped something, so ask again."""

    code = "bad-check"


class LocalFrameError(ValueError):
    """We asked for a frame that cannot be built (a value out of range); never caused by a peer."""

    code = "bad-argument"


class Cursor:
    """Reads a body from left to right and raises `Truncated` rather than reading past its end."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        end = self._at + count
        if end > len(self._data):
            raise Truncated(f"{end - len(self._data)} more bytes expected")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def u8(self) -> int:
        """Return the next byte."""
        return self.take(1)[0]

    def u16(self) -> int:
        """Return the next two bytes, high byte first."""
        return int.from_bytes(self.take(2), "big")

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(self.left)

    @property
    def left(self) -> int:
        """Number of bytes not read yet."""
        return len(self._data) - self._at

    def end(self) -> None:
        """Raise `Malformed` if anything is left."""
        if self.left:
            raise Malformed(f"{self.left} bytes too many")


class Framing(Protocol[F_co]):
    """What one family of frames looks like."""

    def measure(self, head: bytes) -> int:
        """Return the whole length of the frame that starts with `head`; 0 = cannot say yet, -1 = no frame starts so."""
        ...

    def decode(self, raw: bytes) -> F_co:
        """Return the frame in `raw`, which has the measured length; raises `FrameError`."""
        ...


def decode_exactly(framing: Framing[F], raw: bytes) -> F:
    """Return the one frame that `raw` is; raises `Truncated`, `Malformed` or `BadCheck`."""
    length = framing.measure(raw[:8])
    if length < 0:
        raise Malformed("no frame of this kind starts so")
    if length == 0 or length > len(raw):
        raise Truncated(f"the frame says {length or 'more'} bytes, {len(raw)} are here")
    if length < len(raw):
        raise Malformed(f"{len(raw) - length} bytes after the end of the frame")
    return framing.decode(raw)


class Framer(Generic[F]):
    """Cuts a byte stream into sound frames, whatever the splits and the noise.

    `bad_checks` counts candidates of full length whose check value was wrong, `skipped` the bytes that belonged to no frame.
    """

    __slots__ = ("_buffer", "_framing", "_max", "bad_checks", "skipped")

    def __init__(self, framing: Framing[F], max_length: int = MAX_FRAME) -> None:
        self._framing = framing
        self._max = max_length
        self._buffer = bytearray()
        self.bad_checks = 0
        self.skipped = 0

    def receive(self, chunk: bytes) -> list[F]:
        """Take bytes as they came and return the frames they complete, oldest first."""
        self._buffer += chunk
        return self._extract(quiet=False)

    def idle(self) -> list[F]:
        """Say that the line has been quiet (FEIG: 12 ms within a frame): what is incomplete stays so.

        Returns sound frames that stood behind a false start; afterwards nothing is pending.
        """
        return self._extract(quiet=True)

    @property
    def pending(self) -> int:
        """Bytes of a frame that has begun and is not complete."""
        return len(self._buffer)

    def _extract(self, *, quiet: bool) -> list[F]:
        frames: list[F] = []
        data = bytes(self._buffer)
        at = 0
        while at < len(data):
            length = self._framing.measure(data[at : at + 8])
            if length > self._max:
                length = -1
            if (length == 0 or at + length > len(data)) and not quiet:
                break
            if 0 < length <= len(data) - at:
                try:
                    frames.append(self._framing.decode(data[at : at + length]))
                except FrameError as error:
                    self.bad_checks += isinstance(error, BadCheck)
                else:
                    at += length
                    continue
            at += 1
            self.skipped += 1
        del self._buffer[:at]
        return frames
