"""One edge as a process: its HTTP socket, its signals, and the line that says it is ready."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from edge.agent import Agent
from edge.config import ConfigError, EdgeConfig

GC_THRESHOLDS = (50_000, 20, 100)
"""An edge makes a few hundred objects a message, nearly all freed by their reference counts: looking for cycles every 700 of them, as
Python does by itself, costs a tenth of its time (``tongjie bench checkout``). What stood at the start is never looked at again."""


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to us and says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave SIGTERM and SIGINT to `serve`, which stops the agent in order."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        if self.started:
            self._ready()


def listen(config: EdgeConfig) -> socket.socket:
    """The HTTP socket. Raises ConfigError PORT_TAKEN."""
    family = socket.AF_INET6 if ":" in config.http_host else socket.AF_INET
    # The protocol by name: asyncio sets TCP_NODELAY only on sockets that say it.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((config.http_host, config.http_port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            "PORT_TAKEN",
            f"http.port: {config.http_host}:{config.http_port} cannot be used ({error.strerror}); "
            "stop what uses it or set another port (0 = any free one)",
        ) from error
    return listener


async def serve(config: EdgeConfig, announce: Callable[[str], None]) -> None:
    """Run one edge until SIGTERM or SIGINT; ``announce`` gets one JSON line when everything answers.

    Raises ConfigError and OutboxError.
    """
    listener = listen(config)
    try:
        agent = Agent(config)
        await agent.start()
        host, tcp_port = listener.getsockname()[:2]

        def ready() -> None:
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
            sip2 = agent.sip2_at or ("", 0)
            line = {
                "edge": f"http://{host}:{tcp_port}",
                "kiosk": f"http://{host}:{tcp_port}/kiosk" if agent.kiosk is not None else None,
                "sip2": {"host": sip2[0], "port": sip2[1]},
                "node": config.node,
                "branch": config.branch,
                "pid": os.getpid(),
                "ready": True,
            }
            announce(json.dumps(line))

        settings = uvicorn.Config(
            agent.app,
            timeout_graceful_shutdown=2,  # an open event stream would hold a shutdown up for ever
            timeout_keep_alive=15,
            limit_concurrency=500,
            h11_max_incomplete_event_size=65_536,
            server_header=False,
            access_log=False,
            log_config=None,
            lifespan="off",
        )
        server = _Server(settings, ready)

        def stop() -> None:
            agent.stopping.set()
            if agent.kiosk is not None:
                agent.kiosk.changes.tell()
            server.should_exit = True

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        try:
            await server.serve(sockets=[listener])
        finally:
            await agent.stop()
    finally:
        listener.close()
