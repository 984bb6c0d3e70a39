"""The real pcscd with vpcd's virtual cardreader, kept to itself: own socket, own configuration, no port that others could reach.

pcscd has one fixed folder for its socket, ``/run/pcscd``, and vpcd listens on every address. So both run in a mount and a network
namespace of their own; a user namespace makes that possible without being root. Nothing of the system's own pcscd is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from pathlib import Path

from firmware_sim.pcsc.namespace import TCP_PORT

LIBRARY = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"
"""Where Debian's vsmartcard-vpcd has its driver."""
_READY_S = 10.0
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


class DaemonError(Exception):
    """pcscd cannot be run here; ``code`` is PCSCD_MISSING (the message says what to install) or PCSCD_FAILED."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def missing() -> str:
    """Debian packages that `PcscDaemon` needs and that are not installed, "" where nothing is missing."""
    parts = [
        ("pcscd", shutil.which("pcscd", path=_PATH)),
        ("vsmartcard-vpcd", os.path.exists(LIBRARY)),
        ("util-linux", shutil.which("unshare", path=_PATH)),
    ]
    return " ".join(name for name, found in parts if not found)


class PcscDaemon:
    """One pcscd whose files are in ``folder``, made where missing; its path has at most 85 bytes, for the sockets in it.

    To supervise it as a process of one's own: `prepare`, then `words` with `environment`; it is ready when `socket` takes connections,
    and ends by SIGTERM. `start` and `stop` do the same here.
    """

    def __init__(self, folder: Path) -> None:
        if len(os.fsencode(folder)) > 85:
            raise DaemonError("PCSCD_FAILED", "the folder's path is too long for a socket in it")
        self.folder = folder
        self._process: asyncio.subprocess.Process | None = None

    @property
    def socket(self) -> str:
        """The daemon's socket: PCSCLITE_CSOCK_NAME of its clients, option ``socket`` of the driver pcsc."""
        return str(self.folder / "run" / "pcscd.comm")

    @property
    def url(self) -> str:
        """Where a virtual card finds it: the URL of ``tongjie sim pcsc``."""
        return f"vpcd:{self.folder / 'vpcd.sock'}"

    @property
    def words(self) -> tuple[str, ...]:
        """The command line; it becomes pcscd's parent in the namespaces."""
        user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
        return (
            "unshare", *user, "--mount", "--net", sys.executable, "-m", "firmware_sim.pcsc.namespace", str(self.folder),
        )  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the process: a PATH on which Debian's pcscd is found."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TONGJIE_")}
        return {**kept, "PATH": _PATH}

    @property
    def pid(self) -> int:
        """The process in the namespaces: other programs join it by ``nsenter --target PID --net``."""
        assert self._process is not None
        return self._process.pid

    def prepare(self, *, cardreader: bool = True) -> None:
        """Write the configuration (``cardreader=False``: without any) and clear away what an earlier daemon left."""
        (self.folder / "run").mkdir(parents=True, exist_ok=True)
        for name in ("run/pcscd.comm", "run/pcscd.pid", "vpcd.sock"):
            (self.folder / name).unlink(missing_ok=True)
        lines = (
            'FRIENDLYNAME "Virtual PCD"', f"DEVICENAME /dev/null:{TCP_PORT}", f"LIBPATH {LIBRARY}", f"CHANNELID {TCP_PORT}",
        )  # fmt: skip
        (self.folder / "reader.conf").write_text("\n".join(lines if cardreader else ()) + "\n")

    async def start(self, *, cardreader: bool = True) -> None:
        """Start it and wait until it can be asked; raises `DaemonError`."""
        if absent := missing():
            raise DaemonError("PCSCD_MISSING", f"a virtual PC/SC cardreader needs {absent}: apt-get install {absent}")
        self.prepare(cardreader=cardreader)
        self._process = await asyncio.create_subprocess_exec(
            *self.words, "--tether", env=self.environment, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_READY_S):
                while not await self._answers():
                    if self._process.returncode is not None:
                        assert self._process.stderr is not None
                        said = (await self._process.stderr.read(2000)).decode(errors="replace").strip()
                        raise DaemonError("PCSCD_FAILED", f"pcscd did not start: {said or 'no reason given'}")
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            await self.stop()
            raise DaemonError("PCSCD_FAILED", "pcscd did not answer in time") from error

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(self.socket)
        except OSError:
            return False
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return os.path.exists(self.folder / "vpcd.sock")

    async def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(5):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._process = None
