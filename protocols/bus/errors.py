"""Who broke the bus's rules, and how: errors with a stable code.

As in h11, the base class is never raised itself: `LocalProtocolError` says that our own program asked for something the bus does
not allow, `RemoteProtocolError` that a peer sent it. Neither is worth a retry: the same bytes will be refused again.
"""

from __future__ import annotations

__all__ = ["LocalProtocolError", "ProtocolError", "RemoteProtocolError"]


class ProtocolError(Exception):
    """A rule of the bus was broken; `code` is stable and `fields` say where, for rendering in any language."""

    def __init__(self, code: str, **fields: str | int) -> None:
        if type(self) is ProtocolError:
            raise TypeError("raise LocalProtocolError or RemoteProtocolError: it must be said who was wrong")
        self.code = code
        self.fields = fields
        detail = ", ".join(f"{name}={value!r}" for name, value in fields.items())
        super().__init__(f"{code} ({detail})" if detail else code)


class LocalProtocolError(ProtocolError):
    """Our own program broke the rule; a defect to mend, never to retry."""

    def as_remote(self) -> RemoteProtocolError:
        """The same finding about something that a peer sent."""
        return RemoteProtocolError(self.code, **self.fields)


class RemoteProtocolError(ProtocolError):
    """The peer broke the rule; quarantine what it sent and count it."""
