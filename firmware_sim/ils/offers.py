"""How the simulated ILS lets others know what changed: CSV files in a drop folder and a REST poll; the SQL view is in its file."""

from __future__ import annotations

import asyncio
import csv
import hmac
import os
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from firmware_sim.ils.books import Books

MAX_ROWS = 1_000
"""Rows of one REST answer and of one CSV file."""

COLUMNS = ("id", "changed_at", "what", "barcode", "cardnumber", "date_due", "amount", "currency", "status", "operator")
LOAN_COLUMNS = ("barcode", "cardnumber", "date_due", "issued_at")


class CsvDrop:
    """Drops changes as numbered CSV files, each complete the moment it has its name.

    Open loans lie beside them in ``open-loans.csv``, written anew each time. How far it got is in the folder itself (``.sent``).
    """

    def __init__(self, books: Books, folder: Path) -> None:
        self._books, self._folder = books, folder
        self._sent = folder / ".sent"
        folder.mkdir(parents=True, exist_ok=True)

    def drop(self) -> int:
        """Write a file of the changes since the last one, and the open loans; gives the number of changes."""
        try:
            after = int(self._sent.read_text(encoding="ascii"))
        except (OSError, ValueError):
            after = 0
        rows = self._books.changes(after, MAX_ROWS)
        if rows:
            last = int(rows[-1]["id"])
            self._write(f"changes-{last:012d}.csv", COLUMNS, rows)
            self._whole(self._sent, lambda file: file.write(str(last)))
        loans: list[dict[str, Any]] = []
        while more := self._books.open_loans(loans[-1]["barcode"] if loans else "", MAX_ROWS):
            loans += more
        self._write("open-loans.csv", LOAN_COLUMNS, loans)
        return len(rows)

    def _write(self, name: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
        def fill(file: Any) -> None:
            out = csv.DictWriter(file, columns, extrasaction="ignore")
            out.writeheader()
            out.writerows(rows)

        self._whole(self._folder / name, fill)

    @staticmethod
    def _whole(path: Path, fill: Any) -> None:
        part = path.with_name(f".{path.name}.part")
        with part.open("w", encoding="utf-8", newline="") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    async def run(self, every_s: float) -> None:
        """Drop for ever, in a rhythm."""
        while True:
            self.drop()
            await asyncio.sleep(every_s)


def make_rest(books: Books, token: str) -> Starlette:
    """``GET /changes?after=CURSOR&limit=N`` and ``GET /open-loans?after=ITEM&limit=N`` for whoever has the bearer token."""

    def allowed(request: Request) -> bool:
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())

    def limit(request: Request) -> int:
        return max(1, min(int(request.query_params.get("limit", "500")), MAX_ROWS))

    async def changes(request: Request) -> Response:
        if not allowed(request):
            return JSONResponse({"error": "unauthorized"}, 401)
        try:
            rows = books.changes(int(request.query_params.get("after") or 0), limit(request))
        except ValueError:
            return JSONResponse({"error": "after and limit are numbers"}, 400)
        return JSONResponse({"changes": rows})

    async def open_loans(request: Request) -> Response:
        if not allowed(request):
            return JSONResponse({"error": "unauthorized"}, 401)
        try:
            rows = books.open_loans(request.query_params.get("after", ""), limit(request))
        except ValueError:
            return JSONResponse({"error": "limit is a number"}, 400)
        return JSONResponse({"loans": rows})

    return Starlette(routes=[Route("/changes", changes), Route("/open-loans", open_loans)])
