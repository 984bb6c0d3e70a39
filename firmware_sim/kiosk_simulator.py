"""A vendor's self-check that connects to a SIP2 server, for `tongjie sim kiosk tcp:HOST:PORT`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from firmware_sim.kiosk import SimKiosk
from firmware_sim.kiosk.kiosk import LoginFailed
from firmware_sim.kiosk.link import KioskOffline
from firmware_sim.scene import Step
from firmware_sim.simulators import Options, Simulator, refuse_unknown
from firmware_sim.stage import StageError
from protocols.sip2 import Message

DEMO_ITEM = "01234567890"
PASSWORD_VARIABLE = "TONGJIE_SIP2_PASSWORD"  # noqa: S105 - the name of a variable


class KioskSimulator:
    """One self-check on one login; it is the client, so its URL is the server's."""

    kind = "kiosk"
    operations = frozenset({"item", "checkin", "checkout", "information"})
    demo = (Step(0.0, {"op": "item", "item_no": DEMO_ITEM}),)

    def __init__(self, url: str, host: str, tcp_port: int, user: str, password: str, institution: str) -> None:
        self.url = url
        self._kiosk = SimKiosk(host, tcp_port, user, password, institution, patience_s=5.0)

    async def start(self) -> None:
        """Connect and log in; raises `OSError` where that fails."""
        try:
            await self._kiosk.connect()
        except KioskOffline as error:
            raise ConnectionError(None, f"no SIP2 server answers at {self.url}") from error
        except LoginFailed as error:
            raise PermissionError(None, f"{error}; give --set user=NAME and {PASSWORD_VARIABLE}") from error

    async def stop(self) -> None:
        """Close the line."""
        await self._kiosk.close()

    async def do(self, operation: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out one operation; the answer tells the reply's code, its first flag and the time."""
        try:
            reply = await self._ask(operation)
        except KeyError as error:
            raise StageError("BAD_OPERATION", f"{operation.get('op')} needs {error.args[0]}") from error
        except (KioskOffline, LoginFailed) as error:
            raise StageError("NO_DEVICE", str(error)) from error
        return {"code": reply.code, "fixed": dict(reply.fixed), "ms": round(self._kiosk.last_ms, 3)}

    async def _ask(self, operation: Mapping[str, Any]) -> Message:
        name = operation["op"]
        if name == "item":
            return await self._kiosk.item(str(operation["item_no"]))
        if name == "checkin":
            return await self._kiosk.checkin(str(operation["item_no"]))
        session = await self._kiosk.session(str(operation["reader_no"]), operation.get("pin"))
        if name == "information":
            return await session.information()
        return await session.checkout(str(operation["item_no"]))


def simulate(url: str, options: Options) -> Simulator:
    """Make it; options: user, institution, password (better in TONGJIE_SIP2_PASSWORD)."""
    refuse_unknown(options, ("user", "institution", "password"))
    scheme, _, rest = url.partition(":")
    host, _, number = rest.removeprefix("//").rpartition(":")
    if scheme != "tcp" or not host or not number.isascii() or not number.isdigit():
        raise ValueError("a kiosk connects to tcp:HOST:PORT")
    password = options.get("password") or os.environ.get(PASSWORD_VARIABLE, "")
    return KioskSimulator(url, host, int(number), options.get("user", ""), password, options.get("institution", ""))
