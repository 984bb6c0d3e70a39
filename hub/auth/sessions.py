"""Console sessions: a signed cookie that names a staff member, and the CSRF token that belongs to it.

The cookie holds no right: the staff row is read again for every request, so that a changed role, a changed password or a deleted name
takes effect at once.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from itsdangerous import BadSignature, URLSafeSerializer

from hub.auth.staff import StaffRow

__all__ = ["COOKIE", "SESSION_MS", "Session", "Sessions"]

COOKIE = "tj_session"
SESSION_MS = 12 * 3_600_000
"""How long a sign-in lasts: one working day."""


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in: who, a random id, and when it ends (ms UTC)."""

    username: str
    sid: str
    ends_ms: int
    mark: str


class Sessions:
    """Makes and reads the cookie. ``secret`` is the hub's own, at least 16 bytes; raises ValueError for less."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 16:
            raise ValueError("sessions need a secret of at least 16 bytes")
        self._key = hmac.new(secret, b"tongjie-console-session", hashlib.sha256).digest()
        self._signer = URLSafeSerializer(
            self._key, salt="console", signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        )

    def _mac(self, *parts: str) -> str:
        return hmac.new(self._key, "\x1f".join(parts).encode(), hashlib.sha256).hexdigest()[:32]

    def open(self, row: StaffRow, entropy: bytes, now: int) -> tuple[str, Session]:
        """A new session for somebody who just proved who they are, and its cookie. ``entropy``: 16 random bytes."""
        session = Session(row.username, entropy.hex(), now + SESSION_MS, self._mac("mark", row.password_hash))
        cookie = self._signer.dumps([session.username, session.sid, session.ends_ms, session.mark])
        return str(cookie), session

    def read(self, cookie: str, now: int) -> Session | None:
        """The session of a cookie; None where it was not made here, was changed, or is over."""
        if len(cookie) > 1024:
            return None
        try:
            username, sid, ends_ms, mark = self._signer.loads(cookie)
        except (BadSignature, ValueError, TypeError):
            return None
        return Session(username, sid, ends_ms, mark) if now < ends_ms else None

    def fits(self, session: Session, row: StaffRow) -> bool:
        """Whether the password is still the one the session began with."""
        return hmac.compare_digest(session.mark, self._mac("mark", row.password_hash))

    def csrf(self, session: Session) -> str:
        """The token every write of this session carries."""
        return self._mac("csrf", session.sid)

    def csrf_fits(self, session: Session, given: str) -> bool:
        """Whether ``given`` is this session's token, compared in constant time."""
        return hmac.compare_digest(self.csrf(session).encode(), given.encode())
