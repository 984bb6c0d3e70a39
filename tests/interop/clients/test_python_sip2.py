"""The PyPI package Sip2 completes a session against our edge. Without its environment this is skipped, and fails where CI=true."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.interop.clients.place import edge, run
from tests.interop.clients.prepare import InteropMissing, prepare, prepared, python

SESSION = Path(__file__).with_name("session_sip2.py")


@pytest.fixture(scope="module")
def interpreter() -> str:
    try:
        if not prepared():
            prepare()
    except InteropMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    return str(python())


async def test_a_wrong_password_is_understood(interpreter: str, tmp_path: Path) -> None:
    async with edge(tmp_path) as one:
        with pytest.raises(RuntimeError, match="Login failed"):
            await asyncio.to_thread(run, [interpreter, "-E", str(SESSION)], {**one.given, "password": "wrong"})
        assert one.happened() == []


async def test_a_whole_session_from_login_to_logout(interpreter: str, tmp_path: Path) -> None:
    async with edge(tmp_path) as one:
        found = await asyncio.to_thread(run, [interpreter, "-E", str(SESSION)], one.given)
        assert found["login"]
        assert found["reader"]
        assert found["ended"]
        assert found["status"]["fixed"]["OnlineStatus"] == "Y"
        assert found["status"]["fixed"]["ProtocolVersion"] == "2.00"
        assert found["information"]["variable"]["BL"] == ["Y"]
        assert found["information"]["variable"]["CQ"] == ["Y"]
        assert found["item"]["fixed"]["CirculationStatus"] == "03"
        assert found["checkout"]["fixed"]["Ok"] == "1"
        assert found["checkout"]["variable"]["AJ"] == ["书名 1001"]
        assert found["charged"]["fixed"]["ChargedItemsCount"] == "0001"
        assert found["checkin"]["fixed"]["Ok"] == "1"
        assert one.happened() == ["CHECKOUT", "RETURN"]
