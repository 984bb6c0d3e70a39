"""A simulated LLRP reader with EPC Gen2 tags, over llrpkit's emulator."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from firmware_sim.llrp.reader import DBM_BELOW, SimReader
from firmware_sim.operated import MAX_NOISE, number, raw_faults
from firmware_sim.scene import Step
from firmware_sim.simulators import Options, Simulator, refuse_unknown
from firmware_sim.stage import StageError
from protocols.iso28560.part4 import encode_pc_uii

__all__ = ["DBM_BELOW", "LlrpSimulator", "SimReader", "simulate"]

Operation = Mapping[str, Any]
Act = Callable[[Operation], Awaitable[dict[str, Any]]]
_DEMO = encode_pc_uii("CN-251020", "01234567890", 0x07)
_NO_SUCH = frozenset({"noise", "drop", "double", "bad_crc"})
"""Faults of a serial line: TCP gives every byte as it was sent, and LLRP has no check value of its own."""


class LlrpSimulator:
    """One reader on a TCP port, told what to do by operations.

    ``place``, ``lift``, ``move`` as any UHF device; ``gpi`` {input_no from 0, active}; ``antenna`` {antenna, connected}; ``exception``;
    ``keepalive``; ``noise`` {bytes, seed}: so many that are no message; ``faults`` {seed, silent, slow_s, split, pull, forget, collide,
    tear}; ``power_cycle``, ``unplug``, ``plug``, ``state``.
    """

    kind = "llrp"
    demo = (
        Step(0.0, {"op": "place", "epc": _DEMO[2:].hex(), "pc": _DEMO[:2].hex()}),
        Step(3.0, {"op": "lift", "epc": _DEMO[2:].hex()}),
    )

    def __init__(self, reader: SimReader) -> None:
        self.reader = reader
        self.plugged = False
        self._acts: dict[str, Act] = {
            "place": self._place,
            "lift": self._lift,
            "move": self._move,
            "gpi": self._gpi,
            "antenna": self._antenna,
            "exception": self._exception,
            "keepalive": self._keepalive,
            "noise": self._noise,
            "faults": self._faults,
            "power_cycle": self._power_cycle,
            "unplug": self._unplug,
            "plug": self._plug,
            "state": self._state,
        }

    @property
    def url(self) -> str:
        """Where it is found once started."""
        return f"tcp:{self.reader.host}:{self.reader.port}"

    @property
    def operations(self) -> frozenset[str]:
        """Names of the operations that `do` takes."""
        return frozenset(self._acts)

    async def start(self) -> None:
        """Switch on; raises `OSError`."""
        await self._plug({})

    async def stop(self) -> None:
        """Switch off; the tags stay where they lie."""
        await self._unplug({})

    async def do(self, operation: Operation) -> dict[str, Any]:
        """Carry out one operation; raises `StageError` BAD_OPERATION."""
        name = operation.get("op")
        act = self._acts.get(name) if isinstance(name, str) else None
        if act is None:
            raise StageError("BAD_OPERATION", f"op is one of {', '.join(sorted(self._acts))}")
        try:
            return await act(operation)
        except (ValueError, TypeError) as error:
            raise StageError("BAD_OPERATION", f"{name}: {error}") from error
        except KeyError as error:
            raise StageError("BAD_OPERATION", f"{name} needs {error.args[0]}") from error

    async def _place(self, operation: Operation) -> dict[str, Any]:
        return self.reader.field.place(operation)

    async def _lift(self, operation: Operation) -> dict[str, Any]:
        return self.reader.field.lift(operation)

    async def _move(self, operation: Operation) -> dict[str, Any]:
        found = self.reader.field.move(operation)
        self.reader.refresh()
        return found

    async def _gpi(self, operation: Operation) -> dict[str, Any]:
        await self.reader.set_gpi(int(number(operation["input_no"], 0, 3)) + 1, bool(operation["active"]))
        return {}

    async def _antenna(self, operation: Operation) -> dict[str, Any]:
        antenna = int(number(operation["antenna"], 1, self.reader.antenna_count))
        await self.reader.set_antenna_connected(antenna, bool(operation["connected"]))
        return {}

    async def _exception(self, operation: Operation) -> dict[str, Any]:
        await self.reader.exception(str(operation.get("message", "fan failure"))[:200])
        return {}

    async def _keepalive(self, _: Operation) -> dict[str, Any]:
        await self.reader.send_keepalive()
        return {}

    async def _noise(self, operation: Operation) -> dict[str, Any]:
        count = int(number(operation.get("bytes", 1000), 1, MAX_NOISE))
        await self.reader.garbage(random.Random(int(operation.get("seed", 0))).randbytes(count))
        return {}

    async def _faults(self, operation: Operation) -> dict[str, Any]:
        wanted = {key: value for key, value in operation.items() if key not in ("op", "id", "device", "at_s")}
        if _NO_SUCH & set(wanted):
            raise ValueError(
                f"TCP carries every byte right, so there is no {', '.join(sorted(_NO_SUCH & set(wanted)))}"
            )
        tear = int(number(wanted.pop("tear", 0), 0, 100))
        self.reader.faults, self.reader.tear = raw_faults(wanted), tear
        return {}

    async def _power_cycle(self, operation: Operation) -> dict[str, Any]:
        await self._unplug(operation)
        return await self._plug(operation)

    async def _unplug(self, _: Operation) -> dict[str, Any]:
        if self.plugged:
            self.plugged = False
            await self.reader.stop()
        return {}

    async def _plug(self, _: Operation) -> dict[str, Any]:
        if not self.plugged:
            await self.reader.start()
            self.plugged = True
        return {}

    async def _state(self, _: Operation) -> dict[str, Any]:
        tags = [tag.state() for tag in self.reader.field.tags]
        return {"plugged": self.plugged, "tags": tags, "reports": self.reader.reports}


def simulate(url: str, options: Options) -> Simulator:
    """Make it at ``tcp:HOST:PORT`` (0 = any); options: reads (a second, default 200), antennas (1..16, default 4), seed."""
    refuse_unknown(options, ("reads", "antennas", "seed"))
    host, _, tcp_port = url.removeprefix("tcp:").removeprefix("//").rpartition(":")
    if (
        not url.startswith("tcp:")
        or not host
        or not tcp_port.isascii()
        or not tcp_port.isdigit()
        or int(tcp_port) > 65535
    ):
        raise ValueError("an LLRP reader is found over the network only: give tcp:HOST:PORT")
    reads, antennas = float(options.get("reads", "200")), int(options.get("antennas", "4"))
    if not 1 <= reads <= 2000 or not 1 <= antennas <= 16:
        raise ValueError("reads is 1 to 2000 a second, antennas 1 to 16")
    host = host.removeprefix("[").removesuffix("]")
    seed = int(options.get("seed", "1"))
    return LlrpSimulator(
        SimReader(host=host, port=int(tcp_port), reads_per_sec=reads, antenna_count=antennas, seed=seed)
    )
