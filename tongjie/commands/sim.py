"""``tongjie sim``: a device that speaks the real protocol, for a desk without hardware."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import typer

from firmware_sim.pty import LineError
from firmware_sim.scene import SceneError, Step, load_scene, play
from firmware_sim.simulators import Simulator, UnknownSimulator, load
from firmware_sim.stage import StageError

__all__ = ["register", "sim"]

DEMO_PERIOD_S = 5.0
KINDS = "feig, 3m, uhfreader18, llrp, pcsc, cardserial, wiegand485, barcode, osdp, relay, zkteco, gate (security gate), printer, kiosk"
KEY_VARIABLE = "TONGJIE_OSDP_KEY"


def settings(given: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=VALUE`` words; raises `typer.BadParameter`."""
    found = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{word!r} is not NAME=VALUE")
        found[name] = value
    return found


def fail(message: str) -> typer.Exit:
    """Say one sentence on stderr and give the exit for wrong usage."""
    typer.echo(message, err=True)
    return typer.Exit(2)


def sim(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"{KINDS}; and what other packages add.")],
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL", help="pty:LINK or tcp:HOST:PORT (a kiosk connects there); vpcd:HOST:PORT for pcsc."
        ),
    ],
    scene: Annotated[Path | None, typer.Option("--scene", help="JSON or TOML list of steps (at_s, op, …).")] = None,
    key: Annotated[
        str | None, typer.Option("--key", help=f"OSDP key, 32 hex digits; also from {KEY_VARIABLE}.")
    ] = None,
    seconds: Annotated[float | None, typer.Option("--for", min=0, help="End after so many seconds.")] = None,
    more: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Another option of the kind.")
    ] = None,
) -> None:
    """Simulate a device; one line of JSON says when it is ready. Without a scene it shows a demo card or tag every 5 s.

    Example: tongjie sim feig pty:/tmp/pad --for 60
    """
    options = settings(more or [])
    if kind == "osdp" and (found := key or os.environ.get(KEY_VARIABLE)):
        options["key"] = found
    try:
        device = load(kind)(url, options)
        steps = load_scene(scene, device.operations) if scene else None
    except (UnknownSimulator, SceneError, LineError) as error:
        raise fail(str(error)) from error
    except ValueError as error:
        raise fail(f"{kind}: {error}") from error
    raise typer.Exit(asyncio.run(_run(device, steps, seconds)))


async def _run(device: Simulator, steps: Sequence[Step] | None, seconds: float | None) -> int:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    try:
        await device.start()
    except (LineError, OSError) as error:
        typer.echo(str(getattr(error, "strerror", None) or error), err=True)
        return 2
    playing = asyncio.create_task(_demo(device) if steps is None else _scene(device, steps))
    waiting = asyncio.create_task(ended.wait())
    try:
        typer.echo(json.dumps({"kind": device.kind, "url": device.url}))
        done, _ = await asyncio.wait({playing, waiting}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if playing in done:
            playing.result()
        return 0
    except StageError as error:
        typer.echo(str(error), err=True)
        return 1
    finally:
        playing.cancel()
        waiting.cancel()
        await asyncio.gather(playing, waiting, return_exceptions=True)
        await device.stop()


async def _scene(device: Simulator, steps: Sequence[Step]) -> None:
    await play(steps, device.do, _told)
    await asyncio.Event().wait()  # the device stays where the scene left it


async def _demo(device: Simulator) -> None:
    endless = (Step(step.at_s + DEMO_PERIOD_S * turn, {**step.operation}) for turn in count() for step in device.demo)
    await play(endless, device.do, _told)


def _told(step: Step, result: Mapping[str, Any]) -> None:
    typer.echo(json.dumps({"at_s": step.at_s, "op": step.operation["op"], **result}))


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command("sim")(sim)
