"""A broker of each kind, started by its provider, and clients that are closed when the test is over."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from bus import Transport
from bus.broker import BrokerProvider, find_mosquitto, make_broker

Client = Callable[..., Awaitable[Transport]]


@pytest.fixture(params=["iotcore", "mosquitto"])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[BrokerProvider]:
    """A running broker of this kind on a free port."""
    if request.param == "mosquitto" and find_mosquitto() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("mosquitto must be installed where CI=true")
        pytest.skip("mosquitto is not installed")
    provider = make_broker(request.param)
    await provider.start()
    yield provider
    await provider.stop()


@pytest.fixture
async def client(broker: Any) -> AsyncIterator[Client]:
    """Makes connected transports: `await client("name", …)`."""
    async with AsyncExitStack() as stack:

        async def make(client_id: str, **options: Any) -> Transport:
            transport = Transport(broker.url, client_id, **options)
            stack.push_async_callback(transport.close)
            await transport.connect()
            return transport

        yield make
