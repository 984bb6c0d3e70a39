"""``tongjie probe``: the driver of a kind on a port, to see whether a device answers and what it says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from drivers.base import ConfigurationError, DeviceEvent, DeviceState, Driver, discover, load
from tongjie.commands.shown import described, sentence
from tongjie.commands.sim import KEY_VARIABLE, fail, settings

__all__ = ["KeyOption", "SetOption", "driver_of", "probe", "register", "serve"]

KeyOption = Annotated[str | None, typer.Option("--key", help=f"OSDP key, 32 hex digits; also from {KEY_VARIABLE}.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Another option of the driver.")
]


class KindsCommand(TyperCommand):
    """A command whose help ends with the kinds of driver that are installed."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Look for them only now: the other commands do not wait for it. (typer hides the types of its command line library.)"""
        formatter.write_paragraph()
        formatter.write_text(f"Kinds: {', '.join(sorted(discover()))}.")


def driver_of(kind: str, url: str, more: Sequence[str], key: str | None, commission: bool = False) -> Driver:
    """Make the driver that the command line names; wrong usage ends the program with one sentence."""
    options: dict[str, str | int | bool] = dict(settings(more))
    if kind == "osdp":
        found = key or os.environ.get(KEY_VARIABLE)
        if found:
            options |= {"key": found, "commission": commission}
        elif commission:
            raise fail("--commission needs the --key to set; choose 32 random hex digits and keep them")
        else:
            typer.echo(
                "no key given: listening in plain text to a cardreader in install mode, setting nothing", err=True
            )
            options["commission"] = True
    elif key or commission:
        raise fail(f"--key and --commission are for osdp, not for {kind}")
    try:
        return load(kind)("probe", url, options)
    except ConfigurationError as error:
        raise fail(str(error)) from error


def probe(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Kind of the driver, one of those below.")],
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL", help="serial:PATH, pty:PATH, tcp:HOST:PORT, rfc2217://HOST:PORT, or what the driver takes."
        ),
    ],
    seconds: Annotated[float | None, typer.Option("--for", min=0, help="End after so many seconds.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON lines.")] = False,
    key: KeyOption = None,
    commission: Annotated[
        bool, typer.Option("--commission", help="Set the key on a cardreader that still has the default one.")
    ] = False,
    more: SetOption = None,
) -> None:
    """Run a driver and print what the device does; a card with every reading of it. Exit 1 where it was never reached.

    Example: tongjie probe feig serial:/dev/ttyUSB0 --for 10 --json
    """
    driver = driver_of(kind, url, more or [], key, commission)
    reached = False

    def show(event: DeviceEvent) -> None:
        nonlocal reached
        reached = reached or not isinstance(event, DeviceState) or event.state != "offline"
        told: dict[str, Any] = described(event)
        typer.echo(json.dumps(told, ensure_ascii=False) if as_json else sentence(told))

    asyncio.run(serve(driver, show, seconds))
    raise typer.Exit(0 if reached else 1)


async def serve(
    driver: Driver, emit: Callable[[DeviceEvent], None], seconds: float | None, ended: asyncio.Event | None = None
) -> None:
    """Run a driver until ``seconds`` are over, ``ended`` is set, or somebody interrupts; a driver that fails raises here."""
    ended = ended or asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    running = asyncio.create_task(driver.run(emit))
    waiting = asyncio.create_task(ended.wait())
    try:
        done, _ = await asyncio.wait({running, waiting}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if running in done:
            running.result()
    finally:
        running.cancel()
        waiting.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command("probe", cls=KindsCommand)(probe)
