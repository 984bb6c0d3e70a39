"""A snapshot from the hub by HTTP, in a process of its own: ``python -m edge.replica.fetch`` with a job as JSON on stdin.

The job is ``{"url", "token", "size", "sha256", "path"}``: the token is a secret and so comes neither as an argument nor by a URL. What
is there of ``path`` already is not fetched again (Range, RFC 9110 §14). Prints ``{"bytes": n}`` or ``{"error": code, "message": …}``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

MAX_SNAPSHOT = 4 * 1024 * 1024 * 1024
"""Largest snapshot taken, in bytes."""

_TOTAL_S = 1_500.0
_TIMEOUT = httpx2.Timeout(20.0, connect=5.0)


class FetchFailed(Exception):
    """The snapshot did not come; ``code`` is stable. Try again later with a fresh manifest."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def fetch(url: str, token: str, size: int, sha256: str, path: Path) -> int:
    """Complete ``path`` to ``size`` bytes; gives how many were fetched now. Raises FetchFailed.

    A hub that says (``X-Replica-Sha256``) that it has another snapshot by now is not listened to further.
    """
    if not 0 < size <= MAX_SNAPSHOT:
        raise FetchFailed("REPLICA_SIZE", "the manifest names a size this software does not take")
    path.parent.mkdir(parents=True, exist_ok=True)
    have = path.stat().st_size if path.exists() else 0
    if have > size:
        path.unlink()
        have = 0
    if have == size:
        return 0
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    until = time.monotonic() + _TOTAL_S
    fetched = 0
    try:
        with (
            httpx2.Client(timeout=_TIMEOUT, follow_redirects=False, trust_env=False) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            if have and response.status_code != 206:
                path.unlink()  # the hub does not resume this one: begin anew, now or at the next attempt
                have = 0
            if response.status_code not in (200, 206):
                raise FetchFailed("REPLICA_HTTP", f"the hub answered {response.status_code} for the snapshot")
            if response.headers.get("x-replica-sha256", sha256) != sha256:
                raise FetchFailed("REPLICA_SUPERSEDED", "the hub has a newer snapshot than its manifest named")
            with path.open("ab" if have else "wb") as file:
                for chunk in response.iter_raw():  # as it comes: what is here need not come again
                    fetched += len(chunk)
                    if have + fetched > size:
                        raise FetchFailed("REPLICA_SIZE", "the hub sent more than its manifest says")
                    file.write(chunk)
                    if time.monotonic() > until:
                        raise FetchFailed("REPLICA_SLOW", "the snapshot did not come in time; it goes on from here")
    except httpx2.HTTPError as error:
        raise FetchFailed("REPLICA_HTTP", f"the snapshot did not come: {type(error).__name__}") from error
    except OSError as error:
        raise FetchFailed("REPLICA_DISK", f"the snapshot cannot be stored ({error.strerror})") from error
    if have + fetched != size:
        raise FetchFailed("REPLICA_HTTP", "the connection ended before the snapshot did; it goes on from here")
    return fetched


def main() -> int:
    """The process: see the module's text."""
    try:
        job = json.load(sys.stdin)
        answer: dict[str, Any] = {
            "bytes": fetch(job["url"], job["token"], job["size"], job["sha256"], Path(job["path"]))
        }
    except FetchFailed as error:
        answer = {"error": error.code, "message": str(error)}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    raise SystemExit(main())
