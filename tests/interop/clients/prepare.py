"""``python -m tests.interop.clients.prepare``: makes ``.tongjie/interop``, the environment of the SIP2 clients that are not ours.

Everything in it is named, with its hash, in ``requirements.lock``. Made once; made anew when lock, Python or folder change.
Exit 1 with one sentence where the packages cannot be had, most often for want of a network.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

__all__ = ["FOLDER", "InteropMissing", "prepared", "python"]

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / ".tongjie" / "interop"
LOCK = Path(__file__).with_name("requirements.lock")
_INSTALL_S = 300


class InteropMissing(Exception):
    """The environment could not be made; the text says what the installer said."""


def _wanted() -> str:
    return f"{FOLDER} {sys.version} {hashlib.sha256(LOCK.read_bytes()).hexdigest()}"


def prepared() -> bool:
    """Whether the environment is there and as the lock has it."""
    stamp = FOLDER / ".stamp"
    return stamp.is_file() and stamp.read_text("utf-8") == _wanted() and python().exists()


def python() -> Path:
    """Its interpreter."""
    return FOLDER / "bin" / "python"


def prepare() -> None:
    """Make the environment where it is not there; two at once wait for each other. Raises InteropMissing."""
    FOLDER.parent.mkdir(exist_ok=True)
    with (FOLDER.parent / "interop.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if prepared():
            return
        shutil.rmtree(FOLDER, ignore_errors=True)
        venv.create(FOLDER, with_pip=False, symlinks=True)
        wheels, sources = _parts()
        # The client comes as source only: what builds it goes in first, by hash, and nothing else is fetched to build it.
        _install(wheels)
        _install(sources)
        (FOLDER / ".stamp").write_text(_wanted(), "utf-8")


def _parts() -> tuple[str, str]:
    """The lock in two: the build tool, and the client."""
    entries = "".join(line for line in LOCK.read_text("utf-8").splitlines(keepends=True) if not line.startswith("#"))
    at = entries.index("Sip2==")
    return entries[:at], entries[at:]


def _install(lines: str) -> None:
    uv = Path(sys.executable).parent / "uv"
    if uv.exists():
        words = [str(uv), "pip", "install", "-q", "--python", str(python())]
    else:
        words = [sys.executable, "-m", "pip", "--python", str(python()), "install", "-q", "--disable-pip-version-check"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
        listed.write(lines)
        listed.flush()
        words += ["--no-deps", "--require-hashes", "--no-build-isolation", "-r", listed.name]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=_INSTALL_S, check=False,
                env={**os.environ, "PYTHONUTF8": "1"},
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InteropMissing(f"the clients of {LOCK.name} could not be installed: {error}") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word from the installer"])[-1]
        raise InteropMissing(f"the clients of {LOCK.name} could not be installed: {said}")


def main() -> None:
    """Entry point."""
    try:
        prepare()
    except InteropMissing as error:
        print(str(error), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
