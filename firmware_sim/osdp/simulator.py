"""An OSDP gate alone, for `tongjie sim osdp`."""

from __future__ import annotations

from firmware_sim.osdp.cardreader import OsdpCardreader
from firmware_sim.pty import open_line
from firmware_sim.scene import Step
from firmware_sim.simulators import AloneSimulator, Options, Simulator, refuse_unknown
from firmware_sim.stage import Stage

DEMO_CARD = "04A1B2C3D4E580"
_OPERATIONS = frozenset({"tap", "tamper", "reboot", "unplug", "plug", "state"})


class OsdpSimulator(AloneSimulator):
    """A cardreader with a gate behind a line of its own."""

    kind = "osdp"
    operations = _OPERATIONS
    demo = (Step(0.0, {"op": "tap", "card": DEMO_CARD, "direction": "IN"}),)

    def __init__(self, url: str, *, key: bytes | None, address: int) -> None:
        device = OsdpCardreader(open_line(url), address=address, key=key)
        super().__init__(device, Stage(gate=device))


def simulate(url: str, options: Options) -> Simulator:
    """Make it; options: key (32 hex digits; without one it starts on the default key and takes KEYSET), address."""
    refuse_unknown(options, ("key", "address"))
    key = bytes.fromhex(options["key"]) if options.get("key") else None
    address = int(options.get("address", "0"))
    if (key is not None and len(key) != 16) or not 0 <= address <= 126:
        raise ValueError("the key is 32 hex digits, the address 0 to 126")
    return OsdpSimulator(url, key=key, address=address)
