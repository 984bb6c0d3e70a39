"""Deadlines are looked at again and again, whatever one look came to."""

from __future__ import annotations

import asyncio
import logging

import pytest
from sqlalchemy.exc import OperationalError

from hub.ledger.deadlines import Deadlines


async def test_a_database_that_is_away_costs_one_look_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="hub.ledger.deadlines")
    looks: list[int] = []
    settled = asyncio.Event()

    async def take() -> int:
        looks.append(1)
        if len(looks) == 1:
            raise OperationalError("SELECT", {}, OSError("away"))
        settled.set()
        return 2

    deadlines = Deadlines(take, every_s=0.001)
    deadlines.start()
    await asyncio.wait_for(settled.wait(), 5)
    await deadlines.stop()
    assert "OperationalError" in caplog.text
    assert "2 conflicts were settled by their default" in caplog.text
    seen = len(looks)
    await asyncio.sleep(0.02)
    assert len(looks) == seen
