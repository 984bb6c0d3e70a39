"""The port behind which a broker stands, and what every provider of one needs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import socket
import sys
import tempfile
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final, Protocol

from bus.errors import BrokerFailed, PortTaken

__all__ = ["HOST", "MAX_PACKET", "BrokerProvider", "ChildBroker", "free_tcp_port", "speaks_mqtt"]

_log = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"
"""A broker that we start listens here and nowhere else."""
MAX_PACKET: Final = 20_480
"""Bytes of a packet that our brokers accept: 16 KB of message, and room for its topic and properties."""

_START_S: Final = 10.0
_STOP_S: Final = 3.0
# CONNECT, MQTT 5, clean start, keepalive 5 s, no properties, an empty client id (MQTT 5.0 §3.1)
_CONNECT: Final = bytes.fromhex("100d00044d51545405020005000000")
_DISCONNECT: Final = bytes.fromhex("e000")


class BrokerProvider(Protocol):
    """A broker to use: started by us, or somebody else's."""

    @property
    def kind(self) -> str:
        """`iotcore`, `mosquitto` or `external`."""
        ...

    async def start(self) -> str:
        """Bring it up and give its URL once it accepts connections. Raises BrokerMissing, PortTaken, BrokerFailed, WrongUse."""
        ...

    async def stop(self) -> None:
        """End what `start` began; safe to call twice."""
        ...

    async def wait(self) -> int:
        """Return when the broker has ended by itself, with its exit status; an external one never does."""
        ...


def _can_listen(tcp_port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # old connections in TIME_WAIT do not count
        try:
            probe.bind((HOST, tcp_port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_tcp_port() -> int:
    """A TCP port of the loopback that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


async def speaks_mqtt(host: str, tcp_port: int, timeout_s: float = 1.0) -> bool:
    """Whether something there answers an MQTT 5 CONNECT with a CONNACK."""
    writer = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, tcp_port)
            writer.write(_CONNECT)
            answer = await reader.readexactly(1)
            writer.write(_DISCONNECT)
            await writer.drain()
            return answer == b"\x20"
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class ChildBroker(ABC):
    """A broker that runs as our child and cannot outlive us: it ends when the pipe to its stdin closes.

    `tcp_port` 0 takes a free one. Subclasses say with which words to start it and what to write into its folder.
    """

    kind: ClassVar[str] = ""
    config_name: ClassVar[str] = "broker.conf"

    def __init__(self, tcp_port: int = 0) -> None:
        self.tcp_port = tcp_port
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._last_words: deque[str] = deque(maxlen=5)

    @property
    def url(self) -> str:
        """Where it listens; meaningful after `start`."""
        return f"mqtt://{HOST}:{self.tcp_port}"

    @abstractmethod
    def _config(self, tcp_port: int, folder: Path) -> str:
        """Text of its configuration file."""

    @abstractmethod
    def _command(self, config: Path) -> Sequence[str]:
        """How it is started with that file. Raises BrokerMissing where it is not installed."""

    async def start(self) -> str:
        """Start it and wait until it speaks MQTT. Raises PortTaken, BrokerFailed, BrokerMissing."""
        tries = (
            1 if self.tcp_port else 3
        )  # somebody may take a free port between our choosing it and the broker's listening
        for attempt in range(tries):
            tcp_port = self.tcp_port or free_tcp_port()
            if not _can_listen(tcp_port):
                raise PortTaken(
                    f"port {tcp_port} on {HOST} is in use; choose another or stop the program that has it",
                    port=tcp_port,
                )
            try:
                await self._start_at(tcp_port)
            except BrokerFailed:
                if attempt == tries - 1:
                    raise
            else:
                self.tcp_port = tcp_port
                break
        return self.url

    async def _start_at(self, tcp_port: int) -> None:
        folder = Path(tempfile.mkdtemp(prefix="tongjie-broker-"))
        config = folder / self.config_name
        try:
            config.write_text(self._config(tcp_port, folder), encoding="utf-8")
            self._process = process = await asyncio.create_subprocess_exec(
                *self._command(config),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for us; we then end it in order
            )
            self._listening = asyncio.create_task(self._listen(process), name=f"{self.kind} stderr")
            async with asyncio.timeout(_START_S):
                while not await speaks_mqtt(HOST, tcp_port):
                    if process.returncode is not None:
                        await self._listening
                        said = " ".join(self._last_words)
                        raise BrokerFailed(f"the {self.kind} broker ended at once: {said}", status=process.returncode)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            await self.stop()
            raise BrokerFailed(f"the {self.kind} broker did not answer in {_START_S:.0f} s") from None
        except BaseException:
            await self.stop()
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # it was read; a kill of ours later leaves nothing behind

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while chunk := await process.stderr.read(4096):
            for line in chunk.decode("utf-8", "replace").splitlines():
                self._last_words.append(line[:200])
                _log.info("%s: %s", self.kind, line[:200])

    async def stop(self) -> None:
        """Close its stdin, then ask, then kill. Safe to call twice."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            assert process.stdin is not None
            process.stdin.close()
            for end in (None, process.terminate, process.kill):
                if end is not None:
                    with contextlib.suppress(ProcessLookupError):
                        end()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_STOP_S):
                        await process.wait()
                    break
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def wait(self) -> int:
        """Return when it has ended, with its exit status."""
        if self._process is None:
            return 0
        return await self._process.wait()

    @property
    def pid(self) -> int | None:
        """Process id of the child, for supervision; None while it does not run."""
        return None if self._process is None else self._process.pid


def python(module: str, *words: str) -> list[str]:
    """The words that run one of our modules in a child."""
    return [sys.executable, "-m", module, *words]
