"""``python -m tests.interop.devices.prepare``: makes ``.tongjie/interop-devices``, for device peers that are not ours.

Everything in it is named, with its hash, in ``requirements.lock``; made once, and made anew when lock, Python or folder change.
None of it is imported by anything of ours: each runs as a process of its own (one of them is under the GPL, and one brings a module
of the same name as a library that we use). Exit 1 with one sentence where the packages cannot be had, most often for want of a network.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench._environment import EnvironmentMissing, environment

__all__ = ["interpreter", "prepare"]

LOCK = Path(__file__).with_name("requirements.lock")


def prepare() -> Path:
    """Make the environment where it is not there and give its interpreter; raises `EnvironmentMissing`."""
    return environment("interop-devices", LOCK) / "bin" / "python"


def interpreter() -> str:
    """The same for a test: without it the test is skipped with the reason, and fails where CI=true."""
    try:
        return str(prepare())
    except EnvironmentMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


def main() -> None:
    """Entry point."""
    try:
        prepare()
    except EnvironmentMissing as error:
        print(str(error), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
