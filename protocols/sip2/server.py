"""The library system's (ACS) end of one SIP2 connection, without I/O.

Bytes go in by `receive`, events come out of `next_event`, bytes to send come out of `answer`. One request is open at a
time: until it is answered, `next_event` gives PAUSED and later frames wait, which also keeps replies in order.

What the session settles itself (an `Answer` event carries the bytes to send; nothing is executed):

* a bad AZ, an endless frame or one that cannot be read → 96;
* 97 → the last bytes sent, again, with their terminator; none yet → 96;
* the frame before once more within 60 s (so the same AY and AZ) → the reply to it, byte for byte, executed once;
* before login → 94 with ok 0, or 98 with online N for a 99; the connection stays.

Unknown codes are `Ignored`: no answer, connection stays (SIP2 2.00: "unknown … are ignored").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, Literal

import msgspec

from protocols.sip2.codec import code_of, parse, seal
from protocols.sip2.dates import format_date
from protocols.sip2.dialect import Dialect
from protocols.sip2.errors import LocalProtocolError, RemoteProtocolError
from protocols.sip2.framing import NEED_DATA, Framer, NeedData
from protocols.sip2.messages import BX_ORDER, REPLY_OF, Message

__all__ = ["PAUSED", "Answer", "Ignored", "Login", "Request", "ServerSession", "State", "offline_status"]

DUPLICATE_WINDOW = timedelta(seconds=60)
"""How long the frame before is known again (SIP2 2.00, sequence number)."""


class State(Enum):
    """Where a connection stands."""

    NEW = "new"
    LOGGING_IN = "logging_in"
    READY = "ready"
    BUSY = "busy"


class Signal(Enum):
    """What moves a connection from state to state."""

    LOGIN = "login"
    STATUS = "status"
    REQUEST = "request"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    ANSWERED = "answered"


TRANSITIONS: dict[State, dict[Signal, State]] = {
    State.NEW: {Signal.LOGIN: State.LOGGING_IN, Signal.STATUS: State.NEW, Signal.REQUEST: State.NEW},
    State.LOGGING_IN: {Signal.ACCEPTED: State.READY, Signal.REFUSED: State.NEW},
    State.READY: {Signal.LOGIN: State.LOGGING_IN, Signal.STATUS: State.BUSY, Signal.REQUEST: State.BUSY},
    State.BUSY: {Signal.ANSWERED: State.READY},
}
"""state → {signal: next state}; a signal that is missing is a fault of our own."""

_SIGNAL_OF = {"93": Signal.LOGIN, "99": Signal.STATUS}
_READY, _BUSY = State.READY, State.BUSY
_PLAIN = frozenset(REPLY_OF) - {"93"}
"""Requests that lead from READY to BUSY, and their answers back: nearly all there are, so the table is not asked."""


class Paused(Enum):
    """The type of `PAUSED`."""

    PAUSED = "paused"


PAUSED: Final = Paused.PAUSED
"""A request is open: answer it before the next event."""


class Login(msgspec.Struct, frozen=True):
    """A 93 to be checked; answer with `ok` 1 or 0."""

    message: Message


class Request(msgspec.Struct, frozen=True):
    """A request of a logged-in kiosk, to be executed once and answered."""

    message: Message


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes to send that need no decision.

    `reason`: `bad_checksum`, `unreadable`, `too_long`, `too_slow`, `resend`, `duplicate` or `not_logged_in`. `code` is the code of
    the frame that caused it, fit for logs.
    """

    data: bytes
    reason: str
    code: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A frame that gets no answer; `code` is its two digits or `??`."""

    reason: str
    code: str


Event = Login | Request | Answer | Ignored


def offline_status(now: datetime) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The 98 of a library system that does not serve this peer: online N, nothing supported."""
    fixed = dict.fromkeys(
        ("on_line_status", "checkin_ok", "checkout_ok", "acs_renewal_policy", "status_update_ok", "off_line_ok"), "N"
    )
    fixed |= {"timeout_period": "000", "retries_allowed": "999"}
    fixed |= {"date_time_sync": format_date(now), "protocol_version": "2.00"}
    return fixed, [("AO", ""), ("BX", "N" * len(BX_ORDER))]


def _spoilt_tail(message: Message) -> bool:
    """Whether a message ends in an AY or AZ that is no good one: cut or garbled on the way, so nothing is executed."""
    return bool(message.fields) and message.fields[-1][0] in ("AY", "AZ")


class ServerSession:
    """One kiosk's connection as the library system sees it.

    `login_required` False starts READY: for listeners whose peers are known by address. `delimiters` are those that
    accounts may have instead of `|`: a 93 is read with them before the account is known. `frame` is the frame behind
    the last event, as it came, without terminator; empty for one that was too long.
    """

    def __init__(
        self,
        *,
        encoding: str | None = None,
        login_required: bool = True,
        max_length: int = 16_384,
        delimiters: frozenset[str] = frozenset(),
    ) -> None:
        self.state = State.NEW if login_required else State.READY
        self.dialect = Dialect()
        self.frame = b""
        if encoding is not None:
            self.use(encoding=encoding)
        self._framer = Framer(max_length)
        self._delimiters = delimiters
        self._open: tuple[bytes, Message, datetime] | None = None
        self._before: tuple[bytes, datetime, bytes] | None = None
        self._last_sent: bytes | None = None

    @property
    def buffered(self) -> int:
        """Bytes received and not yet cut into frames."""
        return self._framer.buffered

    def use(
        self,
        *,
        encoding: str | None = None,
        terminator: str | None = None,
        error_detection: bool | None = None,
        delimiter: str = "|",
    ) -> None:
        """Speak as an account is configured; None leaves it to what is learned. `terminator` is CR, LF or CRLF."""
        self.dialect.configure(
            encoding=encoding, terminator=terminator, error_detection=error_detection, delimiter=delimiter
        )

    def logged_in(self) -> None:
        """The peer is known without 93: by its address, its line or a login prompt."""
        if self.state is State.NEW:
            self.state = State.READY

    def receive(self, data: bytes) -> None:
        """Take bytes as they come."""
        self._framer.receive(data)

    def give_up(self, *, rest_comes: bool) -> Answer:
        """Ask again for a message that has begun and does not end, and forget what came of it.

        With `rest_comes` (a connection loses no bytes) what still comes of it is dropped; without (a serial line does)
        the next byte begins a message.
        """
        self._framer.give_up(rest_comes=rest_comes)
        self.frame = b""
        return self._please_resend("too_slow", "??")

    def next_event(self, now: datetime) -> Event | Literal[NeedData.NEED_DATA, Paused.PAUSED]:
        """The next thing to do, NEED_DATA, or PAUSED while a request is open."""
        if self._open is not None:
            return PAUSED
        try:
            frame = self._framer.next_frame()
        except RemoteProtocolError:
            self.frame = b""
            return self._please_resend("too_long", "??")
        if frame is NEED_DATA:
            return NEED_DATA
        self.frame = frame
        dialect = self.dialect
        if self._framer.terminator != dialect.terminator and self._framer.terminator is not None:
            dialect.learn_terminator(self._framer.terminator)
        try:
            message = dialect.read(frame)
        except RemoteProtocolError as error:
            return self._unreadable(code_of(frame), error)
        if message.checksum != "ok" and (message.checksum == "bad" or _spoilt_tail(message)):
            return self._please_resend("bad_checksum", message.code)
        before = self._before
        if self.state is _READY and message.code in _PLAIN and (before is None or before[0] != frame):
            self.state = _BUSY
            self._open = (frame, message, now)
            return Request(message)
        return self._sound(frame, message, now)

    def answer(self, fixed: Mapping[str, str], fields: Iterable[tuple[str, str]], *, code: str | None = None) -> bytes:
        """The bytes that answer the open request, terminator included.

        Without `code` it is the request's own reply; 98 may answer any request. Raises LocalProtocolError `state` where
        no request is open, and what `build` raises; the request then stays open.
        """
        if self._open is None:
            raise LocalProtocolError("state", "No request is open, so there is nothing to answer.")
        frame, request, since = self._open
        data = self.dialect.write(
            code or REPLY_OF[request.code],
            fixed,
            fields,
            sequence=request.sequence,
            checksum=request.checksum != "none",
        )
        if self.state is _BUSY:
            self.state = _READY
        else:
            self._move(Signal.ACCEPTED if fixed.get("ok") == "1" else Signal.REFUSED)
        self._open = None
        self._before = (frame, since, data)
        self._last_sent = data
        return data

    def _login(self, frame: bytes, message: Message) -> Message:
        """A 93; one whose password is missing may have another delimiter, which its account has."""
        if message.has("CO"):
            return message
        for delimiter in self._delimiters:
            other = parse(frame, self.dialect.encoding, delimiter)
            if other.has("CO"):
                self.dialect.delimiter = delimiter
                return other
        return message

    def _sound(self, frame: bytes, message: Message, now: datetime) -> Event:
        if message.code == "97":
            if self._last_sent is None:
                return self._please_resend("resend", "97")
            return Answer(self._last_sent, "resend", "97")
        if message.code not in REPLY_OF:
            return Ignored("not_a_request", message.code)
        if self._before is not None and self._is_repeat(frame, message, now):
            self._last_sent = self._before[2]
            return Answer(self._before[2], "duplicate", message.code)
        self._move(_SIGNAL_OF.get(message.code, Signal.REQUEST))
        if self.state is State.NEW:
            return self._not_logged_in(message, now)
        if self.state is State.LOGGING_IN:
            message = self._login(frame, message)
            self._open = (frame, message, now)
            return Login(message)
        self._open = (frame, message, now)
        return Request(message)

    def _not_logged_in(self, message: Message, now: datetime) -> Answer:
        if message.code == "99":
            self._last_sent = self._written(message, "98", *offline_status(now))
        else:
            self._last_sent = self._written(message, "94", {"ok": "0"}, ())
        return Answer(self._last_sent, "not_logged_in", message.code)

    def _is_repeat(self, frame: bytes, message: Message, now: datetime) -> bool:
        """Whether this is the frame before once more.

        The whole frame is compared, not AY and AZ alone: two barcodes with swapped digits have one sum, and some kiosks
        never raise AY. The window runs from the first receipt, so that a kiosk polling 99 sees a change in time.
        """
        if message.sequence is None or message.checksum != "ok" or self._before is None:
            return False
        before, since, _ = self._before
        return frame == before and now - since < DUPLICATE_WINDOW

    def _unreadable(self, code: str, error: RemoteProtocolError) -> Event:
        if error.checksum == "bad":
            return self._please_resend("bad_checksum", code)
        if error.code in ("unknown_message", "not_a_message"):
            return Ignored(error.code, code)
        return self._please_resend("unreadable", code)

    def _please_resend(self, reason: str, code: str) -> Answer:
        detects = reason == "bad_checksum" or self.dialect.error_detection is not False
        data = seal(b"96", None, checksum=detects) + self.dialect.terminator
        if code != "97":
            # A spoilt 97 must not make 96 "the last reply": the kiosk would ask for it for ever.
            self._last_sent = data
        return Answer(data, reason, code)

    def _written(
        self, request: Message, code: str, fixed: Mapping[str, str], fields: Iterable[tuple[str, str]]
    ) -> bytes:
        return self.dialect.write(code, fixed, fields, sequence=request.sequence, checksum=request.checksum != "none")

    def _move(self, signal: Signal) -> None:
        following = TRANSITIONS[self.state].get(signal)
        if following is None:
            raise LocalProtocolError("state", f"{signal.value} is not possible in state {self.state.value}.")
        self.state = following
