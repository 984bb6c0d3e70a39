"""The simulated devices of the demo, branch by branch: every kind at least once, each on the kind of line that it is sold with.

Each stands twice here: as the edge is told about it, and as the simulator that plays it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from firmware_sim.pcsc import DaemonError, PcscDaemon
from firmware_sim.pcsc.daemon import missing

__all__ = ["TCP_DEVICES", "DemoDevice", "device_toml", "devices_of", "sim_file", "without_pcsc"]

Options = Mapping[str, str | int | bool | Mapping[str, str | int | bool]]
TCP_DEVICES = 4
"""TCP ports that a branch's devices need at most."""


@dataclass(frozen=True, slots=True)
class DemoDevice:
    """One device: ``name`` at the branch; ``url`` for driver and simulator alike unless ``sim_url`` says otherwise.

    ``sim_kind`` "" = nothing is simulated for it.
    """

    name: str
    kind: str
    url: str
    options: Options = field(default_factory=dict, repr=False)
    sim_kind: str | None = None
    sim_options: Options = field(default_factory=dict, repr=False)
    sim_url: str | None = None

    @property
    def link(self) -> Path | None:
        """The pty link that the simulator makes."""
        return Path(self.url.removeprefix("pty:")) if self.url.startswith("pty:") else None


def without_pcsc(folder: Path) -> str:
    """Why cards by PC/SC cannot be simulated here, in words; "" where they can."""
    try:
        PcscDaemon(folder)
    except DaemonError as error:
        return str(error)
    absent = missing()
    if find_spec("smartcard") is None:
        absent = f"{absent} pyscard".strip()
    return f"not installed: {absent}" if absent else ""


def devices_of(
    number: int, branch: str, folder: Path, key: str, ports: Iterator[int], pcsc: Path | None = None
) -> tuple[DemoDevice, ...]:
    """The devices of branch ``number`` (0, 1, 2) called ``branch``; ``key`` is its OSDP key, ``ports`` are free TCP ports.

    ``pcsc`` is the folder of the simulated PC/SC daemon, None = there are no cards by PC/SC.

    The second branch's other gate reads every card byte-reversed, as some cardreaders do; its profile says so.
    """
    serial = f"pty:{folder}/{branch}-"
    tcp = (f"tcp:127.0.0.1:{port}" for port in ports)
    passages: Options = {"passage_in": 0, "passage_out": 1, "open_tenths": 20}
    printer: Options = {"printer": f"{branch}-printer1"} if number == 0 else {}
    common = (
        DemoDevice("gate1", "osdp", f"{serial}gate1", {"key": key}, sim_options={"key": key}),
        DemoDevice("pad1", "feig", f"{serial}pad1", printer, sim_options={"line_speed": 38400}),
        DemoDevice("eas1", "gate", next(tcp), {"reset_at_midnight": True}),
    )
    gate2: Options = {"gate": f"{branch}-gate2"}
    further: tuple[DemoDevice, ...]
    if number == 0:
        further = (
            DemoDevice("gate2", "relay", f"{serial}gate2", passages),
            DemoDevice("card2", "cardserial", f"{serial}card2", gate2),
            DemoDevice("station1", "3m", f"{serial}station1", {"role": "station"}),
            DemoDevice("printer1", "printer", next(tcp)),
        )
        if pcsc is not None:
            daemon = PcscDaemon(pcsc)
            beside: Options = {**gate2, "socket": daemon.socket}
            further += (
                DemoDevice("card1", "pcsc", "pcsc:00 00", beside, sim_options={"daemon": "yes"}, sim_url=daemon.url),
            )
    elif number == 1:
        further = (
            DemoDevice("gate2", "relay", next(tcp), passages),
            DemoDevice("card2", "cardserial", f"{serial}card2", {**gate2, "reverse_bytes": True}),
            DemoDevice("drop1", "uhfreader18", f"{serial}drop1", {"role": "drop"}),
        )
    else:
        further = (
            DemoDevice("gate2", "zkteco", next(tcp), {"mode": "command", "passage": "door", "card": {"whole": False}}),
            DemoDevice("gate3", "relay", f"{serial}gate3", passages),
            DemoDevice("card3", "wiegand485", f"{serial}card3", {"gate": f"{branch}-gate3"}),
            DemoDevice("drop1", "llrp", next(tcp), {"role": "drop"}),
            DemoDevice("scan1", "barcode", f"{serial}scan1", {"role": "kiosk"}),
        )
    return (*common, *further)


def device_toml(branch: str, device: DemoDevice) -> str:
    """The device as a table of edge.toml."""
    text = f'\n[[devices]]\nid = "{branch}-{device.name}"\nkind = "{device.kind}"\nurl = "{device.url}"\n'
    if device.options:
        text += "[devices.options]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in device.options.items())
    return text


def _toml(value: str | int | bool | Mapping[str, str | int | bool]) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def sim_file(devices: tuple[DemoDevice, ...]) -> str:
    """What `firmware_sim.branch --devices` reads."""
    found = [
        {
            "name": device.name,
            "kind": device.sim_kind or device.kind,
            "url": device.sim_url or device.url,
            "options": {key: str(value) for key, value in device.sim_options.items()},
        }
        for device in devices
        if device.sim_kind != ""
    ]
    return json.dumps(found)
