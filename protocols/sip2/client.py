"""The kiosk's (SC) end of one SIP2 connection, without I/O.

`send` gives the bytes of a request, `receive` and `next_event` turn bytes into its reply, `timed_out` says what to do
when none came. The session counts AY 0 to 9, asks again with 97 for a reply with a bad AZ, sends its request again on
96 or on a timeout with AY kept, and drops replies to other requests (SIP2 2.00, error detection).

SIP2 allows one open request at a time. A library system that answers several may be sent up to `depth` at once; their
replies are told apart by AY alone, so whatever leaves that in doubt (a bad AZ, a 96, no AY) ends the connection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from protocols.sip2.codec import build, code_of, parse, seal
from protocols.sip2.dialect import Dialect
from protocols.sip2.errors import LocalProtocolError, RemoteProtocolError
from protocols.sip2.framing import NEED_DATA, Framer, NeedData
from protocols.sip2.messages import REPLY_OF, Message
from protocols.sip2.requests import Outgoing

__all__ = ["Answered", "ClientSession", "Dropped", "SendAgain"]


MAX_DEPTH = 9
"""Requests that may be open at once: AY is one digit, and a late reply must not find its digit in use again."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to an open request, which is closed by it; `to` is the number that `ClientSession.sent` gave it."""

    message: Message
    to: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class SendAgain:
    """Bytes to send now: a 97, or the open request once more. `reason`: `bad_checksum` or `asked_to_resend`."""

    data: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """A frame that is no answer to an open request. `reason`: `other_sequence`, `unexpected`, `unreadable`."""

    reason: str
    code: str


@dataclass(slots=True)
class _Open:
    number: int
    code: str
    sequence: str | None
    data: bytes
    retries: int
    asked_resend: bool = False


class ClientSession:
    """One connection as the kiosk sees it.

    `retries` bounds 97s and repeats of one request together; beyond it RemoteProtocolError `no_answer` is raised.
    `dialect`, where given, reads and learns the peer's encoding, which is then written too; several connections to one
    peer may share it. `terminator` and `error_detection` may be changed while no request is open.
    """

    def __init__(
        self,
        *,
        encoding: str = "utf-8",
        terminator: bytes = b"\r",
        error_detection: bool = True,
        retries: int = 3,
        max_length: int = 65_536,
        depth: int = 1,
        dialect: Dialect | None = None,
    ) -> None:
        if not 1 <= depth <= MAX_DEPTH:
            raise ValueError(f"depth must be from 1 to {MAX_DEPTH}")
        self.terminator = terminator
        self.error_detection = error_detection
        self.sent = 0
        self._encoding = encoding
        self._dialect = dialect
        self._retries = retries
        self._depth = depth
        self._framer = Framer(max_length)
        self._next_sequence = 0
        self._open: list[_Open] = []

    @property
    def encoding(self) -> str:
        """What is written in."""
        return self._encoding if self._dialect is None else self._dialect.encoding

    @property
    def waiting(self) -> bool:
        """Whether a request is open."""
        return bool(self._open)

    @property
    def room(self) -> int:
        """How many requests may be sent now. Without error detection one at a time, whatever the depth."""
        return (self._depth if self.error_detection else 1) - len(self._open)

    def send(self, out: Outgoing) -> bytes:
        """The bytes of a new request. Raises LocalProtocolError `state` without room for one, and what `build` raises."""
        self._must_have_room()
        sequence = self._sequence()
        frame = build(
            out.code,
            out.fixed,
            out.fields,
            sequence=sequence,
            checksum=self.error_detection,
            encoding=self.encoding,
        )
        return self._opened(out.code, sequence, frame)

    def send_text(self, text: str) -> bytes:
        """The bytes of a request typed by hand, sent as it stands; AY and AZ are added unless it ends with them."""
        self._must_have_room()
        body = text.encode(self.encoding, "replace")
        code = code_of(body)
        if body[-6:-4] == b"AZ":
            return self._opened(code, chr(body[-7]) if body[-9:-7] == b"AY" else None, body)
        if code in ("96", "97"):
            return self._opened(code, None, seal(body, None, checksum=self.error_detection))
        sequence = self._sequence()
        return self._opened(code, sequence, seal(body, sequence, checksum=self.error_detection))

    def receive(self, data: bytes) -> None:
        """Take bytes as they come."""
        self._framer.receive(data)

    def next_event(self) -> Answered | SendAgain | Dropped | Literal[NeedData.NEED_DATA]:
        """The next thing that came, or NEED_DATA.

        Raises RemoteProtocolError: `no_answer` when the retries are used up, `out_of_step` where several requests are
        open and it cannot be known which one a frame is about (all are closed), or what makes a reply with a good
        checksum unreadable; the request is then closed.
        """
        frame = self._framer.next_frame()
        if frame is NEED_DATA:
            return NEED_DATA
        try:
            message = parse(frame, self._encoding) if self._dialect is None else self._dialect.read(frame)
        except RemoteProtocolError as error:
            if error.checksum == "bad":
                return self._resend_wanted(code_of(frame))
            return self._unreadable(code_of(frame), error)
        return self._match(message)

    def timed_out(self) -> bytes:
        """No reply in time: the oldest open request once more, AY kept. Raises `no_answer` when its retries are used up."""
        if not self._open:
            raise LocalProtocolError("state", "No request is open, so none can time out.")
        return self._again(self._open[0])

    def give_up(self) -> None:
        """Close every open request without a reply; a late one will be dropped by its AY."""
        self._open.clear()

    def _unreadable(self, code: str, error: RemoteProtocolError) -> Dropped:
        about = [one for one in self._open if code in (REPLY_OF.get(one.code), "98")]
        if not about:
            return Dropped("unreadable", code)
        if len(self._open) > 1:
            raise self._out_of_step()
        self._open.clear()
        raise error

    def _match(self, message: Message) -> Answered | SendAgain | Dropped:
        if not self._open:
            return Dropped("unexpected", message.code)
        if message.checksum == "bad":
            return self._resend_wanted(message.code)
        if message.code == "96":
            return self._asked_again(message)
        if len(self._open) == 1:
            return self._match_only(self._open[0], message)
        if message.sequence is None:
            raise self._out_of_step()
        for one in self._open:
            if one.sequence == message.sequence and _answers(one.code, message.code):
                self._open.remove(one)
                return Answered(message, one.number)
        return Dropped("other_sequence", message.code)

    def _match_only(self, one: _Open, message: Message) -> Answered | Dropped:
        if not _answers(one.code, message.code):
            return Dropped("unexpected", message.code)
        # SIPServer numbers what it sends again after a 97 with AY 0.
        renumbered = one.asked_resend and message.sequence == "0"
        if None not in (message.sequence, one.sequence) and message.sequence != one.sequence and not renumbered:
            return Dropped("other_sequence", message.code)
        self._open.clear()
        return Answered(message, one.number)

    def _asked_again(self, message: Message) -> Answered | SendAgain:
        if len(self._open) > 1:
            raise self._out_of_step()
        one = self._open[0]
        if one.code in ("96", "97"):  # a 97 typed by hand: 96 is its answer
            self._open.clear()
            return Answered(message, one.number)
        return SendAgain(self._again(one), "asked_to_resend")

    def _resend_wanted(self, code: str) -> SendAgain | Dropped:
        if not self._open:
            return Dropped("unexpected", code)
        if len(self._open) > 1:
            raise self._out_of_step()
        self._again(self._open[0])
        self._open[0].asked_resend = True
        return SendAgain(seal(b"97", None) + self.terminator, "bad_checksum")

    def _again(self, one: _Open) -> bytes:
        if one.retries == 0:
            self._open.clear()
            raise RemoteProtocolError("no_answer", "The library system gave no usable answer, even when asked again.")
        one.retries -= 1
        return one.data

    def _out_of_step(self) -> RemoteProtocolError:
        self._open.clear()
        return RemoteProtocolError("out_of_step", "It cannot be known which of several requests the answer belongs to.")

    def _must_have_room(self) -> None:
        if self.room <= 0:
            raise LocalProtocolError("state", "A request is open; SIP2 allows one at a time.")

    def _sequence(self) -> str | None:
        if not self.error_detection:
            return None
        used = {one.sequence for one in self._open}
        while str(self._next_sequence) in used:
            self._next_sequence = (self._next_sequence + 1) % 10
        return str(self._next_sequence)

    def _opened(self, code: str, sequence: str | None, frame: bytes) -> bytes:
        if sequence is not None:
            self._next_sequence = (self._next_sequence + 1) % 10
        self.sent += 1
        data = frame + self.terminator
        self._open.append(_Open(self.sent, code, sequence, data, self._retries))
        return data


def _answers(request: str, reply: str) -> bool:
    """Whether a message of this code may answer that one; a code of no table takes any reply."""
    return request not in REPLY_OF or reply in (REPLY_OF[request], "98")
