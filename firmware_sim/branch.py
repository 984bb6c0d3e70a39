"""One process with the simulated devices of a branch and a control port.

``python -m firmware_sim.branch --devices FILE --control-port 0`` takes a JSON list of {name, kind, url, options};
``--osdp-link PATH --osdp-key HEX --feig-link PATH`` is the short way to a cardreader "gate" and a pad "pad". One line of JSON
says when it is ready; it ends, removing its links, when its standard input closes or SIGTERM comes.
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
from pathlib import Path

from firmware_sim.control import ControlServer
from firmware_sim.feig import SimPad, TagStore
from firmware_sim.osdp import OsdpCardreader
from firmware_sim.place import DeviceSpec, Doer, Place, PlaceError, Startable, make, specs_of
from firmware_sim.pty import LineError, PtyLine
from firmware_sim.simulators import UnknownSimulator
from firmware_sim.stage import Stage


class SimBranch:
    """The devices of one branch: a cardreader "gate", a pad "pad", and ``more`` by their names.

    ``key`` is the cardreader's 16-byte key, None = as sold; ``baudrate`` paces the pad. Without links there is neither.
    """

    def __init__(
        self,
        osdp_link: str | None = None,
        feig_link: str | None = None,
        *,
        key: bytes | None = None,
        baudrate: int | None = 38400,
        store: TagStore | None = None,
        more: Sequence[DeviceSpec] = (),
    ) -> None:
        self._gate = OsdpCardreader(PtyLine(osdp_link), key=key) if osdp_link else None
        self._pad = SimPad(PtyLine(feig_link), store=store, baudrate=baudrate) if feig_link else None
        self._more: dict[str, Startable] = {spec.name: make(spec) for spec in more}
        named: dict[str, Doer] = {}
        if self._gate is not None:
            named["gate"] = Stage(gate=self._gate)
        if self._pad is not None:
            named["pad"] = Stage(pad=self._pad)
        self.place = Place({**named, **self._more})
        self._control = ControlServer(self.place)

    @property
    def gate(self) -> OsdpCardreader:
        """The cardreader called "gate"."""
        assert self._gate is not None
        return self._gate

    @property
    def pad(self) -> SimPad:
        """The pad called "pad"."""
        assert self._pad is not None
        return self._pad

    @property
    def urls(self) -> dict[str, str]:
        """Where each device is found, by name."""
        found = {name: device.url for name, device in self._more.items()}
        if self._gate is not None:
            found["gate"] = self._gate.line.url
        if self._pad is not None:
            found["pad"] = self._pad.line.url
        return found

    async def start(self, control_port: int = 0) -> int:
        """Plug every device in and give the control port; raises `LineError` or `OSError`, leaving nothing behind."""
        try:
            if self._gate is not None:
                self._gate.start()
            if self._pad is not None:
                self._pad.start()
            for device in self._more.values():
                await device.start()
            return await self._control.start(control_port)
        except (LineError, OSError):
            await self.stop()
            raise

    async def stop(self) -> None:
        """Unplug everything and remove the links."""
        await self._control.close()
        if self._gate is not None:
            self._gate.stop()
        if self._pad is not None:
            self._pad.stop()
        for device in self._more.values():
            await device.stop()


def _key(text: str) -> bytes:
    key = bytes.fromhex(text)
    if len(key) != 16:
        raise ValueError
    return key


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m firmware_sim.branch", description="Simulated devices of a branch.")
    parser.add_argument("--devices", type=Path, help="JSON list of devices")
    parser.add_argument("--osdp-link", help="where the cardreader's pty is linked")
    parser.add_argument(
        "--osdp-key",
        type=_key,
        default=os.environ.get("TONGJIE_SIM_OSDP_KEY"),
        help="its key, 32 hex digits (or TONGJIE_SIM_OSDP_KEY, which a list of processes does not show)",
    )
    parser.add_argument("--feig-link", help="where the pad's pty is linked")
    parser.add_argument("--control-port", type=int, default=0, help="TCP port of the control channel, 0 = any")
    parser.add_argument("--line-speed", type=int, default=38400, help="pace of the pad in baud, 0 = at once")
    return parser.parse_args(argv)


async def _run(given: argparse.Namespace) -> int:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    try:
        more = specs_of(given.devices) if given.devices is not None else ()
        branch = SimBranch(
            given.osdp_link, given.feig_link, key=given.osdp_key, baudrate=given.line_speed or None, more=more
        )
        control = await branch.start(given.control_port)
    except (LineError, PlaceError, UnknownSimulator) as error:
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
            "devices": branch.urls,
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
