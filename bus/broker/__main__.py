"""A broker in the foreground: `python -m bus.broker --kind iotcore --port N`.

Prints one line of JSON, `{"url": …, "kind": …}`, when it accepts connections. Ends in order at SIGTERM, SIGINT or when stdin closes
(status 0). Status 2: the port is taken or the kind is not installed; 1: the broker died.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import stat
import sys
from typing import Any

from bus.broker import make_broker
from bus.errors import BrokerFailed, BusError


def _watch_stdin(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """Take the end of stdin as the end of our parent; a terminal, a file or nothing there says nothing about it."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return

    def readable() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            ended.set()

    loop.add_reader(0, readable)


async def _serve(kind: str, tcp_port: int) -> int:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    _watch_stdin(loop, ended)
    broker = make_broker(kind, tcp_port=tcp_port)
    waits: set[asyncio.Task[Any]] = set()
    try:
        url = await broker.start()
        sys.stdout.write(json.dumps({"url": url, "kind": kind}) + "\n")
        sys.stdout.flush()
        died, told = asyncio.create_task(broker.wait()), asyncio.create_task(ended.wait())
        waits = {died, told}
        await asyncio.wait(waits, return_when="FIRST_COMPLETED")
        if not told.done():
            raise BrokerFailed(f"the {kind} broker died with status {died.result()}")
    except BusError as error:
        sys.stderr.write(f"{error}\n")
        return 1 if isinstance(error, BrokerFailed) else 2
    finally:
        for wait in waits:
            wait.cancel()
        await broker.stop()
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run a broker until told to end; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bus.broker",
        description="Run a broker on the loopback.",
        epilog="example: python -m bus.broker --kind iotcore --port 1883",
    )
    parser.add_argument("--kind", choices=("iotcore", "mosquitto"), default="iotcore")
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1 (default: any free one)")
    arguments = parser.parse_args(argv)
    return asyncio.run(_serve(arguments.kind, arguments.port))


if __name__ == "__main__":
    sys.exit(main())
