"""The players' plan: which readers and items are theirs, and where the machines are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tongjie.demo.ils import behind_items
from tongjie.demo.layout import BranchLayout, Layout
from tongjie.demo.secrets import secret_file
from tongjie.demo.tags import tag_of

__all__ = ["write_plan"]


def _kiosks(layout: Layout, branch: BranchLayout) -> list[dict[str, Any]]:
    """The self-checks of a branch, each on its own kind of line and with an accent of its own."""
    shared = {"password": branch.kiosk_password, "institution": branch.library}
    found = [
        {"user": "kiosk1", "url": f"tcp:127.0.0.1:{branch.sip2_port}", "accent": "plain", **shared},
        {
            "user": "kiosk2",
            "url": f"tls:127.0.0.1:{branch.tls_port}",
            "accent": "crlf",
            "ca": str(layout.tls_ca),
            **shared,
        },
    ]
    if branch.kiosk3_link is not None:
        found.append({"user": "kiosk3", "url": f"pty:{branch.kiosk3_link}", "accent": "gbk-noaz", **shared})
    return found


def _gates(branch: BranchLayout) -> list[dict[str, Any]]:
    """The gates people may use: how cards are shown there, and whose cards it can tell."""
    found: list[dict[str, Any]] = []
    for device in branch.devices:
        if device.kind == "osdp":
            found.append({"device": device.name, "how": "osdp"})
        elif device.kind == "zkteco":
            found.append({"device": device.name, "how": "zkteco", "short": True})
        for card in branch.devices:
            if card.options.get("gate") == f"{branch.id}-{device.name}":
                turned = bool(card.options.get("reverse_bytes"))
                short = card.kind == "wiegand485"
                way = {"device": device.name, "how": "relay", "cards": card.name, "turned": turned, "short": short}
                found.append({**way, "medium": "DESFIRE"} if card.kind == "pcsc" else way)
    return found


def write_plan(layout: Layout) -> Path:
    """Write it; what the ILS's desk will lend behind our back is not on the players' shelves."""
    library = layout.ils.library
    taken = {(loan["owner"], loan["item_no"]) for loan in layout.data["open_loans"]}
    taken |= {(library, item_no) for item_no in behind_items(layout.data, library)}
    plan_file = {
        "seed": layout.seed,
        "speed": layout.speed,
        "faults": layout.faults,
        "stats": str(layout.folder / "players.json"),
        "branches": [
            {
                "id": b.id,
                "library": b.library,
                "control": b.control,
                "edge": f"http://127.0.0.1:{b.http_port}",
                "kiosks": _kiosks(layout, b),
                "devices": [device.name for device in b.devices],
                "gates": _gates(b),
                "sorter": {
                    "user": "sorter1", "password": b.sorter_password, "url": f"tcp:127.0.0.1:{b.sip2_port}",
                    "institution": b.library, "accent": "plain",
                },
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
            {
                "owner": row["owner"], "item_no": row["item_no"], "type": row["item_type"],
                "branch": row["owner_branch"], "tag": tag_of(row["owner"], row["item_no"]),
            }
            for row in layout.data["items"]
            if not row["free"] and (row["owner"], row["item_no"]) not in taken
        ],
    }  # fmt: skip
    path = layout.folder / "plan.json"
    secret_file(path, json.dumps(plan_file, ensure_ascii=False))
    return path
