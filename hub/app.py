"""The hub's HTTP application, and the process that serves it beside the worker."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope

from hub.api import administration, blocks, decisions, health, overview, reads, replica, stream
from hub.api.bounds import Bounds
from hub.api.problems import ProblemOut, install
from hub.api.services import CallerSchemes, Services, system_clock
from hub.auth.sessions import Sessions
from hub.config import ConfigError, HubConfig, master_key
from hub.console import entry, routes
from hub.console.pages import STATIC
from hub.worker import HubWorker

__all__ = ["create_app", "listen", "serve"]


def _version() -> str:
    try:
        return version("tongjie")
    except PackageNotFoundError:
        return "0"


class _Static(StaticFiles):
    """Static files that a browser asks after every time (an unchanged one costs a 304), so that an upgrade shows at once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """One file."""
        answer = await super().get_response(path, scope)
        answer.headers["cache-control"] = "no-cache"
        return answer


def create_app(worker: HubWorker, *, clock: Callable[[], int] = system_clock) -> FastAPI:
    """The application over a worker that somebody else starts and stops. ``clock`` tells ms UTC."""
    app = FastAPI(
        title="Tongjie hub",
        version=_version(),
        description="The consortium's ledger, policy and decisions. Times are RFC 3339 UTC, errors RFC 9457 with `code`.",
        openapi_url="/api/openapi.json",
        docs_url=None,  # these pages would load scripts from elsewhere
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        separate_input_output_schemas=False,
    )
    app.state.services = Services(worker, Sessions(master_key(worker.config)), clock)
    install(app)
    app.add_middleware(Bounds)
    api = APIRouter(prefix="/api/v1", dependencies=CallerSchemes)
    for part in (overview, stream, blocks, decisions, administration, reads):
        api.include_router(part.router)
    app.include_router(api)
    app.include_router(health.router)
    app.include_router(replica.router)
    app.include_router(entry.router)
    app.include_router(routes.router)
    app.mount("/static", _Static(directory=STATIC), name="static")
    _document_problems(app)
    return app


def _document_problems(app: FastAPI) -> None:
    """Put the model of every error into the document: answers only point to it."""
    made = app.openapi

    def openapi() -> dict[str, object]:
        document = made()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "ProblemOut" not in schemas:
            problem = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(problem.pop("$defs", {}))
            schemas["ProblemOut"] = problem
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend its document


def listen(host: str, tcp_port: int) -> socket.socket:
    """A bound socket for HTTP, 0 = any free port. Raises ConfigError PORT_TAKEN with what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY on every connection; without, each answer waits 40 ms for an ack.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, tcp_port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            "PORT_TAKEN",
            f"http.port: {host}:{tcp_port} cannot be used ({error.strerror}); "
            "stop what uses it or set another port (0 = any free one)",
        ) from error
    return listener


class _Server(uvicorn.Server):
    """uvicorn that says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        if self.started:
            self._ready()


@asynccontextmanager
async def _running(worker: HubWorker) -> AsyncIterator[None]:
    await worker.start()
    try:
        yield
    finally:
        await worker.stop()


async def serve(config: HubConfig, *, announce: Callable[[str], None] | None = None) -> None:
    """Run worker and HTTP until SIGTERM or SIGINT. ``announce`` gets one line of JSON when everything answers.

    Raises ConfigError where a setting cannot be used.
    """
    listener = listen(config.http_host, config.http_port)
    try:
        worker = HubWorker(config)
        async with _running(worker):
            host, tcp_port = listener.getsockname()[:2]
            line = json.dumps({"hub": f"http://{host}:{tcp_port}", "node": config.node, "ready": True})
            settings = uvicorn.Config(
                create_app(worker),
                timeout_graceful_shutdown=2,  # an open stream would hold a shutdown up for ever
                timeout_keep_alive=15,
                limit_concurrency=2_000,
                h11_max_incomplete_event_size=65_536,
                server_header=False,
                access_log=False,
                log_config=None,
                lifespan="off",
            )
            server = _Server(settings, lambda: announce(line) if announce else None)
            await server.serve(sockets=[listener])
    finally:
        listener.close()
    await asyncio.sleep(0)
