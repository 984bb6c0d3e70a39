"""Staff who sign in with a password: the hash check, off the event loop and equally slow for names nobody has."""

from __future__ import annotations

import asyncio
from functools import lru_cache

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from hub.auth.access import Access, role_scopes
from hub.store.schema import staff

__all__ = ["MAX_PASSWORD", "StaffRow", "access_of_staff", "check_password", "staff_row"]

MAX_PASSWORD = 256
"""Longest password looked at, in characters."""

_hashes = PasswordHash((Argon2Hasher(),))


class StaffRow:
    """A staff member as the store holds them."""

    __slots__ = ("library", "password_hash", "role", "username")

    def __init__(self, username: str, password_hash: str, role: str, library: str) -> None:
        self.username = username
        self.password_hash = password_hash
        self.role = role
        self.library = library


@lru_cache(maxsize=1)
def _nobody() -> str:
    return _hashes.hash("nobody has this password")


async def staff_row(conn: AsyncConnection, username: str) -> StaffRow | None:
    """The staff member of that name, None where there is none."""
    if not 0 < len(username) <= 64:
        return None
    row = (await conn.execute(select(staff).where(staff.c.username == username))).one_or_none()
    return None if row is None else StaffRow(row.username, row.password_hash, row.role, row.library)


def access_of_staff(row: StaffRow) -> Access:
    """What a staff member may see and do, by role and library."""
    return Access(actor=f"staff:{row.username}"[:64], library=row.library, scopes=role_scopes(row.role), session=True)


async def check_password(row: StaffRow | None, password: str) -> bool:
    """Whether the password is theirs. Takes as long for nobody as for somebody, and runs in a thread."""
    if len(password) > MAX_PASSWORD:
        return False
    return await asyncio.to_thread(_verify, row.password_hash if row else None, password)


def _verify(known: str | None, password: str) -> bool:
    try:
        matched = _hashes.verify(password, known or _nobody())
    except UnknownHashError:
        return False
    return matched and known is not None
