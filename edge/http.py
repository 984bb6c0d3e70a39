"""The edge's HTTP: health, metrics, state, and the kiosk. Nothing here names a reader or a card."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

State = Callable[[], dict[str, Any]]


def make_app(
    *,
    state: State,
    latency: State,
    not_ready: Callable[[], list[str]],
    registry: CollectorRegistry,
    before_metrics: Callable[[], None],
) -> FastAPI:
    """The application. ``not_ready`` gives the kinds of what keeps the edge from serving; ``before_metrics`` refreshes gauges."""
    app = FastAPI(title="Tongjie edge", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        missing = not_ready()
        return JSONResponse({"ready": not missing, "missing": missing}, status_code=503 if missing else 200)

    @app.get("/metrics")
    async def metrics() -> Response:
        before_metrics()
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/state")
    async def whole_state() -> dict[str, Any]:
        return state()

    @app.get("/state/latency")
    async def latencies() -> dict[str, Any]:
        return latency()

    return app
