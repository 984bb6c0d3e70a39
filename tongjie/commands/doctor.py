"""``tongjie doctor``: what this machine has, what is missing and what to do about it."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True, slots=True)
class Check:
    """One look: ``state`` is ok, missing (something will not work) or optional (something more would work)."""

    name: str
    state: str
    found: str
    advice: str = ""


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    ok = sys.version_info >= (3, 11)
    return Check("python", "ok" if ok else "missing", version, "" if ok else "install Python 3.11 or newer")


def _sqlite() -> Check:
    version = sqlite3.sqlite_version
    ok = sqlite3.sqlite_version_info >= (3, 35)
    return Check("sqlite", "ok" if ok else "missing", version, "" if ok else "install SQLite 3.35 or newer")


def _module(name: str, module: str, state: str, advice: str) -> Check:
    found = importlib.util.find_spec(module) is not None
    return Check(name, "ok" if found else state, "installed" if found else "absent", "" if found else advice)


def _program(name: str, program: str, advice: str) -> Check:
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    return Check(name, "ok" if path else "optional", path or "absent", "" if path else advice)


def _pty() -> Check:
    try:
        main, device = os.openpty()
    except OSError as error:
        return Check("pseudo terminals", "missing", str(error), "mount /dev/pts: simulated devices need it")
    os.close(main)
    os.close(device)
    return Check("pseudo terminals", "ok", "available")


def _disk() -> Check:
    try:
        target = Path.cwd()
        free = shutil.disk_usage(target).free // 2**20
    except OSError as error:
        return Check("disk", "missing", f"this folder is gone ({error.strerror})", "change to a folder that exists")
    ok = free > 500
    return Check(
        "disk", "ok" if ok else "missing", f"{free} MB free", "" if ok else f"free some space on the disk of {target}"
    )


def _durable() -> Check:
    try:
        with tempfile.TemporaryDirectory(dir=".") as folder, open(Path(folder) / "probe", "wb") as probe:
            probe.write(b"tongjie")
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        found = f"nothing can be written here ({error.strerror})"
        return Check("durable writes", "missing", found, "run this in a folder of yours on a local disk")
    return Check("durable writes", "ok", "fsync works here")


CHECKS: tuple[Callable[[], Check], ...] = (
    _python,
    _sqlite,
    _pty,
    _disk,
    _durable,
    lambda: _module("embedded broker", "iotcore", "missing", "run ./run again: the locked packages are incomplete"),
    lambda: _module("OSDP", "osdp", "missing", "run ./run again: the locked packages are incomplete"),
    lambda: _module("PC/SC cards", "smartcard", "optional", "for PC/SC card readers: pip install 'tongjie[pcsc]'"),
    lambda: _program("mosquitto", "mosquitto", "for a production broker on this machine: apt-get install mosquitto"),
    lambda: _program("promtool", "promtool", "for the tests of the alert rules: apt-get install prometheus"),
    lambda: _program("chromium", "chromium", "for the browser tests: apt-get install chromium fonts-noto-cjk"),
)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Look at this machine and say what is missing. Exit 1 where something needed is. Example: tongjie doctor --json"""
    found = [check() for check in CHECKS]
    missing = [check for check in found if check.state == "missing"]
    if as_json:
        typer.echo(json.dumps({"ok": not missing, "checks": [asdict(check) for check in found]}, ensure_ascii=False))
    else:
        for check in found:
            typer.echo(
                f"{check.state:<9} {check.name:<18} {check.found}" + (f"  → {check.advice}" if check.advice else "")
            )
    if missing:
        raise typer.Exit(1)
