"""``python -m tests.interop.devices.llrp_environment``: makes ``.tongjie/interop-rfid``, clients of RFID readers that are not ours.

sllurp 3.0.5 (GPL-3.0, so only ever its own process) speaks LLRP, uhfreader18 0.6.0 (MIT) speaks to an UHFReader18. Everything is named
with its hash in ``llrp_requirements.lock``. Exit 1 with one sentence where the packages cannot be had.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

__all__ = ["RfidClientsMissing", "interpreter"]

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / ".tongjie" / "interop-rfid"
LOCK = Path(__file__).with_name("llrp_requirements.lock")
_INSTALL_S = 300


class RfidClientsMissing(Exception):
    """The environment could not be made; the text says what the installer said."""


def interpreter() -> Path:
    """Give the environment's Python, made where it is not there; raises `RfidClientsMissing`."""
    python = FOLDER / "bin" / "python"
    wanted = f"{FOLDER} {sys.version} {hashlib.sha256(LOCK.read_bytes()).hexdigest()}"
    stamp = FOLDER / ".stamp"
    FOLDER.parent.mkdir(exist_ok=True)
    with (FOLDER.parent / "interop-rfid.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if stamp.is_file() and stamp.read_text("utf-8") == wanted and python.exists():
            return python
        shutil.rmtree(FOLDER, ignore_errors=True)
        venv.create(FOLDER, with_pip=False, symlinks=True)
        _install(python)
        stamp.write_text(wanted, "utf-8")
    return python


def _install(python: Path) -> None:
    uv = Path(sys.executable).parent / "uv"
    if uv.exists():
        words = [str(uv), "pip", "install", "-q", "--python", str(python)]
    else:
        words = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--disable-pip-version-check"]
    words += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(LOCK)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RfidClientsMissing(f"the clients of {LOCK.name} could not be installed: {error}") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word from the installer"])[-1]
        raise RfidClientsMissing(f"the clients of {LOCK.name} could not be installed: {said}")


def main() -> None:
    """Entry point."""
    try:
        interpreter()
    except RfidClientsMissing as error:
        print(str(error), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
