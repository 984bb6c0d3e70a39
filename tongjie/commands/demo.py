"""``tongjie demo``: a whole consortium running on this machine (design §4.1)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer


def demo(
    seconds: Annotated[
        float | None, typer.Option("--for", help="Stop by itself after so many seconds.", min=1.0)
    ] = None,
    speed: Annotated[float, typer.Option("--speed", help="Traffic: 1 is an ordinary day.", min=0.01, max=1000.0)] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="One seed, one consortium and one day.")] = 1,
    data: Annotated[Path, typer.Option("--data", help="Folder for everything the demo writes.")] = Path(
        ".tongjie/demo"
    ),
    report: Annotated[Path | None, typer.Option("--report", help="Write a JSON report here at the end.")] = None,
    ports: Annotated[str, typer.Option("--ports", help="'auto' for free ports, or a BASE number.")] = "",
    faults: Annotated[
        bool, typer.Option("--faults", help="Machines have trouble: cables pulled out, noisy lines.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only what is needed.")] = False,
) -> None:
    """Run a consortium of three libraries: broker, hub, three branches, their devices and readers. Ctrl-C ends it.

    Example: tongjie demo --for 60 --report report.json
    """
    from tongjie.demo.layout import DemoError
    from tongjie.demo.run import run_demo

    if report is not None and (report.is_dir() or not report.resolve().parent.is_dir()):
        typer.echo(f"{report} cannot be a report; give --report the name of a file in an existing folder", err=True)
        raise typer.Exit(2)
    try:
        status = asyncio.run(
            run_demo(
                data.resolve(),
                seconds=seconds,
                speed=speed,
                seed=seed,
                report=report,
                ports=ports,
                quiet=quiet,
                faults=faults,
            )
        )
    except DemoError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.status) from error
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)
