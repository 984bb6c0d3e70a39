"""Where everything of a demo is: ports, folder, secrets, configuration files, and what each reader should meet."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from consortium.identity import site_key
from consortium.seal import PolicyKey, public_key
from firmware_sim.consortium import BRANCHES, build
from tongjie.demo.claim import DemoError, claimed, clear, hold_ports, numbers_of, unwritable
from tongjie.demo.expect import expectations

__all__ = [
    "BranchLayout",
    "DemoError",
    "Layout",
    "plan",
    "python",
    "secret_file",
    "write_configuration",
    "write_demo_json",
    "write_plan",
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
    osdp_link: Path
    feig_link: Path
    osdp_key: str
    kiosk_password: str
    sorter_password: str
    control: int


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
    broker_kind: str = "iotcore"
    held: ExitStack = field(default_factory=ExitStack, repr=False)

    def close(self) -> None:
        """Let go of the ports and the folder."""
        self.held.close()
        self.lock.close()

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
    numbers, held = hold_ports([*wanted, (0, "broker"), *[(0, "devices")] * count])
    with held:
        try:
            clear(folder)
            for name in ("hub", "log", "dev"):
                (folder / name).mkdir()
        except OSError as error:
            raise unwritable(folder, error) from error
        layout = _draw(folder, lock, seed, speed, numbers)
        layout.held = held.pop_all()
    return layout


def _draw(folder: Path, lock: IO[str], seed: int, speed: float, numbers: list[int]) -> Layout:
    count = len(BRANCHES)
    hub, edges, sips = numbers[0], numbers[1 : count + 1], numbers[count + 1 : 2 * count + 1]
    broker, controls = numbers[2 * count + 1], numbers[2 * count + 2 :]
    # Fresh secrets for every run: a demo's are nobody's default.
    branches = [
        BranchLayout(
            id=branch,
            library=branch.split("-")[0],
            http_port=edges[i],
            sip2_port=sips[i],
            node=f"edge-{branch}",
            node_token=secrets.token_hex(32),
            osdp_link=folder / "dev" / f"{branch}-gate",
            feig_link=folder / "dev" / f"{branch}-pad",
            osdp_key=secrets.token_hex(16),
            kiosk_password=secrets.token_urlsafe(12),
            sorter_password=secrets.token_urlsafe(12),
            control=controls[i],
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
    )


def secret_file(path: Path, text: str) -> None:
    """Write a file that its owner alone may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(descriptor, 0o600)  # a file that was there before keeps its mode
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)


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
    for branch in layout.branches:
        (folder / branch.id).mkdir()
        secret_file(folder / branch.id / "site.key", site_key(master, branch.library).hex())
        secret_file(folder / f"edge-{branch.id}.toml", _edge_toml(layout, branch, public_key(policy)))


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


def _edge_toml(layout: Layout, branch: BranchLayout, policy: PolicyKey) -> str:
    return f"""# The demo's edge at {branch.id}.
mode = "demo"
node = "{branch.node}"
branch = "{branch.id}"
org = "{branch.library}"
data = "{branch.id}"
hub_url = "{layout.hub_url}"
broker_url = "{layout.broker_url}"
node_token = "{branch.node_token}"
site_key_file = "{branch.id}/site.key"
policy_keys = ["{policy.public.hex()}"]

[http]
port = {branch.http_port}

[sip2]
port = {branch.sip2_port}

[[sip2.accounts]]
user = "kiosk1"
password = "{branch.kiosk_password}"
institution = "{branch.library}"
device = "{branch.id}-kiosk1"
pad = "{branch.id}-pad1"
trusts_card = true

[[sip2.accounts]]
user = "sorter1"
password = "{branch.sorter_password}"
institution = "{branch.library}"
device = "{branch.id}-sorter1"

[[devices]]
id = "{branch.id}-gate1"
kind = "osdp"
url = "pty:{branch.osdp_link}"
[devices.options]
key = "{branch.osdp_key}"

[[devices]]
id = "{branch.id}-pad1"
kind = "feig"
url = "pty:{branch.feig_link}"
"""


def write_plan(layout: Layout) -> Path:
    """The players' plan: what is theirs and where the machines are."""
    policy = layout.data["bundle"]
    free = {True: [], False: []}  # type: dict[bool, list[dict[str, Any]]]
    taken = {(loan["owner"], loan["item_no"]) for loan in layout.data["open_loans"]}
    for row in layout.data["items"]:
        if (row["owner"], row["item_no"]) not in taken:
            free[row["free"]].append(row)
    plan_file = {
        "seed": layout.seed,
        "speed": layout.speed,
        "stats": str(layout.folder / "players.json"),
        "isil": {library["org"]: library["isil"].replace("-", "") for library in policy["libraries"]},
        "branches": [
            {
                "id": b.id,
                "library": b.library,
                "control": b.control,
                "edge": f"http://127.0.0.1:{b.http_port}",
                "sip2": {
                    "host": "127.0.0.1", "port": b.sip2_port, "user": "kiosk1", "password": b.kiosk_password,
                    "institution": b.library,
                },
                "sorter": {"user": "sorter1", "password": b.sorter_password},
            }
            for b in layout.branches
        ],
        "readers": [
            {
                "library": row["home"],
                "reader_no": row["reader_no"],
                "pin": row["pin"],
                "card": row["cards"][0]["uid"],
                "case": row["case"],
            }
            for row in layout.data["readers"]
            if not row["free"]
        ],
        "items": [
            {"owner": row["owner"], "item_no": row["item_no"], "type": row["item_type"], "branch": row["owner_branch"]}
            for row in free[False]
        ],
    }  # fmt: skip
    path = layout.folder / "plan.json"
    secret_file(path, json.dumps(plan_file, ensure_ascii=False))
    return path


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
