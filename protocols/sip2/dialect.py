"""How one kiosk speaks: its terminator, its error detection, its encoding, its oddities; told, or learned and kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from protocols.sip2.codec import build, parse
from protocols.sip2.encodings import guess, guess_encoding, known_encoding
from protocols.sip2.errors import RemoteProtocolError
from protocols.sip2.messages import RESENDS, Message

__all__ = ["Dialect", "guess_encoding"]

_TERMINATORS = {b"\r": "CR", b"\n": "LF", b"\r\n": "CRLF"}
_ENDS = {name: data for data, name in _TERMINATORS.items()}


class Dialect:
    """What is known of one peer. What configuration told stays; everything else is learned from what the peer sends.

    `terminator` is the bytes that end its frames, `encoding` its text's, `delimiter` stands behind a field.
    `error_detection` is whether it sends AZ, None until it has sent a message. `sum_over` is what its checksums of text
    that is not ASCII are counted over: `bytes`, `code_points`, None where none came yet. `version` is the protocol
    version of its 99. `quirks` are the stable names of what it does against the standard (protocols.sip2.tolerant, and
    `repeats_sequence`: AY not raised, `undecodable`: bytes that are no text, `checksum_comes_and_goes`).
    """

    __slots__ = (
        "_before",
        "_encoding_told",
        "_error_detection_told",
        "_sequence",
        "_terminator_told",
        "delimiter",
        "encoding",
        "encoding_settled",
        "error_detection",
        "quirks",
        "sum_over",
        "terminator",
        "version",
    )

    def __init__(self, *, encoding: str = "utf-8") -> None:
        self.delimiter = "|"
        self.encoding = encoding
        self.encoding_settled = False
        self.error_detection: bool | None = None
        self.sum_over: str | None = None
        self.version: str | None = None
        self.quirks: set[str] = set()
        self.terminator = b"\r"
        self._terminator_told = False
        self._encoding_told = False
        self._error_detection_told = False
        self._sequence: str | None = None
        self._before = b""

    # --- told

    def configure(
        self,
        *,
        encoding: str | None = None,
        terminator: str | None = None,
        error_detection: bool | None = None,
        delimiter: str | None = None,
    ) -> None:
        """Fix what an account's configuration says; None and `auto` leave it to be learned.

        `encoding` is one of `protocols.sip2.encodings.ENCODINGS`, `terminator` CR, LF or CRLF, `delimiter` one ASCII
        sign that is no letter, digit or blank. Raises ValueError for any other.
        """
        if encoding is not None:
            name = known_encoding(encoding)
            if name is None:
                raise ValueError("encoding must be auto, ascii, cp850, latin-1, utf-8, gb18030 or gbk")
            if name != "auto":
                self.encoding, self.encoding_settled, self._encoding_told = name, True, True
        if terminator is not None and terminator != "auto":
            if terminator not in _ENDS:
                raise ValueError("terminator must be auto, CR, LF or CRLF")
            self.terminator, self._terminator_told = _ENDS[terminator], True
        if error_detection is not None:
            self.error_detection, self._error_detection_told = error_detection, True
        if delimiter is not None:
            if len(delimiter) != 1 or not "!" <= delimiter <= "~" or delimiter.isalnum():
                raise ValueError("delimiter must be one ASCII sign, no letter, digit or blank")
            self.delimiter = delimiter

    # --- learned

    def learn_terminator(self, seen: bytes) -> None:
        """What the peer ends its frames with: answers end the same, unless configuration told otherwise."""
        if not self._terminator_told:
            self.terminator = seen

    def read(self, frame: bytes) -> Message:
        """Parse a frame and learn from it. Raises what `parse` raises."""
        settled = self.encoding_settled or frame.isascii()
        message = parse(frame, self.encoding, self.delimiter) if settled else self._settle(frame)
        if message.checksum == "bad" or message.code in RESENDS:
            return message
        if message.quirks or message.replaced:
            self.quirks.update(message.quirks)
            if message.replaced:
                self.quirks.add("undecodable")
        has_checksum = message.checksum == "ok"
        if has_checksum is not self.error_detection and not self._error_detection_told:
            if self.error_detection is not None:
                self.quirks.add("checksum_comes_and_goes")
            self.error_detection = has_checksum
        sequence = message.sequence
        if sequence is not None:
            # AY and AZ as before: the same message again. AY alone: a kiosk that does not count.
            if sequence == self._sequence and frame[-9:] != self._before:
                self.quirks.add("repeats_sequence")
            self._sequence, self._before = sequence, frame[-9:]
        if has_checksum and not frame.isascii():
            self.sum_over = message.sum_over
        if message.code == "99":
            self.version = message.fixed["protocol_version"]
        return message

    def _settle(self, frame: bytes) -> Message:
        """Read text that is not ASCII while the encoding is still open.

        A guess that is not sure is used and may be mended by later text. A frame with a bad checksum settles nothing:
        its bytes are not what the kiosk sent.
        """
        found, sure = guess(frame)
        if found is None:
            return parse(frame, self.encoding, self.delimiter)
        try:
            message = parse(frame, found, self.delimiter)
        except RemoteProtocolError:
            # The guess may have made one character of a letter and the delimiter behind it.
            return parse(frame, self.encoding, self.delimiter)
        if message.checksum != "bad":
            self.encoding, self.encoding_settled = found, sure
        return message

    # --- used and shown

    def write(
        self,
        code: str,
        fixed: Mapping[str, str],
        fields: Iterable[tuple[str, str]],
        *,
        sequence: str | None,
        checksum: bool,
    ) -> bytes:
        """The bytes of a message to this peer, terminator included.

        AY and AZ follow `sequence` and `checksum`, which say what the request had, unless configuration told that there
        is no error detection. Raises what `build` raises.
        """
        if self._error_detection_told and not self.error_detection:
            sequence, checksum = None, False
        if self.delimiter != "|":
            fields = [(name, value.replace(self.delimiter, " ")) for name, value in fields]
        frame = build(
            code, fixed, fields, sequence=sequence, checksum=checksum, encoding=self.encoding, delimiter=self.delimiter
        )
        return frame + self.terminator

    def public(self) -> dict[str, Any]:
        """What a page may show: nothing of a message, names of quirks sorted."""
        return {
            "terminator": _TERMINATORS[self.terminator],
            "terminator_from": "configured" if self._terminator_told else "learned",
            "encoding": self.encoding,
            "encoding_from": "configured"
            if self._encoding_told
            else ("learned" if self.encoding_settled else "assumed"),
            "error_detection": self.error_detection,
            "error_detection_from": "configured" if self._error_detection_told else "learned",
            "checksum_over": self.sum_over,
            "delimiter": self.delimiter,
            "version": self.version,
            "quirks": sorted(self.quirks),
        }
