"""A real pcscd with vpcd in namespaces of its own, or the reason why there is none here."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from firmware_sim.pcsc import DaemonError, PcscDaemon


def absent(reason: str) -> None:
    """Skip, but fail where CI=true: there everything that is tested against must be installed."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@asynccontextmanager
async def daemon(*, cardreader: bool = True) -> AsyncIterator[PcscDaemon]:
    """Run one; in a short path of its own, since sockets' names are bounded."""
    folder = Path(tempfile.mkdtemp(prefix="pcsc"))
    try:
        found = PcscDaemon(folder)
        try:
            await found.start(cardreader=cardreader)
        except DaemonError as error:
            absent(str(error))
        try:
            yield found
        finally:
            await found.stop()
    finally:
        shutil.rmtree(folder)
