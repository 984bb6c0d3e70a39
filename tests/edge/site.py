"""What a hub would send one site: rows, deltas, and snapshot files with their manifests, made by hand on the wire's terms."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

from consortium.bundle import Bundle
from consortium.identity import TokenKind, token
from edge.clock import EdgeClock, Ticks
from edge.replica import store
from edge.replica.build import build
from tests.make import HOME, NOW, Make
from tests.sealing import KEY as POLICY_KEY
from tests.sealing import sealed

KEY = bytes(range(32))
ANN, BOB, EVE = "a" * 32, "b" * 32, "e" * 32
BRANCH = f"{HOME}-01"
NODE = f"edge-{BRANCH}"


class Time:
    """A clock the test moves; measured, as after a hello."""

    def __init__(self) -> None:
        self.ms = 0
        self.clock = EdgeClock(Ticks(lambda: NOW + self.ms, lambda: self.ms, "boot-1"))
        self.clock.measure(NOW, 0, 0)

    @property
    def now(self) -> int:
        return self.clock.now()


def uid_token(uid: str) -> str:
    return token(KEY, TokenKind.UID, bytes.fromhex(uid))


def number_token(number: str) -> str:
    return token(KEY, TokenKind.READER_NO, number.encode())


def token_row(value: str, srid: str, **more: Any) -> list[Any]:
    return ["token", value, {"srid": srid, "status": "ACTIVE", "assurance": "LOW", "to_ms": None, **more}]


def reader_row(srid: str, **more: Any) -> list[Any]:
    row = {
        "home": HOME, "category": "UG", "status": "ACTIVE", "valid_to_ms": None, "shared": True, "age": 20, "blocks": [],
        "open_loans": [], "pin": None,
    }  # fmt: skip
    return ["reader", srid, {**row, **more}]


def item_row(item_no: str, owner: str = HOME, **more: Any) -> list[Any]:
    row = {
        "type": "BOOK", "owner_branch": f"{owner}-01", "title": f"书 {item_no}", "value": 1, "shareable": True,
        "reference": False, "status": "SHELVED", "branch": f"{owner}-01", "loan_srid": None, "due": None,
        "transit_to": None, "hold_srid": None,
    }  # fmt: skip
    return ["item", f"{owner}/{item_no}", {**row, **more}]


def policy_row(bundle: Bundle | None = None, key: bytes = POLICY_KEY) -> list[Any]:
    bundle = bundle or Make.bundle()
    return ["policy", str(bundle.version), sealed(bundle, key)]


def default_rows() -> list[list[Any]]:
    return [
        policy_row(),
        token_row(uid_token("04A1B2C3"), ANN),
        token_row(number_token("R1"), ANN),
        token_row(uid_token("04A1B2C4"), BOB),
        reader_row(ANN),
        reader_row(BOB, home="990001"),
        item_row("1001"),
        item_row("1002"),
        item_row("2001", owner="990001"),
        ["number", "2001", "990001"],
    ]


def includes(epoch: str = "", upto: int = 0) -> dict[str, Any]:
    return {"epoch": epoch, "upto": upto}


def delta(version: int, rows: list[Any], *, generation: int = 1, asof_ms: int = NOW, **own: Any) -> dict[str, Any]:
    return {
        "generation": generation, "version": version, "rows": rows, "includes": includes(**own), "asof_ms": asof_ms,
    }  # fmt: skip


def watermark(version: int, *, generation: int = 1, asof_ms: int = NOW, **own: Any) -> dict[str, Any]:
    return {"generation": generation, "version": version, "asof_ms": asof_ms, "includes": includes(**own)}


def prepared(directory: Path, rows: list[Any] | None = None) -> None:
    """A replica directory as a snapshot leaves it, without the process that builds one."""
    directory.mkdir(parents=True, exist_ok=True)
    source = directory / "snapshot"
    out = directory / "replica-1-1-0.db"
    build(source, out, snapshot(source, rows))
    source.unlink()
    store.set_current(directory, out)


def snapshot(
    path: Path, rows: list[Any] | None = None, *, generation: int = 1, version: int = 1, asof_ms: int = NOW, **own: Any
) -> dict[str, Any]:
    """Write a snapshot file; gives its manifest."""
    head = {"org": HOME, "generation": generation, "version": version, "asof_ms": asof_ms, "includes": includes(**own)}
    lines = [head, *(default_rows() if rows is None else rows)]
    path.write_bytes(gzip.compress("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode(), 1))
    raw = path.read_bytes()
    return {
        **head, "url": f"/replica/{HOME}/snapshot", "sha256": hashlib.sha256(raw).hexdigest(), "size": len(raw),
        "signature": None,
    }  # fmt: skip
