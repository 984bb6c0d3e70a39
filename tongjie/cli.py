"""``tongjie``: one command line for the person who installs, connects and checks (design §4.1)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from tongjie import __version__
from tongjie.commands import (
    bench,
    card,
    check,
    demo,
    docs,
    doctor,
    frame,
    log,
    policy,
    probe,
    sim,
    sip2,
    tag,
    test,
    whatif,
)

app = typer.Typer(
    name="tongjie",
    help="Tongjie 通借: the physical-service edge and hub of a library consortium.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # wrong usage is told in plain sentences, also in logs and over a serial console
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(demo.demo)
app.command()(doctor.doctor)
app.command()(check.check)
app.command()(bench.bench)
app.command()(test.test)
app.command()(docs.docs)
app.command()(whatif.whatif)
sim.register(app)
probe.register(app)
app.add_typer(sip2.app, name="sip2", help="Speak SIP2: call a server, decode messages.")
app.add_typer(card.app, name="card", help="Learn how a cardreader writes cards.")
app.add_typer(tag.app, name="tag", help="Decode and encode RFID tag data.")
app.add_typer(log.app, name="log", help="A hub's event log as a file.")
app.add_typer(policy.app, name="policy", help="Build, check, read, explain and sign the policy.")
app.add_typer(frame.app, name="frame", help="Decode the frames that devices speak.")


@app.command()
def hub(
    config: Annotated[Path, typer.Option("--config", help="The hub's configuration, TOML.")],
) -> None:
    """Run the hub of a consortium.

    Example: tongjie hub --config hub.toml
    """
    from hub.__main__ import main as run_hub

    sys.exit(run_hub(["--config", str(config)]))


@app.command()
def edge(
    config: Annotated[Path, typer.Option("--config", help="The branch's configuration, TOML.")],
) -> None:
    """Run the edge agent of one branch.

    Example: tongjie edge --config edge-251020-01.toml
    """
    from edge.__main__ import main as run_edge

    sys.exit(run_edge(["--config", str(config)]))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tongjie {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the console script."""
    try:
        app(prog_name="tongjie")
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
