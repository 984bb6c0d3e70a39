"""``tongjie sip2``: a SIP2 client and decoder for the desk of a systems librarian."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO

import typer

from drivers.base import ConfigurationError
from drivers.selfcheck.client import Address, LoginRefused, Sip2Client, Unreachable
from protocols.sip2 import LAYOUTS, NEED_DATA, Framer, Message, RemoteProtocolError, guess_encoding, mask, parse
from protocols.sip2.fields import FIELDS
from protocols.sip2.messages import REPLY_OF, TITLES
from tongjie.commands.sip2_trace import trace

__all__ = ["app", "call", "decode"]

app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})

app.command()(trace)

_MAX_LINE = 1_048_576


def described(message: Message, encoding: str) -> dict[str, Any]:
    """A message as `decode` prints it: every name of the fixed part, null where the peer left it out."""
    found: dict[str, Any] = {
        "code": message.code,
        "fixed": {name: message.fixed.get(name) for name in LAYOUTS[message.code].names},
        "fields": [list(pair) for pair in message.fields],
        "sequence": message.sequence,
        "checksum": message.checksum,
    }
    if message.right is not None:
        found["right"] = message.right
    if message.sum_over is not None:
        found["sum_over"] = message.sum_over
    found["encoding"] = encoding
    if message.replaced:
        found["replaced"] = True
    return found


def decoded(frame: bytes, encoding: str | None) -> dict[str, Any]:
    """One frame as `decode` prints it, or `{"error", "message", …}` with what could be read of it."""
    chosen = encoding or guess_encoding(frame)
    try:
        message = parse(frame, chosen)
        return {**described(message, chosen), "log": mask(frame.decode(chosen, "replace"))}
    except RemoteProtocolError as error:
        is_request = error.message_code in REPLY_OF or error.message_code not in LAYOUTS
        found: dict[str, Any] = {"error": error.code, "message": str(error)}
        found["decode"] = "malformed" if is_request else "reject"
        return {**found, **error.details()}


def readable(message: Message) -> str:
    """A message for people: one line for the whole, one for each part."""
    order = "" if message.sequence is None else f", AY {message.sequence}"
    lines = [f"{message.code} {TITLES[message.code]} (checksum {message.checksum}{order})"]
    lines += [f"   {name}: {value!r}" for name, value in message.fixed.items()]
    lines += [f"   {name} {FIELDS.get(name, 'extension')}: {value}" for name, value in message.fields]
    return "\n".join(lines)


def _unhex(frame: bytes) -> bytes:
    """The bytes behind a line of hex digits; any other line as it is.

    No message is all hex digits: its date holds blanks, its AZ a Z. A message in hex begins with a digit's 3x.
    """
    compact = frame.strip()
    if compact[:1] != b"3" or len(compact) % 2 or not set(compact) <= set(b"0123456789ABCDEFabcdef"):
        return frame
    data = bytes.fromhex(compact.decode("ascii"))
    return data.rstrip(b"\r\n") if data[:2].isdigit() else frame


def _frames(stream: BinaryIO) -> Iterator[bytes | RemoteProtocolError]:
    framer = Framer(_MAX_LINE)
    while True:
        chunk = stream.readline(65_536)
        framer.receive(chunk or b"\r")
        while True:
            try:
                frame = framer.next_frame()
            except RemoteProtocolError as error:
                yield error
                continue
            if frame is NEED_DATA:
                break
            yield _unhex(frame)
        if not chunk:
            return


def _known_encoding(name: str | None) -> str | None:
    if name is not None:
        try:
            "".encode(name)
        except LookupError:
            typer.echo(f"There is no encoding {name!r}; try utf-8, gb18030, gbk, cp850 or latin-1.", err=True)
            raise typer.Exit(2) from None
    return name


@app.command()
def decode(
    encoding: Annotated[str | None, typer.Option(help="Of the messages; guessed for each where not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Decode SIP2 messages from standard input, one a line (text, or all in hex digits).

    Exit 1 if one of them could not be decoded. A wrong checksum is shown and does not count as that.

    Example: echo '9900802.00AY1AZFCA0' | tongjie sip2 decode --json
    """
    chosen = _known_encoding(encoding)
    failed = False
    for frame in _frames(sys.stdin.buffer):
        if isinstance(frame, RemoteProtocolError):
            found: dict[str, Any] = {"error": frame.code, "message": str(frame)}
        else:
            found = decoded(frame, chosen)
        failed = failed or "error" in found
        if as_json:
            typer.echo(json.dumps(found, ensure_ascii=False))
        elif "error" in found or isinstance(frame, RemoteProtocolError):
            typer.echo(f"{found['error']}: {found['message']}")
        else:
            typer.echo(readable(parse(frame, found["encoding"])))
    if failed:
        raise typer.Exit(1)


def _address(text: str) -> Address:
    if text.partition(":")[0] in ("sip2", "sip2s", "serial", "pty"):
        try:
            return Address.parse(text)
        except ConfigurationError as error:
            typer.echo(f"{text!r}: {error}", err=True)
            raise typer.Exit(2) from error
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        typer.echo(f"{text!r} is no HOST:PORT; write for example 127.0.0.1:6101.", err=True)
        raise typer.Exit(2)
    return Address("sip2", host.strip("[]"), int(port))


async def _exchange(client: Sip2Client, messages: list[str], as_json: bool, encoding: str) -> None:
    async with client:
        for text in messages:
            reply = await client.call(text)
            shown = json.dumps(described(reply, encoding), ensure_ascii=False) if as_json else readable(reply)
            typer.echo(shown)


@app.command()
def call(
    server: Annotated[
        str, typer.Argument(metavar="HOST:PORT", help="The SIP2 server; or sip2s://HOST:PORT (TLS), serial:PATH.")
    ],
    messages: Annotated[list[str], typer.Argument(metavar="MESSAGE…", help="As on the wire, without AY and AZ.")],
    user: Annotated[str | None, typer.Option(help="Log in first as this user (CN).")] = None,
    password: Annotated[
        str | None, typer.Option(envvar="TONGJIE_SIP2_PASSWORD", help="Of that user (CO).", show_envvar=True)
    ] = None,
    location: Annotated[str | None, typer.Option(help="Location code for the login (CP).")] = None,
    encoding: Annotated[str, typer.Option(help="Of the server.")] = "utf-8",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for a reply before asking again.", min=0.1)] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a reply.")] = False,
) -> None:
    """Send SIP2 messages to a server and print its replies, decoded.

    AY and AZ are added, unless a message ends with its own. Exit 1 if the server cannot be reached, refuses the login
    or gives no usable reply; a reply that says no is a reply.

    Example: tongjie sip2 call 127.0.0.1:6101 --user kiosk1 --password … '1720261122    193711AO251020|AB0012345678|'
    """
    address = _address(server)
    chosen = _known_encoding(encoding) or "utf-8"
    if user is not None and password is None:
        typer.echo("A user needs --password or TONGJIE_SIP2_PASSWORD.", err=True)
        raise typer.Exit(2)
    client = Sip2Client(
        address=address, user=user, password=password or "", location=location, encoding=chosen, timeout_s=timeout
    )
    try:
        asyncio.run(_exchange(client, messages, as_json, chosen))
    except (Unreachable, LoginRefused, RemoteProtocolError) as error:
        if as_json:
            typer.echo(json.dumps({"error": error.code, "message": str(error)}, ensure_ascii=False))
        else:
            typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
