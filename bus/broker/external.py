"""Somebody else's broker: any MQTT 5 URL, for example of a VerneMQ or EMQX cluster."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from bus.transport import broker_address

__all__ = ["ExternalBroker"]


class ExternalBroker:
    """A broker that is there or will be; the transport waits for it. Raises WrongUse for an address that is none."""

    kind: ClassVar[str] = "external"

    def __init__(self, url: str) -> None:
        broker_address(url)
        self.url = url

    async def start(self) -> str:
        """Its URL; nothing is started."""
        return self.url

    async def stop(self) -> None:
        """Nothing: it is not ours."""

    async def wait(self) -> int:
        """Never returns: its end is not ours to see."""
        never: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        return await never
