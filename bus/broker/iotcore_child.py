"""The child process of the embedded broker: runs rumqttd until stdin closes. Exit status 3: the port is taken."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading

from iotcore import IotCoreBroker


def _exit_when_stdin_closes() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):  # not sys.stdin: its lock would be held when the interpreter ends
            pass
    os._exit(0)  # rumqttd has no way to be asked


def main(config: str) -> int:
    """Run the broker that this TOML file describes; returns only where it could not begin."""
    # rumqttd wraps the routing of every message in an error span, so that its log says ERROR for each
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    threading.Thread(target=_exit_when_stdin_closes, name="stdin", daemon=True).start()
    broker = IotCoreBroker(config_path=config)
    try:
        broker.check_ports()
    except OSError:
        return 3
    broker.run_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
