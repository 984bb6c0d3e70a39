"""Who broke SIP2: the peer (`RemoteProtocolError`) or we ourselves (`LocalProtocolError`)."""

from __future__ import annotations

from typing import Any

__all__ = ["LocalProtocolError", "ProtocolError", "RemoteProtocolError"]


class ProtocolError(Exception):
    """A rule of SIP2 was broken; raised only as one of its two subclasses.

    `code` is a stable key for programs; `message_code` is the SIP2 message's two digits where they were read. The text
    never holds a value from the wire, so that it may be logged.
    """

    def __init__(
        self,
        code: str,
        text: str,
        *,
        message_code: str | None = None,
        sequence: str | None = None,
        checksum: str = "none",
        right: str | None = None,
    ) -> None:
        if type(self) is ProtocolError:
            raise TypeError("raise LocalProtocolError or RemoteProtocolError, which say who was wrong")
        super().__init__(text)
        self.code = code
        self.message_code = message_code
        self.sequence = sequence
        self.checksum = checksum
        self.right = right

    def details(self) -> dict[str, Any]:
        """What was read before the fault: code, sequence, checksum and the true AZ, for decoders that print it."""
        found: dict[str, Any] = {"code": self.message_code, "sequence": self.sequence, "checksum": self.checksum}
        if self.right is not None:
            found["right"] = self.right
        return found


class LocalProtocolError(ProtocolError):
    """We were about to send or do what SIP2 forbids: a fault in our own code, never retried.

    Codes: `unknown_message`, `fixed_part`, `field`, `state`.
    """


class RemoteProtocolError(ProtocolError):
    """The peer sent what cannot be understood; nothing of it was executed, and the connection may go on.

    Codes: `empty`, `not_a_message`, `unknown_message`, `fixed_part`, `field`, `frame_too_long`, `date`, `no_answer`.
    """
