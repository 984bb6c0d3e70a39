"""The kiosk's (SC) end of one SIP2 connection, without I/O.

`send` gives the bytes of a request, `receive` and `next_event` turn bytes into its reply, `timed_out` says what to do
when none came. One request is open at a time. The session counts AY 0 to 9, asks again with 97 for a reply with a bad
AZ, sends its request again on 96 or on a timeout with AY kept, and drops replies to other requests (SIP2 2.00, error
detection).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from protocols.sip2.codec import build, code_of, parse, seal
from protocols.sip2.errors import LocalProtocolError, RemoteProtocolError
from protocols.sip2.framing import NEED_DATA, Framer, NeedData
from protocols.sip2.messages import REPLY_OF, Message
from protocols.sip2.requests import Outgoing

__all__ = ["Answered", "ClientSession", "Dropped", "SendAgain"]


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to the open request, which is closed by it."""

    message: Message


@dataclass(frozen=True, slots=True)
class SendAgain:
    """Bytes to send now: a 97, or the open request once more. `reason`: `bad_checksum` or `asked_to_resend`."""

    data: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """A frame that is no answer to the open request. `reason`: `other_sequence`, `unexpected`, `unreadable`."""

    reason: str
    code: str


class ClientSession:
    """One connection as the kiosk sees it.

    `retries` bounds 97s and repeats of one request together; beyond it RemoteProtocolError `no_answer` is raised.
    """

    def __init__(
        self,
        *,
        encoding: str = "utf-8",
        terminator: bytes = b"\r",
        error_detection: bool = True,
        retries: int = 3,
        max_length: int = 65_536,
    ) -> None:
        self.encoding = encoding
        self._terminator = terminator
        self._error_detection = error_detection
        self._retries = retries
        self._left = retries
        self._framer = Framer(max_length)
        self._next_sequence = 0
        self._open: tuple[str, str | None, bytes] | None = None
        self._asked_resend = False

    @property
    def waiting(self) -> bool:
        """Whether a request is open."""
        return self._open is not None

    def send(self, out: Outgoing) -> bytes:
        """The bytes of a new request. Raises LocalProtocolError `state` while one is open, and what `build` raises."""
        self._must_be_idle()
        sequence = str(self._next_sequence) if self._error_detection else None
        frame = build(
            out.code,
            out.fixed,
            out.fields,
            sequence=sequence,
            checksum=self._error_detection,
            encoding=self.encoding,
        )
        return self._opened(out.code, sequence, frame)

    def send_text(self, text: str) -> bytes:
        """The bytes of a request typed by hand, sent as it stands; AY and AZ are added unless it ends with them."""
        self._must_be_idle()
        body = text.encode(self.encoding, "replace")
        code = code_of(body)
        if body[-6:-4] == b"AZ":
            return self._opened(code, chr(body[-7]) if body[-9:-7] == b"AY" else None, body)
        if code in ("96", "97"):
            return self._opened(code, None, seal(body, None, checksum=self._error_detection))
        sequence = str(self._next_sequence) if self._error_detection else None
        return self._opened(code, sequence, seal(body, sequence, checksum=self._error_detection))

    def receive(self, data: bytes) -> None:
        """Take bytes as they come."""
        self._framer.receive(data)

    def next_event(self) -> Answered | SendAgain | Dropped | Literal[NeedData.NEED_DATA]:
        """The next thing that came, or NEED_DATA.

        Raises RemoteProtocolError: `no_answer` when the retries are used up, or what makes a reply with a good
        checksum unreadable; the request is then closed.
        """
        frame = self._framer.next_frame()
        if frame is NEED_DATA:
            return NEED_DATA
        try:
            message = parse(frame, self.encoding)
        except RemoteProtocolError as error:
            if error.checksum == "bad":
                return self._resend_wanted(code_of(frame))
            if self._open is None or code_of(frame) not in (REPLY_OF.get(self._open[0]), "98"):
                return Dropped("unreadable", code_of(frame))
            self._open = None
            raise
        return self._match(message)

    def timed_out(self) -> bytes:
        """No reply in time: the open request once more, AY kept. Raises `no_answer` when the retries are used up."""
        if self._open is None:
            raise LocalProtocolError("state", "No request is open, so none can time out.")
        self._use_retry()
        return self._open[2]

    def give_up(self) -> None:
        """Close the open request without a reply; a late one will be dropped by its AY."""
        self._open = None

    def _match(self, message: Message) -> Answered | SendAgain | Dropped:
        if self._open is None:
            return Dropped("unexpected", message.code)
        code, sequence, data = self._open
        if message.checksum == "bad":
            return self._resend_wanted(message.code)
        if message.code == "96":
            if code in ("96", "97"):  # a 97 typed by hand: 96 is its answer
                self._open = None
                return Answered(message)
            self._use_retry()
            return SendAgain(data, "asked_to_resend")
        if code in REPLY_OF and message.code not in (REPLY_OF[code], "98"):
            return Dropped("unexpected", message.code)
        # SIPServer numbers what it sends again after a 97 with AY 0.
        renumbered = self._asked_resend and message.sequence == "0"
        if None not in (message.sequence, sequence) and message.sequence != sequence and not renumbered:
            return Dropped("other_sequence", message.code)
        self._open = None
        return Answered(message)

    def _resend_wanted(self, code: str) -> SendAgain | Dropped:
        if self._open is None:
            return Dropped("unexpected", code)
        self._use_retry()
        self._asked_resend = True
        return SendAgain(seal(b"97", None) + self._terminator, "bad_checksum")

    def _must_be_idle(self) -> None:
        if self._open is not None:
            raise LocalProtocolError("state", "A request is open; SIP2 allows one at a time.")

    def _opened(self, code: str, sequence: str | None, frame: bytes) -> bytes:
        if sequence is not None:
            self._next_sequence = (self._next_sequence + 1) % 10
        self._left = self._retries
        self._asked_resend = False
        data = frame + self._terminator
        self._open = (code, sequence, data)
        return data

    def _use_retry(self) -> None:
        if self._left == 0:
            self._open = None
            raise RemoteProtocolError("no_answer", "The library system gave no usable answer, even when asked again.")
        self._left -= 1
