"""A login in the manner of telnet before SIP2 begins, as some library systems ask it of their kiosks.

`login:`, a line, `Password:`, a line. Words and order are those of SIPServer's telnet transport, which such kiosks are
set up for. A kiosk that begins with SIP2 all the same is taken at its word.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

__all__ = ["NOTHING_YET", "Credentials", "LoginPrompt", "Sip2Begins", "TooMuch"]

_IAC = 0xFF
_MAX_LINE = 256
_TRIES = 3
_MESSAGES = (b"93", b"99", b"97")


class NothingYet(Enum):
    """The type of `NOTHING_YET`."""

    NOTHING_YET = "nothing_yet"


NOTHING_YET: Final = NothingYet.NOTHING_YET
"""A line is not whole yet."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password were typed; answer with `accepted` or `refused`."""

    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Sip2Begins:
    """The peer speaks SIP2: these bytes belong to it."""

    data: bytes


@dataclass(frozen=True, slots=True)
class TooMuch:
    """A line without end, or too many wrong logins: close the connection."""


class LoginPrompt:
    """Lines in, questions out. `asked` are bytes to send, taken by `take_questions`."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._user: str | None = None
        self._tries = 0
        self._done = False
        self._after_cr = False
        self._questions = b"login: "

    def receive(self, data: bytes) -> None:
        """Take bytes as they come."""
        self._buffer += data

    def take_questions(self) -> bytes:
        """What is to be sent now."""
        said, self._questions = self._questions, b""
        return said

    def accepted(self) -> bytes:
        """What is sent before SIP2 begins; gives SIPServer's words."""
        self._done = True
        return b"Login OK.  Initiating SIP\r\n"

    def refused(self) -> None:
        """Ask again."""
        self._tries += 1
        self._user = None
        self._questions = b"Invalid login\r\n" + (b"login: " if self._tries < _TRIES else b"")

    def next_event(self) -> Credentials | Sip2Begins | TooMuch | Literal[NothingYet.NOTHING_YET]:
        """What the peer wants now."""
        if self._done:
            data = bytes(self._buffer)
            self._buffer.clear()
            return Sip2Begins(data.lstrip(b"\n\0"))
        if self._tries >= _TRIES:
            return TooMuch()
        while (line := self._line()) is not None:
            if self._user is None and line[:2] in _MESSAGES:
                self._done = True
                return Sip2Begins(line + b"\r" + bytes(self._buffer))
            text = line.decode("utf-8", "replace").strip()
            if self._user is not None:
                return Credentials(self._user, text)
            if text:
                self._user = text
                self._questions += b"Password: "
        return TooMuch() if len(self._buffer) > _MAX_LINE else NOTHING_YET

    def _line(self) -> bytes | None:
        """The next line without terminator and without telnet's own commands; None until there is one."""
        if self._after_cr and self._buffer:
            self._after_cr = False
            if self._buffer[0] in b"\n\0":  # telnet ends a line with CR LF or CR NUL
                del self._buffer[0]
        at = next((i for i, byte in enumerate(self._buffer) if byte in b"\r\n"), None)
        if at is None:
            return None
        line = bytes(self._buffer[:at])
        self._after_cr = self._buffer[at] == 0x0D
        del self._buffer[: at + 1]
        return _without_commands(line)


def _without_commands(line: bytes) -> bytes:
    """A line without IAC sequences (RFC 854: three bytes for WILL, WONT, DO, DONT, else two)."""
    kept, at = bytearray(), 0
    while at < len(line):
        if line[at] != _IAC:
            kept.append(line[at])
            at += 1
        else:
            at += 3 if line[at + 1 : at + 2] >= b"\xfb" else 2
    return bytes(kept)
