"""A program that appends until it is killed: prints the id and hash of each event only after it was promised."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from consortium.events import Kind
from edge.clock import EdgeClock
from edge.outbox import Draft, Outbox


async def main(path: Path, producers: int) -> None:
    outbox = Outbox(path, "edge-251020-01", EdgeClock())
    await outbox.start()

    async def produce(number: int) -> None:
        count = 0
        while True:
            count += 1
            data = {"item": ["251020", f"{number}-{count}"], "type": "BOOK", "home": "251020", "due": 1}
            draft = Draft(Kind.CHECKOUT, "251020-01", f"kiosk{number}", data, srid="a" * 32)
            key = f"{os.getpid()}-{number}-{count}"
            recorded = await outbox.append(draft, memo=(key, recorded_as(key)))
            os.write(1, f"{recorded.event_id.epoch} {recorded.event_id.seq} {recorded.hash} {key}\n".encode())

    await asyncio.gather(*(produce(number) for number in range(producers)))


def recorded_as(key: str) -> bytes:
    return f"answer to {key}".encode()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
