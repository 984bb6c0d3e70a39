"""``tongjie probe``: the driver of a kind on a port, to see whether a device answers and what it says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from typing import Annotated, Any

import typer

from drivers.base import CardRead, ConfigurationError, DeviceEvent, DeviceState, Driver, TagsOnPad, Tamper, load
from protocols.iso28560 import TagError, decode_tag
from tongjie.commands.sim import KEY_VARIABLE, fail, settings

__all__ = ["probe", "register"]


def described(event: DeviceEvent) -> dict[str, Any]:
    """An event as JSON shows it; bytes are upper-case hex."""
    if isinstance(event, CardRead):
        return {
            "event": "card_read",
            "device": event.device,
            "reader_no": event.reader_no,
            "direction": event.direction,
            "format": event.format,
            "bits": event.bits,
            "raw": event.raw.hex().upper(),
            "t_mono_ns": event.t_mono_ns,
        }
    if isinstance(event, DeviceState):
        return {
            "event": "device_state",
            "device": event.device,
            "state": event.state,
            "reason_code": event.reason_code,
            "facts": dict(event.facts),
        }
    if isinstance(event, Tamper):
        return {"event": "tamper", "device": event.device, "active": event.active}
    return {"event": "tags_on_pad", "device": event.device, "tags": [_tag(event, at) for at in range(len(event.tags))]}


def _tag(event: TagsOnPad, at: int) -> dict[str, Any]:
    tag = event.tags[at]
    found: dict[str, Any] = {
        "uid": tag.uid,
        "dsfid": f"{tag.dsfid:02X}",
        "afi": None if tag.afi is None else f"{tag.afi:02X}",
        "data": tag.data.hex().upper(),
        "block_size": tag.block_size,
    }
    try:
        content = decode_tag(tag.data, dsfid=tag.dsfid, afi=tag.afi, uid=tag.uid)
    except TagError as error:
        return {**found, "error": error.code}
    return {**found, "format": content.format, "pii": content.pii, "owner": content.owner}


def _sentence(told: dict[str, Any]) -> str:
    rest = ", ".join(f"{name} {value}" for name, value in told.items() if name not in ("event", "device", "t_mono_ns"))
    return f"{told['event'].replace('_', ' ')}: {rest}"


def probe(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="osdp or feig.")],
    url: Annotated[
        str, typer.Argument(metavar="URL", help="serial:PATH, pty:PATH, tcp:HOST:PORT or rfc2217://HOST:PORT.")
    ],
    seconds: Annotated[float | None, typer.Option("--for", min=0, help="End after so many seconds.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON lines.")] = False,
    key: Annotated[
        str | None, typer.Option("--key", help=f"OSDP key, 32 hex digits; also from {KEY_VARIABLE}.")
    ] = None,
    commission: Annotated[
        bool, typer.Option("--commission", help="Set the key on a cardreader that still has the default one.")
    ] = False,
    more: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Another option of the driver.")
    ] = None,
) -> None:
    """Run a driver and print what the device does; exit 1 where it was never reached.

    Example: tongjie probe feig serial:/dev/ttyUSB0 --for 10 --json
    """
    options: dict[str, str | int | bool] = dict(settings(more or []))
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
        driver = load(kind)("probe", url, options)
    except ConfigurationError as error:
        raise fail(str(error)) from error

    def show(told: dict[str, Any]) -> None:
        typer.echo(json.dumps(told, ensure_ascii=False) if as_json else _sentence(told))

    raise typer.Exit(0 if asyncio.run(_run(driver, seconds, show)) else 1)


async def _run(driver: Driver, seconds: float | None, show: Callable[[dict[str, Any]], None]) -> bool:
    reached = False

    def emit(event: DeviceEvent) -> None:
        nonlocal reached
        reached = reached or not isinstance(event, DeviceState) or event.state != "offline"
        show(described(event))

    ended = asyncio.Event()
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
    return reached


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command("probe")(probe)
