"""The live stream: committed events as Server-Sent Events, in log order, resumable by position.

``id`` is the log position; ``Last-Event-ID`` (or ``after``) resumes behind it. A client that was too slow or away too long gets one
``resync`` event and the stream goes on with the newest rows: what was skipped is in ``/events``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import StreamingResponse

from consortium.events import ITEM_KINDS
from consortium.identity import org_of_branch
from hub.api.forms import time_of
from hub.api.problems import Problem, documented
from hub.api.services import Services, authenticate, services_of
from hub.auth.access import Access
from hub.feed import last_position

__all__ = ["router", "visible"]

MAX_STREAMS: Final = 256
PING_S: Final = 15.0
LIFE_S: Final = 600.0
"""A stream ends after ten minutes; the client comes back by itself, and whether it still may is asked again."""
BACKLOG: Final = 1_000
"""Rows a client may be behind; further back it gets ``resync``."""
PAGE: Final = 200

router = APIRouter()

_MOVES = frozenset(kind.value for kind in ITEM_KINDS)


def visible(event: dict[str, Any], access: Access) -> bool:
    """Whether a row of the feed exists for ``access``: the same rule as ``/events`` has."""
    if access.everywhere or org_of_branch(event["branch"]) == access.library:
        return True
    item = event.get("item")
    return item is not None and item["owner"] == access.library and event["kind"] in _MOVES


def message(name: str, data: dict[str, Any], pos: int | None = None) -> bytes:
    """One Server-Sent Event."""
    head = f"event: {name}\n" if pos is None else f"id: {pos}\nevent: {name}\n"
    return f"{head}data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


def _sent(event: dict[str, Any]) -> bytes:
    out = {**event, "t_eff": time_of(event["t_eff"]), "t_arr": time_of(event["t_arr"])}
    if "due" in event["data"]:
        out["data"] = {**event["data"], "due": time_of(event["data"]["due"])}
    return message("event", out, event["pos"])


async def _newest(hub: Services) -> int:
    async with hub.worker.store.read() as conn:
        return await last_position(conn)


async def _rows(hub: Services, access: Access, after: int | None) -> AsyncIterator[bytes]:
    feed = hub.worker.feed
    loop = asyncio.get_running_loop()
    ends = loop.time() + LIFE_S
    yield b"retry: 2000\n\n"
    async with feed.subscribe() as live:
        newest = await _newest(hub)
        at = newest if after is None else after
        if at > newest or newest - at > BACKLOG:  # from another log, or too long ago
            yield message("resync", {"pos": newest}, newest)
            at = newest
        while at < newest:
            page = await feed.since(at, PAGE)
            if not page:
                break
            for event in page:
                at = event["pos"]
                if visible(event, access):
                    yield _sent(event)
        while (left := ends - loop.time()) > 0:
            try:
                event = await live.next(min(PING_S, left))
            except TimeoutError:
                # The position with the ping, so that a client for whom nothing happens need not read the log again.
                yield f": ping\nid: {at}\n\n".encode()
                continue
            if event["kind"] == "RESYNC":
                at = max(at, await _newest(hub))
                yield message("resync", {"pos": at}, at)
            elif event["kind"] == "NODE":  # a branch came or went: no event of the log, so no position
                if access.within(org_of_branch(event["branch"])):
                    yield message("node", {**event, "since": time_of(event["since"])})
            elif event.get("pos", 0) > at:
                at = event["pos"]
                if visible(event, access):
                    yield _sent(event)


def _position(after: str | None, last_event_id: str | None) -> int | None:
    text = last_event_id or after  # a reconnecting browser repeats the address; the header is the newer word
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Problem(422, "POSITION_INVALID", "Last-Event-ID is the id of an event of this stream.")
    return int(text)


@router.get(
    "/stream",
    tags=["stream"],
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-Sent Events `event`, `node` (a branch came or went) and `resync`",
            "content": {"text/event-stream": {}},
        },
        **documented(401, 403, 422, 503),
    },
)
async def stream(
    request: Request,
    after: Annotated[str | None, Query(max_length=18, description="log position to begin behind")] = None,
    last_event_id: Annotated[str | None, Header(max_length=18)] = None,
) -> StreamingResponse:
    """Events as they are committed."""
    hub = services_of(request)
    async with hub.worker.store.read() as conn:
        access = await authenticate(request, conn, hub.clock())
    if not access.allows("read"):
        raise Problem(403, "SCOPE_MISSING", "This needs the scope 'read'.")
    position = _position(after, last_event_id)
    if hub.streams >= MAX_STREAMS:
        raise Problem(503, "STREAMS_FULL", "Too many live streams; try again shortly.", headers={"retry-after": "5"})

    async def counted() -> AsyncIterator[bytes]:
        hub.streams += 1
        try:
            async for part in _rows(hub, access, position):
                yield part
        finally:
            hub.streams -= 1

    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(counted(), media_type="text/event-stream", headers=headers)
