"""A branch's edge as a process to be killed: makes ``n`` loans and every second item's return, then tells the ILS until it is stopped.

``python -m tests.edge.ils.edge_process DATA PORT N FIRST``; prints a line for every event that was promised.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.edge.ils.member import Place, now_ms


async def main(data: Path, port: int, n: int, first: int) -> None:
    async with Place(data, port) as place:
        t = now_ms() - 3_600_000
        for number in range(first, first + n):
            name = await place.lend(str(1001 + number), t=t + number * 1000)
            os.write(1, f"{name}\n".encode())
            if number % 2:
                name = await place.take_back(str(1001 + number), t=t + number * 1000 + 500_000)
                os.write(1, f"{name}\n".encode())
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:5])))
