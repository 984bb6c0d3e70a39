"""Access: the one value that says who asks and what exists for them (platform §9).

It is made from an API token or from a staff member's role and goes down to the query layer, which adds it to every statement.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["ALL", "ROLES", "SCOPES", "Access", "role_scopes"]

ALL: Final = "*"
"""The library of somebody who sees the whole consortium."""

SCOPES: Final[dict[str, str]] = {
    "read": "read every list, and the live stream",
    "decide": "ask the hub what it would decide",
    "write": "set and lift blocks",
    "admin": "make and revoke API tokens, read the audit",
}
"""Scopes and what each allows; none contains another."""

_VIEWER = frozenset({"read"})
_OPERATOR = _VIEWER | {"decide", "write"}
_ADMIN = _OPERATOR | {"admin"}
ROLES: Final[dict[str, frozenset[str]]] = {
    "viewer": _VIEWER,
    "operator": _OPERATOR,
    "library_admin": _ADMIN,
    "consortium_admin": _ADMIN,
}
"""Staff roles and the scopes they grant; for which library stands beside the role."""


def role_scopes(role: str) -> frozenset[str]:
    """The scopes of a role; a role nobody knows grants nothing."""
    return ROLES.get(role, frozenset())


@dataclass(frozen=True, slots=True)
class Access:
    """Who asks (``actor``, as the audit names them), for which library (``*`` = all) and with which scopes.

    ``session`` is true for a browser's cookie, whose writes need a CSRF token; an API token's do not.
    """

    actor: str
    library: str
    scopes: frozenset[str]
    session: bool = False

    @property
    def everywhere(self) -> bool:
        """Whether rows of every library exist for this access."""
        return self.library == ALL

    def allows(self, scope: str) -> bool:
        """Whether the scope was granted."""
        return scope in self.scopes

    def within(self, library: str) -> bool:
        """Whether ``library`` is theirs to act for."""
        return self.everywhere or self.library == library

    def could_grant(self, scopes: Iterable[str], library: str) -> bool:
        """Whether a token with these scopes for that library would reach no further than this access."""
        return self.within(library) and self.scopes.issuperset(scopes)
