"""``tongjie sip2 trace``: what goes over a kiosk's line, on a terminal, as the edge shows it: masked."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx2
import typer

from edge.trace.report import line_text

__all__ = ["TraceRefused", "follow", "trace"]

TOKEN_VARIABLE = "TONGJIE_TRACE_TOKEN"  # noqa: S105 - the name of a variable
_AGAIN_S = 1.0
_SILENT_S = 30.0
"""The edge says at least every ten seconds that it is there."""


class TraceRefused(Exception):
    """The edge does not show its trace to us; the message says why, ``code`` is the edge's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


async def follow(edge: str, kiosk: str | None, token: str | None) -> AsyncIterator[dict[str, Any]]:
    """Lines as they come, each as `Line.public`; a stream that ends is taken up again. Raises TraceRefused.

    Where the edge cannot be reached at first, httpx2.HTTPError is raised; later it is waited for.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    params: dict[str, str] = {"kiosk": kiosk} if kiosk is not None else {}
    reached = False
    async with httpx2.AsyncClient(timeout=httpx2.Timeout(10.0, read=_SILENT_S), headers=headers) as client:
        while True:
            try:
                async with client.stream("GET", f"{edge}/trace/api/stream", params=params) as answer:
                    if answer.status_code != 200:
                        await _refused(answer)
                    reached = True
                    async for line in _lines(answer):
                        params["after"] = str(line["n"])
                        yield line
            except httpx2.HTTPError:
                if not reached:
                    raise
            await asyncio.sleep(_AGAIN_S)


async def _refused(answer: httpx2.Response) -> None:
    try:
        said = json.loads(await answer.aread())
    except ValueError:
        said = {}
    code = str(said.get("code", f"HTTP_{answer.status_code}"))
    text = said.get("text") or {
        "NO_SUCH_KIOSK": "there is no such kiosk; leave --kiosk out to see all",
        "HTTP_404": "this edge has no trace; is the address that of an edge?",
    }.get(code, f"the edge answered {answer.status_code}")
    raise TraceRefused(code, str(text))


async def _lines(answer: httpx2.Response) -> AsyncIterator[dict[str, Any]]:
    kind = ""
    async for text in answer.aiter_lines():
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data" and kind == "line":
            yield json.loads(value)


def _token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(TOKEN_VARIABLE)
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        typer.echo(f"{file} cannot be read as a token", err=True)
        raise typer.Exit(2) from error


def trace(
    edge: Annotated[str, typer.Argument(metavar="EDGE_URL", help="The edge's address, http://HOST:PORT.")],
    kiosk: Annotated[str | None, typer.Option("--kiosk", help="One kiosk by name, else all.")] = None,
    seconds: Annotated[float | None, typer.Option("--for", min=0.1, help="End after so many seconds.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help=f"The edge's [trace] token; also from {TOKEN_VARIABLE}.")
    ] = None,
) -> None:
    """Follow what kiosks and edge say to each other. PINs are cut out, reader numbers and names masked.

    Exit 1 if the edge cannot be reached or does not show its trace from here. Ctrl-C ends it.

    Example: tongjie sip2 trace http://127.0.0.1:8101 --kiosk 251020-01-kiosk1 --for 60
    """
    parts = urlsplit(edge)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        typer.echo(f"{edge!r} is no address of an edge; write for example http://127.0.0.1:8101.", err=True)
        raise typer.Exit(2)
    try:
        asyncio.run(_show(edge.rstrip("/"), kiosk, _token(token_file), seconds, as_json))
    except TraceRefused as error:
        typer.echo(f"{error.code}: {error}", err=True)
        raise typer.Exit(1) from error
    except httpx2.HTTPError as error:
        typer.echo(f"No edge answers at {edge}.", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


async def _show(edge: str, kiosk: str | None, token: str | None, seconds: float | None, as_json: bool) -> None:
    try:
        async with asyncio.timeout(seconds):
            async for line in follow(edge, kiosk, token):
                if as_json:
                    typer.echo(json.dumps(line, ensure_ascii=False))
                else:
                    typer.echo(f"{line['kiosk']}  {line_text(line)}" if kiosk is None else line_text(line))
    except TimeoutError:
        return
