"""Fixtures around `tests.edge.bed`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bus.broker import IotcoreBroker
from tests.edge.bed import Bed, Hub, Machines, make_config, standard_rows, until, write_replica


@pytest.fixture
async def bed(tmp_path: Path) -> AsyncIterator[Bed]:
    """An edge with the standard replica whose hub is away."""
    write_replica(tmp_path, standard_rows())
    async with Bed(make_config(tmp_path)) as running:
        yield running


@pytest.fixture
async def broker() -> AsyncIterator[IotcoreBroker]:
    """The embedded broker on a free port."""
    provider = IotcoreBroker()
    await provider.start()
    yield provider
    await provider.stop()


@pytest.fixture
async def hub(broker: IotcoreBroker) -> AsyncIterator[Hub]:
    """A hub on the wire."""
    async with Hub(broker.url) as peer:
        yield peer


@pytest.fixture
async def hub_bed(tmp_path: Path, hub: Hub, broker: IotcoreBroker) -> AsyncIterator[Bed]:
    """An edge with the standard replica whose hub answers."""
    write_replica(tmp_path, standard_rows())
    async with Bed(make_config(tmp_path, broker_url=broker.url)) as running:
        await until(lambda: running.agent.link.online)
        yield running


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """A branch of simulated devices in a process of its own."""
    branch = Machines(tmp_path_factory.mktemp("lines"))
    yield branch
    branch.stop()
