"""One loaded hub for all tests that only read or that make rows of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.hub.api.hubside import Hub, running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    async with running(tmp_path_factory.mktemp("hub")) as found:
        yield found
