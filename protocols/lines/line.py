"""Text lines: whatever stands between two of CR, LF or CR LF, printable or not at all.

Such a device has no check value (general knowledge of serial scanners), so what can be told of noise is its look: a byte that no
sound line holds spoils everything up to the next silence, because a device sends a line in one go after a silence.
"""

from __future__ import annotations

__all__ = ["LineFramer"]

_ENDS = b"\r\n"
_TEXT = frozenset(range(0x20, 0x7F))
_TEXT_OR_UTF8 = _TEXT | frozenset(range(0x80, 0x100))


class LineFramer:
    """Cuts lines of ``least`` to ``most`` bytes; any split of the bytes gives the same lines.

    ``high_bytes`` lets bytes from 80 pass (UTF-8, checked by whoever decodes). `idle` says that the line was silent: a line that
    has begun and not ended is dropped. ``junk`` counts bytes of spoiled stretches, ``partial`` lines without an end, ``overlong``
    and ``short`` lines dropped for their length.
    """

    __slots__ = ("_buffer", "_good", "_least", "_most", "_spoiled", "junk", "overlong", "partial", "short")

    def __init__(self, most: int = 512, least: int = 1, *, high_bytes: bool = False) -> None:
        self._most = most
        self._least = least
        self._good = _TEXT_OR_UTF8 if high_bytes else _TEXT
        self._buffer = bytearray()
        self._spoiled = False
        self.junk = 0
        self.partial = 0
        self.overlong = 0
        self.short = 0

    @property
    def pending(self) -> bool:
        """Whether a line has begun, or everything up to the next silence is spoiled."""
        return self._spoiled or bool(self._buffer)

    @property
    def bad(self) -> int:
        """Everything dropped so far: lines, and one for every spoiled stretch's byte."""
        return self.junk + self.partial + self.overlong + self.short

    def receive(self, chunk: bytes) -> list[bytes]:
        """Take bytes as they came and return the lines they complete, oldest first, without their ends."""
        lines: list[bytes] = []
        for byte in chunk:
            if self._spoiled:
                self.junk += 1
            elif byte in _ENDS:
                self._end(lines)
            elif byte not in self._good:
                self._spoil(1)
            elif len(self._buffer) >= self._most:
                self.overlong += 1
                self._spoil(1)
            else:
                self._buffer.append(byte)
        return lines

    def idle(self) -> int:
        """Say that the line was silent long enough; gives how many unended lines were dropped (0 or 1)."""
        dropped = int(bool(self._buffer))
        self.partial += dropped
        self._buffer.clear()
        self._spoiled = False
        return dropped

    def _end(self, lines: list[bytes]) -> None:
        if len(self._buffer) >= self._least:
            lines.append(bytes(self._buffer))
        elif self._buffer:
            self.short += 1
        self._buffer.clear()  # an empty line is the LF after a CR

    def _spoil(self, more: int) -> None:
        self.junk += len(self._buffer) + more
        self._buffer.clear()
        self._spoiled = True
