"""An edge that stops: what its devices still do while they are stopped is written like everything else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from consortium.events import Kind
from tests.edge.bed import srid_of, standard_rows, until, write_replica
from tests.edge.entrance.doors import Hall, Standing

DEVICES = ("gate1", "turnstile", {}), ("reader1", "reader", {"gate": "gate1"}), ("eas1", "eas", {})


async def test_who_came_in_and_was_counted_in_the_last_moment_stands_in_the_file(tmp_path: Path) -> None:
    hall = Hall()
    write_replica(tmp_path, standard_rows())
    async with hall.bed(tmp_path, *DEVICES) as bed:
        devices = bed.agent.devices
        await until(lambda: all(devices.records[name].state == "online" for name in devices.drivers))
        reader, counter = hall.at["reader1"], hall.at["eas1"]

        async def last_moment(emit: Any) -> None:
            try:
                await Standing.run(reader, emit)
            finally:
                if not bed.agent.running:
                    reader.tap("04A1B2C3")
                    counter.people(2, 1)
                    await asyncio.sleep(0.05)

        reader.run = last_moment
        await devices.restart("reader1")
        await until(lambda: reader.starts == 2)
        counter.people(5, 0)
    assert hall.at["gate1"].done == [("open", 50, "IN")]
    async with hall.bed(tmp_path, *DEVICES) as bed:
        (entry,) = bed.events(Kind.ENTRY)
        assert (entry.data["passage"], bed.subjects(Kind.ENTRY)) == ("assumed", [srid_of("R1")])
        told = [(event.data["came"], event.data["left"]) for event in bed.events(Kind.PEOPLE_COUNTED)]
        assert told == [(5, 0), (2, 1)]
