"""People at a book drop with an antenna: a book is put in, and the courier or the shelf gets it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any
from urllib.parse import urlsplit

from firmware_sim.branch_client import SimBranchClient
from firmware_sim.players.world import Book

DEVICE = "drop1"
WAIT_S = 8.0
_LIMIT = 1_048_576


class DropError(Exception):
    """The drop did not say what became of a book."""


async def put_in(client: SimBranchClient, edge: str, book: Book) -> dict[str, Any] | None:
    """Put a book before the antenna until the branch has taken it; gives its row of the drop's list, None where it was not taken."""
    laid = await client.do("place", device=DEVICE, **book.tag.laid(book.item_no))
    try:
        return await _taken(edge, book)
    finally:
        lifted = await client.do("lift", device=DEVICE, tid=laid["tid"])
        if lifted.get("found"):
            book.tag.pc, book.tag.epc = _word(lifted["pc"]), str(lifted["epc"])


def _word(value: object) -> int:
    return int(value, 16) if isinstance(value, str) else int(str(value))


async def _taken(edge: str, book: Book) -> dict[str, Any] | None:
    began_ms = time.time() * 1000 - 1000
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        for row in await _rows(edge):
            if row.get("item_no") == book.item_no and row.get("at", 0) >= began_ms:
                return row
        await asyncio.sleep(0.2)
    return None


async def _rows(edge: str) -> list[dict[str, Any]]:
    """The drop's list as the staff station shows it; this machine needs no password for it."""
    parts = urlsplit(edge)
    stream, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=_LIMIT)
    try:
        head = f"GET /station/api/state HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()
        async with asyncio.timeout(10):
            answer = await stream.read(-1)
    finally:
        writer.close()
    try:
        found = json.loads(answer.partition(b"\r\n\r\n")[2])
        return [row for drop in found["drops"].values() for row in drop["rows"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DropError("the drop's list cannot be read") from error
