"""A reader's session at the edge's own kiosk: its states, and what the kiosk says where it does not do something."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from consortium.identity import ItemKey
from consortium.reasons import text
from edge.answers import Identified
from edge.kiosk.texts import own_text
from edge.lookup import LoanId
from edge.selfservice.sets import ItemSet


class SessionState(Enum):
    """Where a session stands."""

    SIGNED_IN = "SIGNED_IN"
    WORKING = "WORKING"
    ENDED = "ENDED"


class Step(Enum):
    """What moves a session."""

    BEGIN = "BEGIN"
    FINISH = "FINISH"
    END = "END"


TRANSITIONS: dict[SessionState, dict[Step, SessionState]] = {
    SessionState.SIGNED_IN: {Step.BEGIN: SessionState.WORKING, Step.END: SessionState.ENDED},
    SessionState.WORKING: {Step.FINISH: SessionState.SIGNED_IN},
    SessionState.ENDED: {},
}
"""state → {step: next}. Work under way is finished before a session can end; a missing step is refused as SESSION_BUSY."""


class KioskRefusal(Exception):
    """The kiosk does not do it; ``code`` and ``text`` are shown to the reader, ``status`` is HTTP's."""

    def __init__(self, code: str, lang: str, status: int = 409) -> None:
        super().__init__(code)
        self.code = code
        self.text = own_text(code, lang) or text(code, lang)
        self.status = status


@dataclass(frozen=True, slots=True)
class Lent:
    """An item lent in a session: the tags that lay there, and which loan it is."""

    stack: ItemSet
    loan: LoanId


@dataclass(slots=True)
class KioskSession:
    """One reader's session; ``seen`` on the monotonic clock, in seconds."""

    id: str
    reader: Identified
    lang: str
    seen: float
    state: SessionState = SessionState.SIGNED_IN
    lent: dict[ItemKey, Lent] = field(default_factory=dict)
    """What was lent in this session and has not come back."""
    ending: bool = False
    """The reader is done while work goes on: the session ends with that work."""

    def move(self, step: Step) -> None:
        """Take a step of TRANSITIONS; raises KioskRefusal SESSION_ENDED or SESSION_BUSY."""
        following = TRANSITIONS[self.state].get(step)
        if following is None:
            code = "SESSION_ENDED" if self.state is SessionState.ENDED else "RATE_LIMITED"
            raise KioskRefusal(code, self.lang)
        self.state = following
