"""Environments beside our own: for rivals and tools that must not become dependencies of the product.

Each is a virtual environment below ``.tongjie/``, made once from a hash-pinned lock and made anew when the lock, the
Python or the folder changes. A lock names every package of its environment: nothing else is resolved or fetched.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

__all__ = ["ROOT", "EnvironmentMissing", "environment"]

ROOT = Path(__file__).resolve().parents[1]
_INSTALL_S = 600


class EnvironmentMissing(Exception):
    """The packages could not be installed, most often for want of a network; the text says what the installer said."""


def environment(name: str, lock: Path) -> Path:
    """The folder of the virtual environment ``.tongjie/<name>`` with what ``lock`` names; its Python is ``bin/python``.

    Two processes that ask at once wait for each other. Raises EnvironmentMissing; the next call tries again.
    """
    folder = ROOT / ".tongjie" / name
    folder.parent.mkdir(exist_ok=True)
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    want = f"{folder} {sys.version} {digest}"
    stamp = folder / ".stamp"
    with (folder.parent / f"{name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if stamp.is_file() and stamp.read_text("utf-8") == want and (folder / "bin" / "python").exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        _install(folder, lock)
        stamp.write_text(want, "utf-8")
    return folder


def _install(folder: Path, lock: Path) -> None:
    """Fill the environment with the pip of our own: one less package to bring."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    uv = Path(sys.executable).parent / "uv"
    if uv.exists():
        words = [str(uv), "pip", "install", "-q", "--python", str(python)]
    else:
        words = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--disable-pip-version-check"]
    words += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(lock)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentMissing(f"the packages of {lock.name} could not be installed: {error}") from error
    if done.returncode:
        said = " ".join(done.stderr.split())[-400:] or "the installer said nothing"
        raise EnvironmentMissing(f"the packages of {lock.name} could not be installed: {said}")
