"""``python -m firmware_sim.players --plan FILE``: plays until its standard input closes or it is told to end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from firmware_sim.branch_client import SimBranchError
from firmware_sim.kiosk.kiosk import LoginFailed
from firmware_sim.kiosk.link import KioskOffline
from firmware_sim.players.branch import BranchLife
from firmware_sim.players.drop import DropError
from firmware_sim.players.kiosk_page import KioskPageError
from firmware_sim.players.stats import Stats
from firmware_sim.players.world import World
from firmware_sim.pty import LineError

_TROUBLE = (
    DropError,
    OSError,
    EOFError,
    KioskOffline,
    KioskPageError,
    LineError,
    LoginFailed,
    SimBranchError,
    TimeoutError,
)


async def _again(
    name: str, action: Callable[[], Awaitable[None]], life: BranchLife, stats: Stats, stop: asyncio.Event
) -> None:
    """A person stays a person when a machine fails: shrugs, waits, comes back."""
    # Not "while True": trouble met while cleaning up after a cancellation takes the cancellation's place.
    while not stop.is_set():
        try:
            await action()
        except _TROUBLE as error:
            stats.counts[f"trouble_{name}"] += 1
            stats.surprises.append(f"{life.id} {name}: {type(error).__name__}: {error}"[:200])
            await life.forget_devices()
            await asyncio.sleep(1.0)


def _acts(life: BranchLife, *, faults: bool) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
    """What goes on at a branch side by side, by name; ``faults``: its machines have trouble too."""
    checks = [(f"self_check_{user}", partial(life.self_check, user)) for user in life.kiosks]
    drop = [("book_drop", life.book_drop)] if life.has_drop else []
    trouble = [("machines", life.trouble().strike)] if faults else []
    return [*trouble, ("gate", life.gate), *checks, ("pad_kiosk", life.pad_kiosk), *drop, ("courier", life.courier)]


async def _play(plan_path: Path) -> None:
    plan = json.loads(plan_path.read_text("utf-8"))
    stats = Stats(Path(plan["stats"]))
    world = World(plan, random.Random(f"players-{plan['seed']}"))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    threading.Thread(target=_watch_stdin, args=(loop, stop), name="stdin", daemon=True).start()
    lives = [BranchLife(branch, world, stats, float(plan["speed"])) for branch in plan["branches"]]
    tasks = [
        asyncio.create_task(_again(name, action, life, stats, stop))
        for life in lives
        for name, action in _acts(life, faults=plan.get("faults", False))
    ]
    print(json.dumps({"kind": "players", "branches": len(lives), "readers": len(world.people)}), flush=True)  # noqa: T201
    while not stop.is_set():
        stats.save()
        failed = next((task for task in tasks if task.done()), None)
        if failed is not None:
            failed.result()
        try:
            await asyncio.wait_for(stop.wait(), 2.0)
        except TimeoutError:
            continue
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, *(life.close() for life in lives), return_exceptions=True)
    stats.save()


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """End with whoever holds our standard input; a plain thread, because the loop cannot watch every kind of file."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(stop.set)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="players", description="Plays readers and couriers of a demo consortium.")
    parser.add_argument("--plan", type=Path, required=True)
    asyncio.run(_play(parser.parse_args().plan))
    sys.exit(0)


if __name__ == "__main__":
    main()
