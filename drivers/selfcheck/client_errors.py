"""Why a question to a library system got no answer. Every one carries a stable `code` and never a value from the wire."""

from __future__ import annotations

__all__ = ["CircuitOpen", "LoginRefused", "OffLine", "PoolBusy", "Unfit", "Unreachable"]


class Unreachable(ConnectionError):
    """The library system cannot be reached or has gone silent; worth trying again later.

    Codes: `unreachable` (nobody there), `timeout` (silent), `lost` (the connection went while it was asked), `no_answer`
    (nothing usable, even when asked again), `out_of_step` (it mixed up several open requests).
    """

    def __init__(self, text: str, code: str = "unreachable") -> None:
        super().__init__(text)
        self.code = code


class OffLine(Unreachable):
    """It answers, and says that it is off line (98). `code`: `off_line`."""

    def __init__(self) -> None:
        super().__init__("The library system says that it is off line.", "off_line")


class CircuitOpen(Unreachable):
    """It was not asked: the last attempts failed, and it is being probed. `code`: `circuit_open`."""

    def __init__(self, text: str = "The library system did not answer lately; it is asked again soon.") -> None:
        super().__init__(text, "circuit_open")


class PoolBusy(Unreachable):
    """It was not asked: no connection became free in time. `code`: `busy`."""

    def __init__(self) -> None:
        super().__init__("Every connection to the library system was in use; try again.", "busy")


class LoginRefused(PermissionError):
    """The library system does not know this user and password; trying again will not help. `code`: `login_refused`."""

    code = "login_refused"

    def __init__(self, text: str = "The library system refused this user and password.") -> None:
        super().__init__(text)


class Unfit(ConnectionError):
    """What answers cannot be worked with: its 98 names no protocol version. A person must look. `code`: `no_version`."""

    code = "no_version"

    def __init__(self) -> None:
        super().__init__("The library system's status (98) names no protocol version; is it a SIP2 server?")
