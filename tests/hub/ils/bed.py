"""A consortium in which one library keeps its own ILS."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from tests.hub.api import world
from tests.hub.api.world import YLG
from tests.hub.core import Core, running
from tests.make import NOW

ALL = {"loans": "ILS", "readers": "ILS", "items": "ILS", "fees": "ILS"}


def bundle(masters: dict[str, str] | None = None, org: str = YLG, now: int = NOW) -> dict[str, Any]:
    """The world's policy, where ``org`` has these masters (default: its ILS is master of all)."""
    out = world.bundle(now)
    for library in out["libraries"]:
        if library["org"] == org:
            library["masters"] = ALL if masters is None else masters
    return out


def keeping(folder: Path, masters: dict[str, str] | None = None, org: str = YLG) -> AbstractAsyncContextManager[Core]:
    """A core under that policy."""
    return running(folder, more={"bundle": bundle(masters, org)})


def state(now: int, how: str = "online", *, online: bool = True, kind: str = "ils") -> dict[str, Any]:
    """A node's state message with an ILS among its devices."""
    return {"online": online, "t": now, "devices": {"ils": {"kind": kind, "state": how, "since": now, "facts": {}}}}
