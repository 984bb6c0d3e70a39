"""What the trace pages say of each kiosk: how it is configured, what was learned of it, and what came from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from edge.trace.book import TraceBook

__all__ = ["AccountLike", "Kiosks", "book_of"]

Row = Mapping[str, Any]


class AccountLike(Protocol):
    """What is needed of a SIP2 account's configuration (`edge.sip2_config.AccountConfig`)."""

    @property
    def user(self) -> str:
        """As there."""

    @property
    def device(self) -> str:
        """As there."""

    @property
    def kind(self) -> str:
        """As there."""

    @property
    def encoding(self) -> str:
        """As there."""

    @property
    def terminator(self) -> bytes | None:
        """As there."""

    @property
    def error_detection(self) -> bool | None:
        """As there."""

    @property
    def delimiter(self) -> str:
        """As there."""


_TERMINATORS = {b"\r": "CR", b"\n": "LF", b"\r\n": "CRLF", None: "auto"}
_CHECKSUMS = {True: "on", False: "off", None: "auto"}


def book_of(accounts: Iterable[AccountLike]) -> TraceBook:
    """A book in which kiosks are called by their device ids."""
    known = {account.user: account for account in accounts}

    def called(user: str) -> str:
        return known[user].device if user in known else user

    def delimiter(user: str | None) -> str:
        return known[user].delimiter if user is not None and user in known else "|"

    return TraceBook(called=called, delimiter=delimiter)


class Kiosks:
    """The kiosks of an edge. ``sessions`` gives the server's own view of every logged-in connection (`Sip2Server.public`)."""

    def __init__(self, book: TraceBook, accounts: Iterable[AccountLike], sessions: Callable[[], Sequence[Row]]) -> None:
        self._book = book
        self._accounts = {account.user: account for account in accounts}
        self._sessions = sessions

    def all(self) -> list[dict[str, Any]]:
        """Every configured kiosk, connected or not, then what came without a login; by name."""
        found: dict[str, dict[str, Any]] = {}
        for account in self._accounts.values():
            found[account.device] = _blank(account.device) | {
                "kind": account.kind,
                "configured": {
                    "encoding": account.encoding,
                    "terminator": _TERMINATORS.get(account.terminator, "auto"),
                    "checksum": _CHECKSUMS[account.error_detection],
                    "delimiter": account.delimiter,
                },
            }
        for session in self._sessions():
            user = str(session.get("account", ""))
            name = self._accounts[user].device if user in self._accounts else user
            kiosk = found.setdefault(name, _blank(name))
            kiosk["connections"].append({key: value for key, value in session.items() if key != "account"})
        for traced in self._book.kiosks():
            found.setdefault(traced["kiosk"], _blank(traced["kiosk"])).update(traced)
        return [found[name] for name in sorted(found, key=lambda name: (name.startswith("("), name))]

    def one(self, kiosk: str) -> dict[str, Any] | None:
        """One of them, None where there is no such kiosk."""
        return next((each for each in self.all() if each["kiosk"] == kiosk), None)


def _blank(name: str) -> dict[str, Any]:
    return {
        "kiosk": name,
        "kind": "",
        "configured": {},
        "connections": [],
        "lines": 0,
        "odd": 0,
        "kept": 0,
        "last_at": None,
    }
