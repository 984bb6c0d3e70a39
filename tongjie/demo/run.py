"""Starts the demo in order, says where it is, keeps it running, and ends it with a summary."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

from firmware_sim.branch_client import SimBranchError
from tongjie.demo.console import Listener
from tongjie.demo.ils import NAME as ILS
from tongjie.demo.ils import IlsDay, behind_items, settled
from tongjie.demo.layout import (
    BranchLayout,
    DemoError,
    Layout,
    plan,
    python,
    write_configuration,
    write_demo_json,
)
from tongjie.demo.plan import write_plan
from tongjie.demo.report import ReportError, build_report, collect_live, summary
from tongjie.demo.supervisor import Child, StartError, Supervisor

DRAIN_S = 15.0
ILS_DRAIN_S = 20.0


async def run_demo(
    folder: Path,
    *,
    seconds: float | None,
    speed: float,
    seed: int,
    report: Path | None,
    ports: str,
    quiet: bool,
    faults: bool = False,
) -> int:
    """Run until Ctrl-C or for ``seconds``; returns the exit status. Raises DemoError where it cannot start."""
    say = _Voice(quiet)
    layout = plan(folder, seed=seed, speed=speed, ports=ports)
    layout.faults = faults
    supervisor = Supervisor(say)
    stop = _stop_on_signals(supervisor)
    began = time.monotonic()
    try:
        write_configuration(layout)
        try:
            await _unless_stopped(_start(layout, supervisor), stop)
        except StartError as error:
            raise DemoError(f"the demo did not start: {error}") from error
        if stop.is_set():
            return 130
        write_demo_json(layout)
        say.always(_where(layout, time.monotonic() - began))
        console = Listener(layout.hub_url, layout.staff_token)
        listening = asyncio.create_task(console.run(), name="console")
        await _players(layout, supervisor)
        day = _ils_day(layout, supervisor, seconds)
        ils = asyncio.create_task(_ils_lives(day, say), name="ils")
        await _wait(stop, seconds)
        say.always("stopping: the readers go home, what is in the outboxes is delivered")
        ils.cancel()
        await asyncio.gather(ils, return_exceptions=True)
        status = await _finish(layout, supervisor, console, day, report, say, time.monotonic() - began)
        listening.cancel()
    finally:
        await supervisor.stop_all(3.0)
        for branch in layout.branches:
            for device in branch.devices:
                if device.link is not None:
                    device.link.unlink(missing_ok=True)
            if branch.kiosk3_link is not None:
                branch.kiosk3_link.unlink(missing_ok=True)
        layout.close()
    return status


class _Voice:
    """What the supervisor says: everything, or only what matters."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet

    def __call__(self, text: str) -> None:
        if not self._quiet:
            self.always(text)

    def always(self, text: str) -> None:
        print(text, flush=True)


def _stop_on_signals(supervisor: Supervisor) -> asyncio.Event:
    stop = asyncio.Event()

    def asked() -> None:
        if stop.is_set():
            # Twice means now: nothing is waited for, nothing is left.
            print("stopped at once; what was in the outboxes stays in the data folder", file=sys.stderr, flush=True)
            supervisor.kill_all()
            _exit_hard()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)
    return stop


def _exit_hard() -> None:
    import os

    os._exit(130)


async def _unless_stopped(work: Any, stop: asyncio.Event) -> None:
    task, stopped = asyncio.ensure_future(work), asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        task.result()
        return
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _start(layout: Layout, supervisor: Supervisor) -> None:
    log = layout.folder / "log"
    devices = [asyncio.create_task(_start_devices(layout, supervisor, branch)) for branch in layout.branches]
    loading = asyncio.create_task(_load(layout))
    ils: asyncio.Task[None] | None = None
    try:
        ready = await supervisor.start(
            Child(
                "broker",
                python("-m", "bus.broker", "--kind", "iotcore", "--port", str(layout.broker_port)),
                log / "broker.log",
            )
        )
        layout.broker_kind = str(ready.get("kind", "iotcore"))
        await loading
        # Only now: the consortium's loading takes a whole core, the hub's start leaves one.
        ils = asyncio.create_task(_start_ils(layout, supervisor))
        await supervisor.start(
            Child(
                "hub",
                python("-m", "hub", "--config", str(layout.folder / "hub.toml")),
                log / "hub.log",
                ready_timeout_s=60,
            )
        )
        await asyncio.gather(*devices, ils)
        await asyncio.gather(*(_start_edge(layout, supervisor, branch) for branch in layout.branches))
        await _answers(layout)
    finally:
        begun = [*devices, loading, *([] if ils is None else [ils])]
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)


async def _load(layout: Layout) -> None:
    """Put the consortium into the hub's store before the hub starts, in a process of its own."""
    folder = layout.folder
    words = python("-m", "tongjie.demo.load", "--config", str(folder / "hub.toml"), str(folder / "consortium.json"))
    loader = Child("consortium", words, folder / "log" / "load.log", ready_timeout_s=60, restart=False)
    try:
        await loader.start()
        await loader.stop(5.0)
    finally:
        loader.kill()
        loader.close()


async def _start_devices(layout: Layout, supervisor: Supervisor, branch: BranchLayout) -> None:
    def ready(line: dict[str, Any]) -> None:
        branch.control = int(line["control"])

    plan = layout.folder / "dev" / f"{branch.id}.json"
    words = ["--devices", str(plan), "--control-port", str(branch.control)]
    child = Child(
        f"devices {branch.id}",
        python("-m", "firmware_sim.branch", *words),
        layout.folder / "log" / f"devices-{branch.id}.log",
        on_ready=ready,
    )
    await supervisor.start(child)
    # After a restart the players must find the devices where they were.
    child.argv[-1] = str(branch.control)


async def _start_ils(layout: Layout, supervisor: Supervisor) -> None:
    ils = layout.ils
    await supervisor.start(Child(ILS, python(*ils.words()), layout.folder / "log" / "ils.log", env=ils.environment()))


def _ils_day(layout: Layout, supervisor: Supervisor, seconds: float | None) -> IlsDay:
    library = layout.ils.library
    readers = [
        row["reader_no"]
        for row in layout.data["readers"]
        if row["home"] == library and not row["free"] and not row["case"] and row["category"] in ("UG", "PG", "STAFF")
    ]
    return IlsDay(layout.ils, supervisor, behind_items(layout.data, library), readers, seconds)


async def _ils_lives(day: IlsDay, say: _Voice) -> None:
    """The ILS's day; trouble in it is told and ends nothing else."""
    try:
        await day.run()
    except (OSError, SimBranchError, StartError) as error:
        say.always(f"the {ILS} of {day.ils.library}: {error}")


async def _start_edge(layout: Layout, supervisor: Supervisor, branch: BranchLayout) -> None:
    config = layout.folder / f"edge-{branch.id}.toml"
    words = python("-m", "edge", "--config", str(config))
    await supervisor.start(Child(f"edge {branch.id}", words, layout.folder / "log" / f"edge-{branch.id}.log"))


async def _players(layout: Layout, supervisor: Supervisor) -> None:
    words = python("-m", "firmware_sim.players", "--plan", str(write_plan(layout)))
    await supervisor.start(Child("readers", words, layout.folder / "log" / "readers.log"))


async def _answers(layout: Layout, timeout_s: float = 30.0) -> None:
    """Wait until hub, edges, gates and pads all say they are ready."""
    addresses = [f"{layout.hub_url}/readyz", *(f"http://127.0.0.1:{b.http_port}/readyz" for b in layout.branches)]
    deadline = time.monotonic() + timeout_s
    async with httpx2.AsyncClient(timeout=5.0) as client:
        for address in addresses:
            while True:
                said = ""
                try:
                    answer = await client.get(address)
                    if answer.status_code == 200:
                        break
                    said = answer.text[:300]
                except httpx2.HTTPError as error:
                    said = str(error)
                if time.monotonic() > deadline:
                    raise StartError(f"{address} is not ready: {said}")
                await asyncio.sleep(0.1)


async def _wait(stop: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


async def _finish(
    layout: Layout,
    supervisor: Supervisor,
    console: Listener,
    day: IlsDay,
    report: Path | None,
    say: _Voice,
    ran_s: float,
) -> int:
    await supervisor.stop("readers", 3.0)
    await day.back()
    told = await settled(layout.data, layout.folder / day.ils.branch / "outbox.db", day, ILS_DRAIN_S)
    live = await collect_live(layout, DRAIN_S)
    live.ils = told.public()
    live.console_ms = list(console.samples)
    restarts = {child.name: child.restarts for child in supervisor.children if child.restarts}
    for child in reversed(supervisor.children):
        await supervisor.stop(child.name, 5.0)
    try:
        content = await asyncio.to_thread(build_report, layout, live, ran_s, restarts)
    except ReportError as error:
        say.always(f"no report could be made: {error}")
        return 1
    say.always(summary(content))
    if report is not None:
        try:
            await asyncio.to_thread(_write, report, content)
        except OSError as error:
            say.always(f"the report could not be written to {report}: {error.strerror}")
            return 1
    sound = content["events_lost"] == 0 and "broken" not in content["invariants"].values()
    return 0 if sound else 1


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", "utf-8")


def _where(layout: Layout, took_s: float) -> str:
    lines = [
        f"Tongjie 通借 is running ({took_s:.1f} s).",
        f"  console   {layout.hub_url}/         sign in: demo / {layout.staff_password}",
        f"  API       {layout.hub_url}/api/v1/  token in {layout.folder / 'demo.json'}",
    ]
    names = {branch["id"]: branch for branch in layout.data["bundle"]["branches"]}
    libraries = {library["org"]: library for library in layout.data["bundle"]["libraries"]}
    for b in layout.branches:
        title = f"{libraries[b.library]['name_zh']} {names[b.id]['name_zh']}"
        lines.append(f"  kiosk     http://127.0.0.1:{b.http_port}/kiosk   SIP2 127.0.0.1:{b.sip2_port}   {title}")
    lines.append(f"  broker    {layout.broker_url}   logs in {layout.folder / 'log'}")
    if layout.left_out:
        lines.append(f"  left out  {layout.left_out}")
    lines.append("  Ctrl-C stops everything and prints a summary.")
    return "\n".join(lines)
