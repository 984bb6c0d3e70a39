"""Every frame that came and went, for those who build a trace on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

__all__ = ["TraceLine", "Tracer"]


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One frame as it was on the wire, without terminator: PINs and numbers are in it, so it is masked before it is shown.

    `at` is the branch's wall time, `connection` counts connections since the start, `account` is the user of the
    account or None before login. `note` says what became of a frame in that was not executed (`bad_checksum`,
    `duplicate`, `not_logged_in` …) or why a frame out was sent without a decision; empty in the ordinary course.
    """

    at: datetime
    connection: int
    listener: str
    address: str
    account: str | None
    direction: Literal["in", "out"]
    frame: bytes
    encoding: str
    note: str = ""


class Tracer(Protocol):
    """Takes lines as they happen."""

    def note(self, line: TraceLine) -> None:
        """Take a line; called on the event loop for every frame, so it must not wait and must not raise."""
        ...
