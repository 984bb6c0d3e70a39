"""A vendor's self-check on a SIP2 server, for `tongjie sim kiosk tcp:HOST:PORT`, `tls:HOST:PORT` or `pty:LINK`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from firmware_sim.kiosk import KioskOffline, LoginFailed, SimKiosk, accent_of, place_of
from firmware_sim.scene import Step
from firmware_sim.simulators import Options, Simulator, refuse_unknown
from firmware_sim.stage import StageError
from protocols.sip2 import Message

DEMO_ITEM = "01234567890"
PASSWORD_VARIABLE = "TONGJIE_SIP2_PASSWORD"  # noqa: S105 - the name of a variable


class KioskSimulator:
    """One self-check on one login. Over TCP and TLS it is the client, so its URL is the server's; a pty is its end of the cable."""

    kind = "kiosk"
    operations = frozenset({"item", "checkin", "checkout", "information"})
    demo = (Step(0.0, {"op": "item", "item_no": DEMO_ITEM}),)

    def __init__(self, kiosk: SimKiosk, url: str) -> None:
        self.url = url
        self._kiosk = kiosk

    async def start(self) -> None:
        """Connect and log in; raises `OSError` where that fails. A serial line's other end may come within `patience_s`."""
        try:
            await self._kiosk.connect()
        except KioskOffline as error:
            await self._kiosk.close()
            raise ConnectionError(None, f"no SIP2 server answers at {self.url}") from error
        except LoginFailed as error:
            await self._kiosk.close()
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


_OPTIONS = ("user", "institution", "password", "accent", "encoding", "location", "ca", "certificate", "key")


def simulate(url: str, options: Options) -> Simulator:
    """Make it; options: user, institution, password (better in TONGJIE_SIP2_PASSWORD), location (CP), accent and encoding (how it
    speaks), and for tls: ca, certificate and key, PEM files. Raises ValueError."""
    refuse_unknown(options, _OPTIONS)
    files = {name: Path(options[name]) for name in ("ca", "certificate", "key") if name in options}
    try:
        place = place_of(url, **files)
        accent = accent_of(options.get("accent", "plain"), encoding=options.get("encoding"))
    except LookupError as error:
        raise ValueError(f"there is no encoding {options['encoding']!r}") from error
    except OSError as error:
        raise ValueError(
            f"ca, certificate and key are PEM files that can be read ({error.strerror or error})"
        ) from error
    password = options.get("password") or os.environ.get(PASSWORD_VARIABLE, "")
    kiosk = SimKiosk.at(
        place, options.get("user", ""), password, options.get("institution", ""),
        accent=accent, location=options.get("location"), patience_s=5.0, timeout_s=2.0,
    )  # fmt: skip
    return KioskSimulator(kiosk, url)
