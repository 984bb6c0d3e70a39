"""A real edge for clients that are not ours: agent, outbox and replica as in production, its hub away."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from consortium.events import Kind
from tests.edge.bed import PIN, Bed, make_config, standard_rows, write_replica
from tests.make import HOME

__all__ = ["Edge", "edge", "run"]

READER_NO, ITEM_NO = "R1", "1001"
_RUN_S = 60


@dataclass
class Edge:
    """A running edge; ``given`` is all that a client is told."""

    bed: Bed
    given: dict[str, Any]

    def happened(self) -> list[str]:
        """The loans and returns that are durable in the outbox, in order."""
        return [event.kind.value for event in self.bed.events(Kind.CHECKOUT, Kind.RETURN)]


@asynccontextmanager
async def edge(folder: Path, *, blank_counts: bool = True) -> AsyncIterator[Edge]:
    """Run one below ``folder``. ``blank_counts`` as in an account's configuration."""
    write_replica(folder, standard_rows())
    config = make_config(folder)
    config = replace(config, accounts=tuple(replace(one, blank_counts=blank_counts) for one in config.accounts))
    async with Bed(config) as bed:
        assert bed.agent.sip2_at is not None
        host, tcp_port = bed.agent.sip2_at
        given = {"host": host, "port": tcp_port, "user": "kiosk1", "password": "secret", "institution": HOME,
                 "reader_no": READER_NO, "pin": PIN, "item_no": ITEM_NO}  # fmt: skip
        yield Edge(bed, given)


def run(words: Sequence[str], given: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What a client's script says on its last line for ``given``. Raises RuntimeError with what it said where it fails."""
    done = subprocess.run(
        list(words), input=json.dumps(given), capture_output=True, text=True, timeout=_RUN_S, check=False, **more
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise RuntimeError(f"the client ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found
