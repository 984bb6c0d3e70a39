"""The players' plan: which readers and items are theirs, and where the machines are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tongjie.demo.ils import behind_items
from tongjie.demo.layout import BranchLayout, Layout
from tongjie.demo.secrets import secret_file

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


def write_plan(layout: Layout) -> Path:
    """Write it; what the ILS's desk will lend behind our back is not on the players' shelves."""
    policy = layout.data["bundle"]
    library = layout.ils.library
    taken = {(loan["owner"], loan["item_no"]) for loan in layout.data["open_loans"]}
    taken |= {(library, item_no) for item_no in behind_items(layout.data, library)}
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
                "kiosks": _kiosks(layout, b),
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
            {"owner": row["owner"], "item_no": row["item_no"], "type": row["item_type"], "branch": row["owner_branch"]}
            for row in layout.data["items"]
            if not row["free"] and (row["owner"], row["item_no"]) not in taken
        ],
    }  # fmt: skip
    path = layout.folder / "plan.json"
    secret_file(path, json.dumps(plan_file, ensure_ascii=False))
    return path
