"""A replica file from a snapshot, built in a process of its own: ``python -m edge.replica.build SNAPSHOT OUT MANIFEST-JSON``.

A million rows of JSON keep a core busy for half a minute; in the agent's process the gate would wait for it. Prints one JSON line,
``{"rows": n}`` or ``{"error": code, "message": …}``, and exits 0 or 1.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sqlite3
import sys
import zlib
from pathlib import Path
from typing import Any

import msgspec

from edge.replica import store
from edge.replica.rows import Change, ReplicaInvalid, change

MAX_LINE = 17 * 1024 * 1024
"""Longest line of a snapshot: a policy bundle with its frame."""

MAX_PLAIN = 16 * 1024 * 1024 * 1024
"""Most bytes a snapshot may unfold to."""

_BATCH = 5_000


def verify(snapshot: Path, manifest: dict[str, Any]) -> None:
    """Whether the file is what the manifest names. Raises ReplicaInvalid REPLICA_SIZE, REPLICA_SHA256."""
    if snapshot.stat().st_size != manifest["size"]:
        raise ReplicaInvalid("REPLICA_SIZE", "the snapshot has another size than its manifest says")
    digest = hashlib.sha256()
    with snapshot.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != manifest["sha256"]:
        raise ReplicaInvalid("REPLICA_SHA256", "the snapshot's bytes are not those its manifest names")


def build(snapshot: Path, out: Path, manifest: dict[str, Any]) -> int:
    """Write ``out`` from the snapshot; gives the number of rows. Raises ReplicaInvalid; then ``out`` is gone."""
    verify(snapshot, manifest)
    out.unlink(missing_ok=True)
    try:
        conn = store.create(out)
        try:
            rows = _fill(conn, snapshot, manifest)
            conn.execute("PRAGMA journal_mode=WAL")
        finally:
            conn.close()
        with out.open("rb") as file:
            os.fsync(file.fileno())
        return rows
    except (ReplicaInvalid, sqlite3.Error, OSError, EOFError, zlib.error) as error:
        out.unlink(missing_ok=True)
        if isinstance(error, ReplicaInvalid):
            raise
        raise ReplicaInvalid(
            "REPLICA_SNAPSHOT", f"the snapshot cannot be read or stored: {type(error).__name__}"
        ) from error


def _fill(conn: sqlite3.Connection, snapshot: Path, manifest: dict[str, Any]) -> int:
    decode = msgspec.json.Decoder().decode
    rows = plain = 0
    with gzip.open(snapshot, "rb") as file:
        first = decode(_line(file.readline(MAX_LINE)))
        if (first.get("org"), first.get("generation"), first.get("version")) != (
            manifest["org"],
            manifest["generation"],
            manifest["version"],
        ):
            raise ReplicaInvalid("REPLICA_MANIFEST", "the snapshot is another one than its manifest names")
        includes = first.get("includes") or {"epoch": "", "upto": 0}
        batch: list[Change] = []
        conn.execute("BEGIN")
        while line := file.readline(MAX_LINE):
            plain += len(line)
            if plain > MAX_PLAIN:
                raise ReplicaInvalid("REPLICA_SIZE", "the snapshot unfolds to more than this software takes")
            batch.append(change(decode(_line(line))))
            rows += 1
            if len(batch) >= _BATCH:
                _store(conn, batch)
                batch = []
        _store(conn, batch)
        store.write_head(
            conn,
            store.Head(
                first["org"],
                first["generation"],
                first["version"],
                first["asof_ms"],
                includes["epoch"],
                includes["upto"],
            ),
        )
        conn.execute("COMMIT")
    return rows


def _store(conn: sqlite3.Connection, batch: list[Change]) -> None:
    # Rows of a snapshot have distinct keys, so they may be sorted: key order fills the tree from left to right.
    store.apply(conn, sorted(batch, key=lambda c: (c.statement, c.values[:1])))


def _line(line: bytes) -> bytes:
    if not line.endswith(b"\n") and len(line) >= MAX_LINE:
        raise ReplicaInvalid("REPLICA_SNAPSHOT", "a line of the snapshot is too long")
    return line


def main(argv: list[str]) -> int:
    """The process: see the module's text."""
    os.nice(10)
    try:
        answer: dict[str, Any] = {"rows": build(Path(argv[1]), Path(argv[2]), json.loads(argv[3]))}
    except ReplicaInvalid as error:
        answer = {"error": error.code, "message": str(error)}
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, OSError) as error:
        answer = {"error": "REPLICA_SNAPSHOT", "message": f"the snapshot cannot be read: {type(error).__name__}"}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv))
