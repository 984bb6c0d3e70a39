"""How one kiosk speaks: its terminator, its error detection, its encoding; learned, then kept."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from protocols.sip2.codec import parse
from protocols.sip2.errors import RemoteProtocolError
from protocols.sip2.messages import RESENDS, Message

__all__ = ["Dialect", "guess_encoding"]

_CANDIDATES = ("utf-8", "gb18030")


@dataclass(slots=True)
class Dialect:
    """What has been seen of a peer: `terminator` bytes, whether it sends AZ, its text encoding.

    `error_detection` is None until the peer has sent a message. `encoding_settled` is set by the first text that was
    not ASCII: from then on the encoding stays.
    """

    terminator: bytes = b"\r"
    error_detection: bool | None = None
    encoding: str = "utf-8"
    encoding_settled: bool = False

    def read(self, frame: bytes) -> Message:
        """Parse a frame and learn from it. Raises what `parse` raises."""
        settled = self.encoding_settled or frame.isascii()
        message = parse(frame, self.encoding) if settled else self._settle(frame)
        if message.code not in RESENDS:
            self.error_detection = message.checksum != "none"
        return message

    def _settle(self, frame: bytes) -> Message:
        """Keep the configured encoding if it reads the frame; else look once for another that does.

        A frame with a bad checksum settles nothing: its bytes are not what the kiosk sent.
        """
        for name in (self.encoding, *(name for name in _CANDIDATES if name != self.encoding)):
            if not _reads_as(frame, name, asked=name == self.encoding):
                continue
            try:
                message = parse(frame, name)
            except RemoteProtocolError:
                continue
            if message.checksum != "bad":
                self.encoding, self.encoding_settled = name, True
                return message
        return parse(frame, self.encoding)


def _reads_as(frame: bytes, name: str, *, asked: bool) -> bool:
    """Whether a frame is text in this encoding, which is the configured one where `asked`.

    GB18030 takes a lone Latin-1 letter and the ASCII after it, even the delimiter, for one character. Chinese text has
    neighbours, so two characters side by side are asked for.
    """
    try:
        text = frame.decode(name)
    except UnicodeDecodeError:
        return False
    return asked or name == "utf-8" or any(not a.isascii() and not b.isascii() for a, b in pairwise(text))


def guess_encoding(data: bytes) -> str:
    """The likeliest encoding of a frame: ascii, utf-8, gb18030, gbk or latin-1.

    Bytes in the rows of GB 2312 fit GBK and GB18030 alike and are given to the standard in force; characters that GBK
    added (second byte below A1) are given to GBK, four-byte characters to GB18030.
    """
    if data.isascii():
        return "ascii"
    for name in ("utf-8", "gb2312", "gbk", "gb18030"):
        try:
            data.decode(name)
        except UnicodeDecodeError:
            continue
        return "gb18030" if name == "gb2312" else name
    return "latin-1"
