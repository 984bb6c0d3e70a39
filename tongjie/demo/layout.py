"""Where everything of a demo is: ports, folder, secrets, configuration files, and what each reader should meet."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Any

from consortium.identity import site_key
from consortium.seal import public_key
from firmware_sim.consortium import BRANCHES, build
from firmware_sim.consortium.policy import PARTNER
from tongjie.demo.certificates import make_authority, make_certificate
from tongjie.demo.claim import DemoError, claimed, clear, hold_ports, numbers_of, unwritable
from tongjie.demo.devices import TCP_DEVICES, DemoDevice, devices_of, sim_file, without_pcsc
from tongjie.demo.edge_toml import edge_toml
from tongjie.demo.expect import expectations
from tongjie.demo.ils import IlsLayout, write_seed
from tongjie.demo.secrets import secret_file
from tongjie.demo.tags import uid_map

__all__ = [
    "BranchLayout",
    "DemoError",
    "Layout",
    "plan",
    "python",
    "secret_file",
    "write_configuration",
    "write_demo_json",
]


@dataclass
class BranchLayout:
    """One branch: its ports, secrets and links to simulated devices."""

    id: str
    library: str
    http_port: int
    sip2_port: int
    node: str
    node_token: str
    devices: tuple[DemoDevice, ...] = field(repr=False)
    kiosk_password: str
    sorter_password: str
    control: int
    tls_port: int
    kiosk3_link: Path | None
    ils: IlsLayout | None = None


@dataclass
class Layout:
    """A whole demo on disk."""

    folder: Path
    seed: int
    speed: float
    hub_port: int
    broker_port: int
    branches: list[BranchLayout]
    data: dict[str, Any]
    staff_token: str
    staff_password: str
    lock: IO[str] = field(repr=False)
    tls_ca: Path
    broker_kind: str = "iotcore"
    left_out: str = ""
    faults: bool = False
    held: ExitStack = field(default_factory=ExitStack, repr=False)

    def close(self) -> None:
        """Let go of the ports and the folder."""
        self.held.close()
        self.lock.close()

    @property
    def ils(self) -> IlsLayout:
        """The one member's own ILS."""
        return next(branch.ils for branch in self.branches if branch.ils is not None)

    @property
    def hub_url(self) -> str:
        """Address of the hub's API and console."""
        return f"http://127.0.0.1:{self.hub_port}"

    @property
    def broker_url(self) -> str:
        """Address of the broker."""
        return f"mqtt://127.0.0.1:{self.broker_port}"


def plan(folder: Path, *, seed: int, speed: float, ports: str) -> Layout:
    """Take the folder, choose ports and secrets, draw the consortium. Raises DemoError, and then leaves nothing."""
    numbers = numbers_of(ports)
    with claimed(folder) as lock:
        return _plan(folder, lock, seed, speed, numbers)


def _plan(folder: Path, lock: IO[str], seed: int, speed: float, wanted: list[tuple[int, str]]) -> Layout:
    count = len(BRANCHES)
    further = [(0, "broker"), *[(0, "devices")] * count, *[(0, "SIP2 over TLS")] * count, (0, "ILS"), (0, "ILS's desk")]
    further += [(0, "a device")] * count * TCP_DEVICES
    numbers, held = hold_ports([*wanted, *further])
    with held:
        try:
            clear(folder)
            for name in ("hub", "log", "dev", "tls", "ils"):
                (folder / name).mkdir()
        except OSError as error:
            raise unwritable(folder, error) from error
        layout = _draw(folder, lock, seed, speed, numbers)
        layout.held = held.pop_all()
    return layout


def _draw(folder: Path, lock: IO[str], seed: int, speed: float, numbers: list[int]) -> Layout:
    count = len(BRANCHES)
    hub, edges, sips = numbers[0], numbers[1 : count + 1], numbers[count + 1 : 2 * count + 1]
    broker, controls = numbers[2 * count + 1], numbers[2 * count + 2 : 3 * count + 2]
    secure, (ils, desk) = numbers[3 * count + 2 : 4 * count + 2], numbers[4 * count + 2 : 4 * count + 4]
    wires = [numbers[at : at + TCP_DEVICES] for at in range(4 * count + 4, len(numbers), TCP_DEVICES)]
    no_pcsc = without_pcsc(folder / "pcsc")
    # Fresh secrets for every run: a demo's are nobody's default.
    branches = [
        BranchLayout(
            id=branch,
            library=branch.split("-")[0],
            http_port=edges[i],
            sip2_port=sips[i],
            node=f"edge-{branch}",
            node_token=secrets.token_hex(32),
            devices=devices_of(
                i, branch, folder / "dev", secrets.token_hex(16), iter(wires[i]), None if no_pcsc else folder / "pcsc"
            ),
            kiosk_password=secrets.token_urlsafe(12),
            sorter_password=secrets.token_urlsafe(12),
            control=controls[i],
            tls_port=secure[i],
            kiosk3_link=folder / "dev" / f"{branch}-kiosk3" if i == 0 else None,
            ils=IlsLayout(PARTNER, branch, ils, desk, folder / "ils", secrets.token_urlsafe(12))
            if branch == f"{PARTNER}-01"
            else None,
        )
        for i, branch in enumerate(BRANCHES)
    ]
    now = int(time.time() * 1000)
    return Layout(
        folder=folder,
        seed=seed,
        speed=speed,
        hub_port=hub,
        broker_port=broker,
        branches=branches,
        data=build(seed, now),
        staff_token="tj_" + secrets.token_urlsafe(32),
        staff_password=secrets.token_urlsafe(9),
        lock=lock,
        tls_ca=folder / "tls" / "ca.pem",
        left_out=f"cards by PC/SC ({no_pcsc})" if no_pcsc else "",
    )


def write_configuration(layout: Layout) -> None:
    """Write hub.toml, edge-*.toml, keys and the consortium file, all readable by the owner alone. Raises DemoError."""
    try:
        _write_configuration(layout)
    except OSError as error:
        raise unwritable(layout.folder, error) from error


def _write_configuration(layout: Layout) -> None:
    master, policy = secrets.token_bytes(32), secrets.token_bytes(32)
    folder = layout.folder
    secret_file(folder / "hub" / "master.key", master.hex())
    secret_file(folder / "hub" / "policy.key", policy.hex())
    secret_file(folder / "hub.toml", _hub_toml(layout))
    load = dict(layout.data)
    load["nodes"] = [{"node": b.node, "org": b.library, "branch": b.id, "token": b.node_token} for b in layout.branches]
    load["staff"] = [
        {"username": "demo", "password": layout.staff_password, "role": "consortium_admin", "library": "*"}
    ]
    load["api_tokens"] = [{"name": "demo", "token": layout.staff_token, "scopes": ["*"], "library": "*"}]
    secret_file(folder / "consortium.json", json.dumps(load, ensure_ascii=False))
    secret_file(folder / "uids.csv", uid_map(layout.data["items"]))
    for branch in layout.branches:
        (folder / branch.id).mkdir()
        secret_file(folder / branch.id / "site.key", site_key(master, branch.library).hex())
        secret_file(folder / f"edge-{branch.id}.toml", edge_toml(layout, branch, public_key(policy)))
        secret_file(folder / "dev" / f"{branch.id}.json", sim_file(branch.devices))
    _write_certificates(folder / "tls")
    secret_file(folder / "ils" / "seed.json", write_seed(layout.data, layout.ils))


def _write_certificates(folder: Path) -> None:
    """An authority of this run alone, and what it signed for the kiosks' listeners."""
    start = datetime.now(UTC) - timedelta(minutes=5)
    authority = make_authority("Tongjie demo", start, days=30)
    certificate, key = make_certificate(authority, [ip_address("127.0.0.1")], start, days=30)
    for name, data in (("ca.pem", authority.certificate), ("server.pem", certificate), ("server.key", key)):
        secret_file(folder / name, data.decode("ascii"))


def _hub_toml(layout: Layout) -> str:
    return f"""# The demo's hub.
node = "hub-1"
data = "hub"
broker_url = "{layout.broker_url}"
master_key_file = "hub/master.key"
policy_key_file = "hub/policy.key"

[http]
host = "127.0.0.1"
port = {layout.hub_port}
"""


def write_demo_json(layout: Layout) -> Path:
    """``demo.json`` as design §4.1 fixes it; written whole, as soon as everything answers."""
    expected = expectations(layout.data, int(time.time() * 1000))
    content = {
        "hub": layout.hub_url,
        "staff_token": layout.staff_token,
        "staff": {"username": "demo", "password": layout.staff_password},
        "broker": {"url": layout.broker_url, "kind": layout.broker_kind},
        "branches": [
            {
                "id": b.id,
                "library": b.library,
                "edge": f"http://127.0.0.1:{b.http_port}",
                "kiosk": f"http://127.0.0.1:{b.http_port}/kiosk",
                "sip2": {
                    "host": "127.0.0.1", "port": b.sip2_port, "user": "kiosk1", "password": b.kiosk_password,
                    "institution": b.library,
                },
            }
            for b in layout.branches
        ],
        "readers": [
            {
                "library": row["home"],
                "reader_no": row["reader_no"],
                "pin": row["pin"] or "",
                "category": row["category"],
                "card": row["cards"][0]["uid"],
                "free": row["free"],
                "expect": expected[row["home"], row["reader_no"]],
            }
            for row in layout.data["readers"]
        ],
        "items": [
            {
                "owner": row["owner"],
                "item_no": row["item_no"],
                "title": row["title"],
                "branch": row["owner_branch"],
                "type": row["item_type"],
                "free": row["free"],
            }
            for row in layout.data["items"]
        ],
    }  # fmt: skip
    path = layout.folder / "demo.json"
    draft = path.with_suffix(".new")
    secret_file(draft, json.dumps(content, ensure_ascii=False))
    os.replace(draft, path)
    return path


def python(*words: str) -> list[str]:
    """Command line of one of our own modules in this interpreter."""
    return [sys.executable, *words]
