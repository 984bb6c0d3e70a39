"""Is it alive, is it ready, and what does it count."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse, Response

from hub.api.schemas import Out
from hub.api.services import Services, services_of
from hub.store.schema import cursors, events

__all__ = ["router"]

CHECK_S: Final = 2.0

router = APIRouter(tags=["health"])


class HealthOut(Out):
    """Alive."""

    status: str


class ReadyOut(Out):
    """Whether it can do its work: each part by name, and how many events wait behind a hole in their node's sequence."""

    ready: bool
    database: bool
    broker: bool
    lag_events: int | None
    policy_version: int | None


@router.get("/healthz", response_model=HealthOut)
async def healthz() -> Any:
    """The process answers."""
    return {"status": "alive"}


async def _lag(hub: Services) -> int:
    """Events that are logged but lie above their node's contiguous prefix."""
    # few cursors, and an index on (node, epoch, seq): this stays quick however long the log is
    waiting = (cursors.c.node == events.c.node) & (cursors.c.epoch == events.c.epoch) & (events.c.seq > cursors.c.upto)
    async with hub.worker.store.read() as conn:
        found = (await conn.execute(select(func.count()).select_from(cursors.join(events, waiting)))).scalar_one()
    return int(found)


@router.get("/readyz", response_model=ReadyOut, responses={503: {"model": ReadyOut, "description": "Not ready"}})
async def readyz(request: Request) -> Response:
    """Database, broker and lag; 503 where one of the first two is missing."""
    hub = services_of(request)
    policy = hub.policy
    lag = None
    try:
        lag = await asyncio.wait_for(_lag(hub), CHECK_S)
        database = True
    except (SQLAlchemyError, TimeoutError):
        database = False
    broker = hub.worker.broker_up
    ready = database and broker
    version = None if policy is None else policy.version
    body = {"ready": ready, "database": database, "broker": broker, "lag_events": lag, "policy_version": version}
    return JSONResponse(body, 200 if ready else 503)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    registry = services_of(request).worker.metrics.registry
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
