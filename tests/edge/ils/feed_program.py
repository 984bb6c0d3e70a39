"""A program that follows an SQL feed until it is killed: prints a line whenever a row's event is durable."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from consortium.events import Kind, decode
from edge.clock import Stamp
from edge.ils.feed_follow import FeedFollower, make_feed
from edge.outbox import Draft, Recorded
from tests.edge.ils.feed_bed import Side


class _Teller:
    """Says what became durable."""

    def accepted(self, ticket: int, draft: Draft, stamp: Stamp) -> None:
        """Not durable yet."""

    def recorded(self, ticket: int, recorded: Recorded) -> None:
        event = decode(recorded.body)
        if event.kind is Kind.ILS_OBSERVED:
            os.write(1, f"{event.data['what']}\n".encode())

    def failed(self, ticket: int) -> None:
        os.write(1, b"failed\n")

    def renumbered(self) -> None:
        """Nothing here does that."""


async def main(data: Path, table: dict[str, str | int | bool]) -> None:
    side = await Side(data).start()
    side.outbox.observe(_Teller())
    follower = FeedFollower(make_feed(table, zone="Asia/Shanghai", base=data), side.observer, table, now=side.now)
    os.write(1, b"ready\n")
    while True:
        await follower.catch_up()
        await asyncio.sleep(0.005)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
