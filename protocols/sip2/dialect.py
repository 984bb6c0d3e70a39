"""How one kiosk speaks: its terminator, its error detection, its encoding; learned, then kept."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Dialect", "guess_encoding"]

# Tried in this order for bytes that are no ASCII. UTF-8 proves itself by its form; GB18030 takes nearly anything else
# that is Chinese; Latin-1 takes all.
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

    def settle(self, frame: bytes) -> None:
        """Learn the encoding from the first frame that is not ASCII, if the configured one cannot read it."""
        if self.encoding_settled or frame.isascii():
            return
        for name in (self.encoding, *_CANDIDATES):
            try:
                frame.decode(name)
            except UnicodeDecodeError:
                continue
            self.encoding, self.encoding_settled = name, True
            return


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
