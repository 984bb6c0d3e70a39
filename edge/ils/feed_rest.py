"""Changes from a REST poll: ``GET URL?after=CURSOR&limit=N`` with a bearer token, answers bounded in size and time, TLS verified."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from edge.ils.feed_mapping import BadRow, RowReader, Table, number, row_reader, text
from edge.ils.feeds import Batch, Change, FeedError, LoanThere, Quarantined

MAX_BODY = 8 * 1024 * 1024
"""Bytes of one answer."""

_PAGE = 1_000
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class RestFeed:
    """A feed over HTTP. ``token`` is read from its file at every poll, so that it can be changed without a restart."""

    kind = "rest"

    def __init__(self, url: str, loans_url: str, rows: RowReader, *, token: Path, changes_key: str, loans_key: str, timeout_s: float,
                 verify: ssl.SSLContext | None) -> None:  # fmt: skip
        self._url, self._loans_url, self._rows, self._token = url, loans_url, rows, token
        self._changes_key, self._loans_key, self._timeout_s = changes_key, loans_key, timeout_s
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(timeout_s), follow_redirects=False, trust_env=False, verify=verify or True
        )

    @property
    def tells_loans(self) -> bool:
        """Whether an address of the open loans was configured."""
        return bool(self._loans_url)

    async def poll(self, after: str, limit: int) -> Batch:
        """Rows behind the cursor. Raises FeedError."""
        found = await self._rows_of(self._url, self._changes_key, after, limit)
        changes: list[Change] = []
        bad: list[Quarantined] = []
        upto = after
        for row in found[:limit]:
            try:
                upto = self._rows.cursor(row)
            except BadRow as error:
                raise FeedError("FEED_CURSOR", "a row of the answer has no cursor") from error
            try:
                changes.append(self._rows.change(row))
            except BadRow as error:
                bad.append(Quarantined(upto, error.code))
        if found and upto == after:
            raise FeedError("FEED_CURSOR", "the answer does not go on from the cursor it was given")
        return Batch(tuple(changes), upto, tuple(bad), len(found) >= limit)

    async def open_loans(self) -> AsyncGenerator[list[LoanThere], None]:
        """Every open loan, page by page behind the last item's number. Raises FeedError."""
        after = ""
        while found := await self._rows_of(self._loans_url, self._loans_key, after, _PAGE):
            try:
                page = [self._rows.loan(row) for row in found]
            except BadRow as error:
                raise FeedError("FEED_LOANS_BAD", f"an open loan cannot be read ({error.code})") from error
            if page[-1].item_no <= after:
                raise FeedError("FEED_LOANS_BAD", "the open loans do not come in the order of their items")
            after = page[-1].item_no
            yield page

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _rows_of(self, url: str, key: str, after: str, limit: int) -> list[dict[str, object]]:
        try:
            async with asyncio.timeout(self._timeout_s):
                body = await self._get(url, after, limit)
        except TimeoutError as error:
            raise FeedError("FEED_TIMEOUT", f"no answer within {self._timeout_s:g} s") from error
        except httpx2.HTTPError as error:
            raise FeedError("FEED_HTTP", f"the address cannot be asked ({type(error).__name__})") from error
        try:
            answer: Any = await asyncio.to_thread(json.loads, body)
            rows = answer[key] if key else answer
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise FeedError("FEED_ANSWER", f"the answer is no JSON with a list {key!r}") from error
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise FeedError("FEED_ANSWER", f"the answer's {key!r} is no list of rows")
        return [{str(name).lower(): value for name, value in row.items()} for row in rows]

    async def _get(self, url: str, after: str, limit: int) -> bytes:
        try:
            token = (await asyncio.to_thread(self._token.read_text, "utf-8")).strip()
            headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
            token.encode("ascii")
        except (OSError, UnicodeError) as error:
            raise FeedError("FEED_TOKEN", "ils.feed.token_file cannot be read as text") from error
        parameters = {"after": after, "limit": str(limit)}
        async with self._client.stream("GET", url, params=parameters, headers=headers) as answer:
            if answer.status_code in (401, 403):
                raise FeedError("FEED_TOKEN", "the bearer token is not accepted")
            if answer.status_code != 200:
                raise FeedError("FEED_HTTP", f"the address answered {answer.status_code}")
            body = bytearray()
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > MAX_BODY:
                    raise FeedError("FEED_TOO_LONG", f"the answer has more than {MAX_BODY} bytes")
        return bytes(body)


def make_rest_feed(table: Table, zone: str, base: Path) -> RestFeed:
    """The feed that an ``[ils.feed]`` of kind rest describes. Raises FeedError FEED_CONFIG.

    ``url`` and ``open_loans`` addresses (https, or http on this machine); ``token_file``; ``ca`` a PEM file; ``rows`` and
    ``open_loans_rows`` the keys of the lists ("" = the answer itself is the list); ``timeout_s``.
    """
    addresses = [text(table, "url"), text(table, "open_loans", "")]
    for address in filter(None, addresses):
        parts = urlsplit(address)
        if not parts.hostname or not (
            parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        ):
            raise FeedError("FEED_CONFIG", "ils.feed.url is an https address (http only on this machine)", retry=False)
    verify = None
    if ca := text(table, "ca", ""):
        try:
            verify = ssl.create_default_context(cafile=str(base / ca))
        except (OSError, ssl.SSLError) as error:
            raise FeedError("FEED_CONFIG", "ils.feed.ca cannot be read as PEM", retry=False) from error
    return RestFeed(
        addresses[0], addresses[1], row_reader(table, zone), token=base / text(table, "token_file"),
        changes_key=text(table, "rows", "changes"), loans_key=text(table, "open_loans_rows", "loans"),
        timeout_s=number(table, "timeout_s", 20, 1, 600), verify=verify,
    )  # fmt: skip
