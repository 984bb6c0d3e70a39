"""How a library system speaks: told by configuration or learned from its answers, and shared by all connections to it."""

from __future__ import annotations

from itertools import product

from protocols.sip2 import ClientSession, Dialect, Message

__all__ = ["Peer"]

_NAMES = {b"\r": "CR", b"\n": "LF", b"\r\n": "CRLF"}


class Peer:
    """``encoding`` "auto", ``terminator`` None and ``error_detection`` None are learned.

    A server that answers nothing at all to a first message is tried with the next way of speaking at the next connection: CR with
    AY/AZ as the standard has it, then CRLF, then both without AY/AZ. The first answer settles it. The order matters: a server that
    wants CR alone may read a stray LF as a broken message for ever.
    """

    def __init__(
        self, *, encoding: str = "auto", terminator: bytes | None = None, error_detection: bool | None = None
    ) -> None:
        self._encoding = encoding
        self._dialect = Dialect() if encoding == "auto" else None
        self._learns_detection = error_detection is None
        ends = (b"\r", b"\r\n") if terminator is None else (terminator,)
        detections = (True, False) if error_detection is None else (error_detection,)
        self._ways = [(end, detection) for detection, end in product(detections, ends)]
        self._way = 0
        self.settled = len(self._ways) == 1
        self.one_at_a_time = False
        """Set once it mixed up several open requests: never again more than one."""

    @property
    def terminator(self) -> bytes:
        """What ends a message to it."""
        return self._ways[self._way][0]

    @property
    def error_detection(self) -> bool:
        """Whether AY and AZ are sent to it."""
        return self._ways[self._way][1]

    def session(self, *, depth: int, retries: int) -> ClientSession:
        """A new connection's session."""
        return ClientSession(
            encoding="utf-8" if self._dialect else self._encoding,
            terminator=self.terminator,
            error_detection=self.error_detection,
            retries=retries,
            depth=1 if self.one_at_a_time else depth,
            dialect=self._dialect,
        )

    def heard(self, session: ClientSession, reply: Message) -> None:
        """Learn from a connection's first answer."""
        detection = self.error_detection
        if self._learns_detection and reply.code != "96":
            detection = detection and reply.checksum != "none"
        self._ways, self._way, self.settled = [(self.terminator, detection)], 0, True
        session.error_detection = detection

    def silent(self) -> None:
        """A first message was answered by nothing at all."""
        if not self.settled:
            self._way = (self._way + 1) % len(self._ways)

    def public(self) -> dict[str, str | bool]:
        """What is known of it, to be shown."""
        encoding = self._dialect.encoding if self._dialect else self._encoding
        return {
            "terminator": _NAMES.get(self.terminator, "CR"),
            "error_detection": self.error_detection,
            "encoding": encoding,
            "encoding_settled": self._dialect.encoding_settled if self._dialect else True,
            "settled": self.settled,
        }
