"""The APDU by which every PC/SC cardreader gives a contactless card's number (PC/SC part 3, 3.2.2.1.3 Get Data)."""

from __future__ import annotations

from dataclasses import dataclass, field

GET_UID = bytes.fromhex("FFCA000000")
"""Class FF is answered by the cardreader itself: no key, no file, nothing of the card is changed."""

MAX_ANSWER = 65538
"""Longest answer: an extended Le of 65536 bytes and the status word."""


class ApduError(ValueError):
    """An answer that is none; ``code`` is SHORT_ANSWER or LONG_ANSWER."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: ``data`` (kept out of ``repr``) and the status word ``sw`` (9000 = done; 6A81 = the card has no such thing)."""

    data: bytes = field(repr=False)
    sw: int

    @property
    def ok(self) -> bool:
        """Whether the card did what it was asked."""
        return self.sw == 0x9000


def parse_answer(raw: bytes) -> Answer:
    """Take an answer apart (ISO 7816-4 §5.1); raises `ApduError`."""
    if len(raw) < 2:
        raise ApduError("SHORT_ANSWER", "an answer ends with two status bytes")
    if len(raw) > MAX_ANSWER:
        raise ApduError("LONG_ANSWER", f"an answer has at most {MAX_ANSWER} bytes")
    return Answer(raw[:-2], int.from_bytes(raw[-2:]))
