"""A supervised mosquitto, where the binary is on this machine; loopback, no files kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bus.broker.provider import HOST, MAX_PACKET, ChildBroker, python
from bus.errors import BrokerMissing

__all__ = ["MosquittoBroker", "find_mosquitto"]

# max_queued_messages bounds what waits for a client that does not read; the outbox sends again what is dropped there.
_CONF = """\
listener {tcp_port} {host}
allow_anonymous true
set_tcp_nodelay true
max_packet_size {max_packet}
max_inflight_messages 100
max_queued_messages 1000
max_connections 1010
persistence false
connection_messages false
log_dest stderr
log_type error
"""


def find_mosquitto() -> str | None:
    """The path of the mosquitto binary; Debian puts it where a user's PATH does not look."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    return shutil.which("mosquitto", path=path)


class MosquittoBroker(ChildBroker):
    """mosquitto 2 under a tether that ends it with us."""

    kind: ClassVar[str] = "mosquitto"

    def _config(self, tcp_port: int, folder: Path) -> str:
        return _CONF.format(host=HOST, tcp_port=tcp_port, max_packet=MAX_PACKET)

    def _command(self, config: Path) -> Sequence[str]:
        binary = find_mosquitto()
        if binary is None:
            raise BrokerMissing("mosquitto is not installed; install the package mosquitto or use the embedded broker")
        return python("bus.broker.tether", binary, "-c", str(config))
