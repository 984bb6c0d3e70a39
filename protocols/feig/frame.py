"""FEIG OBID frames on the wire: standard and advanced, with the CRC of both (system manual H20800, "protocol frames").

    standard   LEN ADR CMD [STATUS] DATA CRC        LEN = all bytes, at most 255
    advanced   02 LEN(2, high first) ADR CMD [STATUS] DATA CRC

The CRC covers everything before it and travels low byte first. Only device frames carry a status. A standard frame has at
least five bytes, so a first byte of 02 always begins an advanced one.
"""

from dataclasses import dataclass
from typing import Literal

from protocols import frames
from protocols.crc import crc_mcrf4xx
from protocols.frames import BadCheck, LocalFrameError, Truncated

__all__ = ["ANY_ADDRESS", "Form", "Frame", "Framer"]

ANY_ADDRESS = 0xFF
"""The address that every device answers to."""

Form = Literal["standard", "advanced"]

_ADVANCED = 0x02
_STANDARD_MIN = 5
_ADVANCED_MIN = 7


@dataclass(frozen=True, slots=True)
class Frame:
    """One sound frame. `body` is everything between the command and the CRC: a device's begins with its status."""

    address: int
    command: int
    body: bytes = b""
    form: Form = "advanced"

    @property
    def status(self) -> int:
        """The status of a device's frame; raises `Truncated` where there is none."""
        if not self.body:
            raise Truncated("a device's frame carries a status")
        return self.body[0]

    @property
    def data(self) -> bytes:
        """What follows the status of a device's frame."""
        return self.body[1:]

    def to_bytes(self) -> bytes:
        """Return the frame with its length and CRC; raises `LocalFrameError` if the form cannot hold it."""
        if not (0 <= self.address <= 0xFF and 0 <= self.command <= 0xFF):
            raise LocalFrameError("address and command are one byte each")
        if self.form == "standard":
            length = len(self.body) + _STANDARD_MIN
            if length > 0xFF:
                raise LocalFrameError("a standard frame holds at most 250 bytes of data")
            head = bytes((length, self.address, self.command))
        else:
            length = len(self.body) + _ADVANCED_MIN
            if length > 0xFFFF:
                raise LocalFrameError("an advanced frame holds at most 65528 bytes of data")
            head = bytes((_ADVANCED, length >> 8, length & 0xFF, self.address, self.command))
        raw = head + self.body
        return raw + crc_mcrf4xx(raw).to_bytes(2, "little")

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Frame":
        """Decode exactly one frame; raises `Truncated`, `Malformed` or `BadCheck` (whose `right` is the CRC as it is sent)."""
        return frames.decode_exactly(_FRAMING_BOTH, raw)


class _Framing:
    """`protocols.frames.Framing` for one form or for both."""

    __slots__ = ("_form",)

    def __init__(self, form: Form | None) -> None:
        self._form = form

    def measure(self, head: bytes) -> int:
        first = head[0] if head else 0
        if not head:
            return 0
        if first == _ADVANCED:
            if self._form == "standard":
                return -1
            if len(head) < 3:
                return 0
            length = head[1] << 8 | head[2]
            return length if length >= _ADVANCED_MIN else -1
        return first if first >= _STANDARD_MIN and self._form != "advanced" else -1

    def decode(self, raw: bytes) -> Frame:
        right = crc_mcrf4xx(raw[:-2])
        advanced = raw[0] == _ADVANCED
        if right != raw[-2] | raw[-1] << 8:
            raise BadCheck(
                "the CRC of the frame is wrong",
                frame="advanced" if advanced else "standard",
                crc="bad",
                right=right.to_bytes(2, "little").hex().upper(),
            )
        if advanced:
            return Frame(raw[3], raw[4], raw[5:-2], "advanced")
        return Frame(raw[1], raw[2], raw[3:-2], "standard")


_FRAMING_BOTH = _Framing(None)


class Framer(frames.Framer[Frame]):
    """The framer of a FEIG line. Give `form` where the device's setting is known: noise then desynchronises less.

    Characters of one frame follow within 12 ms (H20800): call `idle()` when the line has been quiet for longer.
    """

    __slots__ = ()

    def __init__(self, form: Form | None = None, max_length: int = frames.MAX_FRAME) -> None:
        super().__init__(_Framing(form), max_length)
