"""Loans and returns over SIP2 with durable commit: a real edge process, broker and hub beside it, 64 kiosks in another process.

``per_s_64`` counts loans and returns of own readers with own items, each confirmed only after its event was durable, decided
by the edge from its replica, while the hub takes the events up on the same machine. ``partner_per_s`` counts loans alone, of a
partner's readers with own items, each decided by the real hub over the bus. Beside: the hub held still (``hub_away_``), the
least that could make such rows durable (``fsync_``, the stdlib's group commit), and the SIP2 server with stub handlers
(``echo_``), all in the same run.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

from bench._circulation import LIBRARY, PARTNER, Branch, running
from bench._kiosks import Kiosks
from bench.outbox import _rival as group_commit

KIOSKS = 64
SECONDS = 6.0
BOOKS_OWN = 4
"""Books that an own reader borrows and returns in turn."""

BOOKS_EACH = 19
"""A partner's reader may have twenty at one lender."""


def run(*, kiosks: int = KIOSKS, seconds: float = SECONDS, runs: int = 3) -> dict[str, Any]:
    """Medians of ``runs`` for own readers; partners once, until each has borrowed ``BOOKS_EACH``."""
    return asyncio.run(_run(kiosks, seconds, runs))


async def _run(kiosks: int, seconds: float, runs: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        rival = [group_commit(folder / f"rival{turn}.db", kiosks, seconds / 2) for turn in range(runs)]
        async with running(folder) as branch:
            await _load(branch, _own(branch, kiosks), 1.0, give_back=True)
            own = [await _load(branch, _own(branch, kiosks), seconds, give_back=True) for _ in range(runs)]
            delivered = await branch.delivered(60.0)
            partner = await _load(branch, _partners(branch, kiosks), 2 * seconds, give_back=False)
            await branch.delivered(60.0)
            branch.hold_hub(True)
            away = await _load(branch, _own(branch, kiosks), seconds, give_back=True)
            branch.hold_hub(False)
    echo = await asyncio.to_thread(_echo, kiosks, seconds / 2)
    best = sorted(own, key=_rate)[len(own) // 2]
    refused = sum(one["refused"] for one in (*own, partner, away))
    notes = [
        f"{sum(one['11'] + one['09'] for one in own)} loans and returns of own readers, {partner['11']} loans through the hub, "
        f"{refused} refused{''.join(': ' + text for text in (*best['replies'], *partner['replies'], *away['replies'])[:2])}",
        f"edge, hub, broker and the kiosks share {os.cpu_count()} cores; the hub "
        f"{'had' if delivered else 'had not'} acknowledged all within a minute",
    ]
    return {
        "runs": runs,
        "figures": {
            f"per_s_{kiosks}": round(_rate(best)),
            f"p50_ms_{kiosks}": round(best["p50_ms"], 1),
            f"p99_ms_{kiosks}": round(best["p99_ms"], 1),
            "partner_per_s": round(_rate(partner)),
            "partner_p50_ms": round(partner["p50_ms"], 1),
            "partner_p99_ms": round(partner["p99_ms"], 1),
        },
        "beside": {
            f"hub_away_per_s_{kiosks}": round(_rate(away)),
            f"hub_away_p99_ms_{kiosks}": round(away["p99_ms"], 1),
            f"fsync_per_s_{kiosks}": round(sorted(rate for rate, _ in rival)[runs // 2]),
            f"fsync_p99_ms_{kiosks}": round(sorted(p99 for _, p99 in rival)[runs // 2], 1),
            **echo,
        },
        "notes": notes,
    }


def _rate(found: dict[str, Any]) -> float:
    return float((found["11"] + found["09"]) / found["seconds"]) if found["seconds"] else 0.0


def _own(branch: Branch, kiosks: int) -> list[Any]:
    """Each kiosk has a reader and books of its own."""
    readers, books = branch.readers(LIBRARY), branch.books()
    return [
        [[readers[n % len(readers)]["reader_no"], readers[n % len(readers)]["pin"], books[BOOKS_OWN * n :][:BOOKS_OWN]]]
        for n in range(kiosks)
    ]


def _partners(branch: Branch, kiosks: int) -> list[Any]:
    readers, books = branch.readers(PARTNER), iter(branch.books()[BOOKS_OWN * kiosks :])
    out: list[Any] = [[] for _ in range(kiosks)]
    for n, reader in enumerate(readers):
        mine = list(islice(books, BOOKS_EACH))
        if mine:
            out[n % kiosks].append([reader["reader_no"], reader["pin"], mine])
    return [kiosk for kiosk in out if kiosk]


async def _load(branch: Branch, kiosks: list[Any], seconds: float, *, give_back: bool) -> dict[str, Any]:
    plan = {
        "host": branch.sip2[0], "port": branch.sip2[1], "user": "kiosk1", "password": branch.password,
        "institution": LIBRARY, "seconds": seconds, "give_back": give_back, "kiosks": kiosks,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench._kiosks_load",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate(json.dumps(plan).encode())
    if process.returncode:
        raise RuntimeError(f"the kiosks failed: {(err.decode().strip().splitlines() or ['?'])[-1]}")
    found: dict[str, Any] = json.loads(out)
    return found


def _echo(kiosks: int, seconds: float) -> dict[str, Any]:
    """The same number of kiosks at our server with stub handlers: what SIP2 alone takes."""
    from bench.sip2 import serving

    with serving([sys.executable, "-m", "bench.servers.ours"]) as server:
        load = Kiosks(server.port, kiosks)
        pace = load.run(seconds)
        load.close()
    return {
        f"echo_per_s_{kiosks}": round(pace.answers / pace.seconds),
        f"echo_p99_ms_{kiosks}": round(pace.percentile(0.99), 1),
    }
