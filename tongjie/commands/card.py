"""``tongjie card``: how a cardreader writes cards, found by presenting cards whose number is known."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import fields
from typing import Annotated, Any

import typer

from consortium.card_learning import Learned, Sample, learn
from consortium.cards import WIEGAND_DATA, CardError, CardProfile
from drivers.base import CardRead, DeviceEvent, DeviceState, discover
from tongjie.commands.probe import KeyOption, KindsCommand, SetOption, driver_of, serve
from tongjie.commands.sim import fail

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)

_SAME_CARD_S = 3.0
"""The same card again within this time is one that was held too long, not the next one."""

_WANTED = {
    "FEWER_ERRORS": "No way of reading fits these numbers: check them, and that each card was presented in its turn.",
    "CHIP_NUMBER": "Printed numbers alone leave the byte order open: give one card's chip number in hex "
    "(a telephone with NFC shows it).",
    "OTHER_CARD": "Present one more card, whose chip number reads differently backwards.",
    "MORE_CARDS": "Fewer than three cards agree so far; present more to be sure.",
}
_FOUR_BYTES = (
    "Numbers of 32 bits are taken for whole chip numbers. If any card here has a longer one (7 bytes, DESFire and newer), "
    "present one too: then they count as cut, and stand for own readers alone."
)


@app.callback()
def _group() -> None:
    pass


@app.command("learn", cls=KindsCommand)
def learn_command(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="KIND URL | RAW...",
            help="A driver and its port; or what was sent for each card: HEX, HEX:BITS (a Wiegand frame) or text:DIGITS.",
        ),
    ],
    known: Annotated[
        list[str],
        typer.Option("--known", metavar="NUMBER", help="Number of a card, in order: chip in hex, or as printed."),
    ],
    seconds: Annotated[float, typer.Option("--for", min=1, help="Give up after so many seconds.")] = 120,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    key: KeyOption = None,
    more: SetOption = None,
) -> None:
    """Learn a cardreader's profile from known cards and print it for edge.toml; exit 1 where it is not certain.

    Example: tongjie card learn pcsc pcsc: --known 04A1B2C3D4E580 --known 5E10F79C --known D3E20B41
    """
    if words[0] in discover():
        if len(words) != 2:
            raise fail("a driver is given by its kind and the URL of its port")
        reads = asyncio.run(_present(words[0], words[1], known, seconds, key, more or []))
        if len(reads) < len(known):
            typer.echo(f"{len(reads)} of {len(known)} cards were presented; nothing learned", err=True)
            raise typer.Exit(1)
    else:
        if len(words) != len(known):
            raise fail("give one --known for each card, in the same order")
        reads = [_parsed(word) for word in words]
    try:
        learned = learn([Sample(*read, number) for read, number in zip(reads, known, strict=True)])
    except CardError as error:
        raise fail(str(error)) from error
    typer.echo(json.dumps(_plain(learned)) if as_json else _text(learned))
    raise typer.Exit(0 if learned.profile is not None and not learned.wanted else 1)


def _parsed(word: str) -> tuple[bytes, int, str]:
    """What a cardreader sent, from the command line."""
    if word.startswith("text:"):
        raw = word.removeprefix("text:").encode()
        return raw, 8 * len(raw), "ascii"
    digits, _, bits = word.partition(":")
    try:
        raw = bytes.fromhex(digits)
        count = int(bits) if bits else 8 * len(raw)
    except ValueError as error:
        raise fail(f"{word!r} is not HEX, HEX:BITS or text:DIGITS, and no driver is called so") from error
    if not 0 < count <= 8 * len(raw):
        raise fail(f"{word!r} has fewer bytes than bits")
    return raw, count, "wiegand" if bits and count in WIEGAND_DATA else "raw"


async def _present(
    kind: str, url: str, known: Sequence[str], seconds: float, key: str | None, more: Sequence[str]
) -> list[tuple[bytes, int, str]]:
    """Ask for each card and take what the cardreader sends for it."""
    driver = driver_of(kind, url, more, key)
    reads: list[tuple[bytes, int, str]] = []
    last_s = 0.0
    ended = asyncio.Event()

    def ask() -> None:
        typer.echo(f"present card {len(reads) + 1} of {len(known)}: {known[len(reads)]}", err=True)

    def hear(event: DeviceEvent) -> None:
        nonlocal last_s
        if isinstance(event, DeviceState) and event.state == "offline":
            typer.echo(f"the cardreader does not answer: {event.reason_code}", err=True)
        if not isinstance(event, CardRead) or ended.is_set():
            return
        read, now = (event.raw, event.bits, event.format), time.monotonic()
        again = bool(reads) and read == reads[-1] and now - last_s < _SAME_CARD_S
        last_s = now
        if again:
            return
        reads.append(read)
        if len(reads) == len(known):
            ended.set()
        else:
            ask()

    ask()
    await serve(driver, hear, seconds, ended)
    return reads


def _settings(profile: CardProfile) -> dict[str, Any]:
    """What of a profile is not as it is anyway."""
    plain = CardProfile()
    return {
        each.name: getattr(profile, each.name)
        for each in fields(profile)
        if getattr(profile, each.name) != getattr(plain, each.name)
    }


def _toml(profile: CardProfile) -> str:
    """The line for a device in edge.toml; JSON's texts, numbers and booleans are TOML's too."""
    inside = ", ".join(f"{name} = {json.dumps(value)}" for name, value in _settings(profile).items())
    return "options = { card = " + (f"{{ {inside} }}" if inside else '"uid"') + " }"


def _plain(learned: Learned) -> dict[str, Any]:
    return {
        "profile": None if learned.profile is None else _settings(learned.profile),
        "fits": [_settings(fit) for fit in learned.fits],
        "contradicts": list(learned.contradicts),
        "wanted": learned.wanted,
        "four_byte_only": learned.four_byte_only,
    }


def _text(learned: Learned) -> str:
    lines = []
    if learned.profile is not None:
        lines.append(_toml(learned.profile))
    elif learned.fits:
        lines += ["# several profiles fit:", *(f"# {_toml(fit)}" for fit in learned.fits)]
    lines += [
        f"# without card {at + 1} the others agree: its number or its turn is wrong" for at in learned.contradicts
    ]
    if learned.wanted:
        lines.append(f"# {_WANTED[learned.wanted]}")
    if learned.four_byte_only:
        lines.append(f"# {_FOUR_BYTES}")
    return "\n".join(lines)
