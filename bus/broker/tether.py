"""Runs a program that must not outlive its parent: `python -m bus.broker.tether PROGRAM ARG…`.

The program ends when our stdin closes (the parent is gone, however it went) or when we get SIGTERM; we end with its exit status.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

_GRACE_S = 2.0


def main(words: list[str]) -> int:
    """Run the program to its end, or to ours."""
    program = subprocess.Popen(words, stdin=subprocess.DEVNULL)

    def end(*_: object) -> None:
        program.terminate()

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        program.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(_GRACE_S)
        program.kill()

    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=watch, name="stdin", daemon=True).start()
    return program.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
