"""A serial line as the transport of a connection: the one thing that is different from TCP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from drivers.port import Port, PortError

if TYPE_CHECKING:
    from drivers.selfcheck.connection import Connection

__all__ = ["LineTransport"]

_READ = 4096
_HIGH, _LOW = 16_384, 4_096
"""Bytes waiting to be written at which the connection is told to pause and to go on; 16 KB take 17 s at 9600 baud."""


class LineTransport(asyncio.Transport):
    """Joins a `drivers.port` port and a connection until the port is lost; `heard` tells whether anything ever came."""

    def __init__(self, port: Port, connection: Connection) -> None:
        super().__init__({"peername": None})
        self.heard = False
        self._port = port
        self._connection = connection
        self._waiting = bytearray()
        self._more = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._closing = False
        self._paused = False

    async def run(self) -> str:
        """Serve the line until it is lost or ended; gives why, as a code of `drivers.port`."""
        self._connection.connection_made(self)
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            self._closing = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._port.close()
            self._connection.connection_lost(None)

    async def _read(self) -> str:
        try:
            while not self._closing:
                await self._may_read.wait()
                data = await self._port.read(_READ)
                self.heard = True
                self._connection.received(data)
        except PortError as error:
            return error.code
        return "closed"

    async def _write(self) -> str:
        try:
            while self._waiting or not self._closing:
                await self._more.wait()
                self._more.clear()
                if data := bytes(self._waiting):
                    await self._port.write(data)
                    del self._waiting[: len(data)]
                if self._paused and len(self._waiting) <= _LOW:
                    self._paused = False
                    self._connection.resume_writing()
        except PortError as error:
            return error.code
        return "closed"

    # --- the transport as the connection sees it

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Queue bytes."""
        if self._closing:
            return
        self._waiting += data
        self._more.set()
        if not self._paused and len(self._waiting) > _HIGH:
            self._paused = True
            self._connection.pause_writing()

    def is_closing(self) -> bool:
        """Whether the line is being given up."""
        return self._closing

    def close(self) -> None:
        """Give the line up once what waits is written; it is opened again and the next session begins."""
        self._closing = True
        self._more.set()

    def abort(self) -> None:
        """Give the line up at once."""
        self._waiting.clear()
        self.close()

    def pause_reading(self) -> None:
        """Let bytes wait in the port."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Read again."""
        self._may_read.set()
