"""One request of one kiosk, with what its handlers need to know about where it came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Protocol

from drivers.selfcheck import KioskSession, Reply, refusal
from edge.answers import ItemRef
from edge.selfservice.pin import SessionPin
from edge.selfservice.sip2.texts import line, sentence
from edge.sip2_config import AccountConfig
from protocols.sip2 import Message

_CHINESE = frozenset(("019", "027", "000"))
"""Chinese, Taiwanese, and what a session says whose account reads Chinese."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where the kiosks stand: ``orgs`` are the members' codes, ``wall`` the branch's wall time, ``key`` the library's."""

    branch: str
    orgs: Callable[[], frozenset[str]]
    wall: Callable[[], datetime]
    due_text: Callable[[int], str]
    now: Callable[[], int]
    key: bytes


def lang_of(session: KioskSession) -> str:
    """The language of texts for a session: what the kiosk last asked for, else its account's."""
    return "zh" if session.language in _CHINESE else "en"


class Result(Protocol):
    """Something of ``drivers.selfcheck`` that knows how it stands on the wire."""

    def reply(self, session: KioskSession, request: Message, now: datetime) -> Reply:
        """As it stands on the wire."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """A request under way. ``lang`` is zh or en."""

    session: KioskSession
    request: Message
    account: AccountConfig
    site: Site
    lang: str

    @property
    def device(self) -> str:
        """The kiosk's device id in events."""
        return self.account.device

    @property
    def zone(self) -> tzinfo | None:
        """The branch's zone, in which a kiosk's dates without one are read."""
        return self.site.wall().tzinfo

    @property
    def number(self) -> str:
        """Who the kiosk says stands before it."""
        return self.request.get("AA").strip()

    @property
    def pin(self) -> str:
        """The PIN given, empty where none was."""
        return self.request.get("AD")

    @property
    def item(self) -> ItemRef:
        """The item the kiosk names."""
        number = self.request.get("AB").strip()
        return ItemRef.typed(number, self.site.orgs()) if ":" in number else ItemRef(None, number)

    @property
    def no_block(self) -> bool:
        """Whether it already happened while the kiosk was off line (SIP2 2.00, no block)."""
        return self.request.fixed.get("no_block") == "Y"

    @property
    def cancels(self) -> bool:
        """Whether it undoes a counterpart that failed at the kiosk (SIP2 2.00, cancel)."""
        return self.request.get("BI") == "Y"

    @property
    def session_pin(self) -> SessionPin:
        """What the session remembers of its reader's PIN."""
        kept = self.session.state.get("pin")
        if not isinstance(kept, SessionPin):
            kept = self.session.state["pin"] = SessionPin()
        return kept

    @property
    def width(self) -> int:
        """Characters of a receipt's line, as the kiosk said in its 99; 0 = it did not say."""
        width = self.session.state.get("width")
        return width if isinstance(width, int) else 0

    def local(self, at_ms: int) -> datetime:
        """An instant on the branch's wall clock."""
        return datetime.fromtimestamp(at_ms / 1000, self.zone)

    def text(self, code: str) -> str:
        """A sentence in the session's language."""
        return sentence(code, self.lang)

    def line(self, code: str) -> str:
        """A screen line in the session's language."""
        return line(code, self.lang)

    def receipt(self, *lines: str) -> list[str]:
        """Lines to print, cut to the kiosk's width; empty ones left out. Nothing about the reader stands here (domain M13)."""
        return [text[: self.width] if self.width else text for text in lines if text]

    def reply(self, result: Result) -> Reply:
        """A result as the reply to this request."""
        return result.reply(self.session, self.request, self.site.wall())

    def refuse(self, code: str, *more: str) -> Reply:
        """The negative reply to this request with its reason."""
        return refusal(self.session, self.request, self.site.wall(), [self.line(code), *more])
