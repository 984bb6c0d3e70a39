"""One process with the simulated devices of a branch: an OSDP gate, a FEIG pad and a control port.

``python -m firmware_sim.branch --osdp-link PATH --osdp-key HEX --feig-link PATH --control-port 0`` prints one line of
JSON when it is ready and ends, removing its links, when its standard input closes or SIGTERM comes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence

from firmware_sim.control import ControlServer
from firmware_sim.feig import SimPad, TagStore
from firmware_sim.osdp import OsdpCardreader
from firmware_sim.pty import LineError, PtyLine
from firmware_sim.stage import Stage


class SimBranch:
    """The devices of one branch. ``key`` is the cardreader's 16-byte key, None = as sold; ``baudrate`` paces the pad."""

    def __init__(
        self,
        osdp_link: str,
        feig_link: str,
        *,
        key: bytes | None = None,
        baudrate: int | None = 38400,
        store: TagStore | None = None,
    ) -> None:
        self.gate = OsdpCardreader(PtyLine(osdp_link), key=key)
        self.pad = SimPad(PtyLine(feig_link), store=store, baudrate=baudrate)
        self.stage = Stage(gate=self.gate, pad=self.pad)
        self._control = ControlServer(self.stage)

    async def start(self, control_port: int = 0) -> int:
        """Plug both devices in and give the control port; raises `LineError` or `OSError`, leaving nothing behind."""
        try:
            self.gate.start()
            self.pad.start()
            return await self._control.start(control_port)
        except (LineError, OSError):
            await self.stop()
            raise

    async def stop(self) -> None:
        """Unplug everything and remove the links."""
        await self._control.close()
        self.gate.stop()
        self.pad.stop()


def _key(text: str) -> bytes:
    key = bytes.fromhex(text)
    if len(key) != 16:
        raise ValueError
    return key


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m firmware_sim.branch", description="Simulated devices of a branch.")
    parser.add_argument("--osdp-link", required=True, help="where the cardreader's pty is linked")
    parser.add_argument(
        "--osdp-key",
        type=_key,
        default=os.environ.get("TONGJIE_SIM_OSDP_KEY"),
        help="its key, 32 hex digits (or TONGJIE_SIM_OSDP_KEY, which a list of processes does not show)",
    )
    parser.add_argument("--feig-link", required=True, help="where the pad's pty is linked")
    parser.add_argument("--control-port", type=int, default=0, help="TCP port of the control channel, 0 = any")
    parser.add_argument("--line-speed", type=int, default=38400, help="pace of the pad in baud, 0 = at once")
    return parser.parse_args(argv)


async def _run(given: argparse.Namespace) -> int:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    branch = SimBranch(given.osdp_link, given.feig_link, key=given.osdp_key, baudrate=given.line_speed or None)
    try:
        control = await branch.start(given.control_port)
    except LineError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a program's one sentence
        return 2
    except OSError as error:
        print(f"cannot listen on control port {given.control_port}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        ready = {
            "kind": "branch",
            "url": f"tcp:127.0.0.1:{control}",
            "control": control,
            "osdp": branch.gate.line.url,
            "feig": branch.pad.line.url,
        }
        print(json.dumps(ready), flush=True)  # noqa: T201 - the line the supervisor waits for
        threading.Thread(target=_watch_stdin, args=(loop, ended), name="stdin", daemon=True).start()
        await ended.wait()
    finally:
        await branch.stop()
    return 0


def _watch_stdin(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """End with whoever holds our standard input; a plain thread, because the loop cannot watch every kind of file."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(ended.set)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the devices until told to stop; 0 = ended as asked, 2 = could not start."""
    return asyncio.run(_run(_arguments(sys.argv[1:] if argv is None else argv)))


if __name__ == "__main__":
    sys.exit(main())
