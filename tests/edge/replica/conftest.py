"""A replica with policy version 1 and a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.replica import Replica
from tests.edge.site import Time, prepared
from tests.sealing import TRUST


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def replica(tmp_path: Path, time: Time) -> AsyncIterator[Replica]:
    """A replica with policy version 1."""
    prepared(tmp_path / "replica")
    made = Replica(tmp_path / "replica", time.clock, TRUST)
    await made.start()
    yield made
    await made.close()
